{#- No row is without its prediction. -#}
{%- test prediction_not_null(model, column_name) -%}
{{ adapter.dispatch('test_prediction_not_null', 'sqlinfer')(model, column_name) }}
{%- endtest -%}

{%- macro default__test_prediction_not_null(model, column_name) -%}
select {{ column_name }} from {{ model }} where {{ column_name }} is null
{%- endmacro -%}
