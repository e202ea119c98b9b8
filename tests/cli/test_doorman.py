"""Who is turned away at the door, before anything heavy is imported, and who never is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sqlinfer.cli import doorman
from sqlinfer.cli.doorman import door
from sqlinfer.cli.main import invoke
from sqlinfer.cli.options import Flags
from sqlinfer.errors import StoreError
from sqlinfer.testing.children import start

PROFILE = "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: wh.duckdb}\n"
HOLD = """
import os, sys
from pathlib import Path
from sqlinfer.cli.doorman import door
from sqlinfer.cli.options import Flags
with door(Path(sys.argv[1]), Flags(), os.environ) as held:
    if len(sys.argv) > 2:
        held.claimed(sys.argv[2], Path(sys.argv[3]))
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (root / "profiles.yml").write_text(PROFILE)
    monkeypatch.chdir(root)
    return root


class Holder:
    """Another process at the door."""

    def __init__(self, root: Path, *claim: str) -> None:
        command = [sys.executable, "-c", HOLD, str(root), *claim]
        self.process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def starting(root: Path) -> Iterator[Holder]:
    holder = Holder(root)
    yield holder
    holder.kill()


@pytest.fixture
def lock(root: Path) -> Path:
    return root / "wh.sqlinfer.lock"


@pytest.fixture
def working(root: Path, lock: Path) -> Iterator[Holder]:
    """One that says it holds the target's lock; the lock names it."""
    lock.touch()
    holder = Holder(root, "wh.duckdb", str(lock))
    known = {"pid": holder.process.pid, "host": "here", "run_id": "r1", "started": "today"}
    lock.write_text(json.dumps(known))
    yield holder
    holder.kill()


def enters(root: Path, flags: Flags | None = None, env: Mapping[str, str] | None = None) -> bool:
    with door(root, flags or Flags(), env or os.environ) as held:
        return held.handle is not None


def test_who_comes_while_another_starts_is_turned_away(root: Path, starting: Holder) -> None:
    with pytest.raises(StoreError, match=f"holds this target: process {starting.process.pid} on .*, just starting"):
        enters(root)


def test_who_comes_while_another_works_is_told_its_run(root: Path, working: Holder) -> None:
    pid = working.process.pid
    with pytest.raises(StoreError, match=f"process {pid} on here, run r1, started today") as caught:
        enters(root)
    assert caught.value.hint == "wait for it to end; its lock goes with its process"
    assert caught.value.exit_code == 1


def test_a_dead_holder_is_no_holder(root: Path, working: Holder) -> None:
    working.kill()
    assert enters(root)


def test_the_door_is_free_after_the_command(root: Path, temp: Path) -> None:
    assert enters(root)
    assert enters(root)
    assert not list(temp.glob("sqlinfer-*/*"))


def test_a_lock_that_was_taken_away_lets_the_next_in(root: Path, working: Holder, lock: Path) -> None:
    lock.unlink()
    assert not enters(root)  # in, without the door
    lock.write_text(json.dumps({"pid": os.getpid(), "host": "here", "run_id": "r2", "started": "now"}))
    assert not enters(root)


def test_a_database_that_is_another_one_now_lets_the_next_in(root: Path, lock: Path) -> None:
    (root / "blue.duckdb").touch()
    (root / "wh.duckdb").symlink_to("blue.duckdb")
    lock.touch()
    holder = Holder(root, "wh.duckdb", str(lock))
    lock.write_text(json.dumps({"pid": holder.process.pid, "host": "here", "run_id": "r1", "started": "today"}))
    with pytest.raises(StoreError):
        enters(root)
    (root / "wh.duckdb").unlink()
    (root / "wh.duckdb").symlink_to("green.duckdb")
    assert not enters(root)
    holder.kill()


def test_one_that_hangs_before_its_lock_turns_nobody_away(
    root: Path, starting: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorman, "STARTING", 0)
    assert not enters(root)


def test_a_process_does_not_turn_itself_away(root: Path) -> None:
    with door(root, Flags(), os.environ) as held:
        assert held.handle is not None
        assert not enters(root)


@pytest.mark.parametrize(
    "change", [{"target": "prod"}, {"profile": "other"}, {"variables": "day: 2"}, {"profiles_dir": Path("elsewhere")}]
)
def test_other_flags_are_another_door(root: Path, starting: Holder, change: dict[str, object]) -> None:
    assert enters(root, replace(Flags(), **change))


@pytest.mark.parametrize("name", ["profiles.yml", "sqlinfer_project.yml"])
def test_a_changed_file_is_another_door(root: Path, starting: Holder, name: str) -> None:
    (root / name).write_text((root / name).read_text() + "# changed\n")
    assert enters(root)


def test_only_variables_that_the_files_read_are_another_door(root: Path) -> None:
    (root / "profiles.yml").write_text(PROFILE.replace("wh.duckdb", "\"{{ env_var('WH') }}\""))
    holder = Holder(root)
    assert enters(root, env={**os.environ, "WH": "other.duckdb"})
    with pytest.raises(StoreError):
        enters(root, env={**os.environ, "UNREAD": "1"})
    holder.kill()


def test_a_name_that_is_not_spelled_out_may_be_any(root: Path) -> None:
    (root / "profiles.yml").write_text(PROFILE.replace("wh.duckdb", "\"{{ env_var('W' ~ 'H') }}\""))
    holder = Holder(root)
    assert enters(root, env={**os.environ, "WH": "other.duckdb"})
    holder.kill()


@pytest.mark.parametrize("kind", ["missing", "open to all", "a link"])
def test_no_folder_of_its_own_is_no_door(root: Path, temp: Path, tmp_path: Path, kind: str) -> None:
    folder = temp / f"sqlinfer-{os.getuid()}"
    if kind == "missing":
        temp.rmdir()
    elif kind == "open to all":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        (tmp_path / "theirs").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "theirs")
    assert not enters(root)


def test_no_project_is_no_door(tmp_path: Path) -> None:
    assert not enters(tmp_path)


@pytest.mark.parametrize("command", ["run", "build", "retry", "seed", "test"])
def test_commands_that_claim_the_target_leave_at_the_door(
    root: Path, starting: Holder, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([command, "--project-dir", str(root)]) == 1
    assert f"process {starting.process.pid} " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["run", "--help"], ["run", "--no-such-flag"], ["run", "--dbt"], ["ls"]])
def test_what_claims_no_target_of_the_project_does_not_knock(
    root: Path, starting: Holder, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(arguments)
    assert "holds this target" not in capsys.readouterr().err


def test_leaving_at_the_door_imports_nothing_heavy(root: Path, starting: Holder) -> None:
    code = (
        "import sys; from sqlinfer.cli.main import invoke; code = invoke(['run']);"
        "heavy = {'duckdb', 'sqlglot', 'numpy', 'pyarrow', 'sqlinfer.api'} & set(sys.modules); print(code, heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "1 set()\n", done.stderr
