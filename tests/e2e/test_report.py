"""``sqlinfer report`` as a command and as a server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlinfer.api as api
from sqlinfer.jobs.live import LivePage, server
from sqlinfer.testing.patience import patience
from tests.conftest import Shop

MODEL = "{{ config(materialized='incremental', unique_key='id') }} select id, predict('f', x) as p from t"


def test_nights_are_in_the_page_and_their_spread_in_the_record(shop: Shop) -> None:
    shop.function("reuse: true")
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    shop.model(MODEL)
    assert shop("run")[0] == 0
    assert shop("run")[0] == 0
    texts = [json.loads(text) for (text,) in shop.db("select distributions from sqlinfer_runs order by started_at")]
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert sum(texts[0]["p"]["counts"]) + texts[0]["p"]["nulls"] == 1000
    code, out = shop("report")
    assert code == 0, out
    page = (shop.root / "target/report.html").read_text()
    assert "2 runs" in page
    assert "PSI 0.000" in page
    assert "Compiled SQL" in page
    code, out = shop("report", "--output", str(shop.root / "models/m.sql"))
    assert code != 0
    assert "no report of sqlinfer's" in out
    assert "predict" in (shop.root / "models/m.sql").read_text()


def test_stale_rows_are_in_the_page_where_they_are_asked_for(shop: Shop) -> None:
    shop.function("reuse: true")
    shop.db("create or replace table t as select i as id, i::double as x from range(1000) r(i)")
    shop.model(MODEL)
    assert shop("run")[0] == 0
    shop.db("update t set x = -1 - x where id < 123")
    for words, shown in ((), False), (("--freshness",), True):
        code, out = shop("report", *words)
        assert code == 0, out
        assert ("12.3 %" in (shop.root / "target/report.html").read_text()) == shown


def test_before_the_first_run_and_over_older_records_there_is_a_page(shop: Shop) -> None:
    shop.model("select 1 as x")
    assert shop("report")[0] == 0
    assert "No run is recorded yet" in (shop.root / "target/report.html").read_text()
    shop.db("create table sqlinfer_runs as select 'r' as run_id, 'model.shop.m' as node, now() as started_at")
    assert shop("report")[0] == 0
    assert "1 run" in (shop.root / "target/report.html").read_text()
    shop.db("create or replace table sqlinfer_runs as select 1 as other")
    assert shop("report")[0] == 0


@contextmanager
def served(live: LivePage) -> Iterator[int]:
    with server(live, 0) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found.server_address[1]
        finally:
            found.shutdown()
            thread.join()


def ask(port: int, path: str, host: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience(10))
    try:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_served_page_follows_its_version() -> None:
    versions = iter(["one", "one", "two", "two", "two"])
    clock = iter(range(0, 1000, 10))
    live = LivePage(lambda: next(versions), lambda version: f"page of {version}", lambda: float(next(clock)))
    with served(live) as port:
        assert ask(port, "/version") == (200, "one")
        assert ask(port, "/") == (200, "page of one")
        assert ask(port, "/version") == (200, "two")
        assert ask(port, "/") == (200, "page of two")
        assert ask(port, "/../etc/passwd")[0] == 404


def test_a_name_of_elsewhere_is_not_answered() -> None:
    with served(LivePage(lambda: "v", lambda version: "secret")) as port:
        for host in (f"evil.example:{port}", "127.0.0.1", "evil.example"):
            status, said = ask(port, "/", host)
            assert status == 403
            assert "secret" not in said
        assert ask(port, "/", f"localhost:{port}") == (200, "secret")


def test_the_real_page_is_served_until_it_is_told_to_stop(shop: Shop) -> None:
    shop.model("select 1 as x")
    stop, answers = threading.Event(), []

    def look(address: str) -> None:
        port = int(address.rstrip("/").rpartition(":")[2])
        answers.append((ask(port, "/"), ask(port, "/version")))
        stop.set()

    api.serve_report(api.RunOptions(project_dir=shop.root), on_ready=look, cancel=stop)
    ((status, page), (_, version)) = answers[0]
    assert status == 200
    assert "data-version" in page
    assert version
