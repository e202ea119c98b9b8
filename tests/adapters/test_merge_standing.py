"""A merge that leaves out rows which stand where they stood ends as a merge of all rows does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.adapters.base import Materialization, Written
from sqlinfer.adapters.duckdb import merge, standing
from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.errors import PublicationError
from sqlinfer.relation import Relation

TYPES = "k BIGINT, j TEXT, f FLOAT, d DOUBLE, t TEXT, v FLOAT[], s STRUCT(a INT, b TEXT)"
Row = tuple[str, ...]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FEWEST", 1)
    monkeypatch.setattr(standing, "_SHARE", 3)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each merge was one of the rows that are left."""
    seen: list[bool] = []
    real = standing.left

    def told(*arguments: Any) -> standing.Left | None:
        found = real(*arguments)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(standing, "left", told)
    return seen


def value(rng: random.Random) -> Row:
    number = rng.choice(["1.5", "'nan'::double", "'0.0'::double", "'-0.0'::double", "'inf'::double", "NULL"])
    text = rng.choice(["'a'", "''", "NULL", "'é'"])
    vector = rng.choice(["[1.0, 'nan'::float]", "[]", "NULL", "[NULL, 2]"])
    struct = rng.choice(["{'a': 1, 'b': 'x'}", "{'a': NULL, 'b': NULL}", "NULL"])
    return number, number, text, vector, struct


def rows(rng: random.Random, count: int) -> list[Row]:
    keys = [(str(i), rng.choice(["'p'", "'q'"])) for i in range(count)]
    if rng.random() < 0.5:
        keys[rng.randrange(count)] = ("NULL", "NULL")
    return [(*key, *value(rng)) for key in keys]


def changed(rng: random.Random, old: list[Row]) -> list[Row]:
    """As a source changes over night."""
    new = [(*row[:2], *value(rng)) if rng.random() < 0.05 else row for row in old]
    match rng.randrange(5):
        case 0:  # rows go
            new = [row for row in new if rng.random() > 0.03]
        case 1:  # the last go
            new = new[: len(new) - 3]
        case 2:  # rows come
            new += [(str(1000 + i), "'n'", *value(rng)) for i in range(4)]
        case 3:  # two stand elsewhere
            new[0], new[-1] = new[-1], new[0]
        case _:
            new.insert(rng.randrange(len(new)), ("999", "'in'", *value(rng)))
    return new


def values(table: list[Row]) -> str:
    return ", ".join(f"({', '.join(row)})" for row in table)


def published(folder: Path, old: list[Row], new: list[Row], how: Materialization) -> tuple[Written, list[Any]]:
    path = folder / "w.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE t ({TYPES}, note INT DEFAULT 7)")
        connection.execute(f"INSERT INTO t ({'k, j, f, d, t, v, s'}) VALUES {values(old)}")
        connection.execute("UPDATE t SET note = k")
        connection.execute(f"CREATE TABLE source ({TYPES})")
        connection.execute(f"INSERT INTO source VALUES {values(new)}")
    adapter = DuckDBAdapter.from_settings({"type": "duckdb", "path": "w.duckdb"}, folder)
    with adapter.workspace("r") as work, work.publishing(5):
        written = work.materialize(how, "SELECT * FROM w.main.source")
    with duckdb.connect(str(path)) as connection:
        return written, sorted(map(repr, connection.execute("SELECT * FROM t").fetchall()))


@pytest.mark.parametrize("seed", range(24))
def test_any_change_of_rows_ends_as_a_merge_of_all_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool], seed: int
) -> None:
    rng = random.Random(seed)
    old = rows(rng, 60)
    new = changed(rng, old)
    how = Materialization(
        Relation("t", "main", "w"), "incremental", rng.choice([("k",), ("k", "j")]),
        on_missing=rng.choice(["keep", "delete"]), uncompared=rng.choice([(), ("d", "t")]),
    )  # fmt: skip
    found = published(tmp_path, old, new, how)
    monkeypatch.setattr(standing, "FEWEST", 10**9)
    assert published(tmp_path, old, new, how) == found
    assert len(taken) == 2
    assert not taken[1]


def test_few_changes_are_merged_alone(tmp_path: Path, taken: list[bool]) -> None:
    rng = random.Random(1)
    old = rows(rng, 50)
    new = [("1", "'other'", *value(rng)) if row[0] == "1" else row for row in old[:-1]]
    how = Materialization(Relation("t", "main", "w"), "incremental", ("k",))
    written, found = published(tmp_path, old, new, how)
    assert taken == [True]
    assert written == Written(49)
    assert sum("'other'" in row for row in found) == 1


@pytest.mark.parametrize("missing", ["keep", "delete"])
def test_a_key_that_is_published_twice_is_merged_as_before(tmp_path: Path, taken: list[bool], missing: Any) -> None:
    old = [(str(i), "'x'", "1", "1", "'a'", "NULL", "NULL") for i in range(50)]
    twice = [*old, ("7", "'stale'", "2", "2", "'b'", "NULL", "NULL")]
    how = Materialization(Relation("t", "main", "w"), "incremental", ("k",), on_missing=missing)
    _, found = published(tmp_path, twice, old, how)
    assert taken == [False]
    assert not any("stale" in row for row in found)
    assert len(found) == (50 if missing == "delete" else 51)


def test_a_slice_is_merged_with_all(tmp_path: Path, taken: list[bool]) -> None:
    old = rows(random.Random(2), 50)
    how = Materialization(Relation("t", "main", "w"), "incremental", ("k",), is_slice=True)
    _, found = published(tmp_path, old, old[:5], how)
    assert (taken, len(found)) == ([False], 50)


@pytest.mark.parametrize(
    ("keys", "is_distinct"),
    [
        ("SELECT range AS k FROM range(100)", True),
        ("SELECT -range AS k FROM range(100)", True),
        ("SELECT range % 99 AS k FROM range(100)", False),
        ("SELECT CASE WHEN range > 0 THEN range END AS k FROM range(100)", True),
        ("SELECT CASE WHEN range > 1 THEN range END AS k FROM range(100)", False),
        ("SELECT range * 1000000000000 AS k FROM range(100)", True),
        ("SELECT CASE WHEN range = 9 THEN -9223372036854775808 ELSE range // 2 END AS k FROM range(100)", False),
        ("SELECT (range % 200)::UTINYINT AS k FROM range(100)", True),
        ("SELECT range::HUGEINT AS k FROM range(100)", True),
        ("SELECT range::TEXT AS k FROM range(100)", True),
        ("SELECT 5 AS k", True),
        ("SELECT NULL::INT AS k FROM range(1)", True),
        ("SELECT NULL::INT AS k FROM range(2)", False),
        ("SELECT 5 AS k FROM range(0)", True),
    ],
)
def test_duplicate_keys_are_found_whatever_integers_they_are(tmp_path: Path, keys: str, is_distinct: bool) -> None:
    adapter = DuckDBAdapter.from_settings({"type": "duckdb", "path": "w.duckdb"}, tmp_path)
    duckdb.connect(str(tmp_path / "w.duckdb")).close()
    how = Materialization(Relation("t", "main", "w"), "incremental", ("k",))
    with adapter.workspace("r") as work, work.publishing(5):
        if is_distinct:
            merge.refuse_duplicates(work, how, keys)
        else:
            with pytest.raises(PublicationError, match="not unique"):
                merge.refuse_duplicates(work, how, keys)
