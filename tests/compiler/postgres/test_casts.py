"""Casts on a real server: what fits is scored, what does not is an error row, and no value ends the query.

Before 16 a text is looked at by regular expressions; where the server is newer, both ways are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from world import PostgresWorld

from sqlinfer.errors import CallError
from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.testing.differential import PythonFunction

BAD = "does not fit"
CASES = [
    # type of the values, SQL of them, declared type, what is scored
    ("text", "'1.5', ' 2e1 ', '-.5', 'x', '', '1e999', 'NaN', null", "DOUBLE",
     [1.5, 20.0, -0.5, BAD, BAD, BAD, "nan", None]),
    ("text", "'1', '1.0', '1e3', '1.5', '3000000000', 'NaN', 'x'", "INT", [1, 1, 1000, BAD, BAD, BAD, BAD]),
    ("text", "'9223372036854775807', '9223372036854775808', '9007199254740993'", "BIGINT",
     [9223372036854775807, BAD, 9007199254740993]),
    ("text", "'yes', 'f', '1', 'maybe', '2'", "BOOLEAN", [True, False, True, BAD, BAD]),
    ("text", "'2024-02-29', '2023-02-29', '2024-13-01', 'x'", "DATE", ["2024-02-29", BAD, BAD, BAD]),
    ("text", "'1.5', '1e39', 'x'", "REAL", [1.5, BAD, BAD]),
    ("text", "'{1,2.5}', '{}', '{x}', 'x'", "DOUBLE[]", [[1.0, 2.5], [], BAD, BAD]),
    ("bigint", "1, 2147483647, 2147483648, -2147483649", "INT", [1, 2147483647, BAD, BAD]),
    ("bigint", "1, 9007199254740992, 9007199254740993, 9223372036854775807", "DOUBLE",
     [1.0, 9007199254740992.0, BAD, BAD]),
    ("bigint", "0, 1, 2", "BOOLEAN", [False, True, BAD]),
    ("bigint", "-1, 0, 255, 256", "UTINYINT", [BAD, 0, 255, BAD]),
    ("float8", "1, 1.5, 'nan', 'inf', 9223372036854775807, 1e300", "BIGINT", [1, BAD, BAD, BAD, BAD, BAD]),
    ("float8", "1.5, 1e39, 1e-60, 'inf', 'nan', 0", "REAL", [1.5, BAD, 0.0, "inf", "nan", 0.0]),
    ("numeric", "1, 1.5, 1e20, 'NaN'", "BIGINT", [1, BAD, BAD, BAD]),
    ("numeric", "1.25, 1e20", "DOUBLE", [1.25, 1e20]),
    ("numeric", "18446744073709551615, 18446744073709551616, -1", "UBIGINT", [18446744073709551615, BAD, BAD]),
    ("boolean", "true, false, null", "DOUBLE", [1.0, 0.0, None]),
    ("boolean", "true, false", "BIGINT", [1, 0]),
    ("mood", "'sad', 'ok'", "TEXT", ["sad", "ok"]),
    ("mood", "'sad'", "DOUBLE", [BAD]),
    ("plz", "'12', '007'", "INT", [12, 7]),
    ("jsonb", "'1.5', '\"x\"', '{}'", "DOUBLE", [1.5, BAD, BAD]),
    ("uuid", "'00000000-0000-0000-0000-000000000001'", "TEXT", ["00000000-0000-0000-0000-000000000001"]),
    ("varchar(5)", "'1', 'a'", "DOUBLE", [1.0, BAD]),
    ("char(3)", "'7', 'ab'", "TEXT", ["7", "ab"]),
    ("timestamptz", "'2024-01-02 03:04+00'", "DATE", ["2024-01-02"]),
    ("float8[]", "'{1,2}', '{1e39}', '{NULL}', null", "REAL[]", [[1.0, 2.0], BAD, [None], None]),
    ("float8[]", "'{1,2}', '{1.5}'", "INT[]", [[1, 2], BAD]),
    ("real[]", "'{1,2}', '{1}', '{{1,2}}'", "REAL[2]", [[1.0, 2.0], BAD, BAD]),
    ("text[]", "'{1,2}', '{1,x}', '{}'", "BIGINT[]", [[1, 2], BAD, []]),
    ("boolean[]", "'{t,f}'", "DOUBLE[]", [[1.0, 0.0]]),
    ("int[]", "'{1,2}'", "TEXT[]", [["1", "2"]]),
    ("bytea", "'\\x00ff'", "BLOB", [b"\x00\xff"]),
    ("text", "'\\x00ff', 'zz\\'", "BLOB", [b"\x00\xff", BAD]),
]  # fmt: skip


@pytest.fixture
def values(world: PostgresWorld) -> Iterator[PostgresWorld]:
    yield world
    for name in ("same", "never"):
        world.models.pop(name, None)
    world._execute("drop table if exists given")
    world.tables = {key: table for key, table in world.tables.items() if key.name != "given"}


@pytest.mark.parametrize("version", ["its own", "an old one"])
@pytest.mark.parametrize(("kind", "listed", "declared", "wanted"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_what_fits_is_scored_and_the_rest_are_error_rows(
    kind: str, listed: str, declared: str, wanted: list[object], version: str, values: PostgresWorld
) -> None:
    own = values.version
    values.version = own if version == "its own" else (14, 0)
    seen: list[object] = []
    argument = Argument("x", declared)
    contract = FunctionContract("same", "same".ljust(64, "0"), (argument,), (Output("value", "INT"),))
    values.models["same"] = PythonFunction(contract, lambda x: seen.append(x) or len(seen))  # type: ignore[func-returns-value]
    try:
        values._execute(f"create table given as select n, v::{kind} as v from unnest(array[{listed}]::text[]) "
                        "with ordinality as r(v, n)")  # fmt: skip
        values.refresh()
        outcome = values.outcome("select n, same(v) as p from given order by n", "stream")
    finally:
        values.version = own
    got = [None if p is None else seen[p - 1] for _, p in outcome.rows]
    number = int if declared.endswith("INT") else _plain
    assert [None if value is None else number(value) for value in got] == [
        None if value in (BAD, None) else tuple(value) if isinstance(value, list) else value for value in wanted
    ]
    assert outcome.statuses.get("cast_error:x", 0) == sum(value == BAD for value in wanted if isinstance(value, str))


def _plain(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    special = isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))
    return value if isinstance(value, (float, str, bytes, bool)) and not special else str(value)


@pytest.mark.parametrize("kind", ["timestamptz", "interval", "uuid", "bytea", "float8[]"])
def test_a_type_that_never_fits_is_refused(kind: str, values: PostgresWorld) -> None:
    contract = FunctionContract("never", "never".ljust(64, "0"), (Argument("x", "DOUBLE"),), (Output("v", "INT"),))
    values.models["never"] = PythonFunction(contract, lambda x: 1)
    values._execute(f"create table given as select null::{kind} as v")
    values.refresh()
    with pytest.raises(CallError, match="argument 'x' of never is double"):
        values.compile("select never(v) from given")


@pytest.mark.parametrize(
    ("policy", "declared", "default", "wanted"),
    [("default", "DOUBLE", 1.5, 1.5), ("nan", "DOUBLE", None, "nan"), ("nan", "REAL[2]", None, ("nan", "nan")),
     ("default", "TEXT", "it's", "it's"), ("default", "BOOLEAN", True, True)],
)  # fmt: skip
def test_a_policy_stands_for_null(
    policy: str, declared: str, default: object, wanted: object, values: PostgresWorld
) -> None:
    argument = replace(Argument("x", declared), on_null=policy, default=default)
    seen: list[object] = []
    contract = FunctionContract("same", "same".ljust(64, "0"), (argument,), (Output("value", "INT"),))
    values.models["same"] = PythonFunction(contract, lambda x: seen.append(x) or 1)  # type: ignore[func-returns-value]
    values._execute("create table given as select null::text as v")
    values.refresh()
    values.outcome("select same(v) as p from given", "stream")
    (value,) = seen
    assert (tuple(map(str, value)) if isinstance(value, list) else _plain(value)) == wanted
