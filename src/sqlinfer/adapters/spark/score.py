"""What is to be scored → the executors' Python workers, in slices: each a job whose files are shown when it is done.

A stream is one job: rows go through the workers once, with what the rest of the query needs of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.spark.pinned import SparkTodo
from sqlinfer.adapters.spark.scored import (
    adopt,
    counts_of,
    observed,
    run_token,
    running,
    settings_of,
    spark,
    written,
)
from sqlinfer.adapters.spark.session import name, table_name, text
from sqlinfer.adapters.spark.shipped import Results
from sqlinfer.adapters.spark.shipping import ship
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.adapters.spark.tables import location
from sqlinfer.errors import InferenceError, RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import FunctionContract
from sqlinfer.spec.names import ERROR, error_column
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call
from sqlinfer.spec.scorer import ChunkLimits, Scorer, Tally, Watch, stop_if
from sqlinfer.types import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.adapters.spark.scoring import SparkScoring

_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
_GROWTH = 4
"""A slice that took a quarter of the time it may take is followed by one of so many times its files."""


def score(work: SparkScoring, todo: SparkTodo, scorer: Scorer, watch: Watch) -> tuple[Tally, ...]:
    work.cancel = watch.cancel
    contracts = [function.contract for function in scorer.functions]
    with settings_of(work, {_BATCH: str(watch.limits.read_rows(contracts))}):
        if todo.store is None:
            return _score_stream(work, todo, scorer, watch, contracts)
        if not work.persistent:
            return _score_at_once(work, todo, todo.store, scorer, watch, contracts[0])
        return _score_slices(work, todo, todo.store, scorer, watch, contracts[0])


def scored_frame(
    work: SparkScoring,
    frame: Any,
    scorer: Scorer,
    kept: Sequence[str],
    results: Sequence[Results],
    contracts: Sequence[FunctionContract],
    total: int | None,
) -> Any:
    """The frame's kept columns with the results beside them. Nothing is scored before it is written."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StructType

    arguments = [argument for call in scorer.calls for argument in call.arguments]
    frame = frame.select([name(one) for one in dict.fromkeys((*kept, *arguments))])
    whole = work.session.arrow_schema(frame)
    fields = [pa.field(one, whole.field(one).type) for one in kept]
    added = [field for one, contract in zip(results, contracts, strict=True) for field in _fields(one, contract)]
    shipped = ship(work.session, scorer, kept, results, pa.schema([*fields, *added]), total)
    types = {field.name: field for field in frame.schema.fields}
    schema = StructType([types[one] for one in kept] + list(from_arrow_schema(pa.schema(added)).fields))
    return frame.mapInArrow(shipped, schema)


def _fields(one: Results, contract: FunctionContract) -> list[pa.Field]:
    import pyarrow as pa

    kinds = [_fitting(arrow_type(output.data_type)) for output in contract.outputs]
    results = [pa.field(*pair) for pair in zip(one.columns, kinds, strict=True)]
    return [*results, pa.field(one.error_column, pa.string())]


def _fitting(kind: pa.DataType) -> pa.DataType:
    """Spark has no unsigned integers, and arrays of no fixed length."""
    import pyarrow as pa

    wide = pa.decimal128(20, 0)
    wider = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): wide}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_fitting(kind.value_type))
    return wider.get(kind, kind)


# into a store


def _into_store(
    work: SparkScoring, todo: SparkTodo, store: SparkStore, scorer: Scorer, contract: FunctionContract, frame: Any
) -> tuple[Any, Any]:
    """Rows of the store, and an observation of them."""
    (call,) = todo.calls
    result = Results(call.output, error_column(0), store.columns, "error", contract.is_struct)
    frame = scored_frame(work, frame, scorer, ("input_key",), (result,), (contract,), todo.inputs)
    frame = frame.selectExpr("*", "current_timestamp() AS scored_at", f"{text(work.run_id)} AS run_id")
    return observed(work, frame, {"rows": "count(*)", "errors": "count(error)"})


def _score_slices(
    work: SparkScoring, todo: SparkTodo, store: SparkStore, scorer: Scorer, watch: Watch, contract: FunctionContract
) -> tuple[Tally, ...]:
    assert todo.source is not None
    table = store.make()
    folder_of_all = location(work.session, table)
    files = sorted(work.session.frame(f"SELECT * FROM {table_name(todo.source)}").inputFiles())
    tally, at, size = Tally(), 0, work.slots
    while at < len(files):
        began = perf_counter()
        frame = work.session.raw.read.parquet(*files[at : at + size])
        if todo.columns:
            frame = frame.selectExpr(*todo.columns).where("input_key IS NOT NULL")
        frame, seen = _into_store(work, todo, store, scorer, contract, frame)
        slice_name = f"{run_token(work)}_{work.next_slice()}"
        folder = store.folder(folder_of_all, slice_name)
        running(work, partial(frame.write.parquet, folder))
        counts = counts_of(seen)
        rows, errors = tally.rows + counts["rows"], tally.errors + counts["errors"]
        with work.noting() as notes:
            watch.committing(todo.progress + rows)
            fail_point("before_append_commit")
            store.add(table, slice_name)
            notes.commit()
        tally = Tally(rows, 0, 0, errors)
        seconds = perf_counter() - began
        watch.seconds.add("score", seconds)
        watch.progress(rows, todo.wanted, watch.seconds.so_far())
        fail_point("after_append")
        stop_if(watch.cancel)
        _refuse_bad(scorer, tally, todo.inputs)
        at, size = at + size, _next_size(work, size, seconds, watch.limits)
    if tally.rows != todo.wanted:
        raise RunError(f"{todo.wanted} inputs were to be scored, {tally.rows} came back from the executors")
    if not todo.columns:
        work.session.execute(f"DROP TABLE IF EXISTS {table_name(todo.source)}")
    return (tally,)


def _next_size(work: SparkScoring, size: int, seconds: float, limits: ChunkLimits) -> int:
    """Files of the next slice. ``limits``: of one task."""
    if seconds < limits.seconds / _GROWTH and limits.quick_rows is not None:
        most = work.slots * max(1, limits.quick_rows // min(limits.rows, limits.quick_rows))
        return max(size, min(size * _GROWTH, most))
    return max(1, size // 2) if seconds > 2 * limits.seconds else size


def _score_at_once(
    work: SparkScoring, todo: SparkTodo, store: SparkStore, scorer: Scorer, watch: Watch, contract: FunctionContract
) -> tuple[Tally, ...]:
    """In a scratch workspace, where nothing is to last."""
    assert todo.source is not None
    frame = work.session.frame(f"SELECT * FROM {table_name(todo.source)}")
    frame, _ = _into_store(work, todo, store, scorer, contract, frame)
    table, counts = written(work, None, f"{store.relation.name}__scored", frame, {"errors": "count(error)"})
    if counts["rows"] != todo.wanted:
        raise RunError(f"{todo.wanted} inputs were to be scored, {counts['rows']} came back from the executors")
    store.add_part(work.session.frame(f"SELECT * FROM {table_name(table)}"))
    watch.progress(counts["rows"], todo.wanted, watch.seconds.so_far())
    return (Tally(counts["rows"], 0, 0, counts["errors"]),)


def _refuse_bad(scorer: Scorer, tally: Tally, total: int | None) -> None:
    """Each task knows its own rows alone: what all of them came to is looked at between slices."""
    policies: Sequence[ErrorPolicy] = getattr(scorer, "policies", ())
    for policy in policies[:1]:
        if policy.gives_up(tally.rows, tally.errors, total):
            raise InferenceError(
                f"{tally.errors} rows failed, more than max_error_rate allows ({policy.max_rate:g})",
                hint="error records of the function's store have the reasons (`error`)",
            )


# streams


@dataclass(frozen=True, slots=True)
class StreamColumns:
    """What a group of streams adds to the rows of a stage."""

    group: int
    calls: tuple[Call, ...]

    def error(self, position: int) -> str:
        return f"{ERROR}_{self.group}_{position}"

    def results(self, contracts: Sequence[FunctionContract]) -> tuple[Results, ...]:
        return tuple(
            Results(call.output, error_column(i), call.columns or (call.output,), self.error(i), contract.is_struct)
            for i, (call, contract) in enumerate(zip(self.calls, contracts, strict=True))
        )


def _score_stream(
    work: SparkScoring, todo: SparkTodo, scorer: Scorer, watch: Watch, contracts: Sequence[FunctionContract]
) -> tuple[Tally, ...]:
    pinned, columns = todo.pinned, StreamColumns(todo.group, todo.calls)
    began = perf_counter()
    read = pinned.stage.sql if pinned.source is None else f"SELECT * FROM {table_name(pinned.source)}"
    frame = work.session.frame(read)
    nulls = {f"null_{i}": _nulls(call) for i, call in enumerate(todo.calls) if not call.status}
    frame, before = observed(work, frame, nulls) if nulls else (frame, None)
    kept = _needed(todo, frame.columns)
    frame = scored_frame(work, frame, scorer, kept, columns.results(contracts), contracts, todo.inputs)
    metrics = {key: sql for i, call in enumerate(todo.calls) for key, sql in _counted(columns, i, call).items()}
    found = None
    if pinned.adoption is not None and todo.group == len(pinned.groups) - 1:
        found = adopt(work, pinned.owner, pinned.adoption, frame, metrics, _for_records(todo, kept))
    if found is not None:
        table, counts = Relation(found[0], "parquet"), found[1]
    else:
        table, counts = written(work, None, f"{pinned.stage.relation.name}__r{todo.group}", frame, metrics)
    if before is not None:
        counts |= counts_of(before)
    if todo.wanted is not None and counts["rows"] != todo.wanted:
        raise RunError(f"{todo.wanted} rows were staged, {counts['rows']} came back from the executors")
    pinned.source, pinned.rows = table, counts["rows"]
    pinned.failed |= {call.output: counts[f"errors_{i}"] for i, call in enumerate(todo.calls)}
    watch.seconds.add("score", perf_counter() - began)
    watch.progress(counts["rows"], counts["rows"], watch.seconds.so_far())
    return tuple(
        Tally(counts["rows"], counts[f"skipped_{i}"], counts[f"null_{i}"], counts[f"errors_{i}"])
        for i in range(len(todo.calls))
    )


def _needed(todo: SparkTodo, columns: Sequence[str]) -> list[str]:
    """Columns that are handed on: those of the query, of records, and of the groups that come after."""
    pinned = todo.pinned
    wanted = {*pinned.stage.columns, *pinned.options.shown.carried(pinned.stage)}
    wanted |= {call.status for call in todo.calls if call.status}
    for calls in pinned.groups[: todo.group]:
        wanted |= {column for call in calls for column in (call.columns or (call.output,))}
        wanted |= {StreamColumns(pinned.number(calls), calls).error(i) for i in range(len(calls))}
        wanted |= {call.status for call in calls if call.status}
    for calls in pinned.groups[todo.group + 1 :]:
        wanted |= {one for call in calls for one in (*call.arguments, call.key, call.status) if one}
    return [column for column in columns if column in wanted]


def _for_records(todo: SparkTodo, kept: Sequence[str]) -> list[str]:
    """What error records of the last streams are made of."""
    pinned, columns = todo.pinned, StreamColumns(todo.group, todo.calls)
    wanted = {*pinned.options.shown.carried(pinned.stage), *(call.status for call in todo.calls if call.status)}
    return [*(one for one in kept if one in wanted), *(columns.error(i) for i in range(len(todo.calls)))]


def _nulls(call: Call) -> str:
    missing = " OR ".join(f"{name(one)} IS NULL" for one in call.arguments) or "false"
    return f"count_if({missing})"


def _counted(columns: StreamColumns, position: int, call: Call) -> dict[str, str]:
    error = name(columns.error(position))
    if not call.status:
        return {f"errors_{position}": f"count({error})", f"skipped_{position}": "count_if(false)"}
    status = name(call.status)
    bad = spark(f"SELECT {error_rows.is_bad(quote(call.status))}").removeprefix("SELECT ")
    return {
        f"errors_{position}": f"count_if({error} IS NOT NULL OR coalesce({bad}, false))",
        f"skipped_{position}": f"count_if({status} = '{SKIPPED}')",
        f"null_{position}": f"count_if({status} = '{NULL_INPUT}')",
    }
