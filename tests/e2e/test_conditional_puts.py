"""Claims and manifests where the server takes puts on a condition, and where it does not. Needs obstore."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore", reason="pip install 'sqlinfer[buckets]'")

from sqlinfer.adapters.duckdb.bucket_claim import BucketClaim
from sqlinfer.adapters.duckdb.bucket_holder import HOLDER, HolderMark
from sqlinfer.errors import StoreError
from sqlinfer.storage import at
from sqlinfer.storage.conditional import Conditional, looked_at
from sqlinfer.testing.bucket_server import DENIED, BucketServer, pointed_at

pytestmark = pytest.mark.extra


@pytest.fixture(params=["honoured", "ignored", "refused"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BucketServer]:
    with BucketServer(tmp_path / "buckets", conditional=request.param == "honoured") as server, pointed_at(server):
        if request.param == "refused":
            server.fault = lambda asked: DENIED if asked.key.endswith(HOLDER) and asked.method == "PUT" else None
        yield server


@pytest.fixture
def honouring(tmp_path: Path) -> Iterator[BucketServer]:
    with BucketServer(tmp_path / "buckets") as server, pointed_at(server):
        yield server


FOLDER = "s3://lake/nights/w/claims"


def claim(name: str) -> BucketClaim:
    return BucketClaim(at(FOLDER), name)


def names() -> list[str]:
    return [one.name for one in at(FOLDER).entries()]


def bury(server: BucketServer) -> None:
    for path in server.folder.rglob("claims/*"):
        if path.is_file():
            os.utime(path, (time.time() - 120, time.time() - 120))


def test_one_run_holds_the_target_on_any_server(server: BucketServer) -> None:
    first = claim("first")
    first.acquire()
    with pytest.raises(StoreError, match="run first"):
        claim("second").acquire()
    first.check()
    first.release()
    assert names() == []
    second = claim("second")
    second.acquire()
    second.release()


def test_a_dead_runs_claim_is_taken_over_and_it_notices(server: BucketServer) -> None:
    dead, second = claim("dead"), claim("second")
    dead.acquire()
    bury(server)
    second.acquire()
    with pytest.raises(StoreError, match="lost its lock"):
        dead.check()
    dead.release()
    second.check()
    second.release()


def test_of_those_that_start_at_once_exactly_one_goes_on(honouring: BucketServer) -> None:
    for dead in (False, True):
        if dead:
            claim("dead").acquire()
            bury(honouring)
        claims = [claim(f"run{number}") for number in range(8)]
        won, barrier = [], threading.Barrier(8)

        def start(one: BucketClaim, won: list[BucketClaim] = won, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                one.acquire()
            except StoreError:
                return
            won.append(one)

        threads = [threading.Thread(target=start, args=(one,)) for one in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        won[0].check()
        won[0].release()
        assert names() == []


def test_runs_with_and_without_obstore_keep_each_other_out(
    honouring: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim("first")
    first.acquire()
    assert names() == [HOLDER]
    with monkeypatch.context() as patch:
        patch.setattr(HolderMark, "of", lambda *_: None)
        with pytest.raises(StoreError, match="run first"):
            claim("second").acquire()
        first.release()
        plain = claim("plain")
        plain.acquire()
    with pytest.raises(StoreError, match="run plain"):
        claim("third").acquire()
    assert names() == ["plain.json"]
    plain.check()
    plain.release()


def test_a_renewal_keeps_the_claim_and_an_answer_that_was_lost_does_no_harm(honouring: BucketServer) -> None:
    mark = HolderMark.of(at(FOLDER), "one")
    assert mark is not None
    mark.put(b'{"run_id": "one"}')
    assert mark.renew(b'{"run_id": "one"}')
    mark._tag = '"another"'  # as after a put whose answer did not come back
    assert mark.renew(b'{"run_id": "one"}')
    assert mark.is_ours()
    at(FOLDER).below(HOLDER).put(b'{"run_id": "two"}')
    assert not mark.renew(b'{"run_id": "one"}')
    mark.remove()
    assert names() == [HOLDER]


@pytest.mark.parametrize("before", [b"old", None])
def test_an_object_that_changed_since_it_was_looked_at_is_left_alone(
    before: bytes | None, honouring: BucketServer
) -> None:
    place = at("s3://lake/out/_manifest.json")
    if before is not None:
        place.put(before)
    put = looked_at(place)
    place.put(b"theirs")
    assert not put(b"ours")
    assert place.read() == b"theirs"
    assert looked_at(place)(b"ours")
    assert place.read() == b"ours"


def test_where_obstore_finds_no_credentials_or_spells_a_key_otherwise_it_is_not_asked(
    honouring: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Conditional.of(at("s3://lake/a folder/x")) is None
    assert Conditional.of(at(tmp_path / "x")) is None
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert Conditional.of(at("s3://lake/x")) is None
