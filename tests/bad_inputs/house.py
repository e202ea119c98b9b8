"""A small project with yesterday's table published, copied for each case; what a bad input must leave untouched."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import duckdb

from sqlinfer.cli.main import invoke
from sqlinfer.testing import onnx_builder as onnx

PROJECT, PROFILES = "sqlinfer_project.yml", "profiles.yml"
FUNCTIONS, SCORES = "functions/score.yml", "models/scores.sql"

FILES: dict[str, str | bytes] = {
    PROJECT: "name: shop\nprofile: shop\nvars: {least: 0}\n",
    PROFILES: "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: wh.duckdb}\n",
    FUNCTIONS: """functions:
  - name: score
    model: {path: score.onnx}
    arguments:
      - {name: x, data_type: double}
      - {name: y, data_type: double}
    returns: {data_type: double}
""",
    "functions/score.onnx": onnx.linear([1.0, 2.0], inputs=["x", "y"], packed=False),
    SCORES: "select id, predict('score', x, y) as s\nfrom customers\n",
}
TABLES = (
    "create table customers (id integer, x double, y double, name varchar)",
    "insert into customers values (1, 1, 1, 'Ada'), (2, 2, 0.5, 'Bob'), (3, 0, 3, null)",
)
Files = Mapping[str, str | bytes | None]


def write(root: Path, files: Files) -> None:
    """None removes a file."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class House:
    root: Path

    def sqlinfer(self, *args: str) -> Done:
        """The command line, in this process."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = invoke([*args, "--project-dir", str(self.root), "--no-use-colors"])
        return Done(code, out.getvalue(), err.getvalue())

    def sql(self, *statements: str) -> list[tuple]:
        rows: list[tuple] = []
        with duckdb.connect(str(self.root / "wh.duckdb")) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def published(self) -> str:
        """The warehouse file, byte for byte: a run that published nothing has not written to it."""
        return hashlib.sha256((self.root / "wh.duckdb").read_bytes()).hexdigest()

    def litter(self) -> list[str]:
        """Files that nobody should leave behind."""
        return [
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.suffix in (".tmp", ".wal") or path.name.startswith(".") or ".damaged" in path.name
        ]


@dataclass(frozen=True)
class Case:
    """One thing a user gets wrong, and what is said about it."""

    id: str
    message: str
    files: Files = field(default_factory=dict)
    place: str | None = None
    """``file:line`` as printed after the arrow."""
    hint: str | None = None
    under: str | None = None
    """The text that is underlined."""
    code: int = 1
    args: tuple[str, ...] = ("run",)
    prepare: Callable[[House], object] | None = None


def build(root: Path) -> House:
    """The house as it stands in the morning after a good night."""
    write(root, FILES)
    house = House(root)
    house.sql(*TABLES)
    done = house.sqlinfer("run")
    assert done.code == 0, done.text
    return house


def copy(house: House, target: Path, files: Files | None = None) -> House:
    shutil.copytree(house.root, target, symlinks=True, dirs_exist_ok=True)
    write(target, files or {})
    return House(target)


def check(case: Case, house: House) -> Done:
    """Run the case's command; nothing was published, nothing is left lying about, and one message says it all."""
    if case.prepare is not None:
        case.prepare(house)
    before = house.published()
    done = house.sqlinfer(*case.args)
    assert done.code == case.code, done.text
    assert "Traceback" not in done.text
    assert "bug in sqlinfer" not in done.text
    assert case.message in done.text
    if case.place is not None:
        assert f"--> {house.root / case.place}" in done.text, done.text
    if case.hint is not None:
        assert case.hint in hints(done.text), done.text
    if case.under is not None:
        assert underlined(done.text) == case.under, done.text
    assert house.published() == before
    assert house.litter() == []
    return done


def hints(text: str) -> str:
    return "\n".join(line.partition("hint: ")[2] for line in text.splitlines() if "hint: " in line)


def underlined(text: str) -> str | None:
    """What stands above the first row of ``^``."""
    lines = text.splitlines()
    for above, line in pairwise(lines):
        start = line.find("^")
        if start >= 0 and set(line[start:]) == {"^"}:
            return above[start : start + len(line) - start]
    return None
