"""A run tells OpenLineage and OpenTelemetry what it did, and does not wait for them."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sqlinfer.testing.patience import patience
from tests.conftest import Shop


class Receiver:
    """What was posted: path → bodies."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                outer.bodies.append((self.path, gzip.decompress(body) if packed else body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _model(shop: Shop) -> None:
    shop.model("select id, predict('f', x) as y from t")


@pytest.mark.extra
def test_openlineage_has_both_ends_of_a_node_and_its_columns(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openlineage.client")
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    code, out = shop("run")
    assert code == 0, out
    events = [json.loads(body) for _, body in receiver.bodies]
    assert [(one["eventType"], one["job"]["name"]) for one in events] == [
        ("START", "shop"), ("START", "shop.m"), ("COMPLETE", "shop.m"), ("COMPLETE", "shop"),
    ]  # fmt: skip
    (output,) = events[2]["outputs"]
    assert output["name"] == "w.main.m"
    fields = output["facets"]["columnLineage"]["fields"]
    assert [(one["name"], one["field"]) for one in fields["y"]["inputFields"]] == [("w.main.t", "x")]
    assert [one["name"] for one in events[2]["inputs"]] == ["w.main.t"]
    assert events[2]["run"]["facets"]["parent"]["run"]["runId"] == events[0]["run"]["runId"]


@pytest.mark.extra
def test_openlineage_hears_of_a_failure(shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openlineage.client")
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    shop.model("select id, predict('f', x) as y, error('no') as z from t")
    assert shop("run")[0] == 1
    last = [json.loads(body) for _, body in receiver.bodies][-2:]
    assert [one["eventType"] for one in last] == ["FAIL", "FAIL"]
    assert "errorMessage" in last[0]["run"]["facets"]


@pytest.mark.extra
def test_opentelemetry_has_a_span_a_node_with_the_figures_of_its_receipt(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    code, out = shop("run")
    assert code == 0, out
    ((path, body),) = receiver.bodies
    assert path == "/v1/traces"
    spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"sqlinfer run", "model.shop.m"}
    assert by_name["model.shop.m"].parent_span_id == by_name["sqlinfer run"].span_id
    told = {one.key: one.value for one in by_name["model.shop.m"].attributes}
    assert told["sqlinfer.scored"].int_value == 3
    assert told["sqlinfer.status"].string_value == "success"


@pytest.mark.extra
@pytest.mark.parametrize(
    ("library", "name", "url"),
    [
        ("openlineage.client", "OPENLINEAGE_URL", "http://127.0.0.1:9"),
        ("opentelemetry.exporter.otlp.proto.http", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ],
)
def test_a_receiver_that_is_gone_does_not_fail_a_night(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, library: str, name: str, url: str
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv(name, url)
    monkeypatch.setattr("sqlinfer.jobs.telemetry.PATIENCE", 0.5)
    began = time.monotonic()
    code, out = shop("run")
    assert code == 0, out
    assert shop.db("select count(*) from m") == [(3,)]
    assert time.monotonic() - began < patience(60)


@pytest.mark.parametrize(
    ("name", "extra"), [("OPENLINEAGE_URL", "openlineage"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "otel")]
)
def test_a_library_that_is_missing_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    for module in ("openlineage.client", "opentelemetry.exporter.otlp.proto.http.trace_exporter"):
        monkeypatch.setitem(sys.modules, module, None)
    code, out = shop("run")
    assert code == 0, out
    assert f"pip install 'sqlinfer[{extra}]'" in out
