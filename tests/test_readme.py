"""Every command that the READMEs show in a ``console`` block, and the Python that they show, is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sys.executable).parent


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


def commands(path: Path) -> list[str]:
    lines = [line for block in blocks(path, "console") for line in block.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ ") and not line.startswith("$ pip ")]


def shell(script: str, folder: Path) -> str:
    environment = os.environ | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_quick_start_runs_as_written(tmp_path: Path) -> None:
    out = shell("\n".join(commands(ROOT / "README.md")), tmp_path)
    shown = [line for line in blocks(ROOT / "README.md", "console")[0].splitlines() if line.startswith("|")]
    assert "\n".join(shown) in out


def test_python_examples_run(tmp_path: Path) -> None:
    shell("sqlinfer init shop && sqlinfer seed -q --project-dir shop && sqlinfer run -q --project-dir shop", tmp_path)
    for number, block in enumerate(blocks(ROOT / "README.md", "python")):
        script = tmp_path / f"example_{number}.py"
        script.write_text(block)
        subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True)


def test_example_walkthrough_runs_as_written(tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    shutil.copytree(ROOT / "example_project", folder, ignore=shutil.ignore_patterns("target", "__pycache__"))
    out = shell("\n".join(commands(folder / "README.md")), folder)
    assert "[11,305 rows, 0 scored in " in out


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "example_project/README.md"])
def test_local_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    links = re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "chaos", "clean", "help"])
def test_make_knows_every_promised_target(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
