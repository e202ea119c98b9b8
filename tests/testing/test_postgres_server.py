from __future__ import annotations

import pytest

from sqlinfer.testing.postgres_server import Database, PostgresServer


def test_each_test_has_an_empty_database(postgres_server: Database, postgres_database: Database) -> None:
    count = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    assert postgres_database.run("create table t (x int)", "insert into t values (1), (2)", "select * from t") == [
        (1,),
        (2,),
    ]
    assert postgres_server.run(count) == [(0,)]


def test_only_this_machine_reaches_the_server(postgres_server: Database) -> None:
    if postgres_server.server is None:
        pytest.skip("the server is not ours")
    assert postgres_server.run("select current_setting('listen_addresses')") == [("127.0.0.1",)]


def test_what_was_committed_survives_a_crash(postgres_server: Database) -> None:
    if postgres_server.server is None:
        pytest.skip("the server is not ours")
    with PostgresServer() as server:
        server.database.run("create table t (x int)", "insert into t values (1)")
        server.restart()
        assert server.database.run("select x from t") == [(1,)]
    assert not server.folder.exists()
