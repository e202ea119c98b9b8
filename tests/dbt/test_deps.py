"""``sqlinfer deps``: dbt fetches packages for a sqlinfer project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlinfer.dbt.deps import install


def test_a_package_of_git_is_fetched_and_called(dbt: str, tmp_path: Path) -> None:
    package = tmp_path / "tools"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: tools\nversion: 1.0.0\nconfig-version: 2\n")
    (package / "macros/one.sql").write_text("{% macro one() %}1{% endmacro %}\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], cwd=package, check=True)
    root = tmp_path / "shop"
    root.mkdir()
    (root / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (root / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: w.duckdb}}}\n")
    (root / "packages.yml").write_text(f"packages:\n  - git: file://{package}\n    revision: main\n")
    assert install(root, {"SQLINFER_DBT": dbt}) == ["tools: in dbt_packages/"]
    code = "from sqlinfer.cli.main import main; main()"
    line = [sys.executable, "-c", code, "preview", "--inline", "select {{ tools.one() }} as n", "--output", "csv"]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['"n"', "1"]
