"""Results beside the rows of a stage: counts, error records, and in the end the scored relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres import error_log
from sqlinfer.adapters.postgres.find import count
from sqlinfer.adapters.postgres.pinned import PostgresPinned, results_relation
from sqlinfer.adapters.postgres.score import result_columns
from sqlinfer.adapters.postgres.soundness import digest_and_errors, note_sound
from sqlinfer.adapters.postgres.store import StoreTable, holds_twice
from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.shared.lookups import key_of, latest, status_of
from sqlinfer.errors import RunError, StoreError
from sqlinfer.relation import quote
from sqlinfer.spec.names import ROW, error_column
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call, Counts

if TYPE_CHECKING:
    from sqlinfer.adapters.postgres.workspace import PostgresWorkspace


def look_up(work: PostgresWorkspace, pinned: PostgresPinned, calls: Sequence[Call]) -> tuple[Counts, ...]:
    with work.session.transaction():
        work.session.prepare_heavy()
        if calls[0].strategy == "stream":
            refuse_emptied(pinned, count(work.session, pinned.stage.relation))
            _check_stream(work, pinned, calls)
            counts: tuple[Counts, ...] = ()
        else:
            counts = tuple(_counted(work, pinned, call) for call in calls)
        pinned.done |= {call.output for call in calls}
        if all(call.output in pinned.done for call in pinned.stage.calls):
            _put_together(work, pinned)
    return counts


def refuse_emptied(pinned: PostgresPinned, found: int) -> None:
    """Raises StoreError where the stage has not the rows any more that it had."""
    if found != pinned.rows:
        raise StoreError(
            f"{pinned.rows} rows were staged, {found} are left: the server has crashed; nothing was published",
            hint="run again: what was scored is kept",
        )


# calls with a store


def _counted(work: PostgresWorkspace, pinned: PostgresPinned, call: Call) -> Counts:
    """Raises StoreError where the store holds a key twice, RunError where it lacks one."""
    stage, key, status = pinned.stage.relation.sql(), key_of(call), status_of(call)
    store = StoreTable(work.settings, pinned.options.contracts[call.function])
    total, inputs, nulls, early, wanted = work.session.rows(f"SELECT {_asked(call)} FROM {stage} AS s")[0]
    refuse_emptied(pinned, total)
    joined = f"{stage} AS s JOIN {store.relation.sql()} AS l ON l.input_key = {key}"
    late = _late(work, pinned, call, store, joined, wanted) if wanted else 0
    if early and call.status:
        said = error_rows.from_status(call.status, "s")
        error_log.write(work, pinned, call, error_log.NO_KEY, said, f"{stage} AS s WHERE {error_rows.is_bad(status)}")
    if late:
        said = error_rows.from_error("l.error")
        error_log.write(work, pinned, call, "l.input_key::text", said, f"{joined} WHERE l.error IS NOT NULL")
    reused = inputs - nulls - early - late
    if reused < 0:
        raise RunError(f"counts of {call.sql} do not reconcile: {inputs} inputs, {nulls} NULL, {early + late} errors")
    return Counts(inputs, 0, reused, nulls, early + late)


def _asked(call: Call) -> str:
    """SELECT items: rows, and of them those that are inputs, NULL, refused before scoring, with a key."""
    key, status = key_of(call), status_of(call)
    if not call.status:
        return f"count(*), count(*), count(*) - count({key}), 0, count({key})"
    return (
        f"count(*), count(*) FILTER (WHERE {status} IS DISTINCT FROM '{SKIPPED}'), "
        f"count(*) FILTER (WHERE {status} = '{NULL_INPUT}'), "
        f"count(*) FILTER (WHERE {error_rows.is_bad(status)}), count({key})"
    )


def _late(
    work: PostgresWorkspace, pinned: PostgresPinned, call: Call, store: StoreTable, joined: str, wanted: int
) -> int:
    """Rows whose result is an error. The join is counted only where the store is not what it was expected to be."""
    found, errors = digest_and_errors(work.session, store)
    if found == pinned.expected.get(store.relation.name):
        note_sound(work.session, store, found)
        failed = f"SELECT count(*) FROM {joined} WHERE l.error IS NOT NULL"
        return int(work.session.value(failed)) if errors else 0
    rows, late = work.session.rows(f"SELECT count(*), count(l.error) FROM {joined}")[0]
    if rows > wanted:
        raise holds_twice(call.function, wanted, rows)
    if rows < wanted:
        raise RunError(f"{wanted - rows} inputs of {call.sql} have no result in the store; nothing was published")
    return int(late)


# streams


def _check_stream(work: PostgresWorkspace, pinned: PostgresPinned, calls: Sequence[Call]) -> None:
    """Every row of the stage once, and records of those that failed."""
    results = results_relation(work.settings, pinned.stage, pinned.streams.index(tuple(calls)))
    failed = ", ".join(f"count({error_column(position)})" for position in range(len(calls)))
    written, *late = work.session.rows(f"SELECT count(*), {failed} FROM {results.sql()}")[0]
    if written != pinned.rows:
        raise RunError(f"{pinned.rows} rows were staged, {written} were written")
    stage = pinned.stage.relation.sql()
    joined = f"{stage} AS s JOIN {results.sql()} AS e ON e.{ROW} = s.{ROW}"
    for position, call in enumerate(calls):
        early = error_rows.is_bad(f"s.{quote(call.status)}") if call.status else "FALSE"
        bad = f"(e.{error_column(position)} IS NOT NULL OR coalesce({early}, FALSE))"
        if call.status or late[position]:
            said = error_rows.from_either(call.status, f"e.{error_column(position)}", "s")
            error_log.write(work, pinned, call, error_log.NO_KEY, said, f"{joined} WHERE {bad}")


# the scored relation


@dataclass(frozen=True, slots=True)
class _Joined:
    """Where the results of calls are. In SQL the stage is ``s``."""

    items: tuple[str, ...]
    source: str
    store: str | None = None
    """The alias of a store."""


def _put_together(work: PostgresWorkspace, pinned: PostgresPinned) -> None:
    stage = pinned.stage
    if stage.scored is None:
        raise RunError(f"stage {stage.name} has calls but no scored relation")
    items, source = [f"s.{quote(column)}" for column in stage.columns], f"{stage.relation.sql()} AS s"
    joined = [*_stores(work, pinned), *_streams(work, pinned)]
    for one in joined:
        items += one.items
        source += one.source
    items += latest([one.store for one in joined if one.store])
    work.session.execute(f"CREATE OR REPLACE VIEW {stage.scored.sql()} AS SELECT {', '.join(items)} FROM {source}")


def _stores(work: PostgresWorkspace, pinned: PostgresPinned) -> list[_Joined]:
    found = []
    for position, call in enumerate(pinned.stage.calls):
        if call.strategy != "store":
            continue
        store, alias = StoreTable(work.settings, pinned.options.contracts[call.function]), f"l{position}"
        source = f" LEFT JOIN {store.relation.sql()} AS {alias} ON {alias}.input_key = {key_of(call)}"
        found.append(_Joined(_named(call, store.values(alias)), source, alias))
    return found


def _streams(work: PostgresWorkspace, pinned: PostgresPinned) -> list[_Joined]:
    found = []
    for number, calls in enumerate(pinned.streams):
        results, alias = results_relation(work.settings, pinned.stage, number), f"r{number}"
        items: tuple[str, ...] = ()
        for position, call in enumerate(calls):
            columns = result_columns(position, pinned.options.contracts[call.function])
            items += _named(call, tuple(f"{alias}.{quote(name)}" for name in columns))
        found.append(_Joined(items, f" JOIN {results.sql()} AS {alias} ON {alias}.{ROW} = s.{ROW}"))
    return found


def _named(call: Call, values: Sequence[str]) -> tuple[str, ...]:
    names = call.columns or (call.output,)
    return tuple(f"{value} AS {quote(name)}" for value, name in zip(values, names, strict=True))
