"""Plans against PostgreSQL itself: a plan runs on the server with Python functions as models, and its rows must equal
those of the same query with SQL functions of the same meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from sqlinfer import types
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query, reads, without_predictions
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Catalog, Column, Table
from sqlinfer.spec.function import FunctionContract, Strategy
from sqlinfer.spec.plan import CAST_ERROR, NULL_INPUT, SKIPPED, Call, Plan, Stage
from sqlinfer.testing.differential import Expected, Outcome, PythonFunction, Row, freeze
from sqlinfer.testing.postgres_server import Database

SIDE = Relation("", "public_sqlinfer")
NUMBER = "__row"


@dataclass(slots=True)
class PostgresWorld:
    """``models``: those of the functions; ``functions`` on the server stand in schema ``udf``, which only the
    reference sees: a call that the compiler forgot fails."""

    database: Database
    connection: Any
    models: dict[str, PythonFunction]
    version: tuple[int, ...] = ()
    tables: dict[Relation, Table] = field(default_factory=dict)

    @classmethod
    def of(
        cls, database: Database, connection: Any, models: Iterable[PythonFunction], setup: str, udfs: str
    ) -> PostgresWorld:
        world = cls(database, connection, {m.contract.name: m for m in models})
        world.run(f"create schema {SIDE.schema}; create schema udf; set datestyle = 'ISO'; {setup}")
        world.run(f"set search_path = udf, public; {udfs}; set search_path = public")
        number = int(world.rows("select current_setting('server_version_num')")[0][0])
        world.version = (number // 10000, number % 10000)
        world.refresh()
        return world

    def refresh(self) -> None:
        names = self.rows(
            "select c.relname::text, c.relkind::text from pg_class c where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'v')"
        )
        for name, kind in names:
            relation = Relation(name, "public", self.database.name)
            columns = self.describe(f"select * from {quote(name)}")
            self.tables[relation.folded()] = Table(relation, columns, "view" if kind == "v" else "table")

    # the server

    def run(self, statements: str) -> None:
        for statement in re.split(r";\s*(?:\n|$)|;(?= (?:create|set))", statements):
            if statement.strip():
                self._execute(statement)

    def _execute(self, sql: str) -> pa.Table | None:
        with closing(self.connection.cursor()) as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table() if cursor.description else None

    def table(self, sql: str) -> pa.Table:
        found = self._execute(sql)
        assert found is not None
        return found

    def rows(self, sql: str) -> list[Row]:
        return [tuple(row.values()) for row in _renamed(self.table(sql)).to_pylist()]

    def describe(self, sql: str) -> tuple[Column, ...]:
        with closing(self.connection.cursor()) as cursor:
            names = cursor.adbc_execute_schema(sql).names
        listed = ", ".join(f"c{i}" for i in range(len(names)))
        self._execute(f"create or replace temp view described ({listed}) as {sql}")
        kinds = self.rows(
            "select format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = 'pg_temp.described'::regclass and attnum > 0 order by attnum"
        )
        self._execute("drop view pg_temp.described")
        return tuple(Column(name, str(kind[0])) for name, kind in zip(names, kinds, strict=True))

    # the compiler

    def catalog(self, strategy: Strategy = "store") -> Catalog:
        contracts = {n: replace(m.contract, strategy=strategy) for n, m in self.models.items()}
        default = Relation("", "public", self.database.name)
        return Catalog("postgres", default, self.tables, contracts, version=self.version, namespace=SIDE)

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
                self._execute(f"create table {stage.relation.sql('postgres')} as select * from ({stage.sql}) q limit 0")
                if stage.scored is not None:
                    self._make_scored(stage, "limit 0", "")
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
                numbered = f"select q.*, row_number() over () as {NUMBER} from ({stage.sql}) as q"
                self._execute(f"create table {stage.relation.sql('postgres')} as {numbered}")
                if stage.scored is not None:
                    self._score(stage, seen, outcome.statuses)
            result = self.table(plan.result.sql)
            outcome.columns, outcome.types = tuple(result.schema.names), tuple(str(t) for t in result.schema.types)
            outcome.rows = [tuple(row.values()) for row in _renamed(result).to_pylist()]
        finally:
            self._drop(plan)
        outcome.scored = {name: len(inputs) for name, inputs in seen.items()}
        return outcome

    def expected(self, sql: str) -> Expected:
        """What PostgreSQL itself gives; ``predict('f', …)`` is spelt ``f(…)`` first."""
        plain = re.sub(r"(?i)\bpredict\(\s*'(\w+)'\s*,\s*", r"\1(", sql)
        self._execute("set search_path = public, udf")
        try:
            result = self.table(plain)
        finally:
            self._execute("set search_path = public")
        rows = [tuple(row.values()) for row in _renamed(result).to_pylist()]
        return Expected(tuple(result.schema.names), tuple(str(t) for t in result.schema.types), rows)

    def _drop(self, plan: Plan) -> None:
        for stage in plan.stages:
            for relation in (stage.scored, stage.relation):
                if relation is not None:
                    self._execute(f"drop table if exists {relation.sql('postgres')}")

    def _score(self, stage: Stage, seen: dict[str, set[Row]], statuses: dict[str, int]) -> None:
        assert stage.scored is not None
        names = [NUMBER, *dict.fromkeys(n for c in stage.calls for n in (*c.arguments, c.key, c.status) if n)]
        keys = {c.key for c in stage.calls}
        read = ", ".join(f"{quote(n)}::text" if n in keys else quote(n) for n in names)
        rows = self.table(f"select {read} from {stage.relation.sql('postgres')}").rename_columns(names)
        outputs: dict[str, pa.Array] = {NUMBER: rows.column(NUMBER)}
        for call in stage.calls:
            values = self._values(call, rows, seen, statuses)
            outputs |= _columns(call, self.models[call.function].contract, values)
        self._execute("drop table if exists outputs_of_calls")
        with closing(self.connection.cursor()) as cursor:
            cursor.adbc_ingest("outputs_of_calls", pa.table(outputs), mode="create")
        self._make_scored(stage, "", f"join outputs_of_calls o using ({NUMBER})")

    def _make_scored(self, stage: Stage, limit: str, join: str) -> None:
        assert stage.scored is not None
        items = [f"s.{quote(name)}" for name in stage.columns]
        for call in stage.calls:
            contract = self.models[call.function].contract
            for name, output in zip(call.columns or (call.output,), contract.outputs, strict=True):
                value, kind = f"o.{quote(name)}" if join else "null", types.type_sql(output.data_type, "postgres")
                items.append(f"{value}::{kind} as {quote(name)}")
        self._execute(
            f"create table {stage.scored.sql('postgres')} as select {', '.join(items)} "
            f"from {stage.relation.sql('postgres')} s {join} {limit}"
        )

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
                assert by_key.setdefault(keys[number], frozen) == frozen, (
                    f"one key for {by_key[keys[number]]}, {frozen}"
                )
                assert by_input.setdefault(frozen, keys[number]) == keys[number], f"two keys for {frozen}"
            inputs.add(frozen)
            values.append(implementation(*arguments))
        return values


def _columns(call: Call, contract: FunctionContract, values: list[Any]) -> dict[str, pa.Array]:
    kinds = [types.arrow_type(output.data_type) for output in contract.outputs]
    if not call.columns:
        return {call.output: pa.array(values, kinds[0])}
    fields = [[None if v is None else v[o.name] for v in values] for o in contract.outputs]
    return {name: pa.array(f, kind) for name, f, kind in zip(call.columns, fields, kinds, strict=True)}


def _renamed(table: pa.Table) -> pa.Table:
    """A result may repeat a name; opaque types as their storage."""
    columns = [c.cast(c.type.storage_type) if isinstance(c.type, pa.BaseExtensionType) else c for c in table.columns]
    return pa.table(columns, names=[str(i) for i in range(table.num_columns)])
