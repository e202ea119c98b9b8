{#- At most `rate` of the rows could not be scored: their prediction is NULL. -#}
{%- test error_rate_below(model, column_name, rate=0.01) -%}
{{ adapter.dispatch('test_error_rate_below', 'sqlinfer')(model, column_name, rate) }}
{%- endtest -%}

{%- macro default__test_error_rate_below(model, column_name, rate) -%}
select missing, total
from (
  select sum(case when {{ column_name }} is null then 1 else 0 end) as missing, count(*) as total from {{ model }}
) as counted
where missing > {{ rate }} * total
{%- endmacro -%}
