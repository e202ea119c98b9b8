"""The world of the compiler's differential tests: three related tables, an empty one, odd names, seven functions.

Values are dyadic fractions, so that sums and averages do not depend on their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlinfer.spec.function import Argument, FunctionContract, Output
from sqlinfer.testing.differential import PythonFunction, World

CORPUS = Path(__file__).parent / "corpus"

SETUP = """
create table t as select i as id, case when i % 7 = 0 then null else (i * 13 % 11)::double / 2 end as x,
    (i % 5)::double as y, ['a', 'b', 'c', null][i % 4 + 1] as g, (i % 6)::integer as k,
    case when i % 3 = 0 then 'x' || i else (i % 9)::varchar end as s, [i % 4, i % 4 + 1]::integer[] as l,
    (i % 2 = 0) as b, date '2026-01-01' + (i % 4)::integer as d from range(30) r(i);
create table u as select i as uid, (i % 6)::integer as k, (i * 7 % 13)::double as z,
    ['a', 'b', 'd'][i % 3 + 1] as g from range(12) r(i);
create table w as select (i % 3)::integer as k, case when i % 4 = 0 then null else (i % 3)::double end as z,
    case when i % 5 = 0 then null else (i % 2)::double + 0.5 end as v from range(10) r(i);
create table e as select * from u limit 0;
create view tv as select id, x, k from t where k < 4;
create table "Odd Table" as select i as "Mixed Case", i::double / 4 as "_p1", i % 2 as "select",
    (i % 3)::double as "naïve", 'q"' || (i % 3) as "quo""te", i as "_row", i::double as "c1", i % 2 as "_left"
    from range(8) r(i);
"""


def _function(name: str, arguments: list[tuple[str, str]], output: str, cost: float) -> FunctionContract:
    declared = tuple(Argument(n, t) for n, t in arguments)
    return FunctionContract(name, name.ljust(64, "0"), declared, (Output("value", output),), cost_per_row=cost)


def functions() -> list[PythonFunction]:
    x = ("x", "DOUBLE")
    struct = FunctionContract(
        "st",
        "st".ljust(64, "0"),
        (Argument(*x),),
        (Output("p", "DOUBLE"), Output("l", "TEXT")),
        True,
        cost_per_row=50.0,
    )
    default = FunctionContract(
        "d", "d".ljust(64, "0"), (Argument(*x, on_null="default", default=1.5),), (Output("value", "DOUBLE"),),
        cost_per_row=100.0,
    )  # fmt: skip
    return [
        PythonFunction(_function("f", [x], "DOUBLE", 100.0), lambda a: (a * 3.25 + 1) % 10),
        PythonFunction(_function("g", [x, ("y", "DOUBLE")], "DOUBLE", 1000.0), lambda a, b: (a * 2 + b * 5) % 7),
        PythonFunction(_function("lab", [("s", "TEXT")], "TEXT", 10.0), lambda s: s[::-1] + str(len(s))),
        PythonFunction(struct, lambda a: {"p": (a * 1.25) % 5, "l": "L" + str(int(a) % 3)}),
        PythonFunction(default, lambda a: a + 100),
        PythonFunction(_function("vec", [x], "DOUBLE[]", 20.0), lambda a: [a, a + 1]),
        PythonFunction(_function("n", [("i", "INT")], "INT", 200.0), lambda i: i * 7 % 5),
    ]


@cache
def world() -> World:
    """One world for all tests of a process."""
    return World(SETUP, functions())


@dataclass(frozen=True, slots=True)
class Shape:
    """One query of the corpus. ``-- reference: …`` on the line before gives DuckDB's own spelling of it;
    ``-- ordered`` says that ORDER BY is total; ``-- scored: f=3 g=1`` counts distinct inputs."""

    name: str
    sql: str
    reference: str | None
    ordered: bool
    scored: dict[str, int] | None


def shapes() -> Iterator[Shape]:
    for path in sorted(CORPUS.glob("*.sql")):
        for number, block in enumerate(_blocks(path.read_text(encoding="utf-8")), 1):
            notes = dict(re.findall(r"^-- (\w+):?(.*)$", block, re.MULTILINE))
            sql = "\n".join(line for line in block.splitlines() if not line.startswith("-- ")).strip()
            scored = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", notes["scored"])} if "scored" in notes else None
            reference = notes.get("reference", "").strip() or None
            yield Shape(f"{path.stem}-{number}", sql, reference, "ordered" in notes, scored)


def _blocks(text: str) -> Iterator[str]:
    for block in re.split(r";[ \t]*\n", text):
        if re.sub(r"(?m)^--.*$", "", block).strip():
            yield block.strip().rstrip(";")
