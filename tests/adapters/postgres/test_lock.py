from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sqlinfer.adapters.postgres.adapter import PostgresAdapter
from sqlinfer.errors import ConnectionLost, StoreError
from sqlinfer.testing import children
from sqlinfer.testing.patience import patience
from sqlinfer.testing.postgres_server import Database

HOLDER = """
import sys, json, time
from pathlib import Path
from sqlinfer.adapters.postgres.adapter import PostgresAdapter
adapter = PostgresAdapter.from_settings(json.loads(sys.argv[1]), Path())
with adapter.workspace("theirs") as work:
    print("held", flush=True)
    work.rows("select pg_sleep(120)")
"""


def test_a_second_run_is_turned_away_by_the_name_of_the_first(adapter: PostgresAdapter) -> None:
    with adapter.claim("one") as claim:
        with pytest.raises(StoreError, match=f"process {os.getpid()} on .*, run one"), adapter.claim("two"):
            pass
        with adapter.workspace("one", claim) as work:
            assert work.rows("select 1") == [(1,)]
    with adapter.workspace("two"):
        pass


def test_targets_of_other_schemas_are_free(postgres_database: Database, adapter: PostgresAdapter) -> None:
    other = PostgresAdapter.from_settings(postgres_database.output(schema="other"), Path())
    with adapter.workspace("one"), other.workspace("two"):
        pass


def test_the_lock_of_a_killed_process_is_free_within_seconds(
    postgres_database: Database, adapter: PostgresAdapter
) -> None:
    command = [sys.executable, "-c", HOLDER, json.dumps(postgres_database.output())]
    holder = children.start(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match="run theirs"), adapter.claim("ours"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    began = time.monotonic()
    with adapter.claim("ours"):
        assert time.monotonic() - began < patience(5)


def test_a_run_whose_session_was_ended_goes_on_only_if_nobody_took_over(
    postgres_database: Database, adapter: PostgresAdapter
) -> None:
    end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = "
    with adapter.workspace("one") as work:
        postgres_database.run(f"{end}'{postgres_database.name}'")
        with pytest.raises(ConnectionLost):
            work.rows("select 1")
        assert work.rows("select 2") == [(2,)]
        postgres_database.run(f"{end}'{postgres_database.name}'")
        with pytest.raises(ConnectionLost):
            work.rows("select 1")
        with adapter.workspace("two"):
            pass
        with pytest.raises(StoreError, match="lost its lock"):
            work.rows("select 3")
