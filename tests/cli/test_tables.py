from __future__ import annotations

import csv
import datetime
import decimal
import io
import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from sqlinfer.cli import tables

ROWS = pa.table({"id": ["a", None], "score": [0.25, float("nan")], "parts": [[1, 2], []]})


def test_text_aligns_numbers_to_the_right() -> None:
    assert tables.render(["id", "n"], [["a", 1], ["bcd", None]]).splitlines() == [
        "| id  | n  |",
        "| --- | -- |",
        "| a   |  1 |",
        "| bcd |    |",
    ]


def test_an_empty_table_still_has_its_head() -> None:
    assert tables.render(["id"], []) == "| id |\n| -- |"


def test_json_is_valid_for_every_kind_of_value(capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table(
        {
            "nan": [float("nan")],
            "bytes": [b"\x00\xff"],
            "day": [datetime.date(2026, 1, 2)],
            "exact": [decimal.Decimal("1.10")],
            "nested": [{"a": [1.5, None]}],
        }
    )
    tables.write_table(table, "json")
    assert json.loads(capsys.readouterr().out) == [
        {"nan": None, "bytes": "AP8=", "day": "2026-01-02", "exact": "1.10", "nested": {"a": [1.5, None]}}
    ]


def test_csv_holds_nested_values_as_json() -> None:
    sink = io.BytesIO()
    tables.write_binary(ROWS, "csv", sink)
    assert pyarrow.csv.read_csv(io.BytesIO(sink.getvalue()))["parts"].to_pylist() == ["[1, 2]", "[]"]


def test_parquet_round_trips() -> None:
    sink = io.BytesIO()
    tables.write_binary(ROWS, "parquet", sink)
    assert pq.read_table(io.BytesIO(sink.getvalue())).schema == ROWS.schema


def test_a_long_or_broken_cell_stays_on_one_short_line() -> None:
    assert len(tables.show("x" * 500)) == tables.WIDEST
    assert tables.show("a\nb") == "a\\nb"


def test_a_name_that_is_there_twice_loses_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    twice = pa.table([[1], [2]], names=["id", "id"])
    tables.write_table(twice, "table")
    assert capsys.readouterr().out.splitlines()[0] == "| id | id |"
    tables.write_table(twice, "json")
    assert json.loads(capsys.readouterr().out) == [{"id": 1, "id_1": 2}]


PRECISE = pa.table(
    {
        "double": [1 / 3, 12345678.9, 1e300, None],
        "single": pa.array([0.1, 1 / 3, None, 1e30], pa.float32()),
        "exact": pa.array([decimal.Decimal("1.50"), None, None, None], pa.decimal128(9, 2)),
        "day": pa.array([20_455, 2**31 - 1, None, -719_162], pa.date32()),
        "moment": pa.array([1_500_000, None, None, None], pa.timestamp("us")),
        "nanos": pa.array([123_456_789, None, None, None], pa.timestamp("ns")),
        "bytes": [b"\xaa", None, None, None],
    }
)
FIRST = ["0.3333333333333333", "0.1", "1.50", "2026-01-02", "1970-01-01 00:00:01.5", "1970-01-01 00:00:00.123456789"]


def test_a_table_shows_every_digit_as_the_warehouse_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    tables.write_table(PRECISE, "table")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == [*FIRST, "\\xAA"]
    assert [row[0] for row in rows] == [FIRST[0], "12345678.9", "1e+300", ""]
    assert [row[1] for row in rows] == ["0.1", "0.33333334", "", "1e+30"]
    assert [row[3] for row in rows] == ["2026-01-02", "infinity", "", "0001-01-01"]


def test_json_and_csv_hold_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    tables.write_table(PRECISE, "json")
    first, second, *_ = json.loads(capsys.readouterr().out)
    assert list(first.values()) == [1 / 3, 0.1, *FIRST[2:], "qg=="]
    assert (second["double"], second["single"], second["day"]) == (12345678.9, 0.33333334, "infinity")
    sink = io.BytesIO()
    tables.write_binary(PRECISE, "csv", sink)
    lines = list(csv.reader(io.StringIO(sink.getvalue().decode())))
    assert lines[1] == [*FIRST, "\\xAA"]
    assert lines[2][:2] == ["12345678.9", "0.33333334"]
