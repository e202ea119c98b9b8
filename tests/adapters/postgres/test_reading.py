"""What PostgreSQL tells of its relations, queries and values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sqlinfer.adapters.postgres.adapter import PostgresAdapter
from sqlinfer.errors import AdapterError, StatementRefused
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Column
from sqlinfer.testing.postgres_server import Database


def test_types_are_told_with_what_limits_them(adapter: PostgresAdapter, postgres_database: Database) -> None:
    columns = "n numeric(10,2), v varchar(5), w timestamptz, a real[], u uuid, m mood"
    postgres_database.run("create type mood as enum ('sad', 'ok')", f'create table "Big" ({columns})')
    found = adapter.columns([Relation("Big"), Relation("nope")])
    assert [column.data_type for column in found[Relation("Big")]] == [
        "numeric(10,2)", "character varying(5)", "timestamp with time zone", "real[]", "uuid", "mood",
    ]  # fmt: skip
    assert len(found) == 1


def test_a_query_is_described_and_not_run(adapter: PostgresAdapter, postgres_database: Database) -> None:
    postgres_database.run("create table t (x int)")
    assert adapter.describe("select 1, 2, x::numeric(4,1) as n from t") == (
        Column("?column?", "integer"), Column("?column?", "integer"), Column("n", "numeric(4,1)"),
    )  # fmt: skip
    for refused in ("insert into t values (1) returning x", "select 1; insert into t values (1)", "delete from t"):
        with pytest.raises(AdapterError):
            adapter.describe(refused)
    assert postgres_database.run("select count(*) from t") == [(0,)]


def test_values_come_in_ordinary_types(adapter: PostgresAdapter, postgres_database: Database) -> None:
    postgres_database.run("create type mood as enum ('sad', 'ok')")
    (row,) = adapter.query(
        "select 1.50::numeric(5,2) as n, 'ok'::mood as m, '{\"a\":1}'::jsonb as j, array[1.5::numeric(3,1)] as a, "
        "'{x,NULL}'::text[] as t, int4range(1, 3) as r, "
        "'00000000-0000-0000-0000-000000000001'::uuid as u, null::numeric(3,1) as z"
    ).to_pylist()
    assert row == {
        "n": Decimal("1.50"), "m": "ok", "j": '{"a": 1}', "a": [1.5], "t": ["x", None], "r": "[1,3)",
        "u": "00000000-0000-0000-0000-000000000001", "z": None,
    }  # fmt: skip


def test_an_error_shows_its_place_and_no_value_of_a_row(adapter: PostgresAdapter, postgres_database: Database) -> None:
    postgres_database.run("create table t (x text)", "insert into t values ('secret')")
    with pytest.raises(StatementRefused) as caught:
        adapter.query("select 1,\n  misspelt from t")
    assert (caught.value.location.line, caught.value.location.column) == (2, 3)  # type: ignore[union-attr]
    with pytest.raises(StatementRefused) as caught:
        adapter.query("select x::int from t")
    assert "secret" not in f"{caught.value!s}{caught.value.__cause__}"


def test_relations_that_are_not_built_yet_are_found_by_their_columns(adapter: PostgresAdapter) -> None:
    database = adapter.settings.database
    with adapter.shadow() as shadow:
        shadow.add_table(Relation("raw", "public", database), (Column("x", "DOUBLE"), Column("s", "TEXT")))
        shadow.add_table(Relation("raw", "other", database), (Column("y", "REAL[3]"),))
        shadow.add_view_as(Relation("mid"), "select x + 1 as y, s from raw")
        asked = f'select m.y, raw.y as z from "{database}"."public"."mid" as m cross join "other"."raw"'
        assert shadow.describe(asked) == (Column("y", "double precision"), Column("z", "real[]"))
        with pytest.raises(AdapterError):
            shadow.describe("select nothing from mid")


def test_what_lies_in_the_schema_of_ours_is_not_listed(adapter: PostgresAdapter, postgres_database: Database) -> None:
    with adapter.workspace("r"):
        pass
    postgres_database.run("create schema other", "create view other.v as select 1 as x")
    assert [str(table.relation) for table in adapter.list_relations()] == [f"{postgres_database.name}.other.v"]
