{#- A relation that exists, or none. -#}
{%- macro existing(database, schema, identifier) -%}
{{ return(adapter.get_relation(database=database, schema=schema, identifier=identifier)) }}
{%- endmacro -%}
