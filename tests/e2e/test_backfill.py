"""A backfill cuts an incremental model into slices of time, each published by itself, and goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import api
from sqlinfer.errors import UsageError
from sqlinfer.failpoints import VARIABLE
from sqlinfer.jobs.backfilling import windows
from tests.conftest import Shop

BY_VARS = """{{ config(materialized='incremental', unique_key='id') }}
select id, day, predict('f', x) as y from events
{% if is_incremental() %}
where day >= '{{ var("backfill_start", "2026-01-01") }}' and day < '{{ var("backfill_end", "2027-01-01") }}'
{% endif %}
"""
BY_TIME = """{{ config(materialized='incremental', unique_key='id') }}
select e.id, e.day, predict('f', e.x) as y from {{ source('main', 'events') }} as e
"""
SOURCES = "sources: [{name: main, tables: [{name: events, config: {event_time: day}}]}]\n"


@pytest.fixture
def days(shop: Shop) -> Shop:
    """Two events on each of ten days of January."""
    shop.function("reuse: true")
    shop.db("create table events as select i as id, date '2026-01-01' + (i // 2)::int as day, i::double as x "
            "from range(20) r(i)")  # fmt: skip
    shop.put("models/sources.yml", SOURCES)
    return shop


def _ran(shop: Shop, *words: str, code: int = 0, first: str = "2026-01-01", last: str = "2026-01-04") -> str:
    found, out = shop("run", "--backfill", "day", "--from", first, "--to", last, *words)
    assert found == code, out
    return out


def _slices(shop: Shop) -> list[Any]:
    return shop.db("select slice_start::date::text, slice_end::date::text, rows from sqlinfer_runs order by started_at")


@pytest.mark.parametrize("sql", [BY_VARS, BY_TIME])
def test_each_day_is_a_publication_of_its_own(days: Shop, sql: str) -> None:
    days.model(sql)
    out = _ran(days, last="2026-01-03")
    assert days.db("select id, y from m order by id") == [(i, 2.0 * i + 1) for i in range(6)]
    assert _slices(days) == [
        ("2026-01-01", "2026-01-02", 2), ("2026-01-02", "2026-01-03", 2), ("2026-01-03", "2026-01-04", 2),
    ]  # fmt: skip
    assert "Backfill of m: 3 slices" in out
    assert "Slice 2 of 3: 2026-01-02 to 2026-01-03" in out


def test_what_is_done_is_left_out(days: Shop) -> None:
    days.model(BY_TIME)
    _ran(days, last="2026-01-02")
    out = _ran(days)
    assert "4 slices, 2 of them done before" in out
    assert "Slice 3 of 4" in out
    assert "Slice 1 of 4" not in out
    assert len(_slices(days)) == 4
    assert "4 slices, 4 of them done before" in _ran(days)
    assert len(_slices(days)) == 4


def test_slices_of_a_table_that_is_gone_are_made_again(days: Shop) -> None:
    days.model(BY_TIME)
    _ran(days)
    days.db("drop table m")
    assert "done before" not in _ran(days, first="2026-01-03", last="2026-01-03")
    assert days.db("select count(*) from m") == [(2,)]
    assert "4 slices, 1 of them done before" in _ran(days)
    assert days.db("select id, y from m order by id") == [(i, 2.0 * i + 1) for i in range(8)]
    days.put("models/m.sql", BY_TIME.replace("unique_key='id'", "unique_key='id', alias='other'"))
    _ran(days)
    assert days.db("select count(*) from other") == [(8,)]


def test_a_slice_that_fails_stops_it_and_the_next_try_goes_on_there(days: Shop) -> None:
    days.model(BY_TIME, tests="    columns: [{name: y, data_tests: [not_null]}]\n")
    days.db("update events set x = null where id = 4")
    _ran(days, code=1)
    assert [start for start, _, _ in _slices(days)] == ["2026-01-01", "2026-01-02"]
    days.db("update events set x = 4 where id = 4")
    _ran(days)
    assert len(_slices(days)) == 4
    assert days.db("select count(*) from m") == [(8,)]


@pytest.mark.parametrize(("point", "done"), [("before_publish_commit", 1), ("after_publish_commit", 2)])
def test_a_killed_backfill_goes_on_where_it_stopped(days: Shop, point: str, done: int) -> None:
    days.model(BY_TIME)
    words = ["run", "--backfill", "day", "--from", "2026-01-01", "--to", "2026-01-04", "--project-dir", str(days.root)]
    command = [Path(sys.executable).parent / "sqlinfer", *words]
    killed = subprocess.run(command, env={**os.environ, VARIABLE: f"{point}=kill:2"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert days.db("select count(*) from m") == [(2 * done,)]
    assert f"4 slices, {done} of them done before" in _ran(days)
    assert days.db("select id, y from m order by id") == [(i, 2.0 * i + 1) for i in range(8)]
    assert len(_slices(days)) == 4


def test_another_model_does_all_again(days: Shop) -> None:
    days.model(BY_TIME)
    _ran(days)
    days.model(BY_TIME.replace("as y", "as z"))
    days.db("drop table m")
    assert "done before" not in _ran(days)


def test_a_retry_of_a_slice_is_that_slice(days: Shop) -> None:
    days.model(BY_TIME, tests="    data_tests: [{row_count: {min: 2}}]\n")
    days.db("delete from events where id = 0")
    _ran(days, code=1)
    days.db("insert into events values (0, '2026-01-01', 0)")
    code, out = days("retry")
    assert code == 0, out
    assert _slices(days) == [("2026-01-01", "2026-01-02", 2)]


def test_models_that_are_read_are_cut_by_their_own_time(days: Shop) -> None:
    days.model("{{ config(event_time='day') }} select id, day, x from events", name="above")
    days.model("{{ config(materialized='incremental', unique_key='id') }} with above as (select * from {{ ref('above') "
               "}}) select above.id, predict('f', above.x) as y from above")  # fmt: skip
    assert days("run", "--select", "above")[0] == 0
    _ran(days, last="2026-01-02")
    assert days.db("select count(*) from m") == [(4,)]


def test_an_ordinary_night_reads_everything(days: Shop) -> None:
    days.model(BY_TIME)
    assert days("run")[0] == 0
    assert days.db("select count(*) from m") == [(20,)]
    assert days.db("select slice_start from sqlinfer_runs") == [(None,)]


@pytest.mark.parametrize(
    ("sql", "words", "code", "said"),
    [
        (
            BY_TIME.replace("incremental", "table"),
            ("--select", "m"),
            1,
            "m is materialized as table and cannot be backf",
        ),
        (BY_TIME.replace("incremental", "table"), (), 2, "there is no incremental model to backfill"),
        (BY_TIME, ("--full-refresh",), 2, "--backfill does not go with --full-refresh"),
        (BY_TIME.replace("unique_key", "full_refresh=true, unique_key"), (), 1, "has full_refresh: true"),
        (BY_TIME.replace("{{ source('main', 'events') }}", "events"), (), 1, "nothing in m depends on the slice"),
        (BY_TIME, ("--every", "5m"), 2, "--backfill goes with none of"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_read(
    days: Shop, sql: str, words: tuple[str, ...], code: int, said: str
) -> None:
    days.model(sql)
    found, out = days("run", "--backfill", "day", "--from", "2026-01-01", "--to", "2026-01-02", *words)
    assert said in out
    assert found
    assert "Traceback" not in out
    assert days.db("select count(*) from information_schema.tables where table_name = 'm'") == [(0,)]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-02-01", "2026-01-01", "--from 2026-02-01 is after --to 2026-01-01"),
        ("2026-02-30", "2026-03-01", "--from '2026-02-30' is no date"),
        ("2026-01-01", "soon", "--to 'soon' is no date"),
        ("2026-01-01T00:00Z", "2026-01-02", "without a time zone"),
        ("0001-01-01", "9000-01-01", "more than 100,000 slices"),
    ],
)
def test_times_that_are_none_are_refused(days: Shop, first: str, last: str, said: str) -> None:
    days.model(BY_TIME)
    assert said in _ran(days, first=first, last=last, code=2)
    with pytest.raises(UsageError):
        api.backfill(api.RunOptions(project_dir=days.root), "day", first, last)


def test_a_flag_alone_is_refused(days: Shop) -> None:
    for words in (("--backfill", "day"), ("--from", "2026-01-01"), ("--backfill", "day", "--to", "2026-01-01")):
        code, out = days("run", *words)
        assert code == 2
        assert "--backfill, --from and --to go together" in out


@pytest.mark.parametrize(
    ("grain", "first", "last", "wanted"),
    [
        ("day", "2026-01-01", "2026-01-31", [(1, 1), (1, 31), 31]),
        ("month", "2026-01-15", "2026-03-01", [(1, 1), (3, 1), 3]),
        ("week", "2026-01-07", "2026-01-12", [(1, 5), (1, 12), 2]),
        ("hour", "2026-01-01", "2026-01-01", [(1, 1), (1, 1), 24]),
        ("hour", "2026-01-01T05:30", "2026-01-01T06:00", [(1, 1), (1, 1), 2]),
    ],
)
def test_slices_cover_the_time_without_gaps(grain: str, first: str, last: str, wanted: list[Any]) -> None:
    found = windows(grain, first, last)
    assert [
        (found[0].start.month, found[0].start.day),
        (found[-1].start.month, found[-1].start.day),
        len(found),
    ] == wanted
    assert all(one.end == other.start for one, other in pairwise(found))
    assert found[0].start <= datetime.fromisoformat(first)
