"""Results beside the rows of a stage: counts, error records, and in the end the scored relation.

The scored relation of calls with a store is written once, and counted while it is written: no second join finds out
what is missing or doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import key_of, status_of
from sqlinfer.adapters.spark import beside, error_log
from sqlinfer.adapters.spark.pinned import SparkPinned
from sqlinfer.adapters.spark.score import StreamColumns
from sqlinfer.adapters.spark.scored import adopt, counts_of, observed, show, written
from sqlinfer.adapters.spark.session import name, table_name
from sqlinfer.adapters.spark.store import SparkStore, holds_twice
from sqlinfer.errors import RunError
from sqlinfer.relation import quote
from sqlinfer.spec.plan import Call, Counts

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
    counted = _write_scored(work, pinned, calls) if is_last else beside.counted(work, pinned, calls)
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


def _write_scored(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> dict[str, int]:
    """The scored relation; counts of the calls of the last group."""
    stage, compared = pinned.stage, pinned.compared
    assert stage.scored is not None
    if compared is not None and not compared.lacking:
        columns = ", ".join(map(name, compared.columns))
        show(work, stage.scored, f"SELECT {columns} FROM {table_name(compared.relation)}")
        return dict(compared.counts)
    rows = beside.rows(work, pinned, calls)
    found = adopt(work, pinned.owner, pinned.adoption, rows.frame, rows.metrics) if pinned.adoption else None
    if found is not None:
        return found[1]
    frame, seen = observed(work, rows.frame, {"rows": "count(*)", **rows.metrics})
    written(work, stage.scored, stage.scored.name, frame.select(*map(name, rows.columns)), {})
    return counts_of(seen)


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
