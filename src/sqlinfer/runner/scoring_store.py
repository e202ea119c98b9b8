"""The store strategy: to do = distinct keys that the store lacks; score them in committed chunks; look them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import SIDE, STAGE
from sqlinfer.errors import RunError, StoreError
from sqlinfer.relation import Relation, quote
from sqlinfer.runner import deaths, errorlog
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.events import Progress
from sqlinfer.runner.failpoints import fail_point
from sqlinfer.runner.store import StoreTable, count, todo_sql
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call, Counts, Stage

if TYPE_CHECKING:
    import pyarrow as pa

RESULT, ERROR = "__sqlinfer_result", "__sqlinfer_error"
HIDDEN = ("__sqlinfer_run_id", "__sqlinfer_scored_at")
"""Columns of a scored relation: which run scored the row, and when."""


@dataclass(slots=True)
class Seconds:
    """Seconds per stage of the work, over all calls of a node."""

    spent: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        self.spent[name] = self.spent.get(name, 0.0) + seconds

    def add_session(self, scored: object) -> None:
        times = getattr(scored, "seconds", None)
        for name in ("read", "assemble", "kernel", "finish"):
            if times is not None:
                self.add(name, float(getattr(times, name, 0.0)))


def chunks(env: RunEnvironment, batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Batches put together to tables of ``rows`` rows, of some seconds of work, or of what memory allows.

    When the run is cancelled, what is at hand is the last chunk.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size, weight, began = 0, 0, monotonic()
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        weight += batch.nbytes
        late = monotonic() - began >= env.chunk_seconds or env.cancel.is_set()
        if size >= rows or weight >= env.chunk_bytes or late:
            yield pa.Table.from_batches(held)
            held, size, weight, began = [], 0, 0, monotonic()
    if size:
        yield pa.Table.from_batches(held)


def score_into_store(env: RunEnvironment, node: str, stage: Stage, call: Call, seconds: Seconds) -> int:
    """Score what the store lacks; the number of distinct inputs that got a valid result."""
    prepared = env.function(call.function, call.digest)
    store = StoreTable(prepared.contract)
    work = env.workspace
    work.execute(store.create())
    began = perf_counter()
    todo = Relation(f"{node}__todo", STAGE, SIDE)
    work.execute(f"CREATE OR REPLACE TABLE {todo.sql()} AS {todo_sql(store, stage.relation, call)}")
    wanted = count(work, todo)
    seconds.add("find", perf_counter() - began)
    scored = _score_rows(env, (node, stage, call), prepared, (todo, wanted), seconds) if wanted else 0
    work.execute(f"DROP TABLE {todo.sql()}")
    return scored


def _score_rows(
    env: RunEnvironment,
    place: tuple[str, Stage, Call],
    prepared: PreparedFunction,
    todo: tuple[Relation, int],
    seconds: Seconds,
) -> int:
    node, stage, call = place
    store = StoreTable(prepared.contract)
    names = ", ".join(quote(name) for name in dict.fromkeys((call.key or "", *call.arguments)))
    inputs = count(env.workspace, stage.relation)
    everything = todo[1] == inputs
    where = "" if everything else f" WHERE rowid IN (SELECT row_id FROM {todo[0].sql()})"
    sql = f"SELECT {names} FROM {stage.relation.sql()}{where}"
    known, done, valid = count(env.workspace, store.relation), 0, 0
    with (
        deaths.opened_session(env, node, prepared, known) as session,
        env.workspace.reader(sql, env.read_rows(prepared.contract)) as reader,
        session.score(
            reader, call.arguments, (call.key,), as_column=RESULT, error_column=ERROR,
            max_errors=env.most_errors(inputs, prepared.contract), cancel=env.cancel,
        ) as scored,
    ):  # fmt: skip
        for chunk in chunks(env, iter(scored), env.store_chunk):
            began = perf_counter()
            known = _append(env, store, _as_store_rows(chunk, store, prepared), known)
            seconds.add("write", perf_counter() - began)
            done += chunk.num_rows
            valid += chunk.num_rows - _errors(chunk)
            env.emit(Progress(node, call.function, done, todo[1], dict(seconds.spent)))
            fail_point("after_append")
            env.stop_if_cancelled()
        seconds.add_session(scored)
    env.stop_if_cancelled()
    if done != todo[1]:
        raise RunError(f"{todo[1]} inputs were to be scored, {done} came back from the session")
    return valid


def _errors(chunk: pa.Table) -> int:
    return int(chunk.num_rows - chunk.column(ERROR).null_count)


def _as_store_rows(chunk: pa.Table, store: StoreTable, prepared: PreparedFunction) -> pa.Table:
    """Columns input_key, outputs…, error."""
    import pyarrow as pa

    result = chunk.column(RESULT)
    values = [result]
    if prepared.contract.is_struct:
        import pyarrow.compute as pc

        values = [pc.struct_field(result, [position]) for position in range(len(store.columns))]
    return pa.table([chunk.column(0), *values, chunk.column(ERROR)], names=["input_key", *store.columns, "error"])


def _append(env: RunEnvironment, store: StoreTable, rows: pa.Table, known: int) -> int:
    """One transaction. If the store is not what this run left, known keys are left out. Returns the new row count."""
    work = env.workspace
    with work.transaction():
        untouched = count(work, store.relation) == known
        work.insert(store.append(env.run_id, guarded=not untouched), rows)
        deaths.advance(work, store.contract, known + rows.num_rows)
        fail_point("before_append_commit")
    return count(work, store.relation)


def lookup_columns(
    env: RunEnvironment, stage: Stage, calls: Sequence[Call], columns: Sequence[str]
) -> tuple[list[str], str]:
    """SELECT items and FROM clause that put the results of ``calls`` beside ``columns`` of the stage."""
    items = [f"s.{quote(column)}" for column in columns]
    source = f"{stage.relation.sql()} AS s"
    latest = []
    for position, call in enumerate(calls):
        store, alias = StoreTable(env.function(call.function, call.digest).contract), f"l{position}"
        items.append(f"{store.value(alias)} AS {quote(call.output)}")
        source += f" LEFT JOIN {store.relation.sql()} AS {alias} ON {alias}.input_key = s.{quote(call.key or '')}"
        latest.append(alias)
    items += _latest(latest)
    return items, source


def _latest(aliases: Sequence[str]) -> list[str]:
    """The run that scored the row last: of several calls the one with the latest time."""
    if not aliases:
        return []
    at = ", ".join(f"{alias}.scored_at" for alias in aliases)
    moment = f"greatest({at})" if len(aliases) > 1 else at
    runs = " ".join(f"WHEN {alias}.scored_at = {moment} THEN {alias}.run_id" for alias in aliases)
    return [f"CASE {runs} END AS {HIDDEN[0]}", f"{moment} AS {HIDDEN[1]}"]


def reconcile(env: RunEnvironment, node: str, stage: Stage, call: Call, scored: int, keys: Sequence[str]) -> Counts:
    """Count what the look-up will give, write its error records.

    Raises:
        StoreError: a key occurs twice in the store.
        RunError: an input has no result (it is never published as NULL).
    """
    store = StoreTable(env.function(call.function, call.digest).contract).relation.sql()
    key = f"s.{quote(call.key or '')}"
    source = f"{stage.relation.sql()} AS s LEFT JOIN {store} AS l ON l.input_key = {key}"
    status = f"s.{quote(call.status)}" if call.status else f"CASE WHEN {key} IS NULL THEN '{NULL_INPUT}' END"
    bad = errorlog.is_bad(status)
    total, inputs, nulls, early, late, misses = env.workspace.rows(
        f"SELECT count(*), count(*) FILTER ({status} IS DISTINCT FROM '{SKIPPED}'), "
        f"count(*) FILTER ({status} = '{NULL_INPUT}'), count(*) FILTER {_where(bad)}, "
        f"count(*) FILTER ({key} IS NOT NULL AND l.error IS NOT NULL), "
        f"count(*) FILTER ({key} IS NOT NULL AND l.input_key IS NULL) FROM {source}"
    )[0]
    _check(total, count(env.workspace, stage.relation), misses, call)
    if early or late:
        _record(env, node, stage, call, source, keys)
    reused = inputs - scored - nulls - early - late
    if reused < 0:
        raise RunError(
            f"counts of {call.sql} do not reconcile: {inputs} inputs, {scored} scored, {early + late} errors"
        )
    return Counts(inputs, scored, reused, nulls, early + late)


def _where(condition: str) -> str:
    return f"({condition})"


def _check(total: int, staged: int, misses: int, call: Call) -> None:
    if total != staged:
        raise StoreError(
            f"the store of '{call.function}' holds a key twice: {staged} rows became {total}",
            hint="move the side file away; everything is then scored again",
        )
    if misses:
        raise RunError(f"{misses} inputs of {call.sql} have no result in the store; nothing was published")


def _record(env: RunEnvironment, node: str, stage: Stage, call: Call, source: str, keys: Sequence[str]) -> None:
    shown = errorlog.keys_json(stage.columns, keys, "s")
    if call.status:
        found, said = errorlog.from_status(call.status, "s")
        where = f"{stage.relation.sql()} AS s WHERE {errorlog.is_bad('s.' + quote(call.status))}"
        parts = ("CAST(NULL AS UHUGEINT)", shown, found, said)
        env.workspace.execute(errorlog.insert(node, call, stage, env.run_id, parts, where))
    found, said = errorlog.from_error("l.error")
    where = f"{source} WHERE s.{quote(call.key or '')} IS NOT NULL AND l.error IS NOT NULL"
    parts = ("l.input_key", shown, found, said)
    env.workspace.execute(errorlog.insert(node, call, stage, env.run_id, parts, where))
