{#- Commit what run_query wrote, where dbt leaves a transaction open behind it. -#}
{%- macro keep() -%}{{ return(adapter.dispatch('keep', 'sqlinfer')()) }}{%- endmacro -%}

{%- macro default__keep() -%}{%- endmacro -%}
{%- macro postgres__keep() -%}{%- do run_query('commit') -%}{%- endmacro -%}
{%- macro redshift__keep() -%}{%- do run_query('commit') -%}{%- endmacro -%}
