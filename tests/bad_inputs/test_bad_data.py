"""Rows: each bad value costs only its own row, gets NULL and a record without the value; good rows beside it are scored.

One night per function scores all of its rows at once; each case then looks at its own row.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from house import FILES, House, write
from onnx import helper

from sqlinfer.testing import onnx_builder as onnx

CANARY = "canary-8d1f"


@dataclass(frozen=True)
class Row:
    id: str
    value: str
    """SQL of the value."""
    result: float | str | None = None
    error: str | None = None
    """How the class of the error record begins; None: there is none."""


@dataclass(frozen=True)
class Night:
    name: str
    column: str
    """SQL type of the column."""
    argument: str
    """YAML of the argument beside its name."""
    graph: bytes
    rows: tuple[Row, ...]
    returns: str = "double"
    config: str = "{}"


def unary(op: str) -> bytes:
    node = helper.make_node(op, ["x"], ["y"])
    return onnx.build([node], [onnx.value("x", "float", ["N", 1])], [onnx.value("y", "float", ["N", 1])])


def gather() -> bytes:
    """ONNX Runtime refuses an index that is out of range, and with it the whole batch."""
    table, node = onnx.constant("t", [10.0, 20.0, 30.0]), helper.make_node("Gather", ["t", "x"], ["y"])
    return onnx.build([node], [onnx.value("x", "int64", ["N"])], [onnx.value("y", "float", ["N"])], [table])


CAST, INVALID = "cast_error", "invalid_output"
NIGHTS = (
    Night("text_as_double", "varchar", "data_type: double", onnx.identity("double"), (
        Row("a number", "'1.5'", 1.5),
        Row("blanks around", "'  2  '", 2.0),
        Row("an exponent", "'1e3'", 1000.0),
        Row("negative zero", "'-0'", 0.0),
        Row("the smallest number", "'5e-324'", 5e-324),
        Row("missing", "null"),
        Row("empty", "''", error=CAST),
        Row("only blanks", "'   '", error=CAST),
        Row("a word", f"'{CANARY}'", error=CAST),
        Row("a comma", "'1,5'", error=CAST),
        Row("two numbers", "'1 2'", error=CAST),
        Row("two signs", "'--1'", error=CAST),
        Row("hexadecimal", "'0x10'", error=CAST),
        Row("full-width digits", "'\uff11\uff12'", error=CAST),
        Row("Arabic digits", "'\u0661\u0662'", error=CAST),
        Row("a NUL behind", "'1' || chr(0)", error=CAST),
        Row("a zero-width blank", "'1\u200b'", error=CAST),
        Row("an emoji", "'🙂'", error=CAST),
        Row("SQL", "'1); drop table rows; --'", error=CAST),
        Row("ten megabytes", "repeat('x', 10000000)", error=CAST),
        Row("a million digits", "repeat('9', 1000000)", error=INVALID),
        Row("too large", "'1e309'", error=INVALID),
        Row("not a number", "'NaN'", error=INVALID),
        Row("infinite", "'inf'", error=INVALID),
    )),
    Night("text_as_integer", "varchar", "data_type: integer", onnx.identity("int32"), (
        Row("a number", "'7'", 7),
        Row("the largest", "'2147483647'", 2147483647),
        Row("the smallest", "'-2147483648'", -2147483648),
        Row("one more", "'2147483648'", error=CAST),
        Row("one less", "'-2147483649'", error=CAST),
        Row("beyond 64 bits", "'99999999999999999999'", error=CAST),
        Row("a fraction", "'1.5'", error=CAST),
        Row("a whole fraction", "'3.0'", 3),
        Row("a word", "'seven'", error=CAST),
        Row("a boolean", "'true'", error=CAST),
    ), returns="integer"),
    Night("bigint_as_tinyint", "bigint", "data_type: tinyint", onnx.identity("int8"), (
        Row("the largest", "127", 127),
        Row("the smallest", "-128", -128),
        Row("one more", "128", error=CAST),
        Row("one less", "-129", error=CAST),
        Row("the end of 64 bits", "9223372036854775807", error=CAST),
        Row("the other end", "-9223372036854775808", error=CAST),
        Row("missing", "null"),
    ), returns="tinyint"),
    Night("bigint_as_double", "bigint", "data_type: double", onnx.identity("double"), (
        Row("2^53", "9007199254740992", 9007199254740992.0),
        Row("2^53 + 1", "9007199254740993", error=CAST),
        Row("-2^53 - 1", "-9007199254740993", error=CAST),
        Row("the end of 64 bits", "9223372036854775807", error=CAST),
    )),
    Night("double_as_bigint", "double", "data_type: bigint", onnx.identity("int64"), (
        Row("whole", "3.0", 3),
        Row("a fraction", "3.5", error=CAST),
        Row("not a number", "'nan'", error=CAST),
        Row("infinite", "'inf'", error=CAST),
        Row("beyond 64 bits", "1e300", error=CAST),
        Row("minus zero", "-0.0", 0),
    ), returns="bigint"),
    Night("double_as_real", "double", "data_type: float", onnx.identity("float"), (
        Row("a number", "0.5", 0.5),
        Row("too large", "1e300", error=CAST),
        Row("too small", "1e-300", 0.0),
        Row("not a number", "'nan'", error=INVALID),
        Row("infinite", "'-inf'", error=INVALID),
    ), returns="float"),
    Night("decimal_as_double", "decimal(38, 10)", "data_type: double", onnx.identity("double"), (
        Row("a number", "1.5", 1.5),
        Row("38 digits", "9999999999999999999999999999.9999999999", 1e28),
        Row("missing", "null"),
    )),
    Night("strict", "double", "data_type: double, on_null: error", onnx.identity("double"), (
        Row("a number", "1", 1.0),
        Row("missing", "null", error="null_error"),
    )),
    Night("defaulted", "varchar", "data_type: double, on_null: {default: 9}, on_cast_error: 'null'",
          onnx.identity("double"), (
        Row("a number", "'1'", 1.0),
        Row("missing", "null", 9.0),
        Row("a word", "'one'", 9.0),
    )),
    Night("word", "varchar", "data_type: varchar", onnx.string_lookup(name="x"), (
        Row("a known word", "'monthly'", 1.0),
        Row("an unknown word", "'daily'", -1.0),
        Row("empty", "''", -1.0),
        Row("another case", "'Monthly'", -1.0),
        Row("a blank behind", "'monthly '", -1.0),
        Row("a NUL behind", "'monthly' || chr(0)", -1.0),
        Row("only a NUL", "chr(0)", -1.0),
        Row("an emoji", "'🙂'", -1.0),
        Row("combining marks", "'mo\u0308nthly'", -1.0),
        Row("right to left", "'\u202eylhtnom'", -1.0),
        Row("a homoglyph", "'m\u043enthly'", -1.0),
        Row("ten megabytes", "repeat('x', 10000000)", -1.0),
        Row("a quote", "'it''s'", -1.0),
        Row("missing", "null"),
    )),
    Night("date_as_word", "date", "data_type: varchar", onnx.string_lookup({"2026-01-31": 1.0}, name="x"), (
        Row("a date", "date '2026-01-31'", 1.0),
        Row("the first year", "date '0001-01-01'", -1.0),
        Row("the last year", "date '9999-12-31'", -1.0),
        Row("before Christ", "date '0044-03-15 (BC)'", -1.0),
        Row("the end of time", "date 'infinity'", -1.0),
        Row("missing", "null"),
    )),
    Night("vector", "float[]", "data_type: 'float[4]'", onnx.array_sum(4, name="x"), (
        Row("four numbers", "[1, 2, 3, 4]", 10.0),
        Row("three numbers", "[1, 2, 3]", error=CAST),
        Row("five numbers", "[1, 2, 3, 4, 5]", error=CAST),
        Row("none", "[]", error=CAST),
        Row("one missing", "[1, null, 3, 4]", error="*"),
        Row("one not a number", "[1.0::float, 'nan', 3, 4]", error=INVALID),
        Row("missing", "null"),
    ), returns="float"),
    Night("logarithm", "double", "data_type: double", unary("Log"), (
        Row("one", "1", 0.0),
        Row("minus one", "-1", error=INVALID),
        Row("zero", "0", error=INVALID),
    )),
    Night("logarithm_as_it_is", "double", "data_type: double", unary("Log"), (
        Row("minus one", "-1", math.nan),
        Row("zero", "0", -math.inf),
    ), config="{on_invalid: allow}"),
    Night("looked_up", "bigint", "data_type: bigint", gather(), (
        Row("first", "0", 10.0),
        Row("last", "2", 30.0),
        Row("from the end", "-1", 30.0),
        Row("one too far", "3", error="*"),
        Row("far too far", "9223372036854775807", error="*"),
        Row("before the start", "-4", error="*"),
        Row("missing", "null"),
    ), config="{row_wise: auto}"),
)  # fmt: skip


def declaration(night: Night) -> str:
    return (
        f"  - name: {night.name}\n    model: {{path: {night.name}.onnx}}\n"
        f"    arguments: [{{name: x, {night.argument}}}]\n"
        f"    returns: {{data_type: {night.returns}}}\n    config: {night.config}\n"
    )


def model(night: Night) -> str:
    return (
        "{{ config(unique_key='id', max_error_rate=1) }}\n"
        f"select id, predict('{night.name}', v) as s from rows_{night.name}\n"
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> House:
    """All nights, run once."""
    root = tmp_path_factory.mktemp("lab")
    files: dict[str, str | bytes] = {name: FILES[name] for name in ("sqlinfer_project.yml", "profiles.yml")}
    files["functions/all.yml"] = "functions:\n" + "".join(declaration(night) for night in NIGHTS)
    for night in NIGHTS:
        files[f"functions/{night.name}.onnx"] = night.graph
        files[f"models/{night.name}.sql"] = model(night)
    write(root, files)
    house = House(root)
    for night in NIGHTS:
        values = ", ".join(f"('{row.id}', ({row.value})::{night.column})" for row in night.rows)
        house.sql(f"create table rows_{night.name} as select * from (values {values}) t(id, v)")
    done = house.sqlinfer("run")
    assert done.code == 0, done.text
    assert CANARY not in done.text
    return house


Outcome = dict[tuple[str, str], tuple[float | None, list[tuple[str, str]]]]


@pytest.fixture(scope="module")
def outcome(lab: House) -> Outcome:
    """Night and row → its value, and class and message of its error records."""
    values = lab.sql(" union all ".join(f"select '{n.name}' as n, id, s::double from {n.name}" for n in NIGHTS))
    found: Outcome = {(name, key): (value, []) for name, key, value in values}
    for name, keys, error_class, message in lab.sql(
        "select node, key_columns, error_class, message from sqlinfer_errors"
    ):
        found[name, json.loads(keys)["id"]][1].append((error_class, message))
    return found


CASES = [(night, row) for night in NIGHTS for row in night.rows]


@pytest.mark.parametrize(("night", "row"), CASES, ids=[f"{night.name}: {row.id}" for night, row in CASES])
def test_a_row_gets_its_value_or_its_error(night: Night, row: Row, outcome: Outcome) -> None:
    value, errors = outcome[night.name, row.id]
    if row.error is None:
        assert errors == []
        assert value == row.result or math.isnan(value) or value == pytest.approx(row.result)
        return
    assert value is None
    assert len(errors) == 1
    ((error_class, message),) = errors
    assert row.error == "*" or error_class.startswith(row.error)
    assert CANARY not in message


def test_no_table_of_ours_but_the_users_own_rows_holds_a_value(lab: House) -> None:
    for (name,) in lab.sql("select table_name from duckdb_tables()"):
        found = lab.sql(f"select count(*) from {name} t where cast(to_json(t) as varchar) like '%{CANARY}%'")
        assert found == [(int(name == "rows_text_as_double"),)], name


def test_no_artifact_holds_a_value(lab: House) -> None:
    for path in Path(lab.root / "target").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_the_counts_of_a_night_reconcile(lab: House) -> None:
    results = json.loads((lab.root / "target" / "run_results.json").read_text())["results"]
    assert len(results) == len(NIGHTS)
    for result, night in ((r, n) for r in results for n in NIGHTS if r["unique_id"] == f"model.shop.{n.name}"):
        answer = result["adapter_response"]
        wrong = sum(row.error is not None for row in night.rows)
        assert (answer["rows"], answer["errors"]) == (len(night.rows), wrong), night.name
