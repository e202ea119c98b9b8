"""Sources from, and external models into, Parquet in a bucket or a folder, by the command line; faults included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqlinfer import storage
from sqlinfer.errors import StorageError
from sqlinfer.storage.manifest import Manifest, read_manifest
from sqlinfer.storage.reading import dataset
from sqlinfer.testing.bucket_server import BUSY, DENIED, ELSEWHERE, BucketServer, Fault, Request, pointed_at

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
SCORES = (
    "{{{{ config(materialized='external', location={place!r}{more}) }}}} "
    "select id, day, predict('f', x) as y from {{{{ source('lake', 'events') }}}}"
)
SOURCE = "sources:\n  - name: lake\n    tables:\n      - {name: events, external: {location: 's3://lake/events/'}}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with BucketServer(tmp_path / "buckets") as server, pointed_at(server):
        yield server


@pytest.fixture(params=["bucket", "disk"])
def place(request: pytest.FixtureRequest, lake: Any, tmp_path: Path) -> str:
    return "s3://lake/out/scores" if request.param == "bucket" else f"{tmp_path}/out/scores/"


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests that fail are not sent again."""
    monkeypatch.setattr("sqlinfer.storage.access.ATTEMPTS", 1)
    storage.access._remote.cache_clear()
    yield
    storage.access._remote.cache_clear()


@pytest.fixture
def lake(shop: Any, server: BucketServer) -> Any:
    events(range(6))
    shop.put("models/lake.yml", SOURCE)
    return shop


def events(ids: range, name: str = "a", shift: float = 0.0) -> None:
    rows = {"id": list(ids), "x": [i + shift for i in ids], "day": [DAYS[i % 3] for i in ids]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(rows), sink)
    storage.at(f"s3://lake/events/{name}.parquet").put(sink.getvalue().to_pybytes())


def scores(shop: Any, place: str, more: str = "") -> None:
    shop.put("models/scores.sql", SCORES.format(place=place, more=more))


def rows(place: str) -> list[tuple[int, float]]:
    table = dataset(place, storage.NOWHERE).to_table()
    return sorted(zip(table["id"].to_pylist(), table["y"].to_pylist(), strict=True))


def manifest(place: str) -> Manifest:
    found = read_manifest(storage.at(place.rstrip("/")))
    assert found is not None
    return found


def done(shop: Any, *words: str) -> str:
    code, out = shop(*words)
    assert code == 0, out
    return str(out)


def refused(shop: Any, *words: str) -> str:
    """Flat, so that a message may be wrapped."""
    code, out = shop(*words)
    assert code == 1, out
    assert "Traceback" not in out
    return " ".join(out.split())


FIRST = [(i, 2.0 * i + 1) for i in range(6)]


def test_a_bucket_is_read_scored_and_written(lake: Any, place: str) -> None:
    scores(lake, place, ", partition_by='day'")
    lake.put("models/per_day.sql", "select day, count(*) as n, sum(y) as y from {{ ref('scores') }} group by day")
    lake.put("models/scores.yml", "models:\n  - {name: scores, columns: [{name: id, data_tests: [unique]}]}\n")
    done(lake, "run")
    assert rows(place) == FIRST
    assert lake.db("from per_day order by day") == [(DAYS[0], 2, 8.0), (DAYS[1], 2, 12.0), (DAYS[2], 2, 16.0)]
    names = [entry.name for entry in storage.at(place.rstrip("/")).entries()]
    run = f"run={manifest(place).run_id}"
    assert names[:2] == ["_SUCCESS", "_manifest.json"]
    assert {name.rpartition("/")[0] for name in names[2:]} == {run, *(f"{run}/day={day}" for day in DAYS)}
    assert "PASS=1" in done(lake, "test")
    assert "| 2026-01-03" in done(lake, "preview", "--inline", "select max(day) as d from {{ ref('scores') }}")
    assert "partitioned by day" in " ".join(done(lake, "compile", "scores").replace("│", "").split())


def test_other_programs_read_the_files_of_a_run(lake: Any, place: str) -> None:
    scores(lake, place, ", partition_by='day'")
    done(lake, "run")
    folder = storage.at(place.rstrip("/")).below(f"run={manifest(place).run_id}")
    found = pq.read_table(folder.path, filesystem=folder.system)
    assert sorted(found["id"].to_pylist()) == list(range(6))
    assert set(map(str, found["day"].to_pylist())) == set(DAYS)


def test_versions_that_are_kept_stay_whole_and_others_go(lake: Any, place: str) -> None:
    scores(lake, place, ", keep=2")
    runs = []
    for night in range(4):
        events(range(6), shift=night)
        done(lake, "run")
        runs.append(f"run={manifest(place).run_id}")
        assert storage.at(place.rstrip("/")).folders() == sorted(runs[-2:])
    assert manifest(place).versions == (runs[3], runs[2])
    assert rows(place) == [(i, 2.0 * (i + 3) + 1) for i in range(6)]


INCREMENTAL = (
    "{{{{ config(materialized='external', location={place!r}, partition_by='day', keep=1, "
    "incremental_strategy='insert_overwrite') }}}} select id, day, predict('f', x) as y "
    "from {{{{ source('lake', 'events') }}}} "
    "{{% if is_incremental() %}} where day = '2026-01-02' {{% endif %}}"
)


def test_only_partitions_that_the_query_returned_are_replaced(lake: Any, place: str) -> None:
    lake.put("models/scores.sql", INCREMENTAL.format(place=place))
    done(lake, "run")
    first = manifest(place)
    events(range(6), shift=10)
    for _ in range(2):
        done(lake, "run")
    assert rows(place) == [(i, 2.0 * (i + 10 * (i % 3 == 1)) + 1) for i in range(6)]
    now = manifest(place)
    assert {part.path for part in now.parts if part.run == f"run={first.run_id}"} == {
        part.path for part in first.parts if part.partition != ("2026-01-02",)
    }
    there = {entry.name for entry in storage.at(place.rstrip("/")).entries() if entry.name.endswith(".parquet")}
    assert there == {part.path for part in now.parts}
    done(lake, "run", "--full-refresh")
    assert rows(place) == [(i, 2.0 * (i + 10) + 1) for i in range(6)]


def test_carried_partitions_need_the_same_columns(lake: Any, place: str) -> None:
    lake.put("models/scores.sql", INCREMENTAL.format(place=place))
    done(lake, "run")
    lake.put("models/scores.sql", INCREMENTAL.format(place=place).replace("select id", "select id::varchar as id"))
    said = refused(lake, "run")
    assert "differ from the query's: id" in said
    assert "--full-refresh" in said
    assert rows(place) == FIRST


def test_partitions_without_a_value_and_with_any_value(lake: Any, place: str) -> None:
    values = "case id when 0 then null when 1 then 'a/b' when 2 then 'ü %=?#' when 3 then '' else 'x y' end"
    config = f"{{{{ config(materialized='external', location={place!r}, partition_by=['k', 'n']) }}}}"
    columns = f"id, {values} as k, id::integer as n, x as y"
    lake.put("models/scores.sql", f"{config} select {columns} from {{{{ source('lake', 'events') }}}}")
    lake.put("models/t.sql", "select k, n, id from {{ ref('scores') }}")
    done(lake, "run")
    assert lake.db("select k, n from t order by id") == [
        (None, 0), ("a/b", 1), ("ü %=?#", 2), ("", 3), ("x y", 4), ("x y", 5),
    ]  # fmt: skip
    assert lake.db("select typeof(n) from t limit 1") == [("INTEGER",)]


def test_no_rows_are_a_version_without_files(lake: Any, place: str) -> None:
    lake.put("models/scores.sql", f"{{{{ config(materialized='external', location={place!r}) }}}} "
             "select id, day, predict('f', x) as y from {{ source('lake', 'events') }} where id < 0")  # fmt: skip
    lake.put("models/n.sql", "select count(*) as n, sum(y) as s from {{ ref('scores') }}")
    done(lake, "run")
    assert manifest(place).parts == ()
    assert lake.db("from n") == [(0, None)]


def test_a_data_test_that_fails_leaves_the_version_before(lake: Any, place: str) -> None:
    scores(lake, place)
    lake.put("models/scores.yml", "models:\n  - {name: scores, columns: [{name: id, data_tests: [unique]}]}\n")
    lake.put("models/copy.sql", f"{{{{ config(materialized='external', location='{place.rstrip('/')}_copy/') }}}} "
             "select id, y from {{ ref('scores') }}")  # fmt: skip
    known = "{accepted_values: {values: [0, 1, 2, 3, 4, 5], quote: false}}"
    lake.put("models/copy.yml", f"models:\n  - {{name: copy, columns: [{{name: id, data_tests: [{known}]}}]}}\n")
    done(lake, "run")
    events(range(3, 9), "b")
    assert "unique_scores_id" in refused(lake, "run")
    assert rows(place) == FIRST
    lake.put("models/scores.yml", "")
    assert "accepted_values" in refused(lake, "run")
    assert len(rows(f"{place.rstrip('/')}_copy")) == 6
    assert len(rows(place)) == 12


# ---- sources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "ids"),
    [
        ("s3://lake/events/a.parquet", [0, 1, 2]),
        ("s3://lake/events/", [0, 1, 2, 3, 4]),
        ("s3://lake/events", [0, 1, 2, 3, 4]),
        ("s3://lake/events/*.parquet", [0, 1, 2]),
        ("s3://lake/events/**/*.parquet", [0, 1, 2, 3, 4]),
        ("s3://lake/{name}/day=*/b.parquet", [3, 4]),
    ],
)
def test_a_source_is_a_file_a_folder_or_a_pattern(location: str, ids: list[int], lake: Any) -> None:
    events(range(3))
    events(range(3, 5), "day=2026-02-01/b")
    storage.at("s3://lake/events/_log.json").put(b"{}")
    lake.put("models/lake.yml", SOURCE.replace("s3://lake/events/", location))
    lake.put("models/m.sql", "select id, predict('f', x) as y from {{ source('lake', 'events') }}")
    done(lake, "run")
    assert [one for (one,) in lake.db("select id from m order by id")] == ids


@pytest.mark.parametrize(
    "yml",
    [
        "sources: [{name: lake, meta: {external_location: 's3://lake/{name}/'}, tables: [{name: events}]}]",
        "sources: [{name: lake, tables: [{name: events, config: {external_location: 's3://lake/events/'}}]}]",
        "sources: [{name: lake, tables: [{name: events, external: {location: local/events.parquet}}]}]",
    ],
)
def test_a_source_says_its_place_in_each_way_of_dbt(yml: str, lake: Any) -> None:
    lake.put("models/lake.yml", yml)
    (lake.root / "local").mkdir()
    storage.at("s3://lake/events/a.parquet").fetch(lake.root / "local/events.parquet")
    lake.put(
        "models/m.sql",
        "select e.id, predict('f', x) as y from {{ source('lake', 'events') }} e where day > '2026-01-02'",
    )
    done(lake, "run")
    assert lake.db("from m order by id") == [(2, 5.0), (5, 11.0)]


def test_columns_and_filters_are_pushed_into_the_files(lake: Any, server: BucketServer) -> None:
    scores(lake, "s3://lake/out/scores", ", partition_by='day'")
    done(lake, "run")
    server.requests.clear()
    done(lake, "preview", "--inline", "select id from {{ ref('scores') }} where day = '2026-01-02'")
    opened = {one.key for one in server.requests if one.method == "GET" and one.key.startswith("out/scores/run=")}
    opened = {key for key in opened if key.endswith(".parquet")}
    assert {key.split("/")[-2] for key in opened} == {"day=2026-01-02"}


# ---- bad input ------------------------------------------------------------------------------------------------------


def before_put(fault: Fault) -> Any:
    return lambda asked: fault if asked.method in ("PUT", "POST") and asked.key.startswith("out/") else None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (DENIED, "access to s3://lake/out/scores/"),
        (BUSY, "s3://lake is not available (503)"),
        (ELSEWHERE, "s3://lake is in "),
    ],
)  # fmt: skip
def test_a_bucket_that_refuses_leaves_the_version_before(
    fault: Fault, said: str, lake: Any, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(lake, "s3://lake/out/scores")
    done(lake, "run")
    monkeypatch.setattr("sqlinfer.storage.access.ATTEMPTS", 2)
    storage.access._remote.cache_clear()
    events(range(6), shift=5)
    server.fault = before_put(fault)
    out = refused(lake, "run")
    assert said.replace(" (503)", "") in out
    assert "hint:" in out
    server.fault = lambda _: None
    assert rows("s3://lake/out/scores") == FIRST
    storage.access._remote.cache_clear()
    done(lake, "run")
    assert rows("s3://lake/out/scores") == [(i, 2.0 * (i + 5) + 1) for i in range(6)]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("s3://pond/scores", "s3://pond does not exist: no such bucket"),
        ("s3://lake", "is a whole bucket"),
        ("s3://lake/o*t", "stands for many names"),
        ("ftp://lake/x", "is not a place that can be opened"),
    ],
)
def test_a_location_that_is_no_place(location: str, said: str, lake: Any) -> None:
    scores(lake, location)
    assert said in refused(lake, "run")


def test_a_source_in_a_missing_bucket_or_folder(lake: Any) -> None:
    lake.put("models/m.sql", "select id, predict('f', x) as y from {{ source('lake', 'events') }}")
    for location, said in (("s3://pond/events/", "no such bucket"), ("s3://lake/nothing/", "is not there"),
                           ("s3://lake/*/x.parquet", "matches no file")):  # fmt: skip
        lake.put("models/lake.yml", SOURCE.replace("s3://lake/events/", location))
        assert said in refused(lake, "run")
    storage.at("s3://lake/other/a.csv").put(b"id\n1\n")
    lake.put("models/lake.yml", SOURCE.replace("s3://lake/events/", "s3://lake/other/"))
    assert "holds files that are no Parquet: a.csv" in refused(lake, "run")
    storage.at("s3://lake/damaged/a.parquet").put(b"id\n1\n")
    lake.put("models/lake.yml", SOURCE.replace("s3://lake/events/", "s3://lake/damaged/"))
    assert "Parquet" in refused(lake, "run")


def test_a_part_that_vanished_is_named(lake: Any, place: str) -> None:
    scores(lake, place)
    lake.put("models/n.sql", "select count(*) as n from {{ ref('scores') }}")
    done(lake, "run")
    lost = manifest(place).parts[0].path
    storage.at(place.rstrip("/")).below(lost).delete()
    said = refused(lake, "run", "--select", "n")
    assert f"{lost} is gone" in said
    assert "run scores again" in said
    done(lake, "run")
    assert lake.db("from n") == [(6,)]


def test_a_manifest_of_a_newer_version_is_left_alone(lake: Any, place: str) -> None:
    scores(lake, place)
    done(lake, "run")
    at = storage.at(place.rstrip("/")).below("_manifest.json")
    newer = json.dumps({**json.loads(at.read() or b""), "version": 99}).encode()
    at.put(newer)
    assert "newer version of sqlinfer" in refused(lake, "run")
    assert at.read() == newer


@pytest.mark.parametrize("name", ["theirs.parquet", "_delta_log/0.json", "run=1/data.parquet"])
def test_a_folder_of_another_format_is_left_alone(name: str, lake: Any, place: str) -> None:
    storage.at(place.rstrip("/")).below(name).put(b"theirs")
    scores(lake, place)
    said = refused(lake, "run")
    assert f"holds what sqlinfer did not write ({name})" in said
    assert [one.name for one in storage.at(place.rstrip("/")).entries()] == [name]


def test_a_model_that_was_not_written_yet_is_named(lake: Any, place: str) -> None:
    scores(lake, place)
    lake.put("models/n.sql", "select count(*) as n from {{ ref('scores') }}")
    said = refused(lake, "run", "--select", "n")
    assert "was not written yet" in said
    assert "run scores first" in said


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("materialized='table', partition_by='day'", "'partition_by' is for external models"),
        ("materialized='incremental', incremental_strategy='insert_overwrite'", "with partition_by"),
        ("materialized='external', location='s3://lake/x', partition_by='dya'", "is no column of the query"),
        ("materialized='external', location='s3://lake/x', partition_by='y'", "is of type DOUBLE"),
        ("materialized='external', location='s3://lake/x', keep=0", "keep"),
        (
            "materialized='external', location='s3://lake/x', unique_key='id', incremental_strategy='merge'",
            "is not for external",
        ),
        (
            "materialized='external', location='out/x.parquet', unique_key='id', incremental_strategy='delete+insert'",
            "is not for external",
        ),
        (
            "materialized='external', location='out/x/', unique_key='id', incremental_strategy='append'",
            "is not for external",
        ),
    ],
)
def test_configuration_that_does_not_fit(config: str, said: str, lake: Any) -> None:
    lake.put(
        "models/m.sql", f"{{{{ config({config}) }}}} select id, day, x as y from {{{{ source('lake', 'events') }}}}"
    )
    code, out = lake("run")
    assert code in (1, 2)
    assert said in " ".join(out.split())
    assert "Traceback" not in out


def test_another_writer_of_the_place_is_not_overwritten(lake: Any, server: BucketServer) -> None:
    scores(lake, "s3://lake/out/scores")
    done(lake, "run")
    place = storage.at("s3://lake/out/scores")
    other = (place.below("_manifest.json").read() or b"").replace(b'"run_id": "', b'"run_id": "other-')

    def writes(asked: Request) -> None:
        if asked.method in ("PUT", "POST") and asked.key.endswith(".parquet"):
            server.path("lake", "out/scores/_manifest.json").write_bytes(other)

    server.fault = writes
    assert "has changed s3://lake/out/scores meanwhile" in refused(lake, "run")
    server.fault = lambda _: None
    assert place.below("_manifest.json").read() == other


# ---- kills ----------------------------------------------------------------------------------------------------------


def killed(shop: Any, point: str) -> int:
    code = "from sqlinfer.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", "--project-dir", str(shop.root)]
    return subprocess.run(command, env={**os.environ, "SQLINFER_FAIL_POINTS": point}, capture_output=True).returncode


@pytest.mark.parametrize(
    ("point", "after"),
    [("mid_part=kill:2", "before"), ("before_manifest=kill", "before"), ("after_manifest=kill", "after"),
     ("before_publish_commit=kill", "before")],
)  # fmt: skip
@pytest.mark.thorough("disk-before_manifest", "disk-after_manifest", "disk-before_publish")
def test_a_kill_leaves_one_whole_version(point: str, after: str, lake: Any, place: str) -> None:
    scores(lake, place, ", partition_by='day'")
    done(lake, "run")
    events(range(6), shift=5)
    assert killed(lake, point) == -9
    second = [(i, 2.0 * (i + 5) + 1) for i in range(6)]
    assert rows(place) == (FIRST if after == "before" else second)
    done(lake, "retry")
    done(lake, "run")
    assert rows(place) == second


@pytest.mark.parametrize("point", ["mid_part=enospc:2", "before_manifest=enospc"])
def test_an_exception_in_the_middle_leaves_the_version_before_and_nothing_else(
    point: str, lake: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(lake, place, ", partition_by='day'")
    done(lake, "run")
    there = [one.name for one in storage.at(place.rstrip("/")).entries() if one.name.endswith(".parquet")]
    events(range(6), shift=5)
    monkeypatch.setattr("sqlinfer.failpoints._passed", __import__("collections").Counter())
    monkeypatch.setenv("SQLINFER_FAIL_POINTS", point)
    assert "No space left" in refused(lake, "run")
    monkeypatch.delenv("SQLINFER_FAIL_POINTS")
    assert rows(place) == FIRST
    assert there == [one.name for one in storage.at(place.rstrip("/")).entries() if one.name.endswith(".parquet")]


TYPES = [
    ("interval (id) minutes as iv", "", "column 'iv' is of type INTERVAL, for which Parquet has no form"),
    ("{'a': interval (id) minutes} as iv", "", "column 'iv' is of type STRUCT(a INTERVAL)"),
    ("x / 2 as half", ", partition_by='half'", "partition_by 'half' is of type DOUBLE"),
    ("'a'::enum('a', 'b') as en", ", partition_by='en'", "partition_by 'en' is of type ENUM('a', 'b')"),
]


@pytest.mark.parametrize(("column", "more", "said"), TYPES)
@pytest.mark.parametrize("to", ["s3://lake/out/typed", "exports/typed/", "exports/typed.parquet"])
def test_a_type_that_cannot_be_written_is_refused_before_anything_is_scored(
    column: str, more: str, said: str, to: str, lake: Any
) -> None:
    if more and to.endswith(".parquet"):
        to = "exports/typed"
    head = f"{{{{ config(materialized='external', location='{to}'{more}) }}}} select id, {column}"
    lake.put("models/typed.sql", head + ", predict('f', x) as y from {{ source('lake', 'events') }}")
    out = refused(lake, "run")
    assert said in out
    assert "Receipt typed" not in out
    lake.put("models/typed.sql", head + " from {{ source('lake', 'events') }}")
    assert f"{said.split(' is of type ')[0]} is of type " in refused(lake, "run")


def test_a_file_that_others_wrote_is_refused_before_anything_is_scored(lake: Any) -> None:
    (lake.root / "exports").mkdir()
    pq.write_table(pa.table({"a": [1]}), lake.root / "exports/theirs.parquet")
    scores(lake, "exports/theirs.parquet")
    out = refused(lake, "run")
    assert "exists and was not written by sqlinfer; nothing was written" in out
    assert "Receipt scores" not in out


# ---- faults while a version is published ----------------------------------------------------------------------------


def instead_of_the_manifest(act: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request that publishes does ``act`` and is then answered with an error."""

    def looked(place: Any) -> Any:
        def put(data: bytes) -> bool:
            act(place, data)
            raise StorageError("the answer was lost", hint="nothing was published")

        return put

    monkeypatch.setattr("sqlinfer.runner.versions.looked_at", looked)


def test_a_version_whose_answer_was_lost_is_published(lake: Any, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scores(lake, place)
    done(lake, "run")
    events(range(6), shift=5)
    instead_of_the_manifest(lambda there, data: there.put(data), monkeypatch)
    done(lake, "run")
    assert rows(place) == [(i, 2.0 * (i + 5) + 1) for i in range(6)]
    assert lake.db("select count(*) from sqlinfer_runs where node like '%scores'") == [(2,)]


def test_a_version_that_was_not_put_leaves_no_files(lake: Any, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scores(lake, place)
    done(lake, "run")
    there = [one.name for one in storage.at(place.rstrip("/")).entries() if one.name.endswith(".parquet")]
    events(range(6), shift=5)
    instead_of_the_manifest(lambda there, data: None, monkeypatch)
    assert "the answer was lost" in refused(lake, "run")
    assert rows(place) == FIRST
    assert there == [one.name for one in storage.at(place.rstrip("/")).entries() if one.name.endswith(".parquet")]


@pytest.mark.usefixtures("one_try")
def test_a_version_that_may_be_published_keeps_its_files(
    lake: Any, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(lake, "s3://lake/out/scores")
    done(lake, "run")
    events(range(6), shift=5)

    def put_and_go_away(there: Any, data: bytes) -> None:
        there.put(data)
        server.fault = lambda asked: BUSY if asked.key == "out/scores/_manifest.json" else None

    instead_of_the_manifest(put_and_go_away, monkeypatch)
    assert "whether s3://lake/out/scores was published is not known" in refused(lake, "run")
    server.fault = lambda _: None
    assert rows("s3://lake/out/scores") == [(i, 2.0 * (i + 5) + 1) for i in range(6)]


@pytest.mark.usefixtures("one_try")
def test_who_waits_for_a_version_is_told_or_the_run_says_so(lake: Any, server: BucketServer) -> None:
    scores(lake, "s3://lake/out/scores")
    done(lake, "run")
    events(range(6), shift=5)
    server.fault = lambda asked: BUSY if asked.method == "PUT" and asked.key.endswith("_SUCCESS") else None
    out = " ".join(done(lake, "run").split())
    assert "it is published, and what follows was left undone: s3://lake is not available" in out
    assert rows("s3://lake/out/scores") == [(i, 2.0 * (i + 5) + 1) for i in range(6)]
    assert lake.db("select count(*) from sqlinfer_runs where node like '%scores'") == [(2,)]
    asked: list[Request] = []

    def once(one: Request) -> Fault | None:
        if one.method != "PUT" or not one.key.endswith("_SUCCESS"):
            return None
        asked.append(one)
        return BUSY if len(asked) == 1 else None

    server.fault = once
    assert "left undone" not in done(lake, "run")
    said = storage.at("s3://lake/out/scores/_SUCCESS").read()
    assert said == f"{manifest('s3://lake/out/scores').run_id}\n".encode()


# ---- faults in the middle of a scan ---------------------------------------------------------------------------------


def after(number: int, fault: Fault) -> Any:
    """The first requests for rows are answered."""
    asked = iter(range(1_000_000))
    return lambda one: fault if one.method == "GET" and one.key.endswith(".parquet") and next(asked) >= number else None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (BUSY, "s3://lake is not available (503)"),
        (DENIED, "access to s3://lake/events/a.parquet is denied (403, GetObject)"),
        (Fault(404, "NoSuchKey", "gone"), "s3://lake/events/a.parquet is gone (404)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "words", [("run",), ("preview", "--inline", "select sum(x) as x from {{ source('lake', 'events') }}")]
)
@pytest.mark.usefixtures("one_try")
def test_a_fault_in_the_middle_of_a_scan_is_told_and_leaves_the_version_before(
    words: tuple[str, ...], fault: Fault, said: str, lake: Any, server: BucketServer
) -> None:
    lake.put("models/m.sql", "select id, predict('f', x) as y from {{ source('lake', 'events') }}")
    done(lake, "run")
    many = pa.table({"id": range(600_000), "x": [i * 0.1 for i in range(600_000)], "day": [DAYS[0]] * 600_000})
    sink = pa.BufferOutputStream()
    pq.write_table(many, sink, row_group_size=20_000, compression="none", use_dictionary=False)
    storage.at("s3://lake/events/a.parquet").put(sink.getvalue().to_pybytes())
    server.fault = after(6, fault)
    assert said in refused(lake, *words)
    server.fault = lambda _: None
    assert lake.db("select count(*) from m") == [(6,)]
