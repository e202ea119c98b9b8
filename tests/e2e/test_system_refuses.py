"""A folder that cannot be made, a disk that is full: one message, no traceback, the published table as it was."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer import files
from sqlinfer.api import RunOptions, compile, run
from sqlinfer.cli.main import invoke
from sqlinfer.errors import SystemRefused

WORK = [("run",), ("seed",), ("compile",), ("test",), ("build",), ("preview", "churn_scores")]
ALL = [*WORK, ("clean",), ("debug",), ("functions", "describe", "churn_score"), ("ls",), ("retry",)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its database lies outside of the target folder, which is away."""
    folder = tmp_path_factory.mktemp("built")
    assert invoke(["init", "shop", "--project-dir", str(folder)]) == 0
    profile = folder / "shop" / "profiles.yml"
    profile.write_text(profile.read_text().replace("target/shop.duckdb", "../db/shop.duckdb"))
    (folder / "db").mkdir()
    assert invoke(["build", "-q", "--project-dir", str(folder / "shop")]) == 0
    shutil.rmtree(folder / "shop" / "target")
    return folder


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return tmp_path / "shop"


def tables(shop: Path) -> list[Any]:
    with duckdb.connect(str(shop.parent / "db" / "shop.duckdb"), read_only=True) as connection:
        return connection.execute("FROM churn_scores ORDER BY ALL").fetchall()


def said(shop: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], code: int | None = None) -> str:
    found = invoke([*command, "--project-dir", str(shop)])
    captured = capsys.readouterr()
    assert found == code if code is not None else found in (0, 1, 2)
    text = captured.out + captured.err
    assert "Traceback" not in text
    assert "bug in sqlinfer" not in text
    return text


@pytest.mark.parametrize("command", ALL)
def test_a_file_where_the_target_folder_belongs(
    shop: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (shop / "target").touch()
    before = tables(shop)
    out = said(shop, capsys, command)
    if command in WORK:
        assert out.count("the system refused") == 1
        assert "choose another target-path" in out
    assert tables(shop) == before


@pytest.mark.parametrize("command", WORK)
def test_a_target_path_that_cannot_be_made(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", "/proc/nowhere/target")
    assert said(shop, capsys, command, code=1).count("the system refused /proc/nowhere") == 1


@pytest.mark.parametrize("full", ["run_results.json", "manifest.json", "churn_scores.sql", "contract.json", ".written"])
@pytest.mark.parametrize("command", [("build",), ("compile",), ("preview", "churn_scores")])
def test_a_disk_that_is_full_when_artifacts_are_written(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], full: str
) -> None:
    put = files._put

    def fill(folder: int, name: str, data: bytes, *, durable: bool) -> None:
        if name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ".tmp-1")
        put(folder, name, data, durable=durable)

    monkeypatch.setattr(files, "_put", fill)
    before = tables(shop)
    out = said(shop, capsys, command)
    assert ("No space left on device" in out) == ("Error" in out or "1 error" in out)
    assert ".tmp-1" not in out
    if "No space" in out:
        assert "free some space" in out
    assert tables(shop) == before


def test_python_gets_an_error_of_ours(shop: Path) -> None:
    (shop / "target").touch()
    for work in (run, compile):
        with pytest.raises(SystemRefused):
            work(RunOptions(project_dir=shop))


def test_debug_shows_where_the_system_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "target").touch()
    assert invoke(["run", "--debug", "--project-dir", str(shop)]) == 1
    assert "Traceback" in capsys.readouterr().err
