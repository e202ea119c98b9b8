"""Rows that end the whole run: the next one finds them in worker processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaoskit import House
from test_planted_rows import ROWS, build

from sqlinfer.testing.patience import patience

POISON = 1234


def poisoned(house: House, action: str) -> dict[str, str]:
    return {
        "SQLINFER_TEST_POISON": f"{POISON}:{action}", "SQLINFER_WORKER_TIMEOUT": str(patience(5)),
        "SQLINFER_WORKER_MEMORY": str(512 << 20),
    }  # fmt: skip


def check(house: House, kind: str) -> None:
    assert house.read("select id from scores where score is null") == [(POISON,)]
    assert house.read("select error_class, key_columns from sqlinfer_errors") == [(kind, f'{{"id":{POISON}}}')]
    assert house.response("scores")["scored"] + house.response("scores")["reused"] == ROWS - 1


@pytest.mark.parametrize("reuse", ["true", "false"])
def test_after_a_crash_in_native_code_the_row_is_found_and_quarantined(tmp_path: Path, reuse: str) -> None:
    house = build(tmp_path, reuse)
    house.env |= poisoned(house, "segv") | {"SQLINFER_CHUNK_ROWS": "256"}
    assert house.run().code == -11
    second = house.run("retry")
    assert second.code == 0, second.text
    assert "worker processes score it now" in second.text
    check(house, "crashed")
    third = house.run()
    assert third.code == 0, third.text
    check(house, "crashed")


def test_a_row_that_hangs_is_found_after_two_runs_had_to_be_ended(tmp_path: Path) -> None:
    house = build(tmp_path)
    house.env |= poisoned(house, "hang")
    for _ in range(2):
        hanging = house.start()
        time.sleep(0.5)
        end = time.monotonic() + patience(30)
        while house.calls() < 10 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(patience(2))
        hanging.kill()
        hanging.communicate()
    done = house.run()
    assert done.code == 0, done.text
    check(house, "timeout")


@pytest.mark.parametrize(("action", "kind"), [("kill", "crashed"), ("memory", "out_of_memory"), ("hang", "timeout")])
@pytest.mark.thorough("hang")
def test_isolation_can_be_asked_for(tmp_path: Path, action: str, kind: str) -> None:
    house = build(tmp_path, more=", isolation: process")
    house.env |= poisoned(house, action)
    done = house.run()
    assert done.code == 0, done.text
    check(house, kind)


def test_isolated_results_are_those_of_the_process_itself(tmp_path: Path) -> None:
    plain, apart = build(tmp_path / "plain"), build(tmp_path / "apart", more=", isolation: process")
    assert plain.run().code == apart.run().code == 0
    assert plain.tables("scores") == apart.tables("scores")


def test_isolation_is_not_forgotten_while_the_function_is_the_same(tmp_path: Path) -> None:
    """A row that ends the process is there every night; so is another model, before it or after, that has none."""
    house = build(tmp_path, "false")
    few = "select id, predict('deep', i) as score from {{ source('erp', 'customers') }} where i < 100"
    for name in ("before", "zuletzt"):
        house.write(f"models/{name}.sql", "{{ config(unique_key='id') }} " + few)
    house.env |= poisoned(house, "segv") | {"SQLINFER_CHUNK_ROWS": "256"}
    assert house.run().code == -11
    for _ in range(3):
        done = house.run()
        assert done.code == 0, done.text
        assert "worker processes score it now" in done.text
        assert house.read("select id from scores where score is null") == [(POISON,)]


def test_a_death_that_was_not_a_rows_is_forgotten(tmp_path: Path) -> None:
    house = build(tmp_path, "false")
    plain = dict(house.env)
    house.env |= poisoned(house, "segv")
    assert house.run().code == -11
    house.env.clear()
    house.env.update(plain)
    told = ["worker processes score it now" in house.run().text for _ in range(2)]
    assert told == [True, False]
