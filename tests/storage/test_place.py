"""Places in a bucket and on the disk: the same verbs, and one message for each thing that a server refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlinfer import storage
from sqlinfer.errors import ProfileError, StorageError
from sqlinfer.storage import Access, Place
from sqlinfer.testing.bucket_server import BUSY, DENIED, ELSEWHERE, BucketServer, Fault, pointed_at


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with BucketServer(tmp_path / "buckets") as server, pointed_at(server):
        yield server


@pytest.fixture(params=["bucket", "disk"])
def place(request: pytest.FixtureRequest, server: BucketServer, tmp_path: Path) -> Place:
    return storage.at("s3://lake/a folder/x" if request.param == "bucket" else tmp_path / "a folder" / "x")


def test_what_was_put_is_read_listed_and_deleted(place: Place) -> None:
    assert place.below("one.json").read() is None
    assert place.is_empty()
    place.below("one.json").put(b"first")
    place.below("one.json").put(b"second")
    place.below("run=1", "part-0.parquet").put(b"x" * 10)
    assert place.below("one.json").read() == b"second"
    assert [(one.name, one.size) for one in place.entries()] == [("one.json", 6), ("run=1/part-0.parquet", 10)]
    assert place.folders() == ["run=1"]
    assert not place.is_empty()
    place.below("run=1").delete()
    place.below("nothing").delete()
    assert [one.name for one in place.entries()] == ["one.json"]
    assert place.folders() == []


def test_a_large_object_is_streamed_both_ways(place: Place, tmp_path: Path) -> None:
    with place.below("large").writing() as file:
        for number in range(30):
            file.write(bytes([number]) * (1 << 20))
    found = place.below("large").find()
    assert found is not None
    assert found.size == 30 << 20
    place.below("large").fetch(tmp_path / "copy")
    data = (tmp_path / "copy").read_bytes()
    assert (len(data), data[-1]) == (30 << 20, 29)


def test_a_small_object_is_one_request(server: BucketServer) -> None:
    storage.at("s3://lake/x/state.json").put(b"{}")
    assert [str(one) for one in server.requests] == ["PUT lake/x/state.json"]


def test_an_object_is_looked_at_with_one_request(server: BucketServer) -> None:
    place = storage.at("s3://lake/x/state.json")
    place.put(b"{}")
    server.requests.clear()
    first = place.find()
    assert [one.method for one in server.requests] == ["HEAD"]
    assert first is not None
    assert first == place.find()
    place.put(b"[]")
    again = place.find()
    assert again is not None
    assert again.tag != first.tag
    assert storage.at("s3://lake/x/nothing").find() is None


@pytest.mark.parametrize(
    ("fault", "said", "hint"),
    [
        (DENIED, "access to s3://lake/x/a is denied", "the credentials lack a right"),
        (BUSY, "s3://lake is not available", "run again later"),
        (ELSEWHERE, "s3://lake is in ", "AWS_REGION"),
        (Fault(403, "InvalidAccessKeyId", "no such key"), "s3://lake does not accept the credentials", "renew"),
        (Fault(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
         "s3://lake is in region eu-west-1", "storage: {region: eu-west-1}"),
    ],
)  # fmt: skip
def test_what_a_server_refuses_has_one_message_and_a_way_out(
    fault: Fault, said: str, hint: str, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlinfer.storage.access.ATTEMPTS", 2)
    monkeypatch.setattr("sqlinfer.storage.errors.ATTEMPTS", 2)
    storage.access._remote.cache_clear()
    server.fault = lambda _: fault
    with pytest.raises(StorageError) as found:
        storage.at("s3://lake/x/a").put(b"x")
    assert said in found.value.message
    assert hint in str(found.value.hint)
    assert len(server.requests) == (2 if fault is BUSY else 1)
    storage.access._remote.cache_clear()


def test_a_missing_bucket_is_told_when_it_is_listed_and_when_it_is_written(server: BucketServer) -> None:
    with pytest.raises(StorageError, match="s3://pond does not exist: no such bucket"):
        list(storage.at("s3://pond/x").entries())
    with pytest.raises(StorageError, match="s3://pond does not exist: no such bucket"):
        storage.at("s3://pond/x").put(b"x")


def test_where_no_credentials_are_the_message_says_so(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server.fault = lambda _: DENIED
    with pytest.raises(StorageError, match="needs credentials, and none were found"):
        storage.at("s3://lake/x").put(b"x")


def test_a_server_that_is_gone_has_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlinfer.storage.access.ATTEMPTS", 1)
    with pytest.raises(StorageError, match="s3://lake cannot be reached"):
        storage.at("s3://lake/x", Access(endpoint="http://127.0.0.1:9", region="us-east-1")).put(b"x")


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://lake/../x", "ftp://lake/x", "s3://lake/x?y", "s3://a@b/x"])
def test_a_url_that_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(StorageError):
        storage.at(url)


def test_the_profile_says_how_a_bucket_is_reached(server: BucketServer) -> None:
    access = Access.of({"storage": {"endpoint": server.endpoint, "region": "us-east-1"}})
    storage.at("s3://lake/x", access).put(b"x")
    assert server.keys() == ["x"]
    with pytest.raises(ProfileError, match="unknown key 'endpiont' in storage"):
        Access.of({"storage": {"endpiont": "x"}})
    with pytest.raises(ProfileError, match="no boolean"):
        Access.of({"storage": {"anonymous": "yes"}})
    with pytest.raises(StorageError, match="is no URL"):
        storage.at("s3://lake/x", Access(endpoint="ftp://x"))
