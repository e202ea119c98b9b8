"""``state: s3://…``: a machine may be replaced, killed or kept out, and what was scored is not scored again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sqlinfer.adapters.duckdb import bucket_claim
from sqlinfer.adapters.duckdb.bucket_claim import BucketClaim
from sqlinfer.errors import StoreError
from sqlinfer.storage import at
from sqlinfer.testing.bucket_server import BUSY, DENIED, BucketServer, pointed_at
from tests.e2e.test_attached_targets import Shop

ROWS = 1_000


@dataclass
class Fleet:
    """A shop whose state lies in a bucket; each machine has a temporary folder of its own."""

    shop: Shop
    server: BucketServer
    folder: Path

    def run(self, machine: str, *words: str, fail: str = "", code: int | None = 0) -> str:
        temp = self.folder / machine
        temp.mkdir(exist_ok=True)
        env = {**os.environ, **self.server.environment, "TMPDIR": str(temp), "SQLINFER_CHUNK_ROWS": "10000"}
        env |= {"SQLINFER_FAIL_POINTS": fail} if fail else {}
        done = subprocess.run(
            [sys.executable, "-c", "from sqlinfer.cli.main import main; main()", *(words or ("run",)),
             "--project-dir", str(self.shop.root)], capture_output=True, text=True, env=env, check=False,
        )  # fmt: skip
        text = done.stdout + done.stderr
        assert code is None or done.returncode == code, text
        assert "Traceback" not in text
        return text

    @property
    def scored(self) -> list[int]:
        return [int(str(n)) for (n,) in self.shop.sql("select scored from sqlinfer_runs order by started_at")]

    @property
    def objects(self) -> list[str]:
        return sorted(one.name for one in at("s3://lake/nights/w").entries())


@pytest.fixture
def fleet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Fleet]:
    shop = Shop(tmp_path / "shop", capfd)
    shop.model()
    shop.profile("state: s3://lake/nights")
    shop.sql(f"create or replace table t as select range as id, range::double as x from range({ROWS})")
    with BucketServer(tmp_path / "buckets") as server, pointed_at(server):
        yield Fleet(shop, server, tmp_path)


def test_another_machine_goes_on_where_the_first_ended(fleet: Fleet) -> None:
    fleet.run("one")
    assert fleet.objects == ["side-00000001.duckdb", "state.json"]
    fleet.run("two")
    fleet.shop.sql("update t set x = x + 0.5 where id < 5")
    fleet.run("one")
    assert fleet.scored == [ROWS, 0, 5]
    assert len(fleet.objects) == 2
    assert not list(fleet.shop.root.glob("*.sqlinfer.*"))


def test_seeds_and_models_of_one_build_hold_the_state_together(fleet: Fleet) -> None:
    fleet.shop.put("seeds/names.csv", "id,name\n1,a\n2,b\n")
    for night in (1, 2):
        fleet.run("one", "build")
        assert fleet.objects == [f"side-{night:08d}.duckdb", "state.json"]
    assert fleet.scored == [0, ROWS, 0, 0]
    assert fleet.shop.sql("select count(*) from names") == [(2,)]


@pytest.mark.parametrize(
    "words",
    [("preview", "m"), ("compile", "m", "--estimate"), ("freshness",), ("ls",), ("debug",)],
    ids=lambda words: words[0],
)  # fmt: skip
@pytest.mark.thorough("compile", "debug", "freshness")
def test_who_only_reads_changes_nothing_in_the_bucket(fleet: Fleet, words: tuple[str, ...]) -> None:
    fleet.run("one")
    (side,) = (fleet.folder / "one").rglob("*.sqlinfer.duckdb")
    os.utime(side)  # as a run that works on this machine changes its copy
    fleet.server.requests.clear()
    fleet.run("one", *words)
    assert [str(one) for one in fleet.server.requests if one.method in ("PUT", "DELETE")] == []


@pytest.mark.parametrize("machine", ["one", "two"])
@pytest.mark.thorough("two")
def test_a_kill_costs_no_more_than_the_chunk_at_hand(fleet: Fleet, machine: str) -> None:
    fleet.shop.sql("create or replace table t as select range as id, range::double as x from range(800_000)")
    fleet.run("one", fail="after_append=kill:4", code=None)
    assert any(name.startswith("parts/") for name in fleet.objects)
    assert fleet.shop.sql("select count(*) from duckdb_tables() where table_name = 'm'") == [(0,)]
    bury(fleet)
    fleet.run(machine, fail="after_append=kill:2", code=None)
    bury(fleet)
    fleet.run("three")
    assert fleet.shop.sql("select count(*), sum(p) from m") == [(800_000, 800_000.0**2)]
    assert fleet.scored[-1] <= 800_000 - 5 * 10_000
    assert len(fleet.objects) == 2
    fleet.run("four")
    assert fleet.scored[-1] == 0


def bury(fleet: Fleet) -> None:
    """A minute passes."""
    for path in (fleet.folder / "buckets").rglob("claims/*"):
        if path.is_file():
            os.utime(path, (time.time() - 120, time.time() - 120))


def test_a_run_that_is_alive_keeps_others_out(fleet: Fleet) -> None:
    claim = BucketClaim(at("s3://lake/nights/w").below("claims"), "another")
    claim.acquire()
    try:
        text = fleet.run("two", code=None)
        assert "another run holds this target" in text
        assert "run another" in text
    finally:
        claim.release()
    fleet.run("two")
    assert [name for name in fleet.objects if "claims" in name] == []


def test_a_run_whose_claim_was_taken_publishes_nothing(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = at("s3://lake/nights/w").below("claims")
    first, second = BucketClaim(folder, "first"), BucketClaim(folder, "second")
    first.acquire()
    bury(fleet)
    second.acquire()
    with pytest.raises(StoreError, match="lost its lock"):
        first.check()
    second.check()
    second.release()
    first.release()
    monkeypatch.setattr(bucket_claim, "DEAD", -1.0)
    with pytest.raises(StoreError, match="lost its lock"):  # nothing was renewed for too long
        first.check()


@pytest.mark.parametrize(("fault", "said"), [(DENIED, "is denied"), (BUSY, "is not available")])
def test_a_bucket_that_refuses_is_named_before_anything_is_scored(fleet: Fleet, fault, said: str) -> None:
    fleet.server.fault = lambda request: fault
    text = fleet.run("one", code=None)
    assert said in text
    assert fleet.shop.sql("select count(*) from duckdb_tables() where table_name = 'm'") == [(0,)]


def test_a_bucket_that_takes_nothing_at_the_end_is_told_and_loses_nothing(fleet: Fleet) -> None:
    fleet.server.fault = lambda request: DENIED if request.method != "GET" and "/side-" in f"/{request.key}" else None
    text = fleet.run("one", code=None)
    assert "could not be put back" in text
    assert fleet.shop.sql("select count(*) from m") == [(ROWS,)]
    fleet.server.fault = lambda request: None
    fleet.run("two")
    assert fleet.scored == [ROWS, 0]


def test_what_is_remembered_is_read_by_a_machine_that_never_ran(fleet: Fleet) -> None:
    fleet.run("one")
    assert "0 " in fleet.run("two", "compile", "--estimate")


def test_a_state_that_is_none_of_ours_is_left_alone(fleet: Fleet) -> None:
    at("s3://lake/nights/w/state.json").put(b'{"format": 99, "side": "x", "generation": 1}')
    assert "a newer version of sqlinfer" in fleet.run("one", code=None)
    at("s3://lake/nights/w/state.json").put(b"[]")
    assert "is not one of sqlinfer's" in fleet.run("one", code=None)
    assert at("s3://lake/nights/w/state.json").read() == b"[]"
