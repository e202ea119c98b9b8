{#-
  dbt's is_incremental() for the materialisation `prediction` (dbt's own looks for the word "incremental").
  True where the node merges (it has a unique_key or an incremental_strategy), its table exists, and this is no full refresh.
-#}
{%- macro is_incremental() -%}
{{ return(adapter.dispatch('is_incremental', 'sqlinfer')()) }}
{%- endmacro -%}

{%- macro default__is_incremental() -%}
{%- if not execute or config.get('materialized') != 'prediction' -%}{{ return(false) }}{%- endif -%}
{%- if not (config.get('unique_key') or config.get('incremental_strategy')) or should_full_refresh() -%}
{{ return(false) }}
{%- endif -%}
{%- set found = load_relation(this) -%}
{{ return(found is not none and found.type == 'table') }}
{%- endmacro -%}
