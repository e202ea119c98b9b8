{#- Every prediction lies between the bounds, which count as inside. NaN lies outside, NULL is prediction_not_null's. -#}
{%- test prediction_in_range(model, column_name, min_value=0, max_value=1) -%}
{{ adapter.dispatch('test_prediction_in_range', 'sqlinfer')(model, column_name, min_value, max_value) }}
{%- endtest -%}

{%- macro default__test_prediction_in_range(model, column_name, min_value, max_value) -%}
select {{ column_name }} from {{ model }}
where {{ column_name }} is not null
  and not (
    true
    {%- if min_value is not none %} and {{ column_name }} >= {{ min_value }}{% endif %}
    {%- if max_value is not none %} and {{ column_name }} <= {{ max_value }}{% endif %}
  )
{%- endmacro -%}
