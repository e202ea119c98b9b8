{#- The type of a moment in time, with its zone. -#}
{%- macro type_moment() -%}{{ return(adapter.dispatch('type_moment', 'sqlinfer')()) }}{%- endmacro -%}

{%- macro default__type_moment() -%}{{ return('timestamp with time zone') }}{%- endmacro -%}
{%- macro bigquery__type_moment() -%}{{ return('timestamp') }}{%- endmacro -%}
{%- macro snowflake__type_moment() -%}{{ return('timestamp_tz') }}{%- endmacro -%}
{%- macro spark__type_moment() -%}{{ return('timestamp') }}{%- endmacro -%}
