"""A group of calls → what is to be scored: distinct inputs that the store lacks, or every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.shared.admission import unknown_inputs_sql
from sqlinfer.adapters.shared.lookups import inputs_of
from sqlinfer.adapters.spark import beside
from sqlinfer.adapters.spark.pinned import SparkPinned, SparkTodo, cut_files
from sqlinfer.adapters.spark.scored import spark, written
from sqlinfer.adapters.spark.session import name, table_name
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.relation import quote
from sqlinfer.spec.names import RESULT
from sqlinfer.spec.plan import Call, Stage

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring

_FEW = 500_000
"""Keys that are sent to every executor: 20 MB."""


def find(work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call]) -> SparkTodo:
    group = pinned.number(tuple(calls))
    if calls[0].strategy == "stream":
        return SparkTodo(pinned, tuple(calls), pinned.rows, inputs=pinned.rows, group=group)
    store = SparkStore.of(work, pinned.options.contracts[calls[0].function])
    known = _made(work, store, pinned, calls)
    names = [f"a{position}" for position in range(len(calls[0].arguments))]
    call = replace(calls[0], key="input_key", arguments=tuple(names), output=RESULT, status=None)
    most = (pinned.rows or 0) * len(calls)
    todo = SparkTodo(pinned, (call,), 0, known, store=store, inputs=most, group=group)
    different = 0 if known else _all_different(work, pinned)
    if different:
        listed = zip((calls[0].key or "", *calls[0].arguments), ("input_key", *names), strict=True)
        columns = tuple(f"{name(given)} AS {wanted}" for given, wanted in listed)
        return replace(todo, wanted=different, source=pinned.source, columns=columns)
    frame = _unknown(work, pinned, calls, names, store, known)
    if frame is None:
        return todo
    frame = frame.dropDuplicates(["input_key"])
    named = f"{pinned.stage.relation.name}__todo"
    source, counts = written(work, None, named, frame, {}, cut_files(pinned.options))
    return replace(todo, wanted=counts["rows"], source=source)


def _all_different(work: SparkScoring, pinned: SparkPinned) -> int:
    """Inputs of a stage of one call, if no two of its rows have the same: it is scored as it is. Else 0.

    What is compared moves between executors: keys are small, arguments are not.
    """
    if not work.persistent or pinned.source is None or len(pinned.stage.calls) != 1:
        return 0
    key = name(pinned.stage.calls[0].key or "")
    asked = f"SELECT count({key}), count(DISTINCT {key}) FROM {table_name(pinned.source)}"
    inputs, different = work.session.rows(asked)[0]
    return int(inputs) if inputs == different else 0


def _unknown(
    work: SparkScoring, pinned: SparkPinned, calls: Sequence[Call], names: Sequence[str], store: SparkStore, known: int
) -> Any:
    """A frame of ``input_key`` and the arguments, called ``names``, of inputs that the store lacks. None: it has all.

    Where the store knows most, rows are compared with it first and keep what it has of them: a join by key moves what
    it joins between executors, and arguments are wide.
    """
    asked = spark(inputs_of(_stage(pinned), calls, names))
    if not known:
        return work.session.frame(asked)
    if known < (pinned.rows or 0) // 2 or not work.persistent or not _alone(pinned, calls):
        stored = work.session.frame(f"SELECT input_key FROM {table_name(store.relation)}")
        return work.session.frame(asked).join(stored, "input_key", "left_anti")
    pinned.compared = found = beside.compare(work, pinned, calls)
    if not found.lacking:
        return None
    few = work.session.frame(beside.lacking_keys(found, calls))
    few = few.hint("broadcast") if found.lacking <= _FEW else few
    return work.session.frame(asked).join(few, "input_key", "left_semi")


def _alone(pinned: SparkPinned, calls: Sequence[Call]) -> bool:
    """Whether no other calls of the stage have to do with a store."""
    return all(call in calls for call in pinned.stage.calls if call.strategy == "store")


def _stage(pinned: SparkPinned) -> Stage:
    """The stage where its rows are."""
    return replace(pinned.stage, relation=pinned.source or pinned.stage.relation)


def _made(work: SparkScoring, store: SparkStore, pinned: SparkPinned, calls: Sequence[Call]) -> int:
    """Rows of the store, which is there afterwards. That of a scratch workspace has what is remembered of its rows."""
    is_new = store.table() is None
    store.make()
    if is_new and work.persistent:
        return 0
    if is_new and pinned.options.remembered:
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
