"""What a name stands for is told without a list of all tables, also of what an open transaction has made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.adapters.duckdb.workspace import DuckDBWorkspace
from sqlinfer.relation import Relation


def at(name: str, schema: str = "main") -> Relation:
    return Relation(name, schema, "wh")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[DuckDBWorkspace]:
    with DuckDBAdapter.from_settings({"path": "wh.duckdb"}, tmp_path).workspace("r") as opened:
        with opened.publishing(5.0):
            opened.execute("create table wh.main.t as select 1 as n")
            opened.execute('create table wh.main."x is not an table" as select 1 as n')
            opened.execute('create view wh.main."it does not exist!" as select 1 as rowid')
            opened.execute("create table wh.main.gone as select 1 as n")
            opened.execute("create view wh.main.broken as select * from wh.main.gone")
            opened.execute("drop table wh.main.gone")
            opened.execute("create schema wh.more")
            opened.execute("create table wh.more.a as select 1 as n")
        yield opened


@pytest.mark.parametrize(
    ("name", "kind"),
    [("t", "table"), ("T", "table"), ("x is not an table", "table"), ("it does not exist!", "view"), ("nothing", None),
     ("broken", "view"), ("gone", None), ("nothing is not an table", None), ('q"', None)],
)  # fmt: skip
def test_kinds(work: DuckDBWorkspace, name: str, kind: str | None) -> None:
    with work.warehouse():
        assert work.kind(at(name)) == kind
        assert work.kind(Relation(name)) == kind
        assert work.kind(at(name, "no_such_schema")) is None
        assert work.kind(Relation(name, "main", "no_such_database")) is None


def test_what_the_transaction_has_made_counts(work: DuckDBWorkspace) -> None:
    with work.publishing(5.0):
        work.execute('create table wh.main."Ne""w" as select 1 as n')
        assert work.kind(at('Ne"w')) == "table"
        work.execute("drop table wh.main.t")
        assert work.kind(at("t")) is None
        work.run_statement("create view wh.main.t as select 2 as n")
        assert work.kind(at("t")) == "view"
        assert work.kind(at("a", "more")) == "table"
        work.execute("drop schema wh.more cascade")
        assert work.kind(at("a", "more")) is None


def test_what_was_rolled_back_does_not(work: DuckDBWorkspace) -> None:
    with suppress(ZeroDivisionError), work.publishing(5.0):
        work.execute("drop table wh.main.t")
        raise ZeroDivisionError
    with work.warehouse():
        assert work.kind(at("t")) == "table"


def test_asking_keeps_nothing_open(work: DuckDBWorkspace) -> None:
    for _ in range(2):
        with work.warehouse():
            assert work.kind(at("t")) == "table"
        with work.publishing(5.0):
            assert work.kind(at("t")) == "table"
