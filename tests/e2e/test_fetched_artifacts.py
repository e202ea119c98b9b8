"""Artifacts in a bucket: fetched once, checked by their content, asked for with one request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sqlinfer import storage
from sqlinfer.testing.bucket_server import DENIED, BucketServer, pointed_at
from sqlinfer.testing.onnx_builder import linear

FUNCTION = """functions:
  - name: f
    model: {{path: "s3://lake/models/f.onnx"{more}}}
    arguments: [{{name: x, data_type: double}}]
    returns: {{data_type: double}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with BucketServer(tmp_path / "buckets") as server, pointed_at(server):
        put(2.0)
        yield server


@pytest.fixture
def remote(shop: Any, server: BucketServer) -> Any:
    (shop.root / "functions/f.onnx").unlink()
    shop.put("functions/f.yml", FUNCTION.format(more=""))
    shop.model("select id, predict('f', x) as y from t")
    return shop


def put(weight: float) -> str:
    data = linear([weight], 1.0, element_type="double")
    storage.at("s3://lake/models/f.onnx").put(data)
    return hashlib.sha256(data).hexdigest()


def asked(server: BucketServer) -> list[str]:
    found = [one.method for one in server.requests]
    server.requests.clear()
    return found


def done(shop: Any, *words: str) -> str:
    code, out = shop(*words)
    assert code == 0, out
    return " ".join(out.split())


def refused(shop: Any, *words: str) -> str:
    code, out = shop(*words)
    assert code in (1, 2), out
    assert "Traceback" not in out
    return " ".join(out.split())


def test_an_artifact_is_fetched_once_and_then_looked_at(remote: Any, server: BucketServer) -> None:
    assert "s3://lake/models/f.onnx" in done(remote, "functions", "list")
    done(remote, "functions", "describe", "f")
    assert "GET" in asked(server)
    done(remote, "run")
    assert remote.db("select y from m order by id") == [(1.0,), (3.0,), (5.0,)]
    assert asked(server) == ["HEAD"]
    put(3.0)
    done(remote, "run")
    assert remote.db("select y from m order by id") == [(1.0,), (4.0,), (7.0,)]


def test_a_declared_hash_is_held_and_asks_for_nothing(remote: Any, server: BucketServer) -> None:
    sha = put(2.0)
    remote.put("functions/f.yml", FUNCTION.format(more=f", sha256: {sha}"))
    done(remote, "run")
    put(3.0)
    asked(server)
    done(remote, "run")
    assert asked(server) == []
    done(remote, "clean")
    said = refused(remote, "run")
    assert "is declared" in said
    assert remote.db("select y from m order by id") == [(1.0,), (3.0,), (5.0,)]


def test_a_fetched_file_that_was_changed_is_fetched_again(remote: Any, server: BucketServer) -> None:
    done(remote, "run")
    (kept,) = (remote.root / "target/functions").glob("fetched-*/f.onnx")
    linear([9.0], 1.0, element_type="double", path=kept)
    done(remote, "run", "--full-refresh")
    assert remote.db("select y from m order by id") == [(1.0,), (3.0,), (5.0,)]


def test_an_artifact_that_cannot_be_had_is_one_message(remote: Any, server: BucketServer) -> None:
    server.fault = lambda _: DENIED
    assert "access to s3://lake/models/f.onnx is denied" in refused(remote, "run")
    server.fault = lambda _: None
    for url, said in (
        ("s3://lake/none.onnx", "artifact s3://lake/none.onnx does not exist"),
        ("s3://pond/f.onnx", "no such bucket"),
        ("https://example.com/f.onnx", "is not a place that can be opened"),
    ):
        remote.put("functions/f.yml", FUNCTION.format(more="").replace("s3://lake/models/f.onnx", url))
        assert said in refused(remote, "run")
