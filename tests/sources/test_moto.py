"""Buckets against moto's S3, a server that others wrote, with runs killed in the middle.

moto_server lives in an environment of its own (``make test-sources``); SQLINFER_MOTO names it.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqlinfer import storage
from sqlinfer.adapters.duckdb.bucket_claim import BucketClaim
from sqlinfer.errors import StorageError, StoreError
from sqlinfer.storage.conditional import looked_at
from sqlinfer.storage.manifest import read_manifest
from sqlinfer.storage.reading import dataset
from sqlinfer.testing.onnx_builder import linear
from sqlinfer.testing.patience import patience

MOTO = os.environ.get("SQLINFER_MOTO") or shutil.which("moto_server")
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
SCORES = "s3://lake/out/scores"
ROWS = 60_000


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    if MOTO is None:
        pytest.skip("no moto_server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [MOTO, "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + patience(60)
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def lake(moto: str, shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    for method, path in (("POST", "moto-api/reset"), ("PUT", "lake")):
        urllib.request.urlopen(urllib.request.Request(f"{moto}/{path}", method=method)).close()
    told = {"AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    yield Lake(tmp_path / "shop")
    storage.access._remote.cache_clear()


class Lake:
    """A project whose source and target lie in a bucket; each run is a process of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
        self.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
        self.put("functions/f.yml", "functions:\n  - name: f\n    model: {path: 's3://lake/models/f.onnx'}\n"
                 "    arguments: [{name: x, data_type: double}]\n    returns: {data_type: double}\n")  # fmt: skip
        self.put("models/lake.yml", "sources:\n  - name: lake\n    tables:\n      - {name: events, external: "
                 "{location: 's3://lake/events/'}}\n")  # fmt: skip
        storage.at("s3://lake/models/f.onnx").put(linear([2.0], 1.0, element_type="double"))
        ids = range(ROWS)
        table = pa.table({"id": ids, "x": [float(i) for i in ids], "day": [DAYS[i % 3] for i in ids]})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=10_000)
        storage.at("s3://lake/events/a.parquet").put(sink.getvalue().to_pybytes())

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def scores(self, more: str = ", partition_by='day'") -> None:
        self.put("models/scores.sql", f"{{{{ config(materialized='external', location='{SCORES}'{more}) }}}} "
                 "select id, day, predict('f', x) as y, {{ var('night', 0) }} as night "
                 "from {{ source('lake', 'events') }}")  # fmt: skip

    def start(self, *words: str, fail: str = "") -> subprocess.Popen[str]:
        env = {**os.environ, "SQLINFER_FAIL_POINTS": fail, "SQLINFER_CHUNK_ROWS": "20000", "TMPDIR": str(self.root)}
        command = [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", *words]
        return subprocess.Popen([*command, "--project-dir", str(self.root)], env=env, cwd=self.root, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    def run(self, *words: str, fail: str = "", code: int = 0) -> str:
        with self.start(*(words or ("run",)), fail=fail) as process:
            out = process.communicate(timeout=patience(120))[0]
        assert process.returncode == code, out
        return out

    def seen(self) -> int:
        """The night of the version that readers see now, which is whole."""
        found = dataset(SCORES, storage.NOWHERE).to_table()
        assert found.num_rows == ROWS
        nights = set(found["night"].to_pylist())
        assert len(nights) == 1
        assert sum(found["y"].to_pylist()) == ROWS * (ROWS - 1) + ROWS
        return int(nights.pop())


def night(number: int) -> tuple[str, ...]:
    return ("run", "--vars", f"{{night: {number}}}")


@pytest.mark.parametrize(
    ("point", "after"),
    [("mid_part=kill:2", 0), ("before_manifest=kill", 0), ("after_manifest=kill", 1)],
)
def test_a_kill_leaves_one_whole_version(point: str, after: int, lake: Lake) -> None:
    lake.scores()
    lake.run()
    lake.run(*night(1), fail=point, code=-signal.SIGKILL)
    assert lake.seen() == after
    lake.run(*night(2))
    assert lake.seen() == 2


def test_kills_at_any_moment_leave_one_whole_version(lake: Lake) -> None:
    lake.scores(", partition_by='day', keep=1")
    began = time.monotonic()
    lake.run()
    length, chance, last = time.monotonic() - began, random.Random(7), 0
    for number in range(1, 6):
        with lake.start(*night(number)) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.3, 1.0) * length)
            process.kill()
            process.communicate()
        assert lake.seen() in (last, number)
        last = lake.seen()
    lake.run(*night(99))
    assert lake.seen() == 99
    manifest = read_manifest(storage.at(SCORES))
    assert manifest is not None
    assert len(manifest.versions) == 1


def test_partitions_are_replaced_one_by_one(lake: Lake) -> None:
    lake.scores(", partition_by='day', incremental_strategy='insert_overwrite'")
    lake.run()
    sql = (lake.root / "models/scores.sql").read_text()
    lake.put("models/scores.sql", f"{sql} where day = '2026-01-02'")
    lake.run(*night(1))
    found = dataset(SCORES, storage.NOWHERE).to_table().group_by(["day", "night"]).aggregate([]).to_pylist()
    assert sorted((str(row["day"]), row["night"]) for row in found) == [(DAYS[0], 0), (DAYS[1], 1), (DAYS[2], 0)]


def test_a_machine_that_was_killed_is_replaced(lake: Lake) -> None:
    lake.put("profiles.yml", "shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb, "
             "state: 's3://lake/nights'}}}\n")  # fmt: skip
    lake.put("models/m.sql", "select i as id, predict('f', i::double) as y from range(800000) r(i)")
    functions = (lake.root / "functions/f.yml").read_text()
    lake.put("functions/f.yml", f"{functions}    config: {{reuse: true}}\n")
    lake.run(fail="after_append=kill:3", code=-signal.SIGKILL)
    storage.at("s3://lake/nights/w/claims").delete()  # as after a minute
    for folder in lake.root.glob("sqlinfer*"):  # another machine
        if folder.is_dir():
            shutil.rmtree(folder)
    lake.run()
    import duckdb

    with duckdb.connect(str(lake.root / "w.duckdb")) as database:
        assert database.execute("select count(*), sum(y) from m").fetchall() == [(800_000, 800_000.0**2)]
        last = database.execute("select scored from sqlinfer_runs order by started_at desc limit 1").fetchall()
    assert 0 < int(last[0][0]) <= 800_000 - 2 * 20_000


def test_one_run_holds_a_target_and_an_object_that_changed_is_left_alone(lake: Lake) -> None:
    folder = storage.at("s3://lake/nights/w/claims")
    first = BucketClaim(folder, "first")
    first.acquire()
    with pytest.raises(StoreError, match="run first"):
        BucketClaim(folder, "second").acquire()
    first.check()
    first.release()
    assert list(folder.entries()) == []
    pytest.importorskip("obstore")
    place = storage.at("s3://lake/out/_manifest.json")
    put = looked_at(place)
    place.put(b"theirs")
    assert not put(b"ours")
    assert place.read() == b"theirs"


def test_what_moto_refuses_has_a_message(lake: Lake) -> None:
    with pytest.raises(StorageError, match="no such bucket"):
        storage.at("s3://pond/x").put(b"x")
    storage.at("s3://lake/events/a.parquet").delete()
    lake.put("models/m.sql", "select id from {{ source('lake', 'events') }}")
    assert "s3://lake/events is not there" in lake.run("run", "--select", "m", code=1)
