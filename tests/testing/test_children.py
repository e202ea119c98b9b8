"""What a test started is gone with its pipes when the test ends, and waits grow with the load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sqlinfer.testing import children
from sqlinfer.testing.patience import MOST, patience

SLEEPS = [sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read()"]


def test_a_child_that_still_runs_is_killed_and_its_pipes_are_closed() -> None:
    process = children.start(SLEEPS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    children.reap()
    assert process.returncode == -9
    assert process.stdout.closed
    children.reap()


def test_waits_are_never_shorter_than_on_a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLINFER_PATIENCE", raising=False)
    assert 10 <= patience(10) <= 10 * MOST
    monkeypatch.setenv("SQLINFER_PATIENCE", "3")
    assert patience(10) == 30


def test_a_busy_machine_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLINFER_PATIENCE", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (40.0, 0.0, 0.0))
    assert patience(1) >= 21
