"""Planted bad rows through the real command line: exactly they are flagged, the night stands or falls by its rate."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from chaoskit import House
from onnx import helper

from sqlinfer.testing import onnx_builder

ROWS, BATCH = 4000, 64
BAD = 99_999
"""An index beyond the embedding table: ONNX Runtime refuses the run."""


def lookup() -> bytes:
    """A graph that fails for indices out of range."""
    return onnx_builder.build(
        [helper.make_node("Gather", ["table", "deep"], ["score"])],
        [onnx_builder.value("deep", "int64", ["N"])],
        [onnx_builder.value("score", "float", ["N"])],
        [onnx_builder.constant("table", [float(i) / 7 for i in range(ROWS)])],
    )


FUNCTION = """functions:
  - name: deep
    model: {{path: deep.onnx}}
    arguments: [{{name: deep, data_type: bigint}}]
    returns: {{data_type: double, output: score}}
    config: {{batch_size: {batch}, device: cpu, reuse: "{reuse}"{more}}}
"""


def build(tmp_path: Path, reuse: str = "true", more: str = "") -> House:
    sql = "select id, predict('deep', i) as score from {{ source('erp', 'customers') }}"
    house = House.build(tmp_path / "bad", {"scores": "{{ config(unique_key='id') }} " + sql}, layers=1)
    house.write("functions/deep.yml", FUNCTION.format(batch=BATCH, reuse=reuse, more=more))
    (house.folder / "functions" / "deep.onnx").write_bytes(lookup())
    house.sql(f"create table customers as select i as id, i as i from range({ROWS}) r(i)")
    return house


def plant(house: House, count: int, seed: int = 5) -> set[int]:
    chosen = sorted(random.Random(seed).sample(range(ROWS), count))
    house.sql(f"update customers set i = {BAD} + id where id in ({', '.join(map(str, chosen))})")
    return set(chosen)


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("count", [1, 10, ROWS // 100, ROWS // 2, ROWS])
@pytest.mark.thorough("10-", "2000-")
def test_exactly_the_planted_rows_are_flagged(tmp_path: Path, count: int, reuse: str) -> None:
    house = build(tmp_path, reuse, ", max_error_rate: 1")
    planted = plant(house, count)
    done = house.run()
    assert done.code == 0, done.text
    assert {row[0] for row in house.read("select id from scores where score is null")} == planted
    assert {row[0] for row in house.read("select (key_columns->>'id')::int from sqlinfer_errors")} == planted
    extra = house.calls() - math.ceil(ROWS / BATCH)
    assert extra <= 2 * count * math.log2(BATCH) + 2 * count
    response = house.response("scores")
    assert (response["errors"], response["scored"]) == (count, ROWS - count)


def test_an_error_record_says_where_and_why_without_the_value(tmp_path: Path) -> None:
    house = build(tmp_path)
    (row,) = plant(house, 1)
    assert house.run().code == 0
    columns = "node, function, digest, input_key, key_columns, stage, error_class, message, run_id"
    ((node, function, digest, key, keys, stage, kind, message, run_id),) = house.read(
        f"select {columns} from sqlinfer_errors"
    )
    assert (node, function, kind) == ("scores", "deep", "runtime")
    assert (len(digest), key is None, keys, bool(stage)) == (64, False, f'{{"id":{row}}}', True)
    assert str(BAD + row) not in message
    assert "INVALID_ARGUMENT" in message
    assert house.read(f"select count(*) from sqlinfer_runs where run_id = '{run_id}'") == [(1,)]


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_a_night_that_is_bad_as_a_whole_keeps_the_old_table(tmp_path: Path, reuse: str) -> None:
    house = build(tmp_path, reuse)
    assert house.run().code == 0
    before = house.tables("scores")
    plant(house, ROWS // 50)
    bad = house.run()
    assert bad.code == 1
    assert "41 rows failed, more than max_error_rate allows" in bad.text
    assert house.tables("scores") == before


def test_many_bad_rows_among_few_new_ones_are_no_bad_night(tmp_path: Path) -> None:
    house = build(tmp_path)
    assert house.run().code == 0
    plant(house, 39)
    done = house.run()
    assert done.code == 0, done.text
    assert house.response("scores")["errors"] == 39


def test_a_night_that_fails_everywhere_is_given_up_early(tmp_path: Path) -> None:
    house = build(tmp_path)
    plant(house, ROWS)
    bad = house.run()
    assert bad.code == 1
    assert "max_error_rate" in bad.text
    assert house.calls() < ROWS


def test_retry_errors_scores_what_failed_and_nothing_else(tmp_path: Path) -> None:
    house = build(tmp_path)
    planted = plant(house, 20)
    assert house.run().code == 0
    (house.folder / "count.txt").unlink()
    assert house.run().code == 0
    assert house.counted() == 0
    assert house.run("retry").code == 0
    again = house.run("retry", "--errors")
    assert again.code == 0, again.text
    response = house.response("scores")
    assert (response["errors"], response["reused"]) == (20, ROWS - 20)
    assert 20 <= house.counted() <= 20 * 8
    house.sql("update customers set i = id")
    assert house.run("retry", "--errors").code == 0
    assert house.read("select count(*) from scores where score is null") == [(0,)]
    assert house.response("scores")["scored"] == len(planted)
