{# The product of two vectors, as the warehouse spells it. #}
{% macro dot(one, other) -%}
  {%- if target.type == 'duckdb' -%}
    list_dot_product({{ one }}, {{ other }})
  {%- else -%}
    (select sum(cast(pair.a as double precision) * pair.b) from unnest({{ one }}, {{ other }}) as pair(a, b))
  {%- endif -%}
{%- endmacro %}
