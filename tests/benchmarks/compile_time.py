"""Compile time against query size: ``python -m tests.benchmarks.compile_time``."""

from __future__ import annotations

import statistics
import time

from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import Argument, FunctionContract, Output


def catalog() -> Catalog:
    columns = tuple(Column(n, "DOUBLE") for n in ("id", *(f"x{i}" for i in range(20))))
    relation = Relation("t", "main", "memory")
    contract = FunctionContract("f", "f" * 64, (Argument("x", "DOUBLE"),), (Output("value", "DOUBLE"),))
    return Catalog("duckdb", Relation("", "main", "memory"), {relation: Table(relation, columns)}, {"f": contract})


def query(ctes: int, lines: int = 40) -> str:
    """``ctes`` CTEs of ``lines`` lines each; every fifth predicts, each reads the one before."""
    parts = []
    for i in range(ctes):
        source = f"c{i - 1}" if i else "t"
        made = [f"    x{j % 20} * {j} + {i} as y{j}," for j in range(lines - 24)]
        kept = [f"    x{j} + {i} as x{j}," for j in range(20)]
        call = f"    f(x{i % 20}) as p" if i % 5 == 0 else "    x1 as p"
        parts.append(
            "\n".join(
                [f"c{i} as (", "  select id,", *kept, *made, call, f"  from {source}", f"  where x{i % 20} > {i})"]
            )
        )
    return "with " + ",\n".join(parts) + f"\nselect * from c{ctes - 1} where p > 0"


def seconds(ctes: int, repeats: int = 3) -> float:
    source, known = Source(query(ctes)), catalog()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        compile_query(source, known, node="n")
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    print(f"{'CTEs':>6} {'lines':>6} {'seconds':>8} {'ms/line':>8}")
    for ctes in (6, 12, 25, 50):
        lines, taken = query(ctes).count("\n") + 1, seconds(ctes)
        print(f"{ctes:>6} {lines:>6} {taken:>8.2f} {1000 * taken / lines:>8.2f}")


if __name__ == "__main__":
    main()
