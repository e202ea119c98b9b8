{# What warehouses spell differently. #}
{% macro double() -%}
  {{ 'double' if target.type == 'spark' else 'double precision' }}
{%- endmacro %}

{% macro weekday(day) -%}
  extract({{ 'dayofweek_iso' if target.type == 'spark' else 'isodow' }} from {{ day }})
{%- endmacro %}
