"""PostgreSQL's input key: near-equal inputs do not collide, the halves are independent, the recipe does not drift."""

from __future__ import annotations

import pytest
from sqlglot import exp
from world import PostgresWorld

from sqlinfer.compiler.forms.postgres import PostgresForm

FORM = PostgresForm("postgres", (15, 0))
KINDS = {
    "integers": ("INT", "i::int"),
    "bigints": ("BIGINT", "i * 4294967297"),
    "high bigints": ("BIGINT", "i << 32"),
    "doubles": ("DOUBLE", "i::float8 / 8"),
    "nearest doubles": ("DOUBLE", "1 + i * 2.220446049250313e-16::float8"),
    "reals": ("REAL", "i::real"),
    "strings": ("TEXT", "'customer-' || i"),
    "dates": ("DATE", "date '1000-01-01' + (i % 2000000)::int"),
    "arrays": ("DOUBLE[]", "array[i, i + 1]::float8[]"),
    "bytes": ("BLOB", "int8send(i)"),
}
DISTINCT = {"dates": 2_000_000, "reals": 1 << 24}


def key_sql(*data_types: str) -> str:
    return FORM.key([(exp.column(f"v{i}"), t) for i, t in enumerate(data_types)]).sql("postgres")


def keys_of(kind: str, count: int) -> str:
    data_type, value = KINDS[kind]
    series = f"(select {value} as v0 from generate_series(0::bigint, {count - 1}) s(i)) r"
    return f"(select {key_sql(data_type)} as k from {series}) keys"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.thorough
def test_ten_million_near_equal_inputs_have_as_many_keys(kind: str, world: PostgresWorld) -> None:
    wanted = min(10_000_000, DISTINCT.get(kind, 10_000_000))
    assert world.rows(f"select count(distinct k) from {keys_of(kind, 10_000_000)}") == [(wanted,)]


@pytest.mark.parametrize("kind", KINDS)
def test_near_equal_inputs_have_as_many_keys(kind: str, world: PostgresWorld) -> None:
    assert world.rows(f"select count(distinct k) from {keys_of(kind, 100_000)}") == [(100_000,)]


@pytest.mark.parametrize("kind", ["integers", "bigints", "doubles", "strings"])
@pytest.mark.thorough("bigints", "doubles")
def test_the_halves_are_independent(kind: str, world: PostgresWorld) -> None:
    """A seed that only shifts by a constant leaves one value of xor or of the difference."""
    plain = f"(select replace(k::text, '-', '') as k from {keys_of(kind, 200000)})"
    hexes = f"(select left(k, 16) h, right(k, 16) l from {plain} p)"
    halves = f"(select ('x' || h)::bit(64)::bigint h, ('x' || l)::bit(64)::bigint l from {hexes} x) y"
    assert world.rows(f"select count(distinct h # l), count(distinct h::numeric - l) from {halves}") == [(200000,) * 2]
    for high, low in (("h >> 46 & 262143", "l >> 56"), ("h & 262143", "l & 255"), ("h & 262143", "l >> 56")):
        pairs = "select sum(c * (c - 1) / 2)::float8 from (select count(*) c from {} group by {}) g"
        alike = world.rows(pairs.format(halves, f"{high}, {low}"))[0][0]
        share = alike / world.rows(pairs.format(halves, high))[0][0]
        assert 0.75 / 256 < share < 1.25 / 256, (high, low, share)


@pytest.mark.parametrize(
    ("left", "right", "types"),
    [
        ("'ab', 'c'", "'a', 'bc'", ["TEXT", "TEXT"]),
        ("'', 'a'", "'a', ''", ["TEXT", "TEXT"]),
        ("0::float8, 5::float8", "5::float8, 0::float8", ["DOUBLE", "DOUBLE"]),
        ("0::float8, 0::float8, 1::float8", "0::float8, 1::float8, 0::float8", ["DOUBLE", "DOUBLE", "DOUBLE"]),
        ("1::bigint", "4294967296", ["BIGINT"]),
        ("-1::bigint", "0::bigint", ["BIGINT"]),
        ("1::bigint, 4294967296", "4294967296, 1::bigint", ["BIGINT", "BIGINT"]),
        ("1, 2", "2, 1", ["INT", "INT"]),
        ("1, 1", "2, 2", ["INT", "INT"]),
        ("1, true", "1, false", ["INT", "BOOLEAN"]),
        ("1::float8, 'a'", "1::float8, 'b'", ["DOUBLE", "TEXT"]),
        ("array[1]::float8[]", "array[]::float8[]", ["DOUBLE[]"]),
        ("array[1, null]::float8[]", "array[1]::float8[]", ["DOUBLE[]"]),
        ("array['a,b']", "array['a', 'b']", ["TEXT[]"]),
        ("array[null]::text[]", "array['NULL']", ["TEXT[]"]),
        ("array[1]::float8[], 2", "array[2]::float8[], 1", ["DOUBLE[]", "INT"]),
        ("18446744073709551615", "18446744073709551614", ["UBIGINT"]),
    ],
)
def test_different_inputs_have_different_keys(left: str, right: str, types: list[str], world: PostgresWorld) -> None:
    names = ", ".join(f"v{i}" for i in range(len(types)))
    rows = " union all ".join(f"select * from (select {side}) q({names})" for side in (left, right))
    assert world.rows(f"select count(distinct {key_sql(*types)}) from ({rows}) r") == [(2,)]


def test_zeros_share_a_key_and_so_do_all_nan(world: PostgresWorld) -> None:
    for values in ("(0::float8), ('-0'::float8)", "('nan'::float8), ('inf'::float8 - 'inf'::float8)"):
        assert world.rows(f"select count(distinct {key_sql('DOUBLE')}) from (values {values}) r(v0)") == [(1,)]


def test_a_text_has_one_key_whatever_its_collation(world: PostgresWorld) -> None:
    keys = [world.rows(f"select {key_sql('TEXT')}::text from (select {text} as v0) r") for text in
            ("'ä'::text", "'ä' collate \"C\"", "'ä'::varchar(7)")]  # fmt: skip
    assert keys[0] == keys[1] == keys[2]


def test_the_recipe_does_not_drift(world: PostgresWorld) -> None:
    """A store is keyed by it: a change forgets every result. The value is that of 15 and of 18."""
    row = "7 v0, 0.5::float8 v1, 'x'::text v2, 1::bigint v3, array[1]::float8[] v4, true v5, date '2026-01-02' v6"
    sql = key_sql("INT", "DOUBLE", "TEXT", "BIGINT", "DOUBLE[]", "BOOLEAN", "DATE")
    assert world.rows(f"select ({sql})::text from (select {row}) r") == [("38bb6447-4e34-3ab2-7c16-e04c8ac4b4a1",)]
