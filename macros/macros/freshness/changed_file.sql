{#-
  The first of these files (path → sha256) that is not as it was, or none. DuckDB reads the files themselves. Elsewhere
  the list that `sqlinfer dbt checksums` wrote tells of them; without it, a changed file is not seen.
-#}
{%- macro changed_file(files) -%}
{{ return(adapter.dispatch('changed_file', 'sqlinfer')(files)) }}
{%- endmacro -%}

{%- macro default__changed_file(files) -%}
{%- set listed = sqlinfer.listed_files() -%}
{%- for path, sha in files.items() if path in listed and listed[path] != sha -%}{{ return(path) }}{%- endfor -%}
{{ return(none) }}
{%- endmacro -%}

{%- macro duckdb__changed_file(files) -%}
{%- set free = run_query("select cast(current_setting('enable_external_access') as varchar)").rows[0][0] -%}
{%- if free | string | lower != 'true' -%}{{ return(sqlinfer.default__changed_file(files)) }}{%- endif -%}
{%- set root = invocation_args_dict.get('project_dir') or '.' -%}
{%- for path, sha in files.items() -%}
  {%- set full = path if path.startswith('/') or ':' in path else root ~ '/' ~ path -%}
  {%- set name = "'" ~ full | replace("'", "''") ~ "'" -%}
  {%- set there = run_query("select count(*) from glob(" ~ name ~ ")").rows[0][0] -%}
  {%- if not there or run_query("select sha256(content) from read_blob(" ~ name ~ ")").rows[0][0] != sha -%}
    {{ return(path) }}
  {%- endif -%}
{%- endfor -%}
{{ return(none) }}
{%- endmacro -%}
