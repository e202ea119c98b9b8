"""The suite itself works, at a scale of seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_small_scale_measures_a_workload_and_prints_its_ratios(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--only", "w5,cold", "--repeats", "1",
               "--json", str(tmp_path / "found.json"), "--docs", str(tmp_path / "found.md")]  # fmt: skip
    env = {**os.environ, "SQLINFER_BENCH_SCALE": "0.002"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["results"]
    assert max(found["w5"]["difference"].values()) < 1e-5
    assert found["cold"]["compile_imports"] == []
    assert "W5 share of the floor" in done.stdout
    assert "W5 share of the floor" in (tmp_path / "found.md").read_text()


def test_make_bench_runs_the_suite() -> None:
    """The command that the documents name; ``-n`` prints it without running it."""
    done = subprocess.run(
        ["make", "-n", "bench", "BENCH=forests"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "-m tests.benchmarks.forests" in done.stdout


def test_the_tokeniser_is_set_against_the_bare_encoder() -> None:
    pytest.importorskip("tokenizers")
    command = [sys.executable, "-m", "tests.benchmarks.tokenise", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["tokenizer", "wordlevel", "wordpiece"]
