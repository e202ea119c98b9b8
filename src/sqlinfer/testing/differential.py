"""Plans against ordinary DuckDB: a plan is executed in memory with Python functions as models, and its rows must equal
those of the same query with each function registered as a plain scalar UDF.

A ``World`` holds two databases with the same tables: ``planned`` knows no function, so that a call which the compiler
forgot fails, and ``reference`` has the UDFs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import pyarrow as pa

from sqlinfer import types
from sqlinfer.adapters.duckdb.names import SIDE, STAGE
from sqlinfer.adapters.duckdb.result_names import result_names
from sqlinfer.compiler.calls.canonical import Source
from sqlinfer.compiler.compile import compile_query, reads, without_predictions
from sqlinfer.compiler.parse.lower import lowered
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.spec.catalog import Catalog, Column, Table, TableKind
from sqlinfer.spec.function import FunctionContract, Strategy
from sqlinfer.spec.plan import CAST_ERROR, NULL_INPUT, SKIPPED, Call, Plan, Stage

Implementation = Callable[..., Any]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A contract and what it computes; ``implementation`` never sees a NULL."""

    contract: FunctionContract
    implementation: Implementation

    def as_udf(self) -> tuple[Implementation, str]:
        """The same function with its ``on_null`` policies, and DuckDB's ``null_handling`` for it."""
        defaults = {i: a.default for i, a in enumerate(self.contract.arguments) if a.on_null == "default"}
        if not defaults:
            return self.implementation, "default"

        def filled(*arguments: Any) -> Any:
            given = [defaults.get(i) if a is None else a for i, a in enumerate(arguments)]
            return None if any(a is None for a in given) else self.implementation(*given)

        # DuckDB derives the number of parameters from the signature
        names = ", ".join(f"a{i}" for i in range(len(self.contract.arguments)))
        scope: dict[str, Any] = {"filled": filled}
        exec(f"def udf({names}): return filled({names})", scope)
        return scope["udf"], "special"


@dataclass(slots=True)
class Outcome:
    """What one query gave through the compiler."""

    plan: Plan
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[Row]
    scored: dict[str, int] = field(default_factory=dict)
    """Function → distinct inputs that were scored."""
    statuses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expected:
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[Row]


class World:
    """Tables and functions; ``setup`` is run in both databases."""

    def __init__(self, setup: str, functions: Iterable[PythonFunction], kinds: Mapping[str, TableKind] | None = None):
        self.functions = {f.contract.name: f for f in functions}
        self.planned = duckdb.connect()
        self.reference = duckdb.connect()
        for connection in (self.planned, self.reference):
            connection.execute("set threads = 1")
            connection.execute(setup)
        for name, function in self.functions.items():
            udf, nulls = function.as_udf()
            contract = function.contract
            arguments = [a.data_type for a in contract.arguments]
            self.reference.create_function(name, udf, arguments, contract.return_type, null_handling=nulls)  # type: ignore[call-overload]
        self.planned.execute(f"attach ':memory:' as {SIDE}; create schema {SIDE}.{STAGE}")
        self.planned.execute("set arrow_lossless_conversion = false")
        self._kinds = dict(kinds or {})
        self._tables = self._described()
        self.default = Relation("", "main", str(self._one("select current_database()")))

    def describe(self, name: str, kind: TableKind) -> None:
        """Let the catalog know a relation that was made later, by its full name."""
        database, schema, table = name.split(".")
        relation = Relation(table, schema, database)
        self._tables[relation.folded()] = Table(relation, self._columns(f"select * from {relation.sql()}"), kind)

    def close(self) -> None:
        self.planned.close()
        self.reference.close()

    def catalog(self, strategy: Strategy, sql: str = "") -> Catalog:
        """The catalog for a query; its table functions are described here."""
        functions = {n: replace(f.contract, strategy=strategy) for n, f in self.functions.items()}
        return self._with_functions(Source(sql), Catalog("duckdb", self.default, self._tables, functions, {}))

    def _with_functions(self, source: Source, catalog: Catalog) -> Catalog:
        found = reads(source, catalog)[1] if re.search(r"\(|'", source.sql) else ()
        new = [t for t in found if not t.startswith("PREDICT") and t not in catalog.table_functions]
        described = {text: self._columns(f"select * from {text}") for text in new}
        return replace(catalog, table_functions={**catalog.table_functions, **described})

    def compile(self, sql: str, strategy: Strategy = "store") -> Plan:
        asked = Source(sql, names=result_names(self.planned, sql))
        source, catalog = lowered(asked, self.catalog(strategy), _Asked(self.planned))
        catalog = self._with_functions(source, catalog)
        output = self._columns(without_predictions(source, catalog))
        return compile_query(source, catalog, node="n", output=output)

    def run(self, sql: str, strategy: Strategy = "store") -> Outcome:
        """Through the compiler."""
        return self.execute(self.compile(sql, strategy))

    def expected(self, sql: str) -> Expected:
        """What DuckDB itself gives; ``predict('f', …)`` is spelt ``f(…)`` first."""
        plain = re.sub(r"(?i)\bpredict\(\s*'(\w+)'\s*,\s*", r"\1(", sql)
        result = self.reference.execute(plain)
        described = result.description or []
        return Expected(tuple(d[0] for d in described), tuple(str(d[1]) for d in described), result.fetchall())

    def execute(self, plan: Plan) -> Outcome:
        outcome = Outcome(plan, (), (), [])
        seen: dict[str, set[Row]] = {}
        try:
            for stage in plan.stages:
                self.planned.execute(f"create table {stage.relation.sql()} as {stage.sql}")
                if stage.scored is not None:
                    self._score(stage, seen, outcome.statuses)
            result = self.planned.execute(plan.result.sql)
            described = result.description or []
            outcome.columns = tuple(d[0] for d in described)
            outcome.types = tuple(str(d[1]) for d in described)
            outcome.rows = result.fetchall()
        finally:
            for stage in plan.stages:
                for relation in (stage.relation, stage.scored):
                    if relation is not None:
                        self.planned.execute(f"drop table if exists {relation.sql()}")
        outcome.scored = {name: len(inputs) for name, inputs in seen.items()}
        return outcome

    def _score(self, stage: Stage, seen: dict[str, set[Row]], statuses: dict[str, int]) -> None:
        """What the runner does, row by row: every row whose arguments are all there is scored, each input once."""
        assert stage.scored is not None
        keys = ", ".join(f'"{c.key}"::varchar as "{c.key}"' for c in stage.calls if c.key)
        replaced = f" replace ({keys})" if keys else ""
        rows = self.planned.sql(f"select *{replaced} from {stage.relation.sql()}").to_arrow_table()
        outputs = {c.output: pa.array(self._values(c, rows, seen, statuses), self._arrow(c)) for c in stage.calls}
        self.planned.register("_outputs", pa.table(outputs))
        kept = "".join(f"_stage.{_quoted(c)}, " for c in stage.columns)
        self.planned.execute(
            f"create table {stage.scored.sql()} as select {kept}_outputs.* "
            f"from {stage.relation.sql()} _stage positional join _outputs"
        )
        self.planned.unregister("_outputs")

    def _values(self, call: Call, rows: pa.Table, seen: dict[str, set[Row]], statuses: dict[str, int]) -> list[Any]:
        implementation = self.functions[call.function].implementation
        columns = [rows.column(a).to_pylist() for a in call.arguments]
        keys: list[Any] = rows.column(call.key).to_pylist() if call.key else [None] * rows.num_rows
        status: list[Any] = rows.column(call.status).to_pylist() if call.status else [None] * rows.num_rows
        inputs, by_key = seen.setdefault(call.function, set()), dict[str, Row]()
        values: list[Any] = []
        for row, arguments in enumerate(zip(*columns, strict=True)):
            missing = any(a is None for a in arguments)
            _check_row(call, arguments, keys[row], status[row], missing=missing)
            if status[row] is not None:
                statuses[status[row]] = statuses.get(status[row], 0) + 1
            if missing:
                values.append(None)
                continue
            frozen = freeze(arguments)
            if call.key is not None:
                assert by_key.setdefault(keys[row], frozen) == frozen, f"one key for {by_key[keys[row]]} and {frozen}"
            inputs.add(frozen)
            values.append(implementation(*arguments))
        return values

    def _arrow(self, call: Call) -> pa.DataType:
        contract = self.functions[call.function].contract
        fields = [(o.name, types.arrow_type(o.data_type)) for o in contract.outputs]
        return pa.struct(fields) if contract.is_struct else fields[0][1]

    def _described(self) -> dict[Relation, Table]:
        found: dict[Relation, Table] = {}
        names = self.planned.execute("select table_name, table_type from information_schema.tables").fetchall()
        database = str(self._one("select current_database()"))
        for name, table_type in names:
            relation = Relation(name, "main", database)
            kind = self._kinds.get(name, "view" if table_type == "VIEW" else "table")
            found[relation.folded()] = Table(relation, self._columns(f"select * from {relation.sql()}"), kind)
        return found

    def _columns(self, sql: str) -> tuple[Column, ...]:
        return tuple(Column(row[0], str(row[1])) for row in self.planned.execute(f"describe {sql}").fetchall())

    def _one(self, sql: str) -> Any:
        row = self.planned.execute(sql).fetchone()
        assert row is not None
        return row[0]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The port of ``compiler.lower``: DuckDB's own parser and binder."""

    connection: duckdb.DuckDBPyConnection

    def tree(self, sql: str) -> str | None:
        return self._text("select json_serialize_sql(?::varchar)", sql)

    def text_of(self, tree: str) -> str:
        return self._text("select json_deserialize_sql(?::json)", tree)

    def describe(self, sql: str) -> tuple[Column, ...]:
        try:
            rows = self.connection.execute(f"describe {sql}").fetchall()
        except duckdb.Error as error:
            raise AdapterError(str(error)) from error
        return tuple(Column(row[0], str(row[1])) for row in rows)

    def describe_rows(self, sql: str) -> tuple[Column, ...]:
        return self.describe(sql)

    def remember(self, name: str, columns: tuple[Column, ...]) -> None:
        listed = ", ".join(f"{_quoted(c.name)} {c.data_type}" for c in columns)
        self.connection.execute(f"create or replace temp table {_quoted(name)} ({listed})")

    def _text(self, sql: str, value: str) -> str:
        row = self.connection.execute(sql, [value]).fetchone()
        assert row is not None
        return str(row[0])


def _check_row(call: Call, arguments: Row, key: object, status: str | None, *, missing: bool) -> None:
    """The convention of ``spec.plan`` between a stage and a session."""
    if call.key is not None:
        assert (key is None) == missing, f"{call.sql}: key {key} for {arguments}"
    if call.status is not None:
        assert (status is not None) == missing, f"{call.sql}: status {status} for {arguments}"
        assert status is None or status in (SKIPPED, NULL_INPUT) or status.startswith((CAST_ERROR, "null_error:"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def freeze(value: Any) -> Any:
    """A hashable, comparable form: floats rounded, NaN equal to itself, 1 and 1.0 alike."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return "nan" if value != value else round(value, 9) + 0.0
    if isinstance(value, dict):
        return tuple((k, freeze(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    return value


def multiset(rows: Iterable[Row]) -> list[Row]:
    return sorted((freeze(row) for row in rows), key=_sort_key)


def _sort_key(value: Any) -> Any:
    if isinstance(value, tuple):
        return ("t", tuple(_sort_key(v) for v in value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ("n", float(value), "")
    return ("z", 0.0, repr(value))


def difference(
    world: World, sql: str, strategy: Strategy, *, ordered: bool, reference: str | None = None
) -> str | None:
    """What differs between the plan and the reference, or None."""
    outcome, expected = world.run(sql, strategy), world.expected(reference or sql)
    return compare(outcome, expected, ordered=ordered)


def compare(outcome: Outcome, expected: Expected, *, ordered: bool, typed: bool = True) -> str | None:
    """What differs, or None; ``typed``: column types too."""
    if typed and outcome.types != expected.types:
        return f"types {outcome.types}, expected {expected.types}"
    got = [freeze(r) for r in outcome.rows] if ordered else multiset(outcome.rows)
    want = [freeze(r) for r in expected.rows] if ordered else multiset(expected.rows)
    if got == want:
        return None
    extra = [r for r in got if r not in want][:5]
    missing = [r for r in want if r not in got][:5]
    return f"{len(got)} rows, expected {len(want)}; unexpected {extra}, missing {missing}"
