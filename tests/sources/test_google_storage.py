"""``gs://`` against an emulator of Google's storage that others wrote: sources, versions, kills, messages.

It lives where moto does (``make test-sources``), beside the command that SQLINFER_MOTO names.
"""

from __future__ import annotations

import json
import os
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

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqlinfer import storage
from sqlinfer.adapters.duckdb.bucket_claim import BucketClaim
from sqlinfer.errors import StorageError, StoreError
from sqlinfer.storage import Access
from sqlinfer.storage.reading import dataset
from sqlinfer.testing.patience import patience

NAME = "gcp-storage-emulator"
_BESIDE = Path(os.environ.get("SQLINFER_MOTO", "")).with_name(NAME)
COMMAND = str(_BESIDE) if _BESIDE.is_file() else shutil.which(NAME)
PLACE = "gs://lake/out/scores"
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture(scope="module")
def access() -> Iterator[Access]:
    """A bucket ``lake``."""
    if COMMAND is None:
        pytest.skip(f"no {NAME}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [COMMAND, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=lake"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + patience(60)
            while True:
                with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/storage/v1/b/lake") as answer:
                    assert json.loads(answer.read())["name"] == "lake"
                    break
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            yield Access(endpoint=f"http://127.0.0.1:{port}", anonymous=True)
        finally:
            process.kill()


def test_places_have_their_verbs(access: Access, tmp_path: Path) -> None:
    place = storage.at("gs://lake/verbs", access)
    assert place.is_empty()
    assert place.below("one.json").read() is None
    place.below("one.json").put(b"first")
    place.below("one.json").put(b"second")
    place.below("run=1", "part.parquet").put(b"x" * 10)
    first = place.below("one.json").find()
    assert first is not None
    assert (first.size, bool(first.tag)) == (6, True)
    assert [(one.name, one.size) for one in place.entries()] == [("one.json", 6), ("run=1/part.parquet", 10)]
    assert place.folders() == ["run=1"]
    with place.below("large").writing() as file:
        for number in range(12):
            file.write(bytes([number]) * (1 << 20))
    place.below("large").fetch(tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 12 << 20
    for name in ("run=1", "large", "one.json", "nothing"):
        place.below(name).delete()
    assert place.is_empty()


def test_a_missing_bucket_is_named(access: Access) -> None:
    with pytest.raises(StorageError, match="gs://pond"):
        storage.at("gs://pond/x", access).put(b"x")


def test_one_run_holds_a_target(access: Access) -> None:
    folder = storage.at("gs://lake/nights/w/claims", access)
    first = BucketClaim(folder, "first")
    first.acquire()
    with pytest.raises(StoreError, match="run first"):
        BucketClaim(folder, "second").acquire()
    first.check()
    first.release()
    assert list(folder.entries()) == []


@pytest.mark.parametrize(("point", "after"), [("mid_part=kill:2", 0), ("before_manifest=kill", 0), ("", 1)])
def test_nights_read_and_write_whole_versions(point: str, after: int, access: Access, tmp_path: Path) -> None:
    events = pa.table({"id": range(6_000), "day": [DAYS[i % 3] for i in range(6_000)]})
    sink = pa.BufferOutputStream()
    pq.write_table(events, sink)
    storage.at("gs://lake/events/a.parquet", access).put(sink.getvalue().to_pybytes())
    project(tmp_path, access)
    run(tmp_path, 0)
    run(tmp_path, 1, point)
    found = dataset(PLACE, access).to_table()
    assert found.num_rows == 6_000
    assert set(found["night"].to_pylist()) == {after}
    run(tmp_path, 2)
    assert set(dataset(PLACE, access).to_table()["night"].to_pylist()) == {2}


def project(root: Path, access: Access) -> None:
    reached = json.dumps({"endpoint": access.endpoint, "anonymous": True})
    files = {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n",
        "profiles.yml": f"shop: {{target: d, outputs: {{d: {{type: duckdb, path: w.duckdb, storage: {reached}}}}}}}\n",
        "models/lake.yml": "sources:\n  - name: lake\n    tables: [{name: events, external: "
        "{location: 'gs://lake/events/'}}]\n",
        "models/scores.sql": f"{{{{ config(materialized='external', location='{PLACE}', partition_by='day') }}}} "
        "select id, day, {{ var('night') }} as night from {{ source('lake', 'events') }}",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)


def run(root: Path, night: int, fail: str = "") -> None:
    command = [
        sys.executable,
        "-c",
        "from sqlinfer.cli.main import main; main()",
        "run",
        "--vars",
        f"{{night: {night}}}",
    ]
    done = subprocess.run([*command, "--project-dir", str(root)], env={**os.environ, "SQLINFER_FAIL_POINTS": fail},
                          capture_output=True, text=True, check=False, cwd=root)  # fmt: skip
    assert done.returncode == (-signal.SIGKILL if fail else 0), done.stdout + done.stderr
