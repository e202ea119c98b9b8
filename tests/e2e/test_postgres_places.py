"""Replicas and poolers, on which no run can work; views, keys and open transactions on what is published."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.testing import onnx_builder, postgres_server
from sqlinfer.testing.patience import patience
from sqlinfer.testing.postgres_server import Database, NoPostgres, PostgresServer
from tests.conftest import FUNCTION, Shop

POOLER = """[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
auth_type = trust
auth_file = users
pool_mode = transaction
ignore_startup_parameters = extra_float_digits, options
unix_socket_dir =
"""


def shop_at(folder: Path, database: Database) -> Shop:
    """f(x) = 2x + 1 over a table t of three rows."""
    shop = Shop(folder)
    shop.put("sqlinfer_project.yml", "name: shop\nprofile: shop\n")
    output = {"dev": database.output(retries=0)}
    shop.put("profiles.yml", json.dumps({"shop": {"target": "dev", "outputs": output}}))
    shop.put("functions/f.yml", FUNCTION.format(config=""))
    onnx_builder.linear([2.0], 1.0, element_type="double", path=folder / "functions/f.onnx")
    shop.model("select id, predict('f', x) as y from public.t")
    return shop


def ask(shop: Shop, *words: str, code: int = 0) -> str:
    found, text = shop(*words)
    assert found == code, text
    assert "Traceback" not in text
    return " ".join(text.split())


@contextmanager
def pooler(database: Database) -> Iterator[Database]:
    """PgBouncer with ``pool_mode = transaction`` before the server."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with tempfile.TemporaryDirectory(prefix="sqlinfer-pooler-") as folder, socket.socket() as probe:
        os.chmod(folder, 0o755)
        probe.bind(("127.0.0.1", 0))
        own = probe.getsockname()[1]
        probe.close()
        at = database
        path = Path(folder) / "pgbouncer.ini"
        path.write_text(POOLER.format(host=at.host, port=at.port, own=own))
        (Path(folder) / "users").write_text(f'"{at.user}" "{at.password}"\n')
        process = subprocess.Popen([*postgres_server.as_user(dies_with_us=True), program, "-q", str(path)], cwd=folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            through = replace(database, host="127.0.0.1", port=own)
            answering(through)
            yield through
        finally:
            process.terminate()
            process.wait()


def answering(database: Database, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + patience(seconds)
    while True:
        try:
            database.run("select 1")
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def test_a_pooler_that_shares_sessions_is_refused(tmp_path: Path, postgres_database: Database) -> None:
    postgres_database.run("create table t as select i as id, i::float8 as x from generate_series(0, 2) as i")
    with pooler(postgres_database) as through:
        shop = shop_at(tmp_path, through)
        assert "pool_mode = session" in ask(shop, "debug", code=1)
        assert "pool_mode = session" in ask(shop, "run", code=1)
    assert postgres_database.run("select to_regclass('public.m') is null") == [(True,)]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Database, Database]]:
    """A server, and a replica that follows it."""
    try:
        with PostgresServer() as primary, PostgresServer(copy_of=primary) as replica:
            yield primary.database, replica.database
    except NoPostgres as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


def test_a_replica_is_told_from_its_primary(tmp_path: Path, pair: tuple[Database, Database]) -> None:
    primary, replica = pair
    primary.run("create table t as select i as id, i::float8 as x from generate_series(0, 2) as i")
    shop = shop_at(tmp_path, replica)
    assert "is a replica" in ask(shop, "debug", code=1)
    assert "is a replica" in ask(shop, "run", code=1)
    assert "scored" in ask(shop_at(tmp_path / "other", primary), "run")
    assert following(replica, "select count(*) from m") == [(3,)]


def following(replica: Database, sql: str) -> list[tuple[Any, ...]]:
    """Rows, once the replica has them."""
    deadline = time.monotonic() + patience(30)
    while time.monotonic() < deadline:
        with suppress(Exception):
            return replica.run(sql)
        time.sleep(0.1)
    return replica.run(sql)


def test_views_and_foreign_keys_stay_on_what_is_published(tmp_path: Path, postgres_database: Database) -> None:
    at = postgres_database
    at.run("create table t as select i as id, i::float8 as x from generate_series(0, 2) as i")
    shop = shop_at(tmp_path, at)
    ask(shop, "run")
    at.run(
        "create view seen as select * from m", "alter table m add primary key (id)",
        "create table notes (id int references m (id), said text)", "insert into notes values (1, 'kept')",
    )  # fmt: skip
    with at.connected() as reader, closing(reader.cursor()) as cursor:
        for statement in ("begin isolation level repeatable read", "select y from seen where id = 1"):
            cursor.execute(statement)
            before = cursor.fetchall() if cursor.description else []
        at.run("update t set x = x + 10")
        ask(shop, "run")
        cursor.execute("select y from seen where id = 1")
        assert cursor.fetchall() == before == [(3.0,)]
        cursor.execute("commit")
    assert at.run("select y from seen join notes using (id)") == [(23.0,)]
    at.run("delete from t where id = 1")
    assert "notes" in ask(shop, "run", code=1)
    assert at.run("select y from seen where id = 1") == [(23.0,)]
