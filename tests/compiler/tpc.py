"""TPC-H and TPC-DS with predict() put around random columns, for ``test_tpc.py``.

Texts and small tables are those of a clone of tobymao/sqlglot (``tests/fixtures/optimizer``), whose path is handed in.
``python tests/compiler/tpc.py CLONE [SEED …]`` runs every query at these seeds and lists what is wrong or slow.
"""

from __future__ import annotations

import json
import math
import random
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from sqlinfer.errors import SqlinferError
from sqlinfer.testing.onnx_builder import identity

SUITES = {"tpc-h": 22, "tpc-ds": 99}
FUNCTIONS = {"as_double": "double", "as_bigint": "bigint", "as_text": "varchar"}
MEMORY = "512MB"
LIMIT_SECONDS = 60
_CALLED = {"DOUBLE": "as_double", "BIGINT": "as_bigint", "VARCHAR": "as_text"}
_ELEMENTS = {"double": "double", "bigint": "int64", "varchar": "string"}
_OFTEN = 0.5
"""How often every occurrence of a column is wrapped, and not one."""


@dataclass(frozen=True, slots=True)
class Injected:
    suite: str
    number: int
    seed: int
    planned: str
    plain: str

    def __str__(self) -> str:
        return f"{self.suite}-{self.number}-seed{self.seed}"


def texts(clone: Path, suite: str) -> list[str]:
    """The queries as they were written: the first of each pair."""
    text = (clone / "tests/fixtures/optimizer" / suite / f"{suite}.sql").read_text(encoding="utf-8")
    blocks = re.split(r"-{20,}\n-- TPC-\w+ \d+\n-{20,}\n", text)[1:]
    return [re.sub(r"(?m)^(--|#).*$", "", block.split(";")[0]).strip() for block in blocks]


def load(connection: duckdb.DuckDBPyConnection, clone: Path, suite: str) -> None:
    for file in sorted((clone / "tests/fixtures/optimizer" / suite).glob("*.csv.gz")):
        table = file.name.removesuffix(".csv.gz")
        source = f"read_csv('{file}', delim = '|', header = true)"
        names = [row[0] for row in connection.execute(f"describe from {source}").fetchall()]
        texts = ", ".join(f"'{name}': 'varchar'" for name in names if name.endswith("_zip"))  # else 35709.0
        types = f", types = {{{texts}}}" if texts else ""
        connection.execute(f"create table {table} as from {source[:-1]}{types})")


def macros(connection: duckdb.DuckDBPyConnection) -> None:
    """The same meaning in plain SQL."""
    for name, data_type in FUNCTIONS.items():
        connection.execute(f"create macro {name}(x) as x::{data_type}")


def project(folder: Path, clone: Path, suite: str, reuse: str) -> Path:
    """A project over the tables, with an identity model for each type."""
    (folder / "functions").mkdir(parents=True)
    with duckdb.connect(str(folder / "w.duckdb")) as connection:
        load(connection, clone, suite)
    (folder / "sqlinfer_project.yml").write_text("name: tpc\nprofile: tpc\n")
    settings = f"settings: {{memory_limit: {MEMORY}}}"
    output = f"{{type: duckdb, path: w.duckdb, threads: 2, {settings}}}"
    (folder / "profiles.yml").write_text(f"tpc: {{target: dev, outputs: {{dev: {output}}}}}\n")
    declared = [
        {
            "name": name, "model": {"path": f"{name}.onnx"}, "arguments": [{"name": "x", "data_type": data_type}],
            "returns": {"data_type": data_type}, "config": {"reuse": reuse == "store"},
        }
        for name, data_type in FUNCTIONS.items()
    ]  # fmt: skip
    (folder / "functions/f.yml").write_text(json.dumps({"functions": declared}))
    for name, data_type in FUNCTIONS.items():
        identity(_ELEMENTS[data_type], path=folder / f"functions/{name}.onnx")
    return folder


def injected(connection: duckdb.DuckDBPyConnection, clone: Path, suite: str, seed: int) -> Iterator[Injected]:
    """Every query of the suite with one to three columns wrapped, where DuckDB takes the result."""
    for number, text in enumerate(texts(clone, suite), 1):
        rng = random.Random(f"{suite} {number} {seed}")
        for _ in range(20):  # not every column may be wrapped: one that is grouped by, say
            one = _inject(connection, text, rng)
            if one is not None:
                yield Injected(suite, number, seed, *one)
                break


def _inject(connection: duckdb.DuckDBPyConnection, text: str, rng: random.Random) -> tuple[str, str] | None:
    tree = sqlglot.parse_one(text, dialect="duckdb")
    known = _types(connection, tree)
    columns = [c for c in tree.find_all(exp.Column) if known.get(c.name.casefold()) in _CALLED]
    chosen: list[exp.Column] = []
    for column in rng.sample(columns, min(len(columns), rng.randint(1, 3))):
        every = rng.random() < _OFTEN
        chosen += [c for c in columns if c is column or (every and c.name.casefold() == column.name.casefold())]
    for column in dict.fromkeys(chosen, None):
        name = _CALLED[known[column.name.casefold()]]
        column.replace(exp.Anonymous(this=name, expressions=[column.copy()]))
    plain = tree.sql(dialect="duckdb")
    try:
        connection.execute(f"explain {plain}")
    except duckdb.Error:
        return None
    return spelled(plain), plain


def spelled(plain: str) -> str:
    return re.sub(r"(?i)\b(as_double|as_bigint|as_text)\(", lambda m: f"predict('{m[1].lower()}', ", plain)


def _types(connection: duckdb.DuckDBPyConnection, tree: exp.Expr) -> dict[str, str]:
    """Column name → type, of the tables and of derived tables that run by themselves."""
    found: dict[str, set[str]] = {}
    rows = connection.execute("select column_name, data_type from duckdb_columns()").fetchall()
    clause = tree.args.get("with_")
    before = f"{clause.sql(dialect='duckdb')} " if clause is not None else ""
    for derived in tree.find_all(exp.Subquery, exp.CTE):
        try:
            described = connection.execute(f"describe {before}{derived.this.sql(dialect='duckdb')}").fetchall()
        except duckdb.Error:
            continue
        rows += [(row[0], str(row[1])) for row in described]
    for name, data_type in rows:
        found.setdefault(name.casefold(), set()).add(data_type)
    return {name: next(iter(kinds)) for name, kinds in found.items() if len(kinds) == 1}


def unlimited(sql: str) -> str:
    """Ties make the rows of a LIMIT a matter of luck: the query without its own."""
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    tree.set("limit", None)
    return tree.sql(dialect="duckdb")


def differs(got: pa.Table, want: pa.Table) -> str | None:
    """What differs between two results as multisets of rows, or None. Sums may have been added up in another order."""
    kinds = [str(f.type) for f in got.schema], [str(f.type) for f in want.schema]
    if kinds[0] != kinds[1]:
        return f"types {kinds[0]}, expected {kinds[1]}"
    names = zip(got.schema.names, want.schema.names, strict=True)
    if any(ours != theirs and "(" not in theirs for ours, theirs in names):
        return f"columns {got.schema.names}, expected {want.schema.names}"
    if got.num_rows != want.num_rows:
        return f"{got.num_rows} rows, expected {want.num_rows}"
    ours, theirs = _rows(got), _rows(want)
    return next((f"row {a}, expected {b}" for a, b in zip(ours, theirs, strict=True) if not _same(a, b)), None)


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    rows = list(zip(*columns, strict=True)) if columns else []
    return sorted(rows, key=lambda row: [_sortable(v) for v in row])


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return 2, ""
    if isinstance(value, float):
        return (1, float(f"{value:.6g}")) if value == value else (3, "")
    return (0, str(value))


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return all(
        (x != x and y != y) or math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9)
        if isinstance(x, float) and isinstance(y, float) else x == y
        for x, y in zip(a, b, strict=True)
    )  # fmt: skip


class TookTooLong(Exception):
    pass


def timed(work: Any, seconds: float) -> Any:
    def stop(*_: Any) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def plain(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    return timed(lambda: connection.sql(sql).to_arrow_table(), LIMIT_SECONDS)


def check(query: Injected, connect: Any, connection: duckdb.DuckDBPyConnection) -> tuple[str | None, float, float]:
    """What is wrong with the planned query, or None; its seconds and those of plain DuckDB."""
    began = _now()
    want = plain(connection, query.plain)
    theirs, began = _since(began), _now()
    try:
        got = timed(lambda: connect.sql(query.planned), LIMIT_SECONDS + 5 * theirs)
    except TookTooLong:
        return "took too long", _since(began), theirs
    except SqlinferError as error:
        return f"{type(error).__name__}: {error.message}", _since(began), theirs
    except Exception as error:  # a crash is a finding
        return f"CRASH {type(error).__name__}: {error}", _since(began), theirs
    ours = _since(began)
    problem = differs(got, want)
    if problem and re.search(r"(?i)\blimit\s+\d+\s*$", query.plain):
        whole = unlimited(query.plain)
        problem = differs(connect.sql(spelled(whole)), plain(connection, whole))
    if problem is None and ours > 5 * theirs + 2:
        problem = f"slow: {ours:.1f} s, plain DuckDB {theirs:.2f} s"
    return problem, ours, theirs


def _now() -> tuple[float, float]:
    return perf_counter(), process_time()


def _since(began: tuple[float, float]) -> float:
    """Seconds on the clock, or of the processor where that is less: a busy machine is not the query's fault."""
    return min(perf_counter() - began[0], process_time() - began[1])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    import tempfile

    from sqlinfer import api

    clone, seeds = Path(sys.argv[1]), [int(s) for s in sys.argv[2:] if s.isdigit()] or [0]
    only = {s for s in sys.argv[2:] if not s.isdigit()}
    for suite in SUITES:
        connection = duckdb.connect()
        connection.execute(f"set threads = 2; set memory_limit = '{MEMORY}'")
        load(connection, clone, suite)
        macros(connection)
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                project(Path(folder) / "p", clone, suite, ("stream", "store")[seed % 2])
                connect = api.connect(Path(folder) / "p")
                bad = total = 0
                for query in injected(connection, clone, suite, seed):
                    if only and f"{suite}-{query.number}" not in only:
                        continue
                    problem, ours, theirs = check(query, connect, connection)
                    total, bad = total + 1, bad + (problem is not None)
                    if problem or only:
                        say(f"{query}: {ours:.1f}s/{theirs:.2f}s {problem}\n{query.planned if only else ''}")
                say(f"{suite} seed {seed}: {total - bad} of {total} right")


if __name__ == "__main__":
    main()
