"""The shop of macros/integration_tests in a folder of its own, and the two command lines that work on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).parents[2]


def dbt_program() -> str | None:
    """The dbt to test with: SQLINFER_DBT, the one of `make test-dbt`, the one beside this Python."""
    beside = (ROOT / ".venv-dbt" / "bin" / "dbt", Path(sys.executable).parent / "dbt")
    found = next((str(path) for path in beside if path.is_file()), None)
    return os.environ.get("SQLINFER_DBT") or found or shutil.which("dbt")


@pytest.fixture(scope="session")
def dbt() -> str:
    found = dbt_program()
    if found is None:
        if os.environ.get("SQLINFER_REQUIRE_DBT"):
            pytest.fail("dbt is not installed, and SQLINFER_REQUIRE_DBT is set")
        pytest.skip("dbt is not installed: `make test-dbt` installs it into .venv-dbt")
    return found


@dataclass(frozen=True)
class Done:
    code: int
    text: str
    out: str


@dataclass
class Shop:
    """A dbt project on disk with its warehouse."""

    root: Path
    program: str

    def dbt(self, *words: str, **env: str) -> Done:
        return self._call([self.program, *words, "--no-use-colors"], env)

    def sqlinfer(self, *words: str, **env: str) -> Done:
        return self._call([sys.executable, "-c", "from sqlinfer.cli.main import main; main()", *words], env)

    def python(self, code: str) -> Done:
        """Python of the environment that dbt lives in."""
        return self._call([str(Path(self.program).parent / "python"), "-c", code], {})

    def _call(self, line: list[str], env: dict[str, str]) -> Done:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "SQLINFER_"))}
        given = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "SQLINFER_DBT": self.program, **env}
        done = subprocess.run(line, cwd=self.root, env={**kept, **given}, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout + done.stderr, done.stdout)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.root / "shop.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with duckdb.connect(str(self.root / "shop.duckdb")) as connection:
            connection.execute(sql)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new, 1))

    def results(self, path: str = "target/run_results.json") -> dict[str, dict[str, Any]]:
        content = json.loads((self.root / path).read_text())
        return {result["unique_id"].split(".")[2]: result for result in content["results"]}


def copied(package: Path, program: str) -> Shop:
    shutil.copytree(
        ROOT / "macros", package, ignore=shutil.ignore_patterns("target", "dbt_packages", "logs", "*.duckdb*")
    )
    shop = Shop(package / "integration_tests", program)
    assert shop.dbt("deps").code == 0
    return shop


@pytest.fixture(scope="session")
def prepared(dbt: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Packages installed, everything built that stands before the prediction."""
    shop = copied(tmp_path_factory.mktemp("prepared") / "macros", dbt)
    done = shop.dbt("build", "--exclude", "churn_scores+")
    assert done.code == 0, done.text
    return shop


@pytest.fixture
def shop(prepared: Shop, tmp_path: Path) -> Shop:
    """A copy of the prepared shop, to be changed by one test."""
    target = tmp_path / "macros"
    shutil.copytree(prepared.root.parent, target, symlinks=True)
    return Shop(target / "integration_tests", prepared.program)
