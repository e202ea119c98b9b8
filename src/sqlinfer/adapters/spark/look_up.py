"""Results beside the rows of a stage: counts, error records, and in the end the scored relation.

The scored relation of calls with a store is written once, and counted while it is written: no second join finds out
what is missing or doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import key_of, latest, status_of
from sqlinfer.adapters.spark import error_log
from sqlinfer.adapters.spark.pinned import SparkPinned
from sqlinfer.adapters.spark.score import StreamColumns
from sqlinfer.adapters.spark.scored import adopt, counts_of, observed, show, spark, written
from sqlinfer.adapters.spark.session import name, table_name
from sqlinfer.adapters.spark.store import SparkStore, holds_twice
from sqlinfer.errors import RunError
from sqlinfer.relation import quote
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call, Counts

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring


def look_up(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
    pinned.done |= {call.output for call in calls}
    is_last = all(call.output in pinned.done for call in pinned.stage.calls)
    if calls[0].strategy == "stream":
        _record_stream(work, pinned, tuple(calls))
        if is_last:
            _show_streams(work, pinned)
        return ()
    counted = _write_scored(work, pinned, calls) if is_last else _counted(work, pinned, calls)
    return tuple(_counts(work, pinned, call, counted, i) for i, call in enumerate(calls))


# streams


def _record_stream(work: SparkScoring, pinned: SparkPinned, calls: tuple[Call, ...]) -> None:
    """Records of the rows that failed."""
    assert pinned.source is not None
    columns = StreamColumns(pinned.number(calls), calls)
    stage = pinned.source.sql()
    for position, call in enumerate(calls):
        error = f"s.{quote(columns.error(position))}"
        early = error_rows.is_bad(f"s.{quote(call.status)}") if call.status else "FALSE"
        source = f"{stage} AS s WHERE {error} IS NOT NULL OR coalesce({early}, FALSE)"
        if pinned.failed[call.output]:
            said = error_rows.from_either(call.status, error, "s")
            error_log.write(work, pinned, call, error_log.NO_KEY, said, source)


def _show_streams(work: SparkScoring, pinned: SparkPinned) -> None:
    assert pinned.source is not None
    assert pinned.stage.scored is not None
    if pinned.owner.side in work.adopted:
        return
    names = [*pinned.stage.columns]
    names += [one for call in pinned.stage.calls for one in (call.columns or (call.output,))]
    show(work, pinned.stage.scored, f"SELECT {', '.join(map(name, names))} FROM {table_name(pinned.source)}")


# calls with a store


def _metrics(call: Call, position: int, store: str) -> dict[str, str]:
    """Aggregates over the stage ``s`` beside a store."""
    key, status = key_of(call), status_of(call)
    told = {
        f"inputs_{position}": f"count_if({status} IS DISTINCT FROM '{SKIPPED}')",
        f"nulls_{position}": f"count_if({status} = '{NULL_INPUT}')",
        f"early_{position}": f"count_if({error_rows.is_bad(status)})",
        f"wanted_{position}": f"count({key})",
        f"found_{position}": f"count({store}.input_key)",
        f"late_{position}": f"count({store}.error)",
    }
    return {key: spark(f"SELECT {sql}").removeprefix("SELECT ") for key, sql in told.items()}


def _joined(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> tuple[str, list[str], list[SparkStore]]:
    """FROM with a store for each call, their aliases and stores."""
    assert pinned.source is not None
    source, aliases, stores = f"{pinned.source.sql()} AS s", list[str](), list[SparkStore]()
    for position, call in enumerate(calls):
        store, alias = SparkStore.of(work, pinned.options.contracts[call.function]), f"l{position}"
        source += f" LEFT JOIN {store.relation.sql()} AS {alias} ON {alias}.input_key = {key_of(call)}"
        aliases.append(alias)
        stores.append(store)
    return source, aliases, stores


def _counted(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> dict[str, int]:
    source, aliases, _ = _joined(work, pinned, calls)
    metrics = {k: v for i, call in enumerate(calls) for k, v in _metrics(call, i, aliases[i]).items()}
    listed = ", ".join(f"{sql} AS {key}" for key, sql in {"rows": "count(*)", **metrics}.items())
    from_sql = spark(f"SELECT 1 FROM {source}").partition(" FROM ")[2]
    found = work.session.rows(f"SELECT {listed} FROM {from_sql}")[0]
    return {key: int(value or 0) for key, value in zip(("rows", *metrics), found, strict=True)}


def _write_scored(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> dict[str, int]:
    """The scored relation; counts of the calls of the last group."""
    stage = pinned.stage
    assert stage.scored is not None
    stored = [call for call in stage.calls if call.strategy == "store"]
    source, aliases, stores = _joined(work, pinned, stored)
    items = {column: f"s.{quote(column)}" for column in stage.columns}
    for call, alias, store in zip(stored, aliases, stores, strict=True):
        values = [f"{alias}.{quote(column)}" for column in store.columns]
        items |= dict(zip(call.columns or (call.output,), values, strict=True))
    for call in stage.calls:
        if call.strategy == "stream":
            items |= {one: f"s.{quote(one)}" for one in (call.columns or (call.output,))}
    listed = [f"{sql} AS {quote(one)}" for one, sql in items.items()]
    marks = {k: v for i, call in enumerate(calls) for k, v in _marks(call, i, aliases[stored.index(call)]).items()}
    listed += latest(aliases) if pinned.options.lineage else []
    listed += [f"{sql} AS {quote(one)}" for one, sql in marks.items()]
    frame = work.session.frame(spark(f"SELECT {', '.join(listed)} FROM {source}"))
    metrics = {k: v for i in range(len(calls)) for k, v in _of_marks(i).items()}
    found = adopt(work, pinned.owner, pinned.adoption, frame, metrics) if pinned.adoption is not None else None
    if found is not None:
        return found[1]
    frame, seen = observed(work, frame, {"rows": "count(*)", **metrics})
    _, _ = written(work, stage.scored, stage.scored.name, frame.drop(*marks), {})
    return counts_of(seen)


def _marks(call: Call, position: int, alias: str) -> dict[str, str]:
    """Columns that are counted and not written."""
    key, status = key_of(call), status_of(call)
    return {
        f"__sqlinfer_m_status_{position}": status,
        f"__sqlinfer_m_key_{position}": f"CASE WHEN {key} IS NULL THEN 0 ELSE 1 END",
        f"__sqlinfer_m_found_{position}": f"CASE WHEN {alias}.input_key IS NULL THEN 0 ELSE 1 END",
        f"__sqlinfer_m_late_{position}": f"CASE WHEN {alias}.error IS NULL THEN 0 ELSE 1 END",
    }


def _of_marks(position: int) -> dict[str, str]:
    status = f"__sqlinfer_m_status_{position}"
    bad = spark(f"SELECT {error_rows.is_bad(status)}").removeprefix("SELECT ")
    return {
        f"inputs_{position}": f"count_if(NOT ({status} <=> '{SKIPPED}'))",
        f"nulls_{position}": f"count_if({status} = '{NULL_INPUT}')",
        f"early_{position}": f"count_if({bad})",
        f"wanted_{position}": f"sum(__sqlinfer_m_key_{position})",
        f"found_{position}": f"sum(__sqlinfer_m_found_{position})",
        f"late_{position}": f"sum(__sqlinfer_m_late_{position})",
    }


def _counts(work: SparkScoring, pinned: SparkPinned, call: Call, counted: dict[str, int], position: int) -> Counts:
    """Raises StoreError where the store holds a key twice, RunError where it lacks one."""
    assert pinned.source is not None
    inputs, nulls, early, wanted, found, late = (
        counted[f"{one}_{position}"] for one in ("inputs", "nulls", "early", "wanted", "found", "late")
    )
    if counted["rows"] > (pinned.rows or 0):
        raise holds_twice(call.function, pinned.rows or 0, counted["rows"])
    if found < wanted:
        raise RunError(f"{wanted - found} inputs of {call.sql} have no result in the store; nothing was published")
    stage, status = pinned.source.sql(), status_of(call)
    if early and call.status:
        said = error_rows.from_status(call.status, "s")
        error_log.write(work, pinned, call, error_log.NO_KEY, said, f"{stage} AS s WHERE {error_rows.is_bad(status)}")
    if late:
        store = SparkStore.of(work, pinned.options.contracts[call.function])
        joined = f"{stage} AS s JOIN {store.relation.sql()} AS l ON l.input_key = {key_of(call)}"
        said = error_rows.from_error("l.error")
        error_log.write(work, pinned, call, "l.input_key", said, f"{joined} WHERE l.error IS NOT NULL")
    reused = inputs - nulls - early - late
    if reused < 0:
        raise RunError(f"counts of {call.sql} do not reconcile: {inputs} inputs, {nulls} NULL, {early + late} errors")
    return Counts(inputs, 0, reused, nulls, early + late)
