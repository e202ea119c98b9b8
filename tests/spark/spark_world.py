"""Plans against Spark itself: a plan runs on Spark with Python functions as models, and its rows must equal those of
the same query with Spark's own functions of the same meaning."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyspark.errors import AnalysisException, PySparkException

from sqlinfer import types
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query, reads, without_predictions
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import FunctionContract, Strategy
from sqlinfer.spec.plan import CAST_ERROR, NULL_INPUT, SKIPPED, Call, Plan, Stage
from sqlinfer.testing.differential import Expected, Outcome, PythonFunction, Row, freeze

sys.path.insert(0, str(Path(__file__).parent.parent / "compiler"))
from harness import SETUP, functions

NUMBER = "__row"
FUNCTIONS = """
create temporary function modulo(a double, b double) returns double return a - b * floor(a / b);
create temporary function f(x double) returns double return modulo(x * 3.25D + 1, 10D);
create temporary function g(x double, y double) returns double return modulo(x * 2D + y * 5D, 7D);
create temporary function lab(s string) returns string return reverse(s) || length(s);
create temporary function st(x double) returns struct<p: double, l: string> return
    case when x is not null then named_struct('p', modulo(x * 1.25D, 5D), 'l', 'L' || (cast(x as int) % 3)) end;
create temporary function d(x double) returns double return coalesce(x, 1.5D) + 100D;
create temporary function vec(x double) returns array<double> return case when x is not null then array(x, x + 1D) end;
create temporary function n(i int) returns int return i * 7 % 5
"""


@dataclass(slots=True)
class SparkWorld:
    """``models``: those of the functions. ``planned`` and ``reference`` are sessions of one JVM with the same views;
    functions are known to ``reference`` alone: a call that the compiler forgot fails."""

    planned: Any
    reference: Any
    models: dict[str, PythonFunction]
    tables: dict[Relation, Table] = field(default_factory=dict)
    fallback: Any = None
    """A session with the functions in Python, for the places where Spark takes none in SQL."""

    @classmethod
    def of(
        cls, raw: Any, models: Iterable[PythonFunction], tables: Mapping[str, pa.Table], udfs: str, views: str = ""
    ) -> SparkWorld:
        world = cls(raw.newSession(), raw.newSession(), {m.contract.name: m for m in models})
        for session in (world.planned, world.reference):
            session.conf.set("spark.sql.shuffle.partitions", "1")
            session.conf.set("spark.sql.adaptive.enabled", "false")
            for name, rows in tables.items():
                session.createDataFrame(rows).createOrReplaceTempView(quote(name, "spark"))
            for statement in filter(str.strip, views.split(";\n")):
                session.sql(statement)
        for statement in filter(str.strip, udfs.split(";\n")):
            world.reference.sql(statement)
        world.fallback = world.reference.newSession()
        for name, rows in tables.items():
            world.fallback.createDataFrame(rows).createOrReplaceTempView(quote(name, "spark"))
        for statement in filter(str.strip, views.split(";\n")):
            world.fallback.sql(statement)
        for model in world.models.values():
            world.fallback.udf.register(model.contract.name, _python(model), _returned(model.contract))
        world.refresh()
        return world

    def refresh(self) -> None:
        for name in _views(self.planned):
            relation = Relation(name)
            self.tables[relation.folded()] = Table(relation, self.describe(f"select * from {relation.sql('spark')}"))

    def give(self, name: str, sql: str) -> None:
        """A relation in both sessions."""
        for session in (self.planned, self.reference):
            session.sql(f"create or replace temporary view {quote(name, 'spark')} as {sql}")
        self.tables[Relation(name).folded()] = Table(
            Relation(name), self.describe(f"select * from {quote(name, 'spark')}")
        )

    # Spark

    def table(self, sql: str) -> pa.Table:
        return self.planned.sql(sql).toArrow()

    def rows(self, sql: str) -> list[Row]:
        return _rows(self.table(sql))

    def describe(self, sql: str) -> tuple[Column, ...]:
        return tuple(Column(f.name, f.dataType.simpleString()) for f in self.planned.sql(sql).schema.fields)

    # the compiler

    def catalog(self, strategy: Strategy = "store") -> Catalog:
        contracts = {n: replace(m.contract, strategy=strategy) for n, m in self.models.items()}
        return Catalog("spark", Relation(""), self.tables, contracts, namespace=Relation(""))

    def compile(self, sql: str, strategy: Strategy = "store") -> Plan:
        source, catalog = Source(sql), self.catalog(strategy)
        found = {text: self.describe(f"select * from {text}") for text in reads(source, catalog)[1]}
        catalog = replace(catalog, table_functions=found)
        output = self.describe(without_predictions(source, catalog))
        plan = compile_query(source, catalog, node="n", output=output)
        if any(stage.untyped for stage in plan.stages):
            catalog = replace(catalog, arguments=self._arguments(plan))
            plan = compile_query(source, catalog, node="n", output=output)
        return plan

    def _arguments(self, plan: Plan) -> dict[str, str]:
        """As the catalog step asks: stages are there by name, empty."""
        found: dict[str, str] = {}
        try:
            for stage in plan.stages:
                if stage.untyped:
                    found |= {c.name: c.data_type for c in self.describe(stage.untyped)}
                empty = self.planned.sql(f"select * from ({stage.sql}) limit 0")
                empty.createOrReplaceTempView(quote(stage.relation.name, "spark"))
                if stage.scored is not None:
                    items = [quote(name, "spark") for name in stage.columns]
                    for call in stage.calls:
                        names = call.columns or (call.output,)
                        for name, output in zip(names, self.models[call.function].contract.outputs, strict=True):
                            kind = types.type_sql(output.data_type, "spark")
                            items.append(f"cast(null as {kind}) as {quote(name, 'spark')}")
                    scored = self.planned.sql(f"select {', '.join(items)} from {stage.relation.sql('spark')}")
                    scored.createOrReplaceTempView(quote(stage.scored.name, "spark"))
        except PySparkException:  # as the catalog step does: the stage's own error comes when it is run
            pass
        finally:
            self._drop(plan)
        return found

    # running a plan

    def outcome(self, sql: str, strategy: Strategy = "store") -> Outcome:
        plan = self.compile(sql, strategy)
        outcome = Outcome(plan, (), (), [])
        seen: dict[str, set[Row]] = {}
        try:
            for stage in plan.stages:
                self._give(stage.relation, self.table(stage.sql))
                if stage.scored is not None:
                    self._score(stage, seen, outcome.statuses)
            result = self.planned.sql(plan.result.sql)
            outcome.columns, outcome.types = tuple(result.columns), tuple(t for _, t in result.dtypes)
            outcome.rows = _rows(result.toArrow())
        finally:
            self._drop(plan)
        outcome.scored = {name: len(inputs) for name, inputs in seen.items()}
        return outcome

    def expected(self, sql: str) -> Expected:
        """What Spark itself gives; ``predict('f', …)`` is spelt ``f(…)`` first."""
        plain = re.sub(r"(?i)\bpredict\(\s*'(\w+)'\s*,\s*", r"\1(", sql)
        try:
            result = self.reference.sql(plain)
        except AnalysisException as error:
            if "UNSUPPORTED_SQL_UDF_USAGE" not in str(error):
                raise
            result = self.fallback.sql(plain)
        return Expected(tuple(result.columns), tuple(t for _, t in result.dtypes), _rows(result.toArrow()))

    def _give(self, relation: Relation, rows: pa.Table) -> None:
        self.planned.createDataFrame(rows).createOrReplaceTempView(quote(relation.name, "spark"))

    def _drop(self, plan: Plan) -> None:
        for stage in plan.stages:
            for relation in (stage.scored, stage.relation):
                if relation is not None:
                    self.planned.catalog.dropTempView(relation.name)

    def _score(self, stage: Stage, seen: dict[str, set[Row]], statuses: dict[str, int]) -> None:
        assert stage.scored is not None
        rows = self.table(f"select * from {stage.relation.sql('spark')}")
        columns = {name: rows.column(name) for name in stage.columns}
        for call in stage.calls:
            values = self._values(call, rows, seen, statuses)
            columns |= _columns(call, self.models[call.function].contract, values)
        self._give(stage.scored, pa.table(columns))

    def _values(self, call: Call, rows: pa.Table, seen: dict[str, set[Row]], statuses: dict[str, int]) -> list[Any]:
        implementation = self.models[call.function].implementation
        columns = [rows.column(a).to_pylist() for a in call.arguments]
        keys: Sequence[Any] = rows.column(call.key).to_pylist() if call.key else [None] * rows.num_rows
        status: Sequence[Any] = rows.column(call.status).to_pylist() if call.status else [None] * rows.num_rows
        inputs, by_key, by_input = seen.setdefault(call.function, set()), dict[str, Row](), dict[Row, str]()
        values: list[Any] = []
        for number, arguments in enumerate(zip(*columns, strict=True)):
            missing = any(a is None for a in arguments)
            if call.key is not None:
                assert (keys[number] is None) == missing, f"{call.sql}: key {keys[number]} for {arguments}"
            if call.status is not None:
                state = status[number]
                assert (state is not None) == missing, f"{call.sql}: status {state} for {arguments}"
                assert state is None or state in (SKIPPED, NULL_INPUT) or state.startswith((CAST_ERROR, "null_error:"))
                if state is not None:
                    statuses[state] = statuses.get(state, 0) + 1
            if missing:
                values.append(None)
                continue
            frozen = freeze(arguments)
            if call.key is not None:
                assert by_key.setdefault(keys[number], frozen) == frozen, "one key for two inputs"
                assert by_input.setdefault(frozen, keys[number]) == keys[number], f"two keys for {frozen}"
            inputs.add(frozen)
            values.append(implementation(*arguments))
        return values


def of_the_corpus(raw: Any) -> SparkWorld:
    """The tables and functions of the compiler's corpus."""
    with duckdb.connect() as source:
        source.execute(SETUP).fetchall()
        names = ("t", "u", "w", "e", "Odd Table")
        tables = {name: source.sql(f'from "{name}"').to_arrow_table() for name in names}
    view = "create temporary view tv as select id, x, k from t where k < 4"
    return SparkWorld.of(raw, functions(), tables, FUNCTIONS, view)


def _python(model: PythonFunction) -> Callable[..., Any]:
    defaults = {i: a.default for i, a in enumerate(model.contract.arguments) if a.on_null == "default"}
    implementation = model.implementation

    def filled(*arguments: Any) -> Any:
        given = [defaults.get(i) if a is None else a for i, a in enumerate(arguments)]
        return None if any(a is None for a in given) else implementation(*given)

    return filled


def _returned(contract: FunctionContract) -> str:
    if not contract.is_struct:
        return types.type_sql(contract.return_type, "spark")
    listed = (f"{output.name}: {types.type_sql(output.data_type, 'spark')}" for output in contract.outputs)
    return f"struct<{', '.join(listed)}>"


def _views(session: Any) -> list[str]:
    return [row.viewName for row in session.sql("show views").collect() if row.isTemporary]


def _rows(table: pa.Table) -> list[Row]:
    """A result may repeat a name."""
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else [() for _ in range(table.num_rows)]


def _columns(call: Call, contract: FunctionContract, values: list[Any]) -> dict[str, pa.Array]:
    kinds = [types.arrow_type(output.data_type) for output in contract.outputs]
    if not call.columns:
        return {call.output: pa.array(values, kinds[0])}
    fields = [[None if v is None else v[o.name] for v in values] for o in contract.outputs]
    return {name: pa.array(f, kind) for name, f, kind in zip(call.columns, fields, kinds, strict=True)}
