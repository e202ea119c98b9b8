"""Large projects: what commands take by the number of models.

    python -m tests.benchmarks.large [--models 200 1000] [--keep FOLDER] [--only ls compile]

A fifth of the models predict, each has a data test of its own, and there is a function for every ten. Rows are few:
what is measured is what is done for each node. Every command is a process of its own; ``unchanged`` is the same
command again, ``one changed`` after the text of one model has changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from sqlinfer.testing import onnx_builder

SQLINFER = (sys.executable, "-c", "from sqlinfer.cli.main import main; main()")
LAYER = 50
"""Models of one layer; each reads one or two of the layer before."""
ROWS = 200
PROJECT = "name: large\nversion: '1.0'\nprofile: large\n"
PROFILES = "large:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n      path: large.duckdb\n"


@dataclass(frozen=True, slots=True)
class Shape:
    models: int
    predictions: int
    tests: int
    functions: int

    @classmethod
    def of(cls, models: int) -> Shape:
        return cls(models, models // 5, models, max(1, models // 10))


def generate(folder: Path, shape: Shape) -> None:
    """The files of a project; ``seeds/base.csv`` is its only input."""
    for name in ("models", "functions", "seeds", "macros"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sqlinfer_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILES)
    (folder / "macros" / "helpers.sql").write_text("{% macro twice(x) %}({{ x }}) * 2{% endmacro %}\n")
    rows = "".join(f"{i},{i % 17 / 4},{i % 5},{i % 3}\n" for i in range(ROWS))
    (folder / "seeds" / "base.csv").write_text("id,a,b,c\n" + rows)
    for number in range(shape.functions):
        _function(folder, number)
    for number in range(shape.models):
        path = folder / "models" / f"layer_{number // LAYER:02}" / f"m{number:04}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(_model(number, shape))
    for first in range(0, shape.models, LAYER):
        _properties(folder, first, shape)


def _function(folder: Path, number: int) -> None:
    onnx_builder.linear([0.5, 0.25 + number / 100], number / 10, path=folder / "functions" / f"f{number:03}.onnx")
    (folder / "functions" / f"f{number:03}.yml").write_text(
        f"functions:\n  - name: f{number:03}\n    description: Score number {number}.\n"
        f"    model: {{path: f{number:03}.onnx}}\n"
        "    arguments:\n      - {name: a, data_type: double}\n      - {name: b, data_type: double}\n"
        "    returns: {data_type: double, output: score}\n"
    )


def predicts(number: int, shape: Shape) -> bool:
    every = max(1, shape.models // max(1, shape.predictions))
    return number % every == every - 1


def _model(number: int, shape: Shape) -> str:
    above = number - LAYER
    source = f"m{above:04}" if above >= 0 else "base"
    if predicts(number, shape):
        function = f"f{number % shape.functions:03}"
        return (
            f"{{{{ config(materialized='table', tags=['nightly']) }}}}\n"
            f"select id, a, b, c, predict('{function}', a, b) as score\nfrom {{{{ ref('{source}') }}}}\nwhere c < 2\n"
        )
    kind = "view" if number % 3 else "table"
    other = number - LAYER - 1
    join = f"\nleft join {{{{ ref('m{other:04}') }}}} as o using (id)" if other >= 0 and number % 2 else ""
    return (
        f"{{{{ config(materialized='{kind}') }}}}\n"
        f"select s.id, s.a, s.b + {number % 7} as b, s.c, {{{{ twice('s.a') }}}} as doubled\n"
        f"from {{{{ ref('{source}') }}}} as s{join}\nwhere s.id >= {number % 10}\n"
    )


def _properties(folder: Path, first: int, shape: Shape) -> None:
    lines = ["version: 2", "models:"]
    for number in range(first, min(first + LAYER, shape.models)):
        lines += [f"  - name: m{number:04}", f"    description: Model number {number}."]
        lines += ["    columns:", "      - name: id"]
        lines += ["        data_tests: [not_null]"] if number < shape.tests else []
    (folder / "models" / f"layer_{first // LAYER:02}" / "models.yml").write_text("\n".join(lines) + "\n")


def seconds(folder: Path, *command: str) -> float:
    """Of a whole process; what it says is shown where it fails."""
    began = perf_counter()
    done = subprocess.run([*SQLINFER, *command], cwd=folder, capture_output=True, text=True, env=dict(os.environ),
                          check=False)  # fmt: skip
    taken = perf_counter() - began
    if done.returncode:
        raise SystemExit(f"sqlinfer {' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return taken


STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ls", ("ls",)),
    ("ls, unchanged", ("ls",)),
    ("build", ("build",)),
    ("compile", ("compile",)),
    ("compile, unchanged", ("compile",)),
    ("compile, one changed", ("compile",)),
    ("run, unchanged", ("run",)),
)


def measure(folder: Path, shape: Shape, only: Sequence[str]) -> dict[str, float]:
    generate(folder, shape)
    if "build" not in only and only:
        seconds(folder, "seed")
    found = {}
    for name, command in STEPS:
        if only and command[0] not in only:
            continue
        if "changed" in name and "un" not in name:
            path = folder / "models" / "layer_00" / "m0000.sql"
            path.write_text(path.read_text().replace("where", "where true and", 1))
        found[name] = seconds(folder, *command)
        print(f"{shape.models:>6} models  {name:<24}{found[name]:>8.2f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--keep", type=Path, help="the folder that the projects are left in")
    parser.add_argument("--only", nargs="+", default=[], choices=("ls", "build", "compile", "run"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for models in given.models:
            measure((given.keep or Path(scratch)) / str(models), Shape.of(models), given.only)


if __name__ == "__main__":
    main()
