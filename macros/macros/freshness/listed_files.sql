{#-
  The files of all functions (path → sha256), as `sqlinfer dbt checksums -o macros/sqlinfer_functions.sql` wrote them.
  Every prediction node depends on that macro through predict(), so `--select state:modified` sees a new model file.
-#}
{%- macro listed_files() -%}
{%- if sqlinfer_functions is not defined -%}{{ return({}) }}{%- endif -%}
{%- set files = {} -%}
{%- for found in sqlinfer_functions().values() -%}{%- do files.update(found) -%}{%- endfor -%}
{{ return(files) }}
{%- endmacro -%}
