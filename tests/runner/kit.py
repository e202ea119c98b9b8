"""Hand-written plans over one table, a numpy session, and an environment to run them in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot

from sqlinfer.adapters.duckdb.adapter import DuckDBAdapter
from sqlinfer.compiler.plan.scans import Emitted, scan_of
from sqlinfer.jobs.tuning import chunk_bounds
from sqlinfer.project import DataTest, Node, NodeConfig
from sqlinfer.relation import Relation
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.function import Argument, FunctionContract, Output, PreparedFunction
from sqlinfer.spec.plan import Call, Plan, Result, Stage

DIGEST = "a" * 64
KEY = "hash(x)::UHUGEINT * 18446744073709551616::UHUGEINT + hash(x + 1)::UHUGEINT"


def prepared(strategy: str = "store", digest: str = DIGEST, struct: bool = False, name: str = "twice", **more: object):
    outputs = (Output("value", "DOUBLE"),) if not struct else (Output("a", "DOUBLE"), Output("error", "TEXT"))
    contract = FunctionContract(
        name, digest, (Argument("x", "DOUBLE"),), outputs, is_struct=struct, strategy=strategy, **more
    )
    return PreparedFunction(contract, Path(), Path(), (), ())


@dataclass
class FakeSession:
    """value = factor · x, NULL for NULL; x < 0 is a bad row. Counts what it saw."""

    function: PreparedFunction
    factor: float = 2.0
    seen: list[float] = field(default_factory=list)
    on_batch: object = None
    quarantined: int = 0
    categories: dict[int, list[str]] = field(default_factory=dict)

    def joins(self, _):
        return False

    def score(self, reader, arguments, keep, *, as_column=None, error_column="error", **_):
        return FakeScored(self, reader, arguments[0], list(keep), as_column, error_column)


class FakeScored:
    def __init__(self, session, reader, argument, keep, as_column, error_column):
        self.session, self.reader, self.argument, self.keep = session, reader, argument, keep
        self.seconds = SimpleNamespace(read=0.0, assemble=0.0, kernel=0.0, finish=0.0, workers=1)
        self.counts = SimpleNamespace(null_inputs=0)
        struct = session.function.contract.is_struct
        result = pa.struct([("a", pa.float64()), ("error", pa.string())]) if struct else pa.float64()
        fields = [reader.schema.field(name) for name in keep]
        self.schema = pa.schema([*fields, pa.field(as_column, result), pa.field(error_column, pa.string())])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()

    def to_reader(self):
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def __iter__(self):
        for batch in self.reader:
            if callable(self.session.on_batch):
                self.session.on_batch()
            x = batch.column(batch.schema.get_field_index(self.argument)).cast(pa.float64())
            self.session.seen += [value for value in x.to_pylist() if value is not None]
            bad = pc.fill_null(pc.less(x, 0), False)
            value = pc.if_else(bad, pa.scalar(None, pa.float64()), pc.multiply(x, self.session.factor))
            if self.session.function.contract.is_struct:
                text = value.cast(pa.string())
                value = pa.StructArray.from_arrays([value, text], ["a", "error"], mask=pc.is_null(value))
            error = pc.if_else(bad, pa.scalar("runtime: negative"), pa.scalar(None, pa.string()))
            kept = [batch.column(batch.schema.get_field_index(name)) for name in self.keep]
            yield pa.RecordBatch.from_arrays([*kept, value, error], schema=self.schema)


def side(name: str) -> Relation:
    return Relation(name, "stage", "sqlinfer_side")


def plan(
    strategy: str = "store",
    digest: str = DIGEST,
    *,
    where: str = "true",
    node: str = "scores",
    columns: str = '"id", "score"',
    name: str = "twice",
    source: str = "customers",
) -> Plan:
    stage, scored = side(f"{node}__s1"), side(f"{node}__s1_scored")
    bad = "CASE WHEN raw IS NULL THEN 'null_input' WHEN raw = 'oops' THEN 'cast_error:x' END"
    sql = (
        f"SELECT id, x, CASE WHEN x IS NOT NULL THEN {KEY} END AS k, {bad} AS st "
        f"FROM (SELECT id, raw, try_cast(raw AS DOUBLE) AS x FROM {source} WHERE {where}) AS q"
    )
    call = Call(name, digest, strategy, ("x",), "score", "k" if strategy == "store" else None, "st", f"{name}(x)")
    return Plan(
        node,
        "duckdb",
        "select id, predict('twice', x) as score from customers",
        (rewritten(Stage("s1", stage, scored, "", ("id",), (call,), reproducible=True), sql),),
        Result(f"SELECT {columns} FROM {scored.sql()}"),
    )


def rewritten(stage: Stage, sql: str) -> Stage:
    """The stage with other SQL, and what the compiler would say of that."""
    return replace(
        stage, sql=sql, scan=scan_of(Emitted(sqlglot.parse_one(sql, dialect="duckdb"), sql, "duckdb"), "rowid")
    )


def node(
    materialized: str = "table", *, name: str = "scores", tests: tuple[DataTest, ...] = (), **config: object
) -> Node:
    return Node(
        f"model.p.{name}", name, "model", Path(f"{name}.sql"), "", Relation(name, "main", "wh"),
        NodeConfig(materialized=materialized, **config), tests=tests,
    )  # fmt: skip


@dataclass
class Night:
    """A warehouse with a customers table, and runs over it."""

    folder: Path
    sessions: list[FakeSession] = field(default_factory=list)
    events: list[object] = field(default_factory=list)
    number: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "wh.duckdb"

    def sql(self, *statements: str) -> list[tuple]:
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def adapter(self, **settings: object) -> DuckDBAdapter:
        return DuckDBAdapter.from_settings({"type": "duckdb", "path": "wh.duckdb", **settings}, self.folder)

    @contextmanager
    def environment(
        self, function: PreparedFunction | None = None, *, on_batch=None, **more
    ) -> Iterator[RunEnvironment]:
        function = function or prepared()
        self.number += 1
        run_id = more.pop("run_id", f"run{self.number}")
        factor = 2.0 if function.contract.digest == DIGEST else 3.0

        @contextmanager
        def factory(wanted):
            session = FakeSession(wanted, factor, on_batch=on_batch)
            self.sessions.append(session)
            yield session

        bounds = chunk_bounds(os.environ, None) | more
        with self.adapter().workspace(run_id) as work:
            yield RunEnvironment(
                work, run_id, {function.contract.name: function}, factory, emit=self.events.append, **bounds
            )

    @property
    def scored(self) -> int:
        return sum(len(session.seen) for session in self.sessions)
