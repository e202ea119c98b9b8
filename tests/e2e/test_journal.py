"""run_results.journal: results are on disk as they come, run_results.json is whole at every moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import scrub
from sqlinfer.jobs.artifacts import read_results
from sqlinfer.jobs.journal import Journal
from sqlinfer.project import load
from sqlinfer.runner.environment import now_utc
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.results import NodeResult
from tests.conftest import Shop

RUN = "import sys; from sqlinfer.cli.main import main; main(sys.argv[1:])"
OF_A = NodeResult("model.shop.a", "success", message="OK")
OF_B = NodeResult("model.shop.b", "error", message="no")


@pytest.fixture
def journal(shop: Shop) -> Journal:
    """Of a run that has begun and has two nodes to do."""
    journal = Journal(load(shop.root, env={}))
    nodes = {"nodes": ["model.shop.a", "model.shop.b"]}
    journal.save(RunResult("run-1", now_utc(), args=nodes))
    journal._due = float("inf")  # no whole file until the end
    return journal


def whole(shop: Shop) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop.root / "target" / "run_results.json").read_text())
    return found


def known(shop: Shop) -> dict[str, str]:
    return {one["unique_id"]: one["status"] for one in read_results(shop.root / "target")["results"]}


def lines(shop: Shop) -> Path:
    return shop.root / "target" / "run_results.journal"


def test_a_result_is_in_the_journal_before_it_is_in_the_whole_file(shop: Shop, journal: Journal) -> None:
    journal.note([OF_A], 1.5)
    assert whole(shop)["results"] == []
    assert known(shop) == {"model.shop.a": "success"}
    assert read_results(shop.root / "target")["elapsed_time"] == 1.5


def test_a_later_result_of_a_node_replaces_the_earlier_one(shop: Shop, journal: Journal) -> None:
    journal.note([OF_B], 1.0)
    journal.note([OF_A, NodeResult("model.shop.b", "success")], 2.0)
    assert known(shop) == {"model.shop.a": "success", "model.shop.b": "success"}


def test_the_end_of_a_run_writes_the_whole_file_and_drops_the_journal(shop: Shop, journal: Journal) -> None:
    journal.note([OF_A], 1.0)
    journal.save(RunResult("run-1", now_utc(), (OF_A, OF_B), 2.0, {"nodes": []}))
    assert [one["unique_id"] for one in whole(shop)["results"]] == ["model.shop.a", "model.shop.b"]
    assert not lines(shop).exists()


def test_the_whole_file_is_as_if_it_were_written_at_once(shop: Shop, journal: Journal) -> None:
    run = RunResult("run-1", now_utc(), (OF_A, OF_B), 2.0, {"nodes": ['\n  "results": [],\n']})
    journal.save(run)
    said = run.as_dbt("0", now_utc())
    assert {**whole(shop), "metadata": 0} == {**json.loads(json.dumps(said)), "metadata": 0}
    assert (shop.root / "target" / "run_results.json").read_text().startswith('{\n  "metadata": {\n')


def test_the_whole_file_is_written_every_few_seconds(shop: Shop, journal: Journal) -> None:
    journal._due = 0.0
    journal.note([OF_A], 1.0)
    assert [one["unique_id"] for one in whole(shop)["results"]] == ["model.shop.a"]
    assert journal._due > time.monotonic() + 2


def test_a_line_that_was_cut_off_is_as_if_it_never_came(shop: Shop, journal: Journal) -> None:
    journal.note([OF_A, OF_B], 1.0)
    text = lines(shop).read_bytes()
    lines(shop).write_bytes(text[: len(text) - 20])
    assert known(shop) == {"model.shop.a": "success"}


@pytest.mark.parametrize(
    "text",
    ['{"invocation_id": "another"}\n', "", "\x00\xff", "[]\n", '{"invocation_id": ["run-1"]}\n', "{" * 100_000],
)
def test_a_journal_of_another_run_or_program_tells_nothing(shop: Shop, journal: Journal, text: str) -> None:
    journal.note([OF_A], 1.0)
    rest = lines(shop).read_text().splitlines()[1]
    lines(shop).write_text(text + rest, encoding="utf-8")
    assert known(shop) == {}


def test_entries_of_another_form_end_the_journal(shop: Shop, journal: Journal) -> None:
    journal.note([OF_A], 1.0)
    for bad in ("7", '{"elapsed_time": 1, "result": {"unique_id": 3}}', '{"elapsed_time": 1, "result": []}'):
        with lines(shop).open("a") as file:
            file.write(bad + "\n")
    journal.note([OF_B], 2.0)
    assert known(shop) == {"model.shop.a": "success"}


def test_a_link_in_the_place_of_the_journal_is_neither_written_nor_read(shop: Shop, journal: Journal) -> None:
    other = shop.root / "precious"
    other.write_text("mine")
    lines(shop).symlink_to(other)
    journal.note([OF_A], 1.0)
    assert other.read_text() == "mine"
    moved = shop.root / "moved"
    lines(shop).rename(moved)
    lines(shop).symlink_to(moved)
    assert known(shop) == {}


def test_a_secret_that_is_learnt_later_is_masked_in_earlier_results(shop: Shop, journal: Journal) -> None:
    journal.note([NodeResult("model.shop.a", "error", message="no entry for hunter2-later")], 1.0)
    scrub.learn(["hunter2-later"])
    journal._due = 0.0
    journal.note([OF_B], 2.0)
    assert "hunter2-later" not in json.dumps(whole(shop))


def test_retry_after_a_kill_does_what_the_journal_does_not_know(shop: Shop) -> None:
    """The kill comes before the whole file is written again."""
    for number in range(6):
        shop.model(f"select id, f(x + {number}) as s from t", name=f"m{number}")
    command = [sys.executable, "-c", RUN, "run", "--project-dir", str(shop.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        while not (lines(shop).exists() and lines(shop).read_bytes().count(b"\n") > 2):
            assert running.poll() is None
            time.sleep(0.001)
        os.kill(running.pid, signal.SIGKILL)
    done = known(shop)
    assert 2 <= len(done) < 6
    assert len(whole(shop)["results"]) < len(done)
    code, out = shop("retry")
    assert code == 0, out
    assert all(f"main.{name.rpartition('.')[2]} " not in out for name in done)
    assert {one["unique_id"] for one in whole(shop)["results"]} == {f"model.shop.m{n}" for n in range(6)} - set(done)


def test_result_selectors_read_the_journal(shop: Shop, journal: Journal) -> None:
    shop.model("select 1 as n", name="b")
    journal.note([OF_B], 1.0)
    code, out = shop("ls", "--quiet", "--select", "result:error", "--state", str(shop.root / "target"))
    assert (code, out.strip()) == (0, "shop.b")
