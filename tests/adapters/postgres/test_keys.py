"""Keys of inputs that hardly differ: 128 bits that never meet, in two halves that know nothing of each other."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
import sqlglot

from sqlinfer.compiler.forms.postgres import PostgresForm
from sqlinfer.testing.postgres_server import Database

ROWS = int(os.environ.get("SQLINFER_KEYS", "200000"))
"""Inputs of a kind. Ten million doubles and texts were tried by hand."""
NEAR = {
    "doubles": (["DOUBLE", "DOUBLE"], "1 + i * 2.220446049250313e-16::float8", "1.0::float8"),
    "reals": (["DOUBLE", "DOUBLE"], "(i % 4000)::real::float8", "(i / 4000)::real::float8"),
    "integers": (["BIGINT", "INTEGER"], "(i % 4000)::bigint << 32", "(i / 4000)::int"),
    "texts": (["VARCHAR", "VARCHAR"], "'customer ' || i", "'x'::text"),
    "moved": (["VARCHAR", "VARCHAR"], "repeat('a', i % 450)", "repeat('a', i / 450)"),
}


def key_of(kinds: Sequence[str]) -> str:
    names = [sqlglot.exp.column(name) for name in ("x", "y")]
    return PostgresForm("postgres").key(list(zip(names, kinds, strict=True))).sql("postgres")


@pytest.mark.parametrize("kind", NEAR)
def test_inputs_that_hardly_differ_have_keys_of_their_own(postgres_database: Database, kind: str) -> None:
    kinds, x, y = NEAR[kind]
    source = f"select {x} as x, {y} as y from generate_series(1, {ROWS}) as i"
    postgres_database.run(
        f"create unlogged table k as select uuid_send({key_of(kinds)}) as k from ({source}) as q",
        "create unlogged table h as select substr(k, 1, 8) as high, substr(k, 9) as low from k",
    )
    assert postgres_database.run("select count(*), count(distinct k) from k") == [(ROWS, ROWS)]
    for half in ("high", "low"):
        # Two of ten million halves of 64 bits meet once in 370,000 tries.
        assert postgres_database.run(f"select count(distinct {half}) from h") == [(ROWS,)]
    number = "('x' || encode({}, 'hex'))::bit(64)::bigint"
    unlike = f"int8send({number.format('high')} # {number.format('low')})"
    # 32 of 64 bits differ, by chance: four standard errors.
    ((mean, several),) = postgres_database.run(
        f"select avg(bit_count({unlike}))::float8, count(distinct {unlike}) from h"
    )
    assert abs(mean - 32) < 4 * 4 / ROWS**0.5
    assert several == ROWS
