"""Canary secrets in the environment, the profile, variables and connection strings: no file and no stream holds one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import house as houses
import pytest
from house import House

import sqlinfer
from sqlinfer.errors import SqlinferError

ENV, UNUSED, LITERAL, OTHER, URI, TOKEN = (f"canary{i}-5f7a&'\"x" for i in range(6))
URI, TOKEN = "canary4-5f7a", "canary5-5f7a"
CANARY = re.compile(rb"canary\d")
PROFILES = f"""shop:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: wh.duckdb
      secrets:
        - {{type: s3, key_id: AKIA, secret: "{{{{ env_var('DBT_ENV_SECRET_S3') }}}}"}}
        - type: s3
          secret: {json.dumps(LITERAL)}
    prod:
      type: postgres
      host: db
      password: {json.dumps(OTHER)}
    far:
      type: duckdb
      settings: {{autoinstall_known_extensions: false}}
      path: wh.duckdb
      attach:
        - {{path: "postgres://ada:{URI}@127.0.0.1:1/shop?sslmode=x", type: postgres, alias: far}}
    token:
      type: duckdb
      path: wh.duckdb
      settings: {{no_such_token: "{TOKEN}"}}
"""
FILES = {
    houses.PROFILES: PROFILES,
    houses.SCORES: "select id, predict('score', x, y) as s from customers where name is distinct from '{{ var('k') }}'\n",
    "models/plain.sql": "select id, '{{ var('k') }}' = name as same from customers\n",
    "models/broken.sql": "select predict('score', x, '{{ var('k') }}', 3) as s from customers\n",
    "models/wrong.sql": "select nothing, '{{ var('k') }}' as k from customers\n",
    "seeds/regions.csv": "id,name\n1,north\n",
    "tests/none.sql": "select 1 from {{ ref('scores') }} where '{{ var('k') }}' = 'x'\n",
}
ENVIRONMENT = {"DBT_ENV_SECRET_S3": ENV, "DBT_ENV_SECRET_UNUSED": UNUSED}
VARS = ("--vars", json.dumps({"k": ENV.replace("'", "")}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    built = houses.build(tmp_path_factory.mktemp("house"))
    houses.write(built.root, FILES)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("DBT_ENV_SECRET_VAR", ENV.replace("'", ""))
        yield built


COMMANDS = [
    ("run",), ("run", "--debug"), ("run", "--log-format", "json"), ("run", "--quiet"), ("run", "-s", "broken", "--debug"),
    ("compile", "scores"), ("compile", "scores", "--output", "json"), ("compile", "-s", "wrong", "--debug"),
    ("compile", "--inline", "select '{{ var('k') }}' as k, agee from customers"), ("build",), ("test",), ("seed",),
    ("retry",), ("ls", "--output", "json"), ("debug",), ("functions", "list"), ("functions", "describe", "score"),
    ("preview", "scores"), ("preview", "--inline", "select '{{ var('k') }}' as k"),
    ("run", "--target", "far"), ("run", "--target", "far", "--debug"), ("debug", "--target", "far"),
    ("compile", "--target", "far"), ("preview", "scores", "--target", "far"),
    ("run", "--target", "token", "--debug"), ("debug", "--target", "token"), ("run", "--target", "prod", "--debug"),
    ("run", "--target", ENV), ("run", "--profile", UNUSED, "--debug"), ("run", "--select", f"tag:{ENV}"),
    ("run", "--no-such-flag", UNUSED), (UNUSED,), ("run", "--threads", ENV),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command).replace("canary", ""))
def test_no_command_prints_or_writes_a_secret(command: tuple[str, ...], shop: House) -> None:
    takes_vars = command[0] not in ("functions", UNUSED)
    done = shop.sqlinfer(*command, *(VARS if takes_vars else ()))
    assert not CANARY.search(done.text.encode()), done.text
    assert leaks(shop.root) == []


def leaks(root: Path) -> list[str]:
    """Files that hold a canary, but for the profile itself and the user's own tables."""
    kept = ("profiles.yml", "wh.duckdb")
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in kept]
    return [str(path) for path in files if CANARY.search(path.read_bytes()) or CANARY.search(str(path).encode())]


def test_our_own_tables_hold_no_secret(shop: House) -> None:
    shop.sqlinfer("run", "-s", "scores", *VARS)
    for name in ("sqlinfer_runs",):
        assert not CANARY.search(repr(shop.sql(f"select cast(r as varchar) from {name} as r")).encode())


def test_a_secret_variable_is_asked_for_again(shop: House) -> None:
    shop.sqlinfer("run", *VARS)
    done = shop.sqlinfer("retry")
    assert done.code == 2
    assert "a variable of the last run held a secret" in done.text
    assert "give --vars again" in done.text


def test_a_bug_shows_its_traceback_without_secrets(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot connect with {ENV!r} and postgres://ada:{URI}@db")

    monkeypatch.setattr("sqlinfer.api.ls", broken)
    done = shop.sqlinfer("ls")
    assert done.code == 2
    assert "Traceback" in done.err
    assert not CANARY.search(done.text.encode())


def test_python_errors_hold_no_secret(shop: House) -> None:
    with pytest.raises(SqlinferError) as caught:
        sqlinfer.connect(shop.root, target="far", vars={"k": "x"}).sql("select predict('score', x, y) from customers")
    assert not CANARY.search(str(caught.value).encode())


def test_a_process_of_its_own_prints_no_secret(shop: House) -> None:
    script = "from sqlinfer.cli.main import main; main()"
    command = [sys.executable, "-c", script, "run", "--target", "far", "--debug", "--project-dir", str(shop.root)]
    done = subprocess.run([*command, *VARS], capture_output=True, env=os.environ | ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert b"postgres" in done.stderr
    assert not CANARY.search(done.stdout + done.stderr), done.stderr.decode()
    assert leaks(shop.root) == []


@pytest.mark.parametrize(
    "sql",
    ["select '{{ env_var('DBT_ENV_SECRET_S3') }}' as k", "{{ config(alias=env_var('DBT_ENV_SECRET_S3')) }} select 1 as one",
     "{% set s = env_var('DBT_ENV_SECRET_S3') %}select '{{ s | upper }}' as k",
     "select '{{ target.password }}' as k", "select '{{ target }}' as k", "select '{{ env_var }}' as k",
     "select '{{ env_var.known }}' as k", "select '{{ context }}' as k", "select '{{ ref.__globals__ }}' as k"],
)  # fmt: skip
def test_sql_reaches_no_secret(sql: str, shop: House, tmp_path: Path) -> None:
    done = shop.sqlinfer("compile", "--inline", sql, *VARS)
    assert not CANARY.search(done.text.encode()), done.text
    assert leaks(shop.root) == []


@pytest.mark.parametrize("key", ["schema", "database", "path", "type", "threads"])
def test_no_secret_becomes_a_name(key: str, shop: House, tmp_path: Path) -> None:
    body = {"type": "duckdb", "path": "wh.duckdb", key: "{{ env_var('DBT_ENV_SECRET_S3') }}"}
    (tmp_path / "profiles.yml").write_text(json.dumps({"shop": {"target": "dev", "outputs": {"dev": body}}}))
    done = shop.sqlinfer("compile", "--profiles-dir", str(tmp_path), *VARS)
    assert done.code == 2, done.text
    assert f"a secret may not stand in '{key}'" in done.text
    assert "DBT_ENV_SECRET_S3" in done.text
    assert not CANARY.search(done.text.encode()), done.text


def test_a_variable_cannot_spell_the_placeholder_of_a_secret(shop: House, tmp_path: Path) -> None:
    body = {"type": "duckdb", "path": "{{ var('p') }}.duckdb", "schema": "main"}
    (tmp_path / "profiles.yml").write_text(json.dumps({"shop": {"target": "dev", "outputs": {"dev": body}}}))
    for spelled in ("$$$SECRET:DBT_ENV_SECRET_S3$$$", "$$$SECRET:0:DBT_ENV_SECRET_S3$$$", "$$$SECRET:HOME$$$"):
        done = shop.sqlinfer("preview", "--inline", "select current_database() as d", "--profiles-dir", str(tmp_path),
                             "--vars", json.dumps({"p": spelled, "k": "x"}))  # fmt: skip
        assert "SECRET" in done.text
        assert not CANARY.search(done.text.encode())
