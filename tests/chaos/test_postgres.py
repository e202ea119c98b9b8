"""Kills of the client, of the server and of its processes at random moments, a reader watching."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chaoskit import CHUNK, House, network

from sqlinfer.testing.patience import patience
from sqlinfer.testing.postgres_server import Database, NoPostgres, PostgresServer

KILLS = int(os.environ.get("SQLINFER_KILLS", "6"))
SEED = int(os.environ.get("SQLINFER_SEED", "20261126"))
ROWS = 8_000
MODELS = {
    "scores": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }}",
    "viewed": "select id, g, predict('deep', a, b, c) as score from {{ source('erp', 'customers') }} where id % 2 = 0",
    "merged": (
        "{{ config(materialized='incremental', unique_key='id', on_missing='delete') }} "
        "select id, g, predict('deep', a, b, c) * 100 as score from {{ source('erp', 'customers') }} where id % 3 > 0"
    ),
    "streamed": "select id, g, predict('shallow', a, b, c) as score from {{ source('erp', 'customers') }}",
}


@dataclass
class PostgresHouse(House):
    database_: Database | None = None

    def night(self) -> int:
        """Every row gets tonight's generation, a third of them new inputs."""
        self.generation += 1
        if self.generation == 1:
            self.server.run(
                "create table customers as select i as id, 1 as g, sin(i % 4000)::real as a, cos(i % 4000)::real as b, "
                f"(i % 7)::real as c from generate_series(0, {ROWS - 1}) as i"
            )
        else:
            g = self.generation
            self.server.run(
                f"update customers set g = {g}, a = case when (id + {g}) % 3 = 0 then sin(id * {g})::real else a end"
            )
        return self.generation

    @property
    def server(self) -> Database:
        assert self.database_ is not None
        return self.database_


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One of its own: it is killed. Writes are synced, as a crash is what is tried."""
    try:
        with PostgresServer(("fsync=on", "synchronous_commit=on")) as server:
            yield server
    except NoPostgres as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@pytest.fixture
def house(tmp_path: Path, server: PostgresServer) -> PostgresHouse:
    made = House.build(tmp_path / "house", MODELS, layers=12, rows=ROWS)
    house = PostgresHouse(made.folder, ROWS)
    house.database_ = server.database
    output = server.database.output(retries=0)
    house.write("profiles.yml", json.dumps({"house": {"target": "dev", "outputs": {"dev": output}}}))
    house.write("models/sources.yml", "sources: [{name: erp, schema: public, tables: [{name: customers}]}]\n")
    for name, depth in (("deep", 12), ("shallow", 3)):
        house.function(name, network(name, depth), reuse="true" if name == "deep" else "false")
    return house


@dataclass
class Watcher:
    """Reads each table again and again: it has the rows of one night, all of them."""

    database: Database
    stop: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    mixed: list[str] = field(default_factory=list)

    def __call__(self) -> None:
        while not self.stop.is_set():
            for name in MODELS:
                with suppress(Exception):  # the server is down, or the table is not there yet
                    found = self.database.run(f"select count(*), count(distinct g), count(score) from {name}")[0]
                    self.seen += 1
                    if found != (self.rows(name), 1, self.rows(name)):
                        self.mixed.append(f"{name} {found}")
            time.sleep(0.01)

    @staticmethod
    def rows(name: str) -> int:
        return {"viewed": ROWS // 2, "merged": ROWS - (ROWS + 2) // 3}.get(name, ROWS)


def disturb(kind: str, server: PostgresServer, house: PostgresHouse, moment: float) -> bool:
    """Whether the run was still under way."""
    process = house.start("run")
    time.sleep(moment)
    running = process.poll() is None
    if kind == "client":
        process.kill()
    elif kind == "server":
        server.restart()
    elif running:
        ours = "pid <> pg_backend_pid() and application_name = 'sqlinfer'"
        server.database.run(f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {ours}")
    out, err = process.communicate(timeout=patience(120))
    assert "Traceback" not in err, err
    assert running or process.returncode == 0, out + err
    return running


@pytest.mark.chaos
@pytest.mark.timeout(120 + 30 * KILLS)
def test_no_kill_is_seen_by_readers_or_in_the_result(
    house: PostgresHouse, server: PostgresServer, record_property
) -> None:
    rng = random.Random(SEED)
    house.night()
    first = house.run()
    assert first.code == 0, first.text
    server.database.run("create view on_viewed as select id, score from viewed")
    watcher = Watcher(server.database)
    thread = threading.Thread(target=watcher)
    thread.start()
    kills, budget = 0, house.counted()
    try:
        while kills < KILLS:
            house.night()
            new = server.database.run("select count(distinct (a, b, c)) from customers where (id + g) % 3 = 0")[0][0]
            budget += new
            for kind in rng.sample(("client", "server", "backend"), 3):
                if disturb(kind, server, house, rng.uniform(0.3, first.seconds)):
                    kills, budget = kills + 1, budget + CHUNK + 64
            last = house.run()
            assert last.code == 0, last.text
            assert_right(house)
    finally:
        watcher.stop.set()
        thread.join()
    record_property("figures", json.dumps({"kills": kills, "read": watcher.seen, "scored": house.counted()}))
    print(f"kills {kills}, states read {watcher.seen}, scored {house.counted()} of {budget}")
    assert not watcher.mixed
    assert watcher.seen > kills
    assert house.counted() <= budget


def assert_right(house: PostgresHouse) -> None:
    """Every row has tonight's generation and, for equal inputs, one score; no key is twice in the store."""
    wrong = house.server.run(
        f"select count(*) from customers c left join scores s using (id) where s.g is distinct from {house.generation} "
        "or s.score is null"
    )
    assert wrong == [(0,)]
    several = "select 1 from scores join customers using (id) group by a, b, c having count(distinct score) > 1"
    assert house.server.run(f"select count(*) from ({several}) as q") == [(0,)]
    (store,) = house.server.run("select relname::text from pg_class where relname like 'deep@%' and relkind = 'r'")[0]
    twice = f'select count(*) - count(distinct input_key) from public_sqlinfer."{store}"'
    assert house.server.run(twice) == [(0,)]
    assert house.server.run("select count(*) from on_viewed") == [(ROWS // 2,)]
