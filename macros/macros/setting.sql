{#- A setting of the node at hand: under `meta: {sqlinfer: {…}}` (which every dbt version accepts) or directly in `config`. -#}
{%- macro setting(name, default=none) -%}
{%- set own = (config.get('meta') or {}).get('sqlinfer') or {} -%}
{%- if name in own -%}{{ return(own[name]) }}{%- endif -%}
{{ return(config.get(name, default)) }}
{%- endmacro -%}
