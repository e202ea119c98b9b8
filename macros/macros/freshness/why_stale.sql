{#- Why the predictions of the node at hand may be older than its inputs, in words; an empty string where they are not. -#}
{%- macro why_stale() -%}
{{ return(adapter.dispatch('why_stale', 'sqlinfer')()) }}
{%- endmacro -%}

{%- macro default__why_stale() -%}
{%- if load_relation(this) is none -%}{{ return('it has never been scored') }}{%- endif -%}
{%- set runs = sqlinfer.existing(this.database, this.schema, 'sqlinfer_runs') -%}
{%- if runs is none -%}{{ return('sqlinfer has no record of a run in ' ~ this.schema) }}{%- endif -%}
{%- set inputs = sqlinfer.ancestors(model.unique_id) -%}
{%- for unique_id in selected_resources if unique_id in inputs and inputs[unique_id].resource_type != 'source' -%}
  {%- if inputs[unique_id].config.materialized not in ('prediction', 'ephemeral') -%}
    {{ return(inputs[unique_id].name ~ ' is rebuilt by this very dbt run') }}
  {%- endif -%}
{%- endfor -%}
{%- set last = sqlinfer.last_run(runs, model.unique_id) -%}
{%- if not last -%}{{ return('sqlinfer has no record of scoring it') }}{%- endif -%}
{%- set changed = sqlinfer.changed_since(runs, model.unique_id) -%}
{%- if changed -%}{{ return(changed) }}{%- endif -%}
{%- set newer = sqlinfer.newer_input(inputs, runs, model.unique_id) -%}
{{ return(newer ~ ' was built after it was scored (' ~ last ~ ')' if newer else '') }}
{%- endmacro -%}
