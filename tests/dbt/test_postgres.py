"""The dbt package on Postgres: its macros, freshness rule and tests are not DuckDB's alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Server:
    env: dict[str, str]
    run: Callable[[str], str]
    """psql: rows as lines, columns apart by a bar."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own, in a temporary folder."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("Postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="sqlinfer-pg-"))  # pytest's own folders are root's alone
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix: list[str] = []
    if os.geteuid() == 0:  # Postgres refuses to run as root
        shutil.chown(folder, "postgres")
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    bin_folder, data = programs[-1].parent, folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*prefix, str(bin_folder / "initdb"), "-U", "postgres", "-A", "trust", "-D", str(data)], **quiet)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*prefix, str(bin_folder / "pg_ctl"), "-w", "-D", str(data), "-l", str(folder / "log")]
    subprocess.run([*control, "-o", options, "start"], **quiet)
    psql = [str(bin_folder / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Atc"]

    def run(sql: str) -> str:
        return subprocess.run([*psql, sql], check=True, capture_output=True, text=True).stdout.strip()

    env = {"SQLINFER_SHOP_PORT": str(port), "SQLINFER_SHOP_HOST": "127.0.0.1", "SQLINFER_SHOP_DATABASE": "postgres"}
    try:
        yield Server(env, run)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_freshness_rule_holds_on_postgres(shop, server):
    def build(*words: str):
        return shop.dbt("build", "--target", "postgres", *words, **server.env)

    built = build("--exclude", "churn_scores+")
    assert built.code == 0, built.text
    assert server.run("select count(*) from shop.sqlinfer_builds") == "7"
    never = build("--select", "churn_scores")
    assert "has never been scored" in never.text

    server.run("create table shop.churn_scores as select customer_id, 0.5 as churn_probability from shop.customers")
    server.run("create table shop.sqlinfer_runs (node text, relation text, started_at timestamptz, "
               "finished_at timestamptz, status text, provenance text)")  # fmt: skip
    node = json.loads((shop.root / "target/manifest.json").read_text())["nodes"]["model.sqlinfer_shop.churn_scores"]
    made = {"sql": hashlib.md5(node["compiled_code"].encode()).hexdigest(), "is_slice": None, "files": {}}
    server.run("insert into shop.sqlinfer_runs values ('model.sqlinfer_shop.churn_scores', "
               f"'postgres.shop.churn_scores', now(), now(), 'success', '{json.dumps(made)}')")  # fmt: skip
    fresh = build("--select", "churn_scores+")
    assert fresh.code == 0, fresh.text
    assert "UP TO DATE" in fresh.text

    assert build("--select", "customers").code == 0
    old = build("--select", "churn_scores")
    assert old.code == 1
    assert "customers was built after it was scored" in old.text
