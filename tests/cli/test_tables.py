from __future__ import annotations

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
