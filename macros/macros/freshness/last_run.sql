{#- When the last run that published a node began, as text; none where there is none. -#}
{%- macro last_run(runs, unique_id) -%}
{%- set found = run_query(
    "select cast(max(started_at) as " ~ dbt.type_string() ~ ") from " ~ runs ~ " where node = '" ~ unique_id ~ "'"
    ~ " and status = 'success'") -%}
{{ return(found.rows[0][0] if found and found.rows else none) }}
{%- endmacro -%}
