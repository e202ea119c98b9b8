{# The product of two vectors, as the warehouse spells it. #}
{% macro dot(one, other) -%}
  {%- if target.type == 'duckdb' -%}
    list_dot_product({{ one }}, {{ other }})
  {%- elif target.type == 'spark' -%}
    aggregate(zip_with({{ one }}, {{ other }}, (a, b) -> cast(a as double) * b), 0D, (total, part) -> total + part)
  {%- else -%}
    (select sum(cast(pair.a as double precision) * pair.b) from unnest({{ one }}, {{ other }}) as pair(a, b))
  {%- endif -%}
{%- endmacro %}
