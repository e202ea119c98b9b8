"""docs/events.md names every event that is written, with the keys of its data."""

from __future__ import annotations

import json
import re
import typing
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sqlinfer.cli.lines import Lines, closing
from sqlinfer.jobs import events as jobs
from sqlinfer.runner.results import RunResult
from sqlinfer.spec import events as spec
from sqlinfer.spec.challenge import Contest
from sqlinfer.spec.plan import Counts
from sqlinfer.spec.results import NodeResult

from ..conftest import Shop

ROOT = Path(__file__).parents[2]
DONE = NodeResult("model.p.m", "success", rows=1)
FAILED = NodeResult("model.p.m", "error", message="no")
EVENTS: tuple[jobs.Event, ...] = (
    jobs.JobStarted("1", (("model", 1),), 1, "dev"),
    jobs.TargetClaimed("w.duckdb", None),
    jobs.SourceStarted("raw.t", 1, 1),
    jobs.SourceFinished("raw.t", 1, 1, "pass", 0.1, 3.0),
    jobs.Preparing("f", "Preparing f"),
    jobs.BackfillStarted(("model.p.m",), 3, 1),
    jobs.SliceStarted("2026-01-01", "2026-01-02", 2, 3),
    spec.NodeStarted("model.p.m", "main.m", "prediction model"),
    spec.Progress("model.p.m", "f", 1, 2),
    spec.Publishing("model.p.m", "main.m"),
    spec.Warned("model.p.m", "look"),
    spec.Audited("model.p.m", NodeResult("test.p.t", "pass")),
    spec.Challenged("model.p.m", "f", "g", "main.m__challenger", (Contest("y", 1),), Counts()),
    spec.Challenged("model.p.m", "f", "g", "main.m__challenger", (), Counts(), "no file"),
    spec.NodeFinished(DONE),
)
SILENT = {"TargetClaimed", "Progress", "Publishing"}


def documented() -> dict[str, set[str]]:
    found = {}
    for line in (ROOT / "docs/events.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 3 and (name := re.fullmatch(r"`(\w+)`", cells[0])) and name[1] != "name":
            found[name[1]] = set(re.findall(r"`(\w+)`", cells[2]))
    return found


def written() -> dict[str, set[str]]:
    """By the events of a job."""
    found: dict[str, set[str]] = defaultdict(set)
    lines = Lines()
    for event in EVENTS:
        for line in lines.describe(event):
            found[type(event).__name__] |= set(line.data)
    return found


def test_every_event_has_a_sample() -> None:
    assert {type(event) for event in EVENTS} == set(typing.get_args(jobs.Event))


def test_every_name_that_is_written_is_documented() -> None:
    literal = {
        name
        for path in (ROOT / "src/sqlinfer/cli").rglob("*.py")
        for name in re.findall(r'event(?:: str)?\s*=\s*"(\w+)"', path.read_text())
    }
    events = {kind.__name__ for kind in typing.get_args(jobs.Event)} - SILENT
    assert set(documented()) == literal | events


@pytest.mark.parametrize("name", sorted({type(event).__name__ for event in EVENTS} - SILENT))
def test_its_data_has_the_documented_keys(name: str) -> None:
    assert written().get(name, set()) == documented()[name]


def test_the_closing_lines_have_the_documented_keys() -> None:
    result = RunResult("r", datetime(2026, 1, 1, tzinfo=UTC), results=(FAILED,))
    keys = {key for line in closing(result) for key in line.data}
    assert keys | {"unique_ids"} == documented()["Finished"]


def test_the_lines_of_a_night_are_those_of_the_page(shop: Shop) -> None:
    shop.model("select id, predict('f', x) as y from t")
    code, out = shop("run", "--log-format", "json")
    assert code == 0, out
    known = documented()
    for line in map(json.loads, out.splitlines()):
        assert set(line) == {"info", "data"}
        assert set(line["info"]) == {"name", "level", "msg", "ts"}
        assert set(line["data"]) <= known[line["info"]["name"]], line
