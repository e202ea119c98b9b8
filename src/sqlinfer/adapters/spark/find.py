"""A group of calls → what is to be scored: distinct inputs that the store lacks, or every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.shared.admission import unknown_inputs_sql
from sqlinfer.adapters.shared.lookups import inputs_of
from sqlinfer.adapters.spark.pinned import SparkPinned, SparkTodo
from sqlinfer.adapters.spark.scored import spark, written
from sqlinfer.adapters.spark.session import table_name
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.relation import quote
from sqlinfer.spec.names import RESULT
from sqlinfer.spec.plan import Call, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring

FILE_ROWS = 65_536
"""Of a file of what is to be scored: the least that a task takes."""
_FEW = 500_000
"""Keys that are sent to every executor: 20 MB."""


def find(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> SparkTodo:
    group = pinned.number(tuple(calls))
    if calls[0].strategy == "stream":
        return SparkTodo(pinned, tuple(calls), pinned.rows, inputs=pinned.rows, group=group)
    store = SparkStore.of(work, pinned.options.contracts[calls[0].function])
    known = _made(work, store, pinned, calls)
    names = [f"a{position}" for position in range(len(calls[0].arguments))]
    frame = _unknown(work, pinned, calls, names, store, known).dropDuplicates(["input_key"])
    cut = {"spark.sql.files.maxRecordsPerFile": str(min(FILE_ROWS, pinned.options.chunk_rows or FILE_ROWS))}
    source, counts = written(work, None, f"{pinned.stage.relation.name}__todo", frame, {}, cut)
    call = replace(calls[0], key="input_key", arguments=tuple(names), output=RESULT, status=None)
    most = (pinned.rows or 0) * len(calls)
    return SparkTodo(pinned, (call,), counts["rows"], known, source, store, most, group)


def _unknown(
    work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call], names: Sequence[str], store: SparkStore, known: int
) -> Any:
    """A frame of ``input_key`` and the arguments, called ``names``, of inputs that the store lacks.

    Where the store knows most, keys are compared first: a join by key moves what it joins between executors, and
    arguments are wide.
    """
    inputs = work.session.frame(spark(inputs_of(_stage(pinned), calls, names)))
    if not known:
        return inputs
    stored = work.session.frame(f"SELECT input_key FROM {table_name(store.relation)}")
    if known < (pinned.rows or 0) // 2:
        return inputs.join(stored, "input_key", "left_anti")
    keys = work.session.frame(spark(" UNION ALL ".join(_keys(pinned, calls)))).where("input_key IS NOT NULL")
    name = f"{pinned.stage.relation.name}__lacking"
    lacking, counts = written(work, None, name, keys.join(stored, "input_key", "left_anti").distinct(), {})
    if not counts["rows"]:
        return inputs.limit(0)
    few = work.session.frame(f"SELECT input_key FROM {table_name(lacking)}")
    return inputs.join(few.hint("broadcast") if counts["rows"] <= _FEW else few, "input_key", "left_semi")


def _stage(pinned: SparkPinned) -> Stage:
    """The stage where its rows are."""
    return replace(pinned.stage, relation=pinned.source or pinned.stage.relation)


def _made(work: SparkScoring, store: SparkStore, pinned: SparkPinned, calls: Sequence[Call]) -> int:
    """Rows of the store, which is there afterwards. That of a scratch workspace has what is remembered of its rows."""
    is_new = store.table() is None
    store.make()
    if is_new and pinned.options.remembered and not work.persistent:
        store.remember(spark(" UNION ".join(_keys(pinned, calls))))
    return int(work.session.value(f"SELECT count(*) FROM {table_name(store.relation)}"))


def _keys(pinned: SparkPinned, calls: Sequence[Call]) -> list[str]:
    rows = _stage(pinned).relation.sql()
    return [f"SELECT {quote(call.key or '')} AS input_key FROM {rows}" for call in calls]


def unscored(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> int:
    """Inputs that scoring would take. Nothing is made."""
    if calls[0].strategy == "stream":
        if pinned.rows is not None:
            return pinned.rows
        return int(work.session.value(f"SELECT count(*) FROM ({pinned.stage.sql})"))
    store = SparkStore.of(work, pinned.options.contracts[calls[0].function])
    place = work.session.there(_stage(pinned).relation)
    with work.session.durable():
        known = store.relation if store.table() is not None else None
        return int(work.session.value(spark(unknown_inputs_sql(replace(pinned.stage, relation=place), calls, known))))
