"""Spark's input key: near-equal inputs do not collide, the halves are independent, the recipe does not drift."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlglot import exp

from sqlinfer.adapters.spark.session import SparkSqlSession
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.compiler.forms.spark import SparkForm

FORM = SparkForm("spark")
KINDS = {
    "integers": ("INT", "cast(id as int)"),
    "bigints": ("BIGINT", "id * 4294967297"),
    "doubles": ("DOUBLE", "id / 8D"),
    "nearest doubles": ("DOUBLE", "1D + id * 2.220446049250313e-16D"),
    "reals": ("REAL", "cast(id as float)"),
    "strings": ("TEXT", "'customer-' || id"),
    "dates": ("DATE", "date_add(date '1000-01-01', cast(id % 2000000 as int))"),
    "arrays": ("DOUBLE[]", "array(cast(id as double), id + 1D)"),
    "arrays with nulls": ("INT[]", "array(null, cast(id as int), null)"),
    "texts in arrays": ("TEXT[]", "array('a', string(id))"),
    "bytes": ("BLOB", "cast(string(id) as binary)"),
}
COUNT = 10_000_000 if os.environ.get("SQLINFER_SPARK_WHOLE") else 100_000
DISTINCT = {"dates": 2_000_000, "reals": 1 << 24}


@pytest.fixture(scope="module")
def session(spark_parameters: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSqlSession]:
    raw: dict[str, Any] = {"type": "spark", "schema": "default", "server_side_parameters": spark_parameters}
    with SparkSqlSession(SparkSettings.parse(raw, tmp_path_factory.mktemp("keys"))) as found:
        yield found


def key_sql(*data_types: str) -> str:
    return FORM.sql(FORM.key([(exp.column(f"v{i}"), t) for i, t in enumerate(data_types)]))


def keys_of(kind: str, count: int) -> str:
    data_type, value = KINDS[kind]
    return f"(select {key_sql(data_type)} as k from (select {value} as v0 from range({count})) r) keys"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_near_equal_inputs_have_as_many_keys(kind: str, session: SparkSqlSession) -> None:
    wanted = min(COUNT, DISTINCT.get(kind, COUNT))
    assert session.value(f"select count(distinct k) from {keys_of(kind, COUNT)}") == wanted


@pytest.mark.parametrize("kind", ["integers", "doubles", "strings", "arrays"])
@pytest.mark.thorough("doubles", "strings")
def test_the_halves_are_independent(kind: str, session: SparkSqlSession) -> None:
    """A seed that only shifts by a constant leaves one value of xor or of the difference."""
    halves = f"(select conv(left(k, 16), 16, 10) h, conv(right(k, 16), 16, 10) l from {keys_of(kind, 100_000)})"
    as_numbers = f"(select cast(h as decimal(20, 0)) h, cast(l as decimal(20, 0)) l from {halves})"
    assert session.value(f"select count(distinct h - l) from {as_numbers}") == 100_000
    parts = f"(select left(k, 4) a, right(k, 2) b, substr(k, 17, 2) c from {keys_of(kind, 100_000)})"
    for other in "bc":
        pairs = "select sum(n * (n - 1) / 2) from (select count(*) n from {} group by {})"
        share = session.value(pairs.format(parts, f"a, {other}")) / session.value(pairs.format(parts, "a"))
        assert 0.5 / 256 < share < 1.5 / 256, (other, share)


@pytest.mark.parametrize(
    ("left", "right", "types"),
    [
        ("'ab', 'c'", "'a', 'bc'", ["TEXT", "TEXT"]),
        ("'', 'a'", "'a', ''", ["TEXT", "TEXT"]),
        ("0D, 5D", "5D, 0D", ["DOUBLE", "DOUBLE"]),
        ("0D, 0D, 1D", "0D, 1D, 0D", ["DOUBLE", "DOUBLE", "DOUBLE"]),
        ("1L", "4294967296L", ["BIGINT"]),
        ("-1L", "0L", ["BIGINT"]),
        ("1, 1", "2, 2", ["INT", "INT"]),
        ("1, true", "1, false", ["INT", "BOOLEAN"]),
        ("'a' collate UTF8_LCASE", "'A' collate UTF8_LCASE", ["TEXT"]),
        ("array(1D)", "cast(array() as array<double>)", ["DOUBLE[]"]),
        ("array(cast(null as double))", "cast(array() as array<double>)", ["DOUBLE[]"]),
        ("array(1D, null)", "array(1D)", ["DOUBLE[]"]),
        ("array(1D, null)", "array(null, 1D)", ["DOUBLE[]"]),
        ("array(1, 1)", "cast(array(null, null) as array<int>)", ["INT[]"]),
        ("array('a,b')", "array('a', 'b')", ["TEXT[]"]),
        ("array(cast(null as string))", "array('NULL')", ["TEXT[]"]),
        ("array(1), cast(array() as array<int>)", "cast(array() as array<int>), array(1)", ["INT[]", "INT[]"]),
        ("array(1), array(2, 3)", "array(1, 2), array(3)", ["INT[]", "INT[]"]),
        ("array(1D), 2", "array(2D), 1", ["DOUBLE[]", "INT"]),
        ("cast(18446744073709551615 as decimal(20, 0))", "cast(18446744073709551614 as decimal(20, 0))", ["UBIGINT"]),
    ],
)
def test_different_inputs_have_different_keys(
    left: str, right: str, types: list[str], session: SparkSqlSession
) -> None:
    names = ", ".join(f"v{i}" for i in range(len(types)))
    rows = " union all ".join(f"select * from (select {side}) q({names})" for side in (left, right))
    assert session.value(f"select count(distinct {key_sql(*types)}) from ({rows}) r") == 2


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("0D", "-0D", "DOUBLE"), ("cast(0 as float)", "cast('-0' as float)", "REAL"),
        ("double('nan')", "double('inf') - double('inf')", "DOUBLE"), ("array(0D)", "array(-0D)", "DOUBLE[]"),
        ("'ä'", "'ä' collate UTF8_LCASE", "TEXT"), ("cast('x' as varchar(7))", "'x'", "TEXT"),
    ],
)  # fmt: skip
def test_equal_inputs_share_a_key(left: str, right: str, kind: str, session: SparkSqlSession) -> None:
    keys = [session.value(f"select {key_sql(kind)} from (select {side} as v0) r") for side in (left, right)]
    assert keys[0] == keys[1]


def test_the_recipe_does_not_drift(session: SparkSqlSession) -> None:
    """A store is keyed by it: a change forgets every result."""
    row = "7 v0, 0.5D v1, 'x' v2, 1L v3, array(1D, null) v4, true v5, date '2026-01-02' v6"
    sql = key_sql("INT", "DOUBLE", "TEXT", "BIGINT", "DOUBLE[]", "BOOLEAN", "DATE")
    assert session.value(f"select {sql} from (select {row}) r") == "63528394361A98A165CE3D69F4E7C433"
