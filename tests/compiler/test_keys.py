"""The input key: its two halves are independent, near-equal inputs do not collide, and its recipe does not drift."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from sqlglot import exp

from sqlinfer.compiler.forms import DUCKDB

KINDS = {
    "integers": ("BIGINT", "i::bigint"),
    "doubles": ("DOUBLE", "i::double / 8"),
    "nearest doubles": ("DOUBLE", "1 + i::double * 2.220446049250313e-16"),
    "strings": ("TEXT", "'customer-' || i"),
}


def key_sql(data_types: list[str]) -> str:
    columns = [(exp.column(f"v{i}"), t) for i, t in enumerate(data_types)]
    return DUCKDB.key(columns).sql("duckdb")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect()
    yield opened
    opened.close()


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def keys_of(kind: str, count: int) -> str:
    data_type, value = KINDS[kind]
    return f"(select ({key_sql([data_type])})::uhugeint as k from (select {value} as v0 from range({count}) r(i)))"


@pytest.mark.parametrize("kind", KINDS)
def test_ten_million_near_equal_inputs_have_as_many_keys(kind: str, connection: duckdb.DuckDBPyConnection) -> None:
    assert one(connection, f"select count(distinct k) from {keys_of(kind, 10_000_000)}") == 10_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_the_halves_are_independent(kind: str, connection: duckdb.DuckDBPyConnection) -> None:
    halves = "(select (k >> 64)::ubigint as h, (k & 18446744073709551615::uhugeint)::ubigint as l "
    halves += f"from {keys_of(kind, 500_000)})"
    connection.execute(f"create table halves as from {halves}")
    # a salt that only shifts by a constant leaves one value of xor or of the difference
    assert one(connection, "select count(distinct xor(h, l)) from halves") == 500_000
    assert one(connection, "select count(distinct h::hugeint - l::hugeint) from halves") == 500_000
    # of the pairs that agree in bits of the high half, one in 256 agrees in eight bits of the low half
    for high, low in (
        ("h >> 46", "l >> 56"),
        ("h & 262143", "l & 255"),
        ("h >> 46", "l & 255"),
        ("h & 262143", "l >> 56"),
    ):
        pairs = "select sum(c * (c - 1) / 2) from (select count(*) c from halves group by {})"
        alike = one(connection, pairs.format(f"{high}, {low}"))
        share = float(alike) / float(one(connection, pairs.format(high)))  # type: ignore[arg-type]
        assert 0.85 / 256 < share < 1.15 / 256, (high, low, share)


@pytest.mark.parametrize(
    ("left", "right", "types"),
    [
        ("'ab', 'c'", "'a', 'bc'", ["TEXT", "TEXT"]),
        ("1, 2", "2, 1", ["INT", "INT"]),
        ("1, 1", "2, 2", ["INT", "INT"]),
        ("1.0::double, 'a'", "1.0::double, 'b'", ["DOUBLE", "TEXT"]),
        ("1.0::double, 'a'", "2.0::double, 'a'", ["DOUBLE", "TEXT"]),
        ("[1.0]::double[]", "[]::double[]", ["DOUBLE[]"]),
        ("[1.0, null]::double[]", "[1.0]::double[]", ["DOUBLE[]"]),
        ("['a', 'b']", "['ab']", ["TEXT[]"]),
        ("['a', null]", "['a', '']", ["TEXT[]"]),
        ("'\\x00'::blob", "''::blob", ["BLOB"]),
    ],
)
def test_different_inputs_have_different_keys(
    left: str, right: str, types: list[str], connection: duckdb.DuckDBPyConnection
) -> None:
    names = ", ".join(f"v{i}" for i in range(len(types)))
    sql = f"select count(distinct {key_sql(types)}) from (values ({left}), ({right})) t({names})"
    assert one(connection, sql) == 2


def test_zeros_share_a_key(connection: duckdb.DuckDBPyConnection) -> None:
    sql = f"select count(distinct {key_sql(['DOUBLE'])}) from (values (0.0::double), (-0.0::double)) t(v0)"
    assert one(connection, sql) == 1


PROBES = {
    "1::integer": ("INT", "87031665104682070074675251301045418076"),
    "1.5::double": ("DOUBLE", "31481317966816800779220426447493368364"),
    "'churn'": ("TEXT", "62224426561707193761116616761138693653"),
    "[1.5, -2]::double[]": ("DOUBLE[]", "63966068199313192620388680115853374933"),
}


@pytest.mark.parametrize("value", PROBES)
def test_the_recipe_gives_the_same_keys_as_ever(value: str, connection: duckdb.DuckDBPyConnection) -> None:
    data_type, expected = PROBES[value]
    sql = f"select ({key_sql([data_type])})::varchar from (select {value} as v0)"
    assert one(connection, sql) == expected, "stores written before would not be found"
