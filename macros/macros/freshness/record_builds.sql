{#- on-run-end: note when the inputs of prediction nodes were built, one row per node, in <target schema>.sqlinfer_builds. -#}
{%- macro record_builds(results) -%}
{%- if execute and (var('sqlinfer', {}) or {}).get('record_builds', true) -%}
  {{- adapter.dispatch('record_builds', 'sqlinfer')(results) -}}
{%- endif -%}
{%- endmacro -%}

{%- macro default__record_builds(results) -%}
{%- set inputs = {} -%}
{%- for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'prediction' -%}
  {%- do inputs.update(sqlinfer.ancestors(node.unique_id)) -%}
{%- endfor -%}
{%- set built = [] -%}
{%- for result in results if result.status == 'success' and result.node.unique_id in inputs -%}
  {%- if result.node.resource_type in ('model', 'seed', 'snapshot') and result.node.config.materialized != 'prediction' -%}
    {%- do built.append(result.node.unique_id) -%}
  {%- endif -%}
{%- endfor -%}
{%- if built -%}
  {%- set table = api.Relation.create(database=target.database or none, schema=target.schema, identifier='sqlinfer_builds') -%}
  {%- set listed = "'" ~ built | join("', '") ~ "'" -%}
  {%- do adapter.create_schema(table) -%}
  {%- do run_query('create table if not exists ' ~ table ~ ' (node ' ~ dbt.type_string() ~ ', built_at ' ~ sqlinfer.type_moment() ~ ')' ~ sqlinfer.table_format()) -%}
  {%- do sqlinfer.forget_builds(table, listed) -%}
  {%- set rows = [] -%}
  {%- for unique_id in built -%}{%- do rows.append("('" ~ unique_id ~ "', " ~ dbt.current_timestamp() ~ ")") -%}{%- endfor -%}
  {%- do run_query('insert into ' ~ table ~ ' (node, built_at) values ' ~ rows | join(', ')) -%}
  {%- do sqlinfer.keep() -%}
{%- endif -%}
{%- endmacro -%}

{#- Earlier rows of these nodes. Spark's tables of Parquet lose no rows: there the record grows, and its newest row counts. -#}
{%- macro forget_builds(table, listed) -%}{{ return(adapter.dispatch('forget_builds', 'sqlinfer')(table, listed)) }}{%- endmacro -%}

{%- macro default__forget_builds(table, listed) -%}
{%- do run_query('delete from ' ~ table ~ ' where node in (' ~ listed ~ ')') -%}
{%- endmacro -%}
{%- macro spark__forget_builds(table, listed) -%}{%- endmacro -%}

{%- macro table_format() -%}{{ return(adapter.dispatch('table_format', 'sqlinfer')()) }}{%- endmacro -%}
{%- macro default__table_format() -%}{{ return('') }}{%- endmacro -%}
{%- macro spark__table_format() -%}{{ return(' using parquet') }}{%- endmacro -%}
