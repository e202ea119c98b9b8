{#- SQL of one column `t`: when the rows of a source were loaded, the newest of them; none where it does not say. -#}
{%- macro loaded_at(source) -%}
{%- set place = api.Relation.create(database=source.database, schema=source.schema, identifier=source.identifier) -%}
{%- if source.loaded_at_field -%}
  {{ return("select max(" ~ source.loaded_at_field ~ ") as t from " ~ place) }}
{%- elif source.loaded_at_query -%}
  {#- `this` means the source in it. -#}
  {%- set asked = modules.re.sub("\\{\\{-?\\s*this\\s*-?\\}\\}", place | string, source.loaded_at_query) -%}
  {{ return("select (" ~ render(asked) ~ ") as t") }}
{%- endif -%}
{{ return(none) }}
{%- endmacro -%}

{#- A moment without a zone is meant in UTC, as in dbt's source freshness, whatever the zone of the session is. -#}
{%- macro as_moment(expression) -%}{{ return(adapter.dispatch('as_moment', 'sqlinfer')(expression)) }}{%- endmacro -%}

{%- macro default__as_moment(expression) -%}{{ return(expression) }}{%- endmacro -%}

{%- macro duckdb__as_moment(expression) -%}
{{ return("case when typeof(" ~ expression ~ ") = 'TIMESTAMP WITH TIME ZONE' then cast(" ~ expression ~ " as timestamptz)"
    ~ " else timezone('UTC', cast(" ~ expression ~ " as timestamp)) end") }}
{%- endmacro -%}

{%- macro postgres__as_moment(expression) -%}
{{ return("case when pg_typeof(" ~ expression ~ ") = 'timestamptz'::regtype then " ~ expression ~ "::timestamptz"
    ~ " else timezone('UTC', " ~ expression ~ "::timestamp) end") }}
{%- endmacro -%}
