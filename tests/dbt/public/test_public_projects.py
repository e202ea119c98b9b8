"""Three public dbt projects become scoring ones. Their clones lie in the folder that SQLINFER_PUBLIC_PROJECTS names.

Packages of dbt's hub are read from its folder ``packages`` where there is one, so that nothing is fetched.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.dbt.public.projects import KNOWN, Known, copied, score

FOLDER = os.environ.get("SQLINFER_PUBLIC_PROJECTS")


@pytest.mark.clone
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("known", KNOWN, ids=lambda one: one.name)
def test_a_public_project_is_scored_by_the_starter(known: Known, dbt: str, tmp_path: Path) -> None:
    clone = Path(FOLDER or "") / known.name
    if FOLDER is None or not (clone / known.has).is_file():
        pytest.skip(f"no clone of {known.name}: SQLINFER_PUBLIC_PROJECTS names a folder of clones")
    packages = Path(FOLDER) / "packages"
    score(copied(clone, tmp_path / "project", dbt, packages if packages.is_dir() else None))
