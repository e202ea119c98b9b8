"""``sqlinfer deps``: dbt fetches packages of a sqlinfer project into dbt_packages/; local ones stay where they are."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlinfer.dbt.command import find_dbt
from sqlinfer.dbt.sources import dump
from sqlinfer.errors import RunError, UsageError
from sqlinfer.project.files import inside
from sqlinfer.project.packages import INSTALLED, LISTS, entries_of, local_of
from sqlinfer.project.yamlfile import read_yaml

_TAIL = 30
"""Lines of dbt's own words."""


def install(root: Path, env: Mapping[str, str]) -> list[str]:
    """What was done, in words.

    Raises:
        UsageError: the project names no packages, or there is no dbt. RunError: dbt could not fetch them.
    """
    file = next((root / name for name in LISTS if (root / name).is_file()), None)
    if file is None:
        raise UsageError(f"there is no packages.yml in {root}", hint="packages: [{local: ../shared_macros}]")
    entries = entries_of(read_yaml(inside(file, root)))
    local = [name for one in entries if (name := local_of(one))]
    others = [one for one in entries if not local_of(one)]
    done = [f"{name}: is read where it is" for name in local]
    if others:
        _fetch(root, others, find_dbt(env))
        done += [f"{path.name}: in {INSTALLED}/" for path in sorted((root / INSTALLED).glob("*")) if path.is_dir()]
    return done


def _fetch(root: Path, entries: list[Any], program: str) -> None:
    """``dbt deps`` of a project that has these packages and nothing else."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"name": "packages_only", "packages-install-path": str((root / INSTALLED).absolute())}
        (folder / "dbt_project.yml").write_text(dump(settings), encoding="utf-8")
        (folder / "packages.yml").write_text(dump({"packages": entries}), encoding="utf-8")
        line = [program, "deps", "--project-dir", str(folder), "--no-use-colors"]
        done = subprocess.run(line, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_TAIL:])
            raise RunError(f"`dbt deps` failed (exit code {done.returncode}); nothing was changed\n{said}")
