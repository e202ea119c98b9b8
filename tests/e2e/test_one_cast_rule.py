"""A value means the same however it is spelt: as a column, a literal, in VALUES, cast, as a parameter, through a run,
``preview``, ``connect().sql()`` and ``register()``.

``CASES`` is the rule. All of it is asked for in one query per spelling.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import duckdb
import pytest
from onnx import helper

import sqlinfer
from sqlinfer.cli.main import invoke
from sqlinfer.testing import onnx_builder as onnx

NULL, ERROR = None, "error"
"""No prediction: because the value is NULL, or because it does not fit."""

HUGE = "170141183460469231731687303715884105727"
CASES: dict[str, dict[str, Any]] = {
    "integer": {
        "7": 7, "-5": -5, "1_000": 1000, "2.7": ERROR, "3.0": 3, "3000000000": ERROR, "2147483647": 2147483647,
        "-2147483649": ERROR, HUGE: ERROR, "10000000000000000000000000000000000000000": ERROR, "1e3": 1000,
        "'12'": 12, "'1e3'": 1000, "' 7 '": 7, "'0x10'": ERROR, "'1_000'": 1000, "'2.7'": ERROR, "'3.0'": 3,
        "'inf'": ERROR, "''": ERROR, "'seven'": ERROR, "true": 1, "false": 0, "null": NULL, "0.5::double": ERROR,
        "3::double": 3,
        "'nan'::double": ERROR, "'inf'::double": ERROR, "0.5::float": ERROR, "2::utinyint": 2,
        "18446744073709551615::ubigint": ERROR, "2.50::decimal(9,2)": ERROR, "2.00::decimal(9,2)": 2,
        "'1'::enum('1', 'x')": 1, "'x'::enum('1', 'x')": ERROR, "'2'::json": 2, "'2.5'::json": ERROR,
    },
    "bigint": {
        "9007199254740993": 9007199254740993, "9223372036854775807": 9223372036854775807, HUGE: ERROR,
        "9007199254740993.0": 9007199254740993, "9007199254740993.5": ERROR, "'9007199254740993'": 9007199254740993,
        "'9007199254740993.5'": ERROR, "1e18": 10**18, "1e19": ERROR, "1e-3": ERROR, "true": 1, "null": NULL,
        "'9223372036854775808'": ERROR, "9223372036854775807::hugeint": 9223372036854775807,
    },
    "double": {
        "7": 7.0, "2.7": 2.7, "3000000000": 3e9, "9007199254740992": 2.0**53, "9007199254740993": ERROR,
        HUGE: ERROR, "18014398509481984::hugeint": 2.0**54, "18014398509481985::hugeint": ERROR,
        "18446744073709551615::ubigint": ERROR, "340282366920938463463374607431768211455::uhugeint": ERROR,
        "0.1": 0.1, "0.1::float": 0.10000000149011612, "'12'": 12.0, "'1e3'": 1000.0, "' 7 '": 7.0, "'1_000'": 1000.0,
        "''": ERROR, "'one'": ERROR, "true": 1.0, "null": NULL, "'0.1'": 0.1,
        "9999999999999999999999999999.5": 1e28,
    },
    "float": {
        "0.5": 0.5, "0.1": 0.10000000149011612, "1e300": ERROR, "-1e39": ERROR, "1e-300": 0.0, "16777217": 16777216.0,
        HUGE: 1.7014118346046923e38, "'0.5'": 0.5, "'x'": ERROR, "true": 1.0, "null": NULL,
        "340282366920938463463374607431768211455::uhugeint": ERROR,
    },
    "boolean": {
        "true": True, "0": False, "1": True, "2": ERROR, "-1": ERROR, "1.0": True, "0.5": ERROR, "'nan'::double": ERROR,
        "'true'": True, "'f'": False, "'1'": True, "'2'": ERROR, "'maybe'": ERROR, "null": NULL,
    },
    "varchar": {
        "'a'": "a", "''": "", "2.70": "2.70", "true": "true", "3000000000": "3000000000",
        "date '2026-01-02'": "2026-01-02", "timestamp '2026-01-02 03:04:05'": "2026-01-02 03:04:05",
        "'x'::enum('x', 'y')": "x", "[1, 2]": "[1, 2]", "{'a': 1}": "{'a': 1}", "null": NULL,
    },
    "float[3]": {
        "[1, 2, 3]": 6.0, "[1.5, 2, 3]": 6.5, "[1, 2]": ERROR, "[]": ERROR, "[1, 2, 3, 4]": ERROR,
        "[1e300, 2, 3]": ERROR, "['1', '2', '3']": 6.0, "['1', 'b', '3']": ERROR, "'[1, 2, 3]'": 6.0,
        "'[1, b, 3]'": ERROR, "'text'": ERROR, "[1, 2, 3]::double[3]": 6.0, "[4, 5, 6]::integer[]": 15.0, "null": NULL,
    },
    "integer[]": {
        "[1, 2, 3]": 6, "[1.0, 2.0, 3.0]": 6, "[1.5, 2, 3]": ERROR, "[3000000000, 2, 3]": ERROR,
        "['1', '2', '3']": 6, "['1.5', '2', '3']": ERROR, "'[1, 2, 3]'": 6, "'[1.5, 2, 3]'": ERROR,
        "[1, 2, 3]::double[3]": 6, "[1.5, 2, 3]::double[3]": ERROR, "[true, false, true]": 2, "null": NULL,
    },
}  # fmt: skip


def int_sum() -> bytes:
    axes = onnx.constant("axes", [1], "int64")
    node = helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)
    return onnx.build([node], [onnx.value("x", "int32", ["N", 3])], [onnx.value("y", "int32", ["N"])], [axes])


GRAPHS = {
    "integer": onnx.identity("int32"), "bigint": onnx.identity("int64"), "double": onnx.identity("double"),
    "float": onnx.identity("float"), "boolean": onnx.identity("bool"), "varchar": onnx.identity("string"),
    "float[3]": onnx.array_sum(3, name="x"), "integer[]": int_sum(),
}  # fmt: skip
NAMES = {declared: f"f{place}" for place, declared in enumerate(CASES)}
EVERY = [(declared, value, expected) for declared, values in CASES.items() for value, expected in values.items()]
COLUMNS = [f"c{place}" for place in range(len(EVERY))]
LITERALS = [value for _, value, _ in EVERY]
LISTED = ", ".join(f"{value} as {column}" for column, value in zip(COLUMNS, LITERALS, strict=True))


def calls(values: list[str]) -> str:
    named = zip(EVERY, values, COLUMNS, strict=True)
    return ", ".join(f"{NAMES[declared]}({value}) as {column}" for (declared, _, _), value, column in named)


class Lab:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "functions").mkdir()
        (root / "models").mkdir()
        (root / "sqlinfer_project.yml").write_text("name: lab\nprofile: lab\n")
        (root / "profiles.yml").write_text("lab: {target: d, outputs: {d: {type: duckdb, path: w.duckdb}}}\n")
        (root / "models" / "m.sql").write_text(f"{{{{ config(max_error_rate=1) }}}} select {calls(COLUMNS)} from t")
        (root / "functions" / "f.yml").write_text("functions:\n" + "".join(map(self.declaration, CASES)))
        with duckdb.connect(root / "w.duckdb") as connection:
            connection.execute(f"create table t as select {LISTED}")
        self.connection = sqlinfer.connect(root)

    def declaration(self, declared: str) -> str:
        name, returns = NAMES[declared], {"float[3]": "float", "integer[]": "integer"}.get(declared, declared)
        (self.root / "functions" / f"{name}.onnx").write_bytes(GRAPHS[declared])
        return (
            f"  - name: {name}\n    model: {{path: {name}.onnx}}\n"
            f"    arguments: [{{name: x, data_type: '{declared}'}}]\n    returns: {{data_type: {returns}}}\n"
            f"    config: {{reuse: {'true' if declared == 'double' else 'false'}}}\n"
        )

    def sql(self, query: str, params: Any = None) -> list[Any]:
        table = self.connection.sql(query, params)
        outcome = sqlinfer.outcome(table)
        assert outcome == self.connection.outcome
        assert (outcome.inputs, outcome.errors, outcome.null_inputs) == (len(EVERY), count(ERROR), count(NULL))
        assert {reason.error_class for reason in outcome.reasons} == {"cast_error"}
        return list(table.to_pylist()[0].values())

    def command(self, *arguments: str) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = invoke([*arguments, "--project-dir", str(self.root)])
        assert code == 0, out.getvalue() + err.getvalue()
        return out.getvalue(), err.getvalue()


def count(kind: object) -> int:
    return sum(expected is kind for _, _, expected in EVERY)


def literal(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls(LITERALS)}")


def literal_over_rows(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls(LITERALS)} from t")


def column(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls(COLUMNS)} from t")


def in_values(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls(COLUMNS)} from (values ({', '.join(LITERALS)})) as t({', '.join(COLUMNS)})")


def of_type(spelled: str, value: str) -> str:
    with duckdb.connect() as connection:
        kind = connection.execute(f"select typeof({value})").fetchall()[0][0]
    return f"({spelled})::{kind}" if "NULL" not in kind else spelled


def cast(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls([of_type(value, value) for value in LITERALS])}")


def parameter(lab: Lab) -> list[Any]:
    """Values as Python has them; cast back because Python has fewer types."""
    with duckdb.connect() as connection:
        values = [connection.execute(f"select {value}").fetchall()[0][0] for value in LITERALS]
    return lab.sql(f"select {calls([of_type('?', value) for value in LITERALS])}", values)


def expression(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls([f'case when random() < 2 then {value} end' for value in LITERALS])}")


def aggregate(lab: Lab) -> list[Any]:
    return lab.sql(f"select {calls([f'any_value({column})' for column in COLUMNS])} from t")


def preview(lab: Lab) -> list[Any]:
    out, err = lab.command("preview", "--inline", f"select {calls(COLUMNS)} from t", "--output", "json")
    assert f"{count(NULL) + count(ERROR)} of {len(EVERY)} inputs have no prediction: {count(ERROR)} failed" in err
    return list(json.loads(out)[0].values())


def run(lab: Lab) -> list[Any]:
    lab.command("run")
    with duckdb.connect(lab.root / "w.duckdb", read_only=True) as connection:
        return list(connection.execute("select * from m").fetchall()[0])


def registered(lab: Lab, query: str) -> list[Any]:
    with duckdb.connect() as connection:
        functions = sqlinfer.register(connection, lab.root)
        connection.execute(f"create table t as select {LISTED}")
        (row,) = connection.execute(query).fetchall()
    outcomes = functions.outcomes.values()
    assert sum(outcome.inputs for outcome in outcomes) == len(EVERY)
    assert sum(outcome.errors for outcome in outcomes) == count(ERROR)
    assert sum(outcome.null_inputs for outcome in outcomes) == count(NULL)
    return list(row)


def registered_literal(lab: Lab) -> list[Any]:
    return registered(lab, f"select {calls(LITERALS)}")


def registered_column(lab: Lab) -> list[Any]:
    return registered(lab, f"select {calls(COLUMNS)} from t")


SPELLINGS: tuple[Callable[[Lab], list[Any]], ...] = (
    literal, literal_over_rows, column, in_values, cast, parameter, expression, aggregate, preview, run,
    registered_literal, registered_column,
)  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.__name__)
def test_a_value_means_the_same_in_every_spelling(lab: Lab, spelling: Callable[[Lab], list[Any]]) -> None:
    different = []
    for (declared, value, expected), found in zip(EVERY, spelling(lab), strict=True):
        if not same(declared, found, None if expected is ERROR else expected):
            different.append(f"{value} into {declared}: {found}, expected {expected}")
    assert different == []


def same(declared: str, found: Any, expected: Any) -> bool:
    """JSON shows a single float as the warehouse prints it."""
    if isinstance(expected, float) and found is not None:
        return math.isclose(found, expected, rel_tol=1e-7 if declared == "float" else 1e-12)
    return type(found) is type(expected) and found == expected
