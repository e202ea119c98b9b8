"""The world of ``harness``, as PostgreSQL says it: the same tables, the same functions, in SQL and in Python."""

from __future__ import annotations

from harness import functions

from sqlinfer.testing.differential import PythonFunction

SETUP = """
create table t as select i as id, case when i % 7 = 0 then null else (i * 13 % 11)::float8 / 2 end as x,
    (i % 5)::float8 as y, (array['a', 'b', 'c', null])[i % 4 + 1] as g, (i % 6)::integer as k,
    case when i % 3 = 0 then 'x' || i else (i % 9)::text end as s, array[i % 4, i % 4 + 1]::integer[] as l,
    (i % 2 = 0) as b, date '2026-01-01' + (i % 4)::integer as d from generate_series(0::bigint, 29) r(i);
create table u as select i as uid, (i % 6)::integer as k, (i * 7 % 13)::float8 as z,
    (array['a', 'b', 'd'])[i % 3 + 1] as g from generate_series(0::bigint, 11) r(i);
create table w as select (i % 3)::integer as k, case when i % 4 = 0 then null else (i % 3)::float8 end as z,
    case when i % 5 = 0 then null else (i % 2)::float8 + 0.5 end as v from generate_series(0::bigint, 9) r(i);
create table e as select * from u limit 0;
create view tv as select id, x, k from t where k < 4;
create table "Odd Table" as select i as "Mixed Case", i::float8 / 4 as "_p1", i % 2 as "select",
    (i % 3)::float8 as "naïve", 'q"' || (i % 3) as "quo""te", i as "_row", i::float8 as "c1", i % 2 as "_left",
    i + 1 as "ID", i + 2 as id from generate_series(0::bigint, 7) r(i);
create type mood as enum ('sad', 'ok', 'happy');
create domain plz as text check (value ~ '^[0-9]+$');
create table many as select i as id, (i / 4.0)::numeric(10, 2) as price, array[i, i + 1]::float8[] as vec,
    array[i, i + 0.5]::real[] as point, array['a' || i, null]::text[] as words, jsonb_build_object('x', i) as doc,
    timestamptz '2026-01-01 00:00+00' + i * interval '1 day' as seen, (array['sad', 'ok', 'happy'])[i % 3 + 1]::mood
    as feels, (i % 10)::text::plz as zip, md5(i::text)::uuid as uid, decode('0' || i % 10, 'hex') as raw,
    (i % 2 = 0) as yes, i::smallint as small, i::real / 3 as r, i * 3000000000 as big,
    case i % 3 when 0 then 'no number' when 1 then i::text else null end as word from generate_series(0, 19) r(i)
"""

FUNCTIONS = """
create function modulo(a float8, b float8) returns float8 language sql immutable strict as
    'select a - b * floor(a / b)';
create function f(x float8) returns float8 language sql immutable strict as 'select udf.modulo(x * 3.25 + 1, 10)';
create function g(x float8, y float8) returns float8 language sql immutable strict as
    'select udf.modulo(x * 2 + y * 5, 7)';
create function lab(s text) returns text language sql immutable strict as 'select reverse(s) || length(s)';
create type st_result as (p float8, l text);
create function st(x float8) returns st_result language sql immutable as
    'select case when x is not null then row(udf.modulo(x * 1.25, 5), ''L'' || (trunc(x)::int % 3))::udf.st_result end';
create function d(x float8) returns float8 language sql immutable as 'select coalesce(x, 1.5) + 100';
create function vec(x float8) returns float8[] language sql immutable strict as 'select array[x, x + 1]';
create function n(i int) returns int language sql immutable strict as 'select i * 7 % 5'
"""


def models() -> list[PythonFunction]:
    return functions()
