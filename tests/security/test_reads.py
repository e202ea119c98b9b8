"""What SQL reads is found in its parse tree; Jinja inside of a name opens what that name is in this run, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import house as houses
import pytest
from house import House

from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.jobs.reads import of_project
from sqlinfer.project import load

VARS = {"day": "monday", "file": "/data/a.csv", "lake": "/data/lake", "end": "'", "yes": True}


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


def reads(shop: House, sql: str, *, macros: str = "", **given: object) -> Reads:
    houses.write(shop.root, {houses.SCORES: sql, "macros/m.sql": macros})
    return of_project(load(shop.root, env={}, vars=VARS | given))


def files(*names: str) -> Reads:
    return Reads(files=tuple(Path(name) for name in names))


def folders(*names: str) -> Reads:
    return Reads(folders=tuple(Path(name) for name in names))


@pytest.mark.parametrize(
    "sql",
    [
        "select case x when 1 then '{{ var('day') }}' else 'a/b' end as t from customers",
        "select 'a' || './b' as \"a.b\" from customers where name = '{{ var('day') }}'",
    ],
)
def test_texts_that_are_no_tables_are_not_rendered(sql: str, shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlinfer.jobs.reads as module

    monkeypatch.setattr(module, "_as_rendered", None)
    assert reads(shop, sql) == Reads()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1 -- from 'https://example.com/a.parquet'\nfrom customers", Reads()),
        ("select 'read_csv(''/data/a.csv'')' as t, \"from '/x.y'\" from customers", Reads()),
        ("select name = '/etc/passwd' as t from customers", Reads()),
        ("select $$ from '/etc/passwd' $$ as t from customers", Reads()),
        ("from /* 'x.csv' */ '/data/a.csv' -- 'https://x/y'", files("/data/a.csv")),
        ("from customers, '/data/b.csv' as b", files("/data/b.csv")),
        ("with a as (from read_csv /* ( */ ('/data/a.csv')) select * from a", files("/data/a.csv")),
        ("from read_csv('/data/' || 'a.csv')", files("/data/a.csv")),
        ("from read_csv($$/data/it's.csv$$)", files("/data/it's.csv")),
        ("from read_parquet(['/data/2026/*.parquet', '/data/b.parquet'])",
         Reads(files=(Path("/data/b.parquet"),), folders=(Path("/data/2026"),))),
        ("pivot '/data/a.csv' on x using sum(y)", files("/data/a.csv")),
        ("summarize from '/data/a.csv'", files("/data/a.csv")),
        ("from sqlite_scan(getvariable('x'), 't')", ANYTHING),
        ("from 'https://example.com/a.parquet'", ANYTHING),
        ("{% set t = {'a': \"'/data/a.csv'\"} %}from {{ t.a }}", files("/data/a.csv")),
        ("from {% if false %}'/data/a.csv'{% else %}'/data/b.csv'{% endif %}", files("/data/b.csv")),
    ],
)  # fmt: skip
def test_the_tree_says_what_is_read(sql: str, expected: Reads, shop: House) -> None:
    assert reads(shop, sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("from read_csv('{{ var(\"file\") }}')", files("/data/a.csv")),
        ("from '{{ var('file') }}'", files("/data/a.csv")),
        ("from read_csv('/data/{{ var('day') }}.csv')", files("/data/monday.csv")),
        ("from read_csv('/data/' || '{{ var('day') }}.csv')", files("/data/monday.csv")),
        ("from read_parquet('{{ var('lake') }}/*.parquet')", folders("/data/lake")),
        ("{% set p = var('lake') ~ '/x.csv' %}from '{{ p }}'", files("/data/lake/x.csv")),
        ("{% set q = \"read_csv('/data/a.csv')\" %}select * from {{ q }}", files("/data/a.csv")),
        ("{% for d in ['a', 'b'] %}from '/data/{{ d }}.csv' {{ 'union all ' if not loop.last }}{% endfor %}",
         files("/data/b.csv", "/data/a.csv")),
        ("from '/data/{% if var('yes') %}a{% else %}b{% endif %}.csv'", files("/data/a.csv")),
        ("from {{ 'customers' if is_incremental() else \"'/data/a.csv'\" }}", files("/data/a.csv")),
        ("from {% if is_incremental() %}'/data/new.csv'{% else %}'/data/a.csv'{% endif %}",
         files("/data/a.csv", "/data/new.csv")),
        ("from '{{ var('far') }}/a.csv'", Reads(urls=("s3://bucket/a.csv",))),
        ("from 's3://{{ var('day') }}/a.csv'", ANYTHING),
    ],
)  # fmt: skip
def test_jinja_in_a_name_opens_that_name(sql: str, expected: Reads, shop: House) -> None:
    found = reads(shop, sql, far="s3://bucket")
    assert (set(found.files), *vars_of(found)) == (set(expected.files), *vars_of(expected))


def vars_of(one: Reads) -> tuple[object, ...]:
    return one.folders, one.urls, one.anything


def test_a_macro_of_the_project_reads_what_it_is_called_with(shop: House) -> None:
    macros = "{% macro lake(name) %}read_csv('/data/{{ name }}.csv'){% endmacro %}"
    assert reads(shop, "select * from {{ lake('a') }}", macros=macros) == files("/data/a.csv")
    assert reads(shop, "select * from {{ lake(var('day')) }}", macros=macros) == files("/data/monday.csv")
    assert reads(shop, "select * from customers", macros=macros) == Reads()


@pytest.mark.parametrize("day", ["../../etc/passwd", "/../../../etc/x", "a/../../b"])
@pytest.mark.parametrize(
    "sql", ["from '/data/days/{{ var('day') }}'", "from read_csv('/data/days/{{ var('day') }}/*.csv')"]
)
def test_no_variable_leaves_the_folder_in_front_of_it(sql: str, day: str, shop: House) -> None:
    assert reads(shop, sql, day=day) == Reads()


@pytest.mark.parametrize("lake", ["", "/", "..", "/*"])
def test_no_variable_opens_a_folder_that_holds_the_project(lake: str, shop: House) -> None:
    found = reads(shop, "from read_csv('{{ var('lake') }}/*.csv')", lake=lake)
    assert all(not shop.root.is_relative_to(folder.resolve()) for folder in found.folders), found
    assert not found.anything


@pytest.mark.parametrize(
    "given",
    ["/data/a.csv') union all by name from read_text('/etc/passwd", "x'), read_csv('/etc/passwd", "' or exists(from '/etc/passwd') or '",
     "' || (from read_text('/etc/passwd')) || '"],
)  # fmt: skip
def test_what_breaks_out_of_a_name_opens_nothing_more(given: str, shop: House) -> None:
    found = reads(shop, "select * from read_csv('{{ var('file') }}') where '{{ var('file') }}' != ''", file=given)
    assert Path("/etc/passwd") not in found.files
    assert not found.anything
    assert not found.folders


def test_a_smuggled_reader_reads_nothing_beside_a_name_of_jinja(shop: House, tmp_path: Path) -> None:
    """At the real command: the file that the variable names is read, any other is not."""
    for name in ("extra.csv", "other.csv"):
        (tmp_path / name).write_text("id,x,y\n9,1,2\n")
    sql = (
        "select id, predict('score', x, y) as s from read_csv('{{ var('at') }}') where {{ var('condition', 'true') }}\n"
    )
    houses.write(shop.root, {houses.SCORES: sql})
    at = {"at": str(tmp_path / "extra.csv")}
    done = shop.sqlinfer("run", "--vars", json.dumps(at))
    assert done.code == 0, done.text
    assert shop.sql("from scores") == [(9, 5.0)]
    for smuggled in (f"exists (from '{tmp_path}/other.csv')", f"exists (from read_text('{tmp_path}/other.csv'))",
                     f"exists (from glob('{tmp_path}/*'))", "true -- from 'https://example.com/x.csv'\n"):  # fmt: skip
        done = shop.sqlinfer("run", "--vars", json.dumps({**at, "condition": smuggled}))
        assert done.code == (0 if smuggled.startswith("true") else 1), done.text


def test_a_home_that_nobody_has_is_no_traceback(shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: "select * from '~no-such-user-here/a.csv'"})
    done = shop.sqlinfer("run")
    assert done.code == 1
    assert "Traceback" not in done.text
