# ruff: noqa: E501
"""A canary in every place that holds a secret: no stream, artifact, table, side file or process shows it, nor a part of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import house as houses
import pytest
from house import House

from sqlinfer.errors import SqlinferError
from sqlinfer.functions import contained
from sqlinfer.functions.sources import child
from sqlinfer.inference import isolation
from sqlinfer.testing.workshop import Workshop

ENV, LITERAL, URI, SETTING, VAR, ROW = (f"Zq{n}x-CANARY.{n}{n}7f-pW{n}k_Lm{n}" for n in range(6))
CANARIES = (ENV, LITERAL, URI, SETTING, VAR, ROW)
PART = 8
TARGETS = {
    "dev": {"type": "duckdb", "path": "wh.duckdb", "secrets": [{"type": "s3", "secret": "{{ env_var('DBT_ENV_SECRET_S') }}"}]},
    "literal": {"type": "postgres", "host": "db", "password": LITERAL},
    "far": {"type": "duckdb", "path": "wh.duckdb", "settings": {"autoinstall_known_extensions": False},
            "attach": [{"path": f"postgres://ada:{URI}@127.0.0.1:1/shop", "type": "postgres", "alias": "far"}]},
    "setting": {"type": "duckdb", "path": "wh.duckdb", "settings": {"no_such_token": SETTING}},
    "env": {"type": "duckdb", "path": "wh.duckdb", "settings": {"no_such_key": "{{ env_var('DBT_ENV_SECRET_S') }}"}},
}  # fmt: skip
MODELS = {
    houses.PROFILES: json.dumps({"shop": {"target": "dev", "outputs": TARGETS}}),
    "models/cast.sql": "select cast(name as integer) as v from customers\n",
    "models/scored.sql": "select id, predict('score', x, cast(name as double)) as s from customers\n",
    "models/said.sql": "select error(name) as v from customers\n",
    "models/vars.sql": "select id from customers where name = '{{ var('api_token') }}' and nosuch\n",
    "models/cut.sql": f"select '{ENV[:14]}' as a, '{ENV[10:]}' as b, nosuch from customers\n",
}
COMMANDS = [
    ("run",), ("run", "--debug"), ("run", "--log-format", "json"), ("build", "--debug"), ("compile", "--debug"),
    ("compile", "scores", "--output", "json"), ("retry", "--debug"), ("ls",), ("debug",), ("test",),
    *(("run", "--target", name, "--debug") for name in TARGETS), ("debug", "--target", "env"), ("preview", "cast", "--debug"),
    ("preview", "--inline", f"select '{ENV[:20]}' as a"), ("run", "--select", ENV[3:19]), ("run", "--target", LITERAL),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> House:
    built = houses.build(tmp_path_factory.mktemp("house"))
    built.sql(f"update customers set name = '{ROW}'")
    houses.write(built.root, MODELS)
    return built


def parts(text: bytes) -> list[str]:
    found = text.decode("utf-8", "replace")
    return [
        one[at : at + PART] for one in CANARIES for at in range(len(one) - PART + 1) if one[at : at + PART] in found
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_no_part_of_a_canary_is_seen(command: tuple[str, ...], shop: House, tmp_path: Path) -> None:
    """The command works on a file of variables that names it in no argument, as a scheduler would call it."""
    (tmp_path / "vars.json").write_text(json.dumps({"api_token": VAR}))
    script = (
        "import pathlib, sys; from sqlinfer.cli.main import main; "
        f"main([*sys.argv[1:], *(['--vars', pathlib.Path({str(tmp_path / 'vars.json')!r}).read_text()] "
        "if sys.argv[1] not in ('debug', 'ls') else [])])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command, "--project-dir", str(shop.root)], check=False, capture_output=True,
        env={**os.environ, "DBT_ENV_SECRET_S": ENV}, timeout=120,
    )  # fmt: skip
    assert done.stdout + done.stderr
    assert parts(done.stdout + done.stderr) == [], (done.stdout + done.stderr).decode()
    for path in shop.root.rglob("*"):
        if path.is_file() and path.name not in ("profiles.yml", "wh.duckdb", "cut.sql"):
            assert parts(path.read_bytes()) == [], path


def test_our_tables_hold_no_part_of_a_canary(shop: House) -> None:
    for name in ("sqlinfer_runs", "sqlinfer_errors"):
        if shop.sql(f"select count(*) from duckdb_tables() where table_name = '{name}'")[0][0]:
            assert parts(repr(shop.sql(f"select cast(r as varchar) from {name} as r")).encode()) == []


def test_the_process_that_opens_foreign_files_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_S", ENV)
    preparer = contained._Preparer()
    try:
        for name in ("environ", "cmdline"):
            assert parts(Path(f"/proc/{preparer._process.pid}/{name}").read_bytes()) == []
    finally:
        preparer.stop()


STARTS = {
    isolation: lambda folder: isolation.Worker(b"").start(),
    child: lambda folder: child.export(Workshop(folder).declare(b""), "module", {}, folder),
}


@pytest.mark.parametrize("starts", STARTS)
def test_a_process_that_runs_a_model_gets_no_secret(
    starts: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, str] = {}
    start = subprocess.Popen

    def started(command: list[str], *, env: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
        given.update(env, command=" ".join(command))
        return start([sys.executable, "-c", "exit(1)"], env=env, **options)

    monkeypatch.setenv("DBT_ENV_SECRET_S", ENV)
    monkeypatch.setattr(starts.subprocess, "Popen", started)
    with pytest.raises(SqlinferError):
        STARTS[starts](tmp_path)
    assert given["PATH"]
    assert parts(repr(given).encode()) == []
