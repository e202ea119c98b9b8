{#-
  A predict() call in the form that sqlinfer compiles:
  {{ sqlinfer.predict('churn_score', tenure='tenure_months', monthly_charges='monthly_charges') }}
  becomes predict('churn_score', tenure => tenure_months, monthly_charges => monthly_charges).
  Values are SQL expressions, so a text literal carries its own quotes: contract="'monthly'".
-#}
{%- macro predict(function) -%}
{%- if false -%}{{ sqlinfer_functions() }}{%- endif -%} {#- a dependency: see listed_files -#}
{%- if flags.WHICH == 'show' and config.get('materialized') == 'prediction' -%}
  {{- exceptions.raise_compiler_error(
      "dbt show cannot score '" ~ model.name ~ "': run `sqlinfer dbt preview " ~ model.name ~ "` instead") -}}
{%- endif -%}
{{- return(adapter.dispatch('predict', 'sqlinfer')(function, varargs, kwargs)) -}}
{%- endmacro -%}

{%- macro default__predict(function, positional, named) -%}
predict('{{ function | replace("'", "''") }}'
{%- for value in positional %}, {{ value }}{% endfor -%}
{%- for name, value in named.items() %}, {{ name }} => {{ value }}{% endfor -%}
)
{%- endmacro -%}

{#- Outside of prediction nodes DuckDB itself runs the SQL, with the functions that the dbt-duckdb plugin registered. -#}
{%- macro duckdb__predict(function, positional, named) -%}
{%- if config.get('materialized') == 'prediction' -%}
{{- sqlinfer.default__predict(function, positional, named) -}}
{%- else -%}
{{ adapter.quote(function) }}(
{%- for value in positional %}{{ value }}{{ ', ' if not loop.last or named }}{% endfor -%}
{%- for name, value in named.items() %}{{ name }} := {{ value }}{{ ', ' if not loop.last }}{% endfor -%}
)
{%- endif -%}
{%- endmacro -%}
