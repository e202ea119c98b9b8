"""How a night grows: the measurements and the model behind docs/scale.md.

    make bench BENCH=scale BENCH_ARGS="--rows 200000,800000"

A night costs ``fixed + rows × known + scored × score`` CPU seconds: what a row costs whose prediction is remembered
(read, key, look-up, publication), and what a row costs on top that has to be scored. Both are slopes between two sizes,
of a first night (every row is scored) and of one with 1 % of the inputs changed; the commands run as a user's do.
``--hours`` and ``--cores`` turn them into rows a night. CPU seconds are told, not those of the clock, since the machine
may have other work; ``clock`` says how many cores the night kept busy.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from sqlinfer.testing import onnx_builder
from tests.benchmarks import graphs
from tests.benchmarks.bench import Bench, Pass
from tests.benchmarks.measure import changed
from tests.benchmarks.workloads import Workload, _graph

KEYED = "materialized='incremental', unique_key='id', on_missing='delete'"


@dataclass(frozen=True, slots=True)
class Law:
    """CPU seconds of a night."""

    fixed: float
    known: float
    """A row whose prediction is remembered."""
    score: float
    """On top of that where it is scored."""

    @classmethod
    def of(cls, sizes: tuple[int, int], first: tuple[float, float], later: tuple[float, float], share: float) -> Law:
        """``first``: every row scored; ``later``: ``share`` of them.

        >>> Law.of((100, 200), (12.0, 22.0), (3.0, 4.0), 0.0)
        Law(fixed=2.0, known=0.01, score=0.09)
        """
        rows = sizes[1] - sizes[0]
        all_scored, some_scored = (first[1] - first[0]) / rows, (later[1] - later[0]) / rows
        score = (all_scored - some_scored) / (1 - share)
        known = some_scored - share * score
        return cls(round(later[0] - some_scored * sizes[0], 9), round(known, 9), round(score, 9))

    def rows(self, seconds: float, share: float) -> float:
        """Rows of a night of so many CPU seconds with ``share`` of them changed."""
        return max(0.0, seconds - max(self.fixed, 0.0)) / max(self.known + share * self.score, 1e-12)


def works() -> Iterator[tuple[str, int, Workload]]:
    """What is scored, and over how many columns: the model grows first, then the columns."""
    yield "scaler + logistic regression", 20, _work(20, _graph(lambda: graphs.scaled_logistic(20)), "probabilities", 1)
    for layers in ([20, 32, 32, 1], [20, 256, 256, 1], [20, 1024, 1024, 1]):
        yield f"MLP {'-'.join(map(str, layers))}", 20, _mlp(layers)
    yield "200 trees of depth 6", 20, _work(20, _graph(lambda: onnx_builder.tree_ensemble(200, 6, 20)))
    for columns in (5, 80):
        yield f"MLP {columns}-256-256-1", columns, _mlp([columns, 256, 256, 1])


def _mlp(layers: list[int]) -> Workload:
    return _work(layers[0], _graph(lambda: onnx_builder.mlp(layers)))


def _work(columns: int, write: Callable[[Path], None], output: str = "score", index: int | None = None) -> Workload:
    names = tuple(f"c{number}" for number in range(columns))
    listed = ", ".join(f"random()::float AS {name}" for name in names)
    table = f"SELECT range AS id, {listed} FROM range({{rows}})"
    return Workload("scale", 0, "", table, names, (), write, output=output, index=index)


def measured(folder: Path, work: Workload, sizes: tuple[int, int], repeats: int) -> tuple[Law, Pass, Pass]:
    """The law, and the passes of the larger size."""
    first: list[Pass] = []
    later: list[Pass] = []
    for number, rows in enumerate(sizes):
        sized = replace(work, rows=rows, table=work.table.replace("{rows}", str(rows)))
        bench = Bench(sized, folder / str(number))
        (folder / str(number)).mkdir(parents=True)
        bench.create(reuse="true", config=KEYED)
        bench.run()  # prepares the function and measures its batch
        nights = []
        for _ in range(repeats):
            bench.forget()
            nights.append(bench.run("--full-refresh"))
        first.append(_middle(nights))
        later.append(_middle([changed(bench, night) for night in range(repeats)]))
    law = Law.of(sizes, (first[0].cpu, first[1].cpu), (later[0].cpu, later[1].cpu), 0.01)
    return law, first[1], later[1]


def _middle(passes: Sequence[Pass]) -> Pass:
    wanted = median(one.cpu for one in passes)
    return min(passes, key=lambda one: abs(one.cpu - wanted))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", default="200000,800000", help="two sizes")
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--hours", type=float, default=1.0, help="of a night")
    arguments.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--only", default="", help="part of a model's name")
    given = arguments.parse_args()
    small, large = (int(one) for one in given.rows.split(","))
    budget = given.hours * 3600 * given.cores
    print(f"{given.cores} cores, load {os.getloadavg()[0]:.1f}, {small:,} and {large:,} rows, "
          f"nights of {given.hours:g} h of all cores")  # fmt: skip
    for title, columns, work in works():
        if given.only not in title:
            continue
        with tempfile.TemporaryDirectory() as folder:
            law, first, later = measured(Path(folder), work, (small, large), given.repeats)
        print(
            f"{title}, {columns} columns: fixed {law.fixed:.1f} s, a million rows known {law.known * 1e6:.1f} s, "
            f"scored {law.score * 1e6:.1f} s more (first night {first.cpu:.1f} CPU s on {first.cpu / first.wall:.1f} "
            f"cores, 1 % changed {later.cpu:.1f} CPU s); million rows a night: all scored "
            f"{law.rows(budget, 1.0) / 1e6:,.0f}, 1 % changed {law.rows(budget, 0.01) / 1e6:,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
