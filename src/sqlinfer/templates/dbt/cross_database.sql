{# dbt's own macros for SQL that differs between warehouses, as far as macros of packages commonly call them. #}
{% macro type_string() %}{{ return('string' if target.type == 'spark' else 'text' if target.type == 'postgres' else 'varchar') }}{% endmacro %}
{% macro type_int() %}{{ return('int') }}{% endmacro %}
{% macro type_bigint() %}{{ return('bigint') }}{% endmacro %}
{% macro type_float() %}{{ return('double' if target.type == 'spark' else 'float' if target.type == 'duckdb' else 'double precision') }}{% endmacro %}
{% macro type_numeric() %}{{ return('decimal(28, 6)' if target.type != 'postgres' else 'numeric(28, 6)') }}{% endmacro %}
{% macro type_boolean() %}{{ return('boolean') }}{% endmacro %}
{% macro type_timestamp() %}{{ return('timestamp') }}{% endmacro %}
{% macro current_timestamp() %}{{ return('current_timestamp()' if target.type == 'spark' else 'now()') }}{% endmacro %}
{% macro concat(fields) %}{{ return('concat(' ~ fields | join(', ') ~ ')' if target.type == 'spark' else fields | join(' || ')) }}{% endmacro %}
{% macro hash(field) %}md5(cast({{ field }} as {{ type_string() }})){% endmacro %}
{% macro length(expression) %}length({{ expression }}){% endmacro %}
{% macro position(substring_text, string_text) %}position({{ substring_text }} in {{ string_text }}){% endmacro %}
{% macro replace(field, old_chars, new_chars) %}replace({{ field }}, {{ old_chars }}, {{ new_chars }}){% endmacro %}
{% macro right(string_text, length_expression) %}right({{ string_text }}, {{ length_expression }}){% endmacro %}
{% macro split_part(string_text, delimiter_text, part_number) %}split_part({{ string_text }}, {{ delimiter_text }}, {{ part_number }}){% endmacro %}
{% macro string_literal(value) %}'{{ value }}'{% endmacro %}
{% macro escape_single_quotes(expression) %}{{ return(expression | replace("'", "''")) }}{% endmacro %}
{% macro cast(field, type) %}cast({{ field }} as {{ type }}){% endmacro %}
{% macro safe_cast(field, type) %}{{ 'cast' if target.type == 'postgres' else 'try_cast' }}({{ field }} as {{ type }}){% endmacro %}
{% macro cast_bool_to_text(field) %}cast({{ field }} as {{ type_string() }}){% endmacro %}
{% macro date_trunc(datepart, date) %}date_trunc('{{ datepart }}', {{ date }}){% endmacro %}
{% macro date(year, month, day) %}{{ 'make_date' }}({{ year }}, {{ month }}, {{ day }}){% endmacro %}
{% macro dateadd(datepart, interval, from_date_or_timestamp) %}{{ from_date_or_timestamp }} + ((interval '1 {{ datepart }}') * ({{ interval }})){% endmacro %}
{% macro datediff(first_date, second_date, datepart) %}date_diff('{{ datepart }}', {{ first_date }}::timestamp, {{ second_date }}::timestamp){% endmacro %}
{% macro last_day(date, datepart) %}cast(date_trunc('{{ datepart }}', {{ date }}) + interval '1 {{ datepart }}' - interval '1 day' as date){% endmacro %}
{% macro any_value(expression) %}any_value({{ expression }}){% endmacro %}
{% macro bool_or(expression) %}bool_or({{ expression }}){% endmacro %}
{% macro listagg(measure, delimiter_text="','", order_by_clause='', limit_num=none) %}string_agg({{ measure }}, {{ delimiter_text }} {{ order_by_clause }}){% endmacro %}
{% macro except() %}except{% endmacro %}
{% macro intersect() %}intersect{% endmacro %}
