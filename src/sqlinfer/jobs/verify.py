"""``sqlinfer verify``: prepared functions beside their originals, on rows of the user's own tables and made ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.shared.queries import distinct_arguments, predicting
from sqlinfer.errors import SqlinferError, UnknownFunction, UsageError
from sqlinfer.functions.check.originals import SideBySide, has_original, side_by_side
from sqlinfer.functions.check.quality import bound_of, measured
from sqlinfer.jobs.events import Preparing
from sqlinfer.jobs.functions import cache_dir
from sqlinfer.jobs.night import Night
from sqlinfer.jobs.told import told
from sqlinfer.project import FunctionConfig, Project
from sqlinfer.runner.identity import identity_of
from sqlinfer.runner.scoring import score_plan
from sqlinfer.spec.events import Warned
from sqlinfer.spec.function import PreparedFunction, Quality
from sqlinfer.spec.plan import Plan
from sqlinfer.spec.seconds import Seconds

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 10_000
"""Of the user's own for each function, where ``--rows`` says nothing."""


@dataclass(frozen=True, slots=True)
class Verification:
    function: str
    result: SideBySide | None
    """None: there is no original to compare with."""
    tables: tuple[str, ...] = ()
    """Where the user's own rows come from: nodes that call the function, or ``--from``."""
    quality: Quality | None = None
    """Of ``precision: int8``, against fp32."""
    bound: float = 0.0
    """How near to fp32 that must be."""

    @property
    def ok(self) -> bool:
        near = self.quality is None or self.quality.worst >= self.bound
        return near and (self.result is None or self.result.ok)


def verify(
    night: Night, names: Sequence[str], relation: str | None, rows: int, tolerance: float | None
) -> Iterator[Verification]:
    """Function after function.

    Raises:
        UnknownFunction: one of ``names`` is not declared.
        UsageError: one of them has no original, or ``relation`` does not have its arguments.
    """
    configs = night.functions.configs
    for name in names:
        if name not in configs:
            raise UnknownFunction.for_call(name, configs)
        if not _can_be_compared(configs[name]):
            raise UsageError(
                f"function '{name}' has no original to compare with: its source is '{configs[name].source}'",
                hint="'model: {expected: rows.parquet}' names rows and the outputs that they must give"
                if configs[name].source == "onnx" else "it was compared with eager torch when it was exported",
            )  # fmt: skip
    if relation is not None and not names and len(configs) > 1:
        raise UsageError("--from holds the arguments of one function", hint="name the function before it")
    for name in names or configs:
        yield _verified(night, configs[name], relation, rows, tolerance)


def _can_be_compared(config: FunctionConfig) -> bool:
    return has_original(config) or config.precision == "int8"


def _verified(
    night: Night, config: FunctionConfig, relation: str | None, rows: int, tolerance: float | None
) -> Verification:
    if not _can_be_compared(config):
        return Verification(config.name, None)
    project = night.project
    # what is refused is what there is to see
    exact = replace(config, tolerance=math.inf, min_cosine=None, precision=_of_original(config))
    prepared = night.functions.open(exact)
    given: pa.RecordBatch | None = None
    tables: tuple[str, ...] = ()
    if config.expected is None and rows:
        given, tables = _own_rows(night, prepared, relation, rows)
    result = None
    if has_original(config):
        with told(project):
            result = side_by_side(
                exact, prepared, given, cache_dir=cache_dir(project), root=project.root, tolerance=tolerance,
                tell=lambda message: night.emit(Preparing(config.name, message)),
            )  # fmt: skip
    quality = _quality(night, config, prepared, given, tables) if config.precision == "int8" else None
    return Verification(config.name, result, tables, quality, bound_of(config))


def _of_original(config: FunctionConfig) -> str:
    """int8 is compared with fp32, and fp32 with the original."""
    return "fp32" if config.precision == "int8" else config.precision


def _quality(
    night: Night,
    config: FunctionConfig,
    plain: PreparedFunction,
    given: pa.RecordBatch | None,
    tables: Sequence[str],
) -> Quality | None:
    """On texts of the user's tables; where there are none, as it was seen when it was prepared."""
    prepared = night.functions.open(replace(config, tolerance=math.inf, min_cosine=0.0))
    if given is None or not given.num_rows:
        return prepared.quality
    with told(night.project):
        return measured(plain, prepared, given, f"texts of {', '.join(tables)}")


def _own_rows(
    night: Night, prepared: PreparedFunction, relation: str | None, rows: int
) -> tuple[pa.RecordBatch | None, tuple[str, ...]]:
    """Distinct arguments, as the calls give them: of ``relation``, else of the nodes that call the function."""
    name = prepared.contract.name
    if relation is not None:
        plan = _plan_from(night, prepared, relation)
        with told(night.project):
            return _arguments(night, plan, prepared, rows), (relation,)
    found, tables = [], []
    for plan in _plans(night, name):
        try:
            batch = _arguments(night, plan, prepared, rows)
        except SqlinferError as error:
            night.emit(Warned(plan.node, f"its rows are not compared: {error.message}"))
            continue
        found += [] if batch is None else [batch]
        tables.append(plan.node)
    return _together(found, rows), tuple(tables)


def _plans(night: Night, function: str) -> Iterator[Plan]:
    """Of the models that call the function."""
    calling = [node for node in night.project.nodes.values()
               if function in node.functions and node.resource_type == "model"]  # fmt: skip
    if not calling:
        return
    with night.compiler() as compiler:
        for node in calling:
            try:
                plan = compiler.compile(node).plan
            except SqlinferError as error:
                night.emit(Warned(node.name, f"its rows are not compared: {error.message}"))
                continue
            if any(call.function == function for call in plan.calls):
                yield plan


def _plan_from(night: Night, prepared: PreparedFunction, relation: str) -> Plan:
    """A query that calls the function with the columns named like its arguments."""
    contract, dialect = prepared.contract, night.adapter.dialect
    names = [one.name for one in contract.arguments]
    sql = predicting(contract.name, names, _relation(night.project, relation, dialect), dialect)
    with night.compiler() as compiler:
        return compiler.inline(sql, name="--from").plan


def _relation(project: Project, text: str, dialect: str) -> str:
    """A node, a source (``shop.customers``), or a table as the warehouse knows it, quoted."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    node = project.node(text)
    if node is not None:
        return node.relation.sql(dialect)
    for source in project.sources.values():
        if f"{source.source_name}.{source.name}" == text:
            return source.relation.sql(dialect)
    try:
        table = sqlglot.parse_one(text, into=exp.Table, dialect=dialect)
    except SqlglotError:
        table = None
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise UsageError(f"--from: '{text}' is not the name of a table",
                         hint="a node, a source as 'name.table', or a table of the warehouse")  # fmt: skip
    for identifier in table.find_all(exp.Identifier):
        identifier.set("quoted", True)
    return table.sql(dialect=dialect)


def _arguments(night: Night, plan: Plan, prepared: PreparedFunction, rows: int) -> pa.RecordBatch | None:
    """Of all calls of the function in a plan. Where one reads other predictions, those are made, in memory."""
    name, early = prepared.contract.name, plan.early
    calls = [(stage, call) for stage in plan.stages for call in stage.calls if call.function == name]
    with night.adapter.scratch() as work, work.warehouse():
        if all(stage in early for stage, _ in calls):
            work.pin(plan, early, PinOptions())
        else:
            score_plan(replace(night.environment(None), workspace=work), plan, identity_of(plan), Seconds())
        found = []
        for stage, call in calls:
            asked = distinct_arguments(stage, call, rows, work.dialect)
            with work.reader(asked, plain=True) as reader:
                found.append(_typed(reader.read_all(), prepared))
    return _together(found, rows)


def _typed(table: pa.Table, prepared: PreparedFunction) -> pa.Table:
    import pyarrow as pa

    from sqlinfer.types import arrow_type

    fields = [pa.field(one.name, arrow_type(one.data_type)) for one in prepared.contract.arguments]
    return table.rename_columns([field.name for field in fields]).cast(pa.schema(fields))


def _together(tables: Sequence[pa.Table | pa.RecordBatch], rows: int) -> pa.RecordBatch | None:
    import pyarrow as pa

    if not tables:
        return None
    parts = [pa.Table.from_batches([one]) if isinstance(one, pa.RecordBatch) else one for one in tables]
    whole = pa.concat_tables(parts).slice(0, rows).combine_chunks()
    if not whole.num_rows:
        return pa.RecordBatch.from_arrays([column.combine_chunks() for column in whole.columns], schema=whole.schema)
    return whole.to_batches()[0]
