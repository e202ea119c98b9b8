{#-
  What the last run of the node was made from and is no longer so, in words; none where all of it is the same: the
  compiled SQL, and the files of its functions (compared by `changed_file`).
-#}
{%- macro changed_since(runs, unique_id) -%}
{%- set known = adapter.get_columns_in_relation(runs) | map(attribute='name') | map('lower') | list -%}
{%- if 'provenance' not in known -%}{{ return('its last run was recorded by an older sqlinfer') }}{%- endif -%}
{%- set found = run_query(
    "select provenance from " ~ runs ~ " where node = '" ~ unique_id ~ "' and status = 'success'"
    ~ " order by started_at desc, finished_at desc limit 1") -%}
{%- set text = found.rows[0][0] if found and found.rows else none -%}
{%- if not text -%}{{ return('its last run was recorded by an older sqlinfer') }}{%- endif -%}
{%- set made = fromjson(text) -%}
{#- A night that asked is_incremental() and was answered otherwise compiles to other SQL: its text is compared. -#}
{%- set same_way = made.is_slice is none or made.is_slice == sqlinfer.is_incremental() -%}
{%- if made.sql != local_md5(model.compiled_code) and (same_way or made.raw != local_md5(model.raw_code)) -%}
  {{ return('its SQL has changed since it was scored') }}
{%- endif -%}
{%- set file = sqlinfer.changed_file(made.files) -%}
{{ return(file ~ ' has changed since it was scored' if file else none) }}
{%- endmacro -%}
