{#-
  The name of an input that changed after the last run of the node began, or none. Looked at: what dbt built (the record
  of record_builds), other predictions (the run record), and sources that declare a loaded_at_field or a loaded_at_query.
-#}
{%- macro newer_input(inputs, runs, unique_id) -%}
{%- set began = "(select max(started_at) from " ~ runs ~ " where node = '" ~ unique_id ~ "' and status = 'success')" -%}
{%- set builds = sqlinfer.existing(target.database or none, target.schema, 'sqlinfer_builds') -%}
{%- set names = [] -%}
{%- for key, node in inputs.items() if not names -%}
  {%- set sql = none -%}
  {%- if node.resource_type == 'source' -%}
    {%- set loaded = sqlinfer.loaded_at(node) -%}
    {%- if loaded -%}
      {%- set sql = "select 1 from (" ~ loaded ~ ") as s where " ~ sqlinfer.as_moment('t') ~ " > " ~ began -%}
    {%- endif -%}
  {%- elif node.config.materialized == 'prediction' -%}
    {%- set other = sqlinfer.existing(node.database, node.schema, 'sqlinfer_runs') -%}
    {%- if other is not none -%}
      {%- set sql = "select 1 from " ~ other ~ " where node = '" ~ key ~ "' and finished_at > " ~ began -%}
    {%- endif -%}
  {%- elif builds is not none -%}
    {%- set sql = "select 1 from " ~ builds ~ " where node = '" ~ key ~ "' and built_at > " ~ began -%}
  {%- endif -%}
  {%- if sql -%}
    {%- set found = run_query(sql) -%}
    {%- if found and found.rows | length > 0 -%}{%- do names.append(node.name) -%}{%- endif -%}
  {%- endif -%}
{%- endfor -%}
{{ return(names[0] if names else none) }}
{%- endmacro -%}
