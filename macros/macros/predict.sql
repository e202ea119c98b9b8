{#-
  A predict() call in the form that sqlinfer compiles:
  {{ sqlinfer.predict('churn_score', tenure='tenure_months', monthly_charges='monthly_charges') }}
  becomes predict('churn_score', tenure => tenure_months, monthly_charges => monthly_charges).
  Values are SQL expressions, so a text literal carries its own quotes: contract="'monthly'".
-#}
{%- macro predict(function) -%}
{{ return(adapter.dispatch('predict', 'sqlinfer')(function, varargs, kwargs)) }}
{%- endmacro -%}

{%- macro default__predict(function, positional, named) -%}
predict('{{ function | replace("'", "''") }}'
{%- for value in positional %}, {{ value }}{% endfor -%}
{%- for name, value in named.items() %}, {{ name }} => {{ value }}{% endfor -%}
)
{%- endmacro -%}
