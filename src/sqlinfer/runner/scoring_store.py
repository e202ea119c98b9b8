"""The store strategy: to do = distinct keys that the store lacks; score them in committed chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, quote
from sqlinfer.runner import deaths
from sqlinfer.runner.categories import as_enums, select
from sqlinfer.runner.environment import QUICK_SECONDS, RunEnvironment
from sqlinfer.runner.keyed import KeyedCall
from sqlinfer.runner.store import StoreTable, count, todo_sql
from sqlinfer.spec.events import Progress
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.names import ERROR, RESULT, todo_name
from sqlinfer.spec.plan import Call, Owner, Stage
from sqlinfer.spec.seconds import Seconds

if TYPE_CHECKING:
    import pyarrow as pa


def chunks(
    env: RunEnvironment, batches: Iterator[pa.RecordBatch], rows: int, quick: int | None = None
) -> Iterator[pa.Table]:
    """Batches put together to tables of ``rows`` rows, of some seconds of work, or of what memory allows.

    When the run is cancelled, what is at hand is the last chunk.

    Args:
        quick: rows of a chunk that takes next to no time.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size, weight, began = 0, 0, monotonic()
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        weight += batch.nbytes
        age = monotonic() - began
        enough = size >= (quick if quick and age < QUICK_SECONDS else rows)
        if enough or weight >= env.chunk_bytes or age >= env.chunk_seconds or env.cancel.is_set():
            yield pa.Table.from_batches(held)
            held, size, weight, began = [], 0, 0, monotonic()
    if size:
        yield pa.Table.from_batches(held)


def score_into_store(
    env: RunEnvironment, owner: Owner, stage: Stage, call: Call, seconds: Seconds, keyed: KeyedCall | None = None
) -> int:
    """Score what the store lacks; the number of distinct inputs that got a valid result.

    Args:
        keyed: the call's new inputs where the stage does not hold its arguments.
    """
    prepared = env.function(call.function, call.digest)
    store = StoreTable(prepared.contract)
    work = env.workspace
    work.execute(store.create())
    if keyed is not None and keyed.inputs is None:
        return 0
    began = perf_counter()
    todo = replace(work.namespace, name=todo_name(owner.side))
    found = _staged_todo(work, stage, call, store, todo) if keyed is None else _keyed_todo(work, keyed, store)
    seconds.add("find", perf_counter() - began)
    scored = _score_rows(env, (owner, stage, call), prepared, found, seconds) if found[1] else 0
    work.execute(f"DROP TABLE IF EXISTS {todo.sql()}")
    return scored


def score_together(env: RunEnvironment, owner: Owner, stage: Stage, calls: Sequence[Call], seconds: Seconds) -> int:
    """Score what the store lacks of several calls of one function in one pass, as ``score_into_store`` does of one."""
    prepared = env.function(calls[0].function, calls[0].digest)
    store, work = StoreTable(prepared.contract), env.workspace
    work.execute(store.create())
    began = perf_counter()
    todo = replace(work.namespace, name=todo_name(owner.side))
    columns = [f"a{position}" for position in range(len(calls[0].arguments))]
    work.execute(f"CREATE OR REPLACE TABLE {todo.sql()} AS {_union_of_inputs(stage, calls, columns, store)}")
    wanted = count(work, todo)
    seconds.add("find", perf_counter() - began)
    call = replace(calls[0], key="input_key", arguments=tuple(columns))
    place = owner, stage, call
    scored = _score_rows(env, place, prepared, (todo.sql(), wanted), seconds, times=len(calls)) if wanted else 0
    work.execute(f"DROP TABLE IF EXISTS {todo.sql()}")
    return scored


def _union_of_inputs(stage: Stage, calls: Sequence[Call], names: Sequence[str], store: StoreTable) -> str:
    """Each key that the store lacks once, with arguments; where there is a key, no argument is NULL."""
    branches = []
    for call in calls:
        items = [f"{quote(argument)} AS {name}" for argument, name in zip(call.arguments, names, strict=True)]
        key = quote(call.key or "")
        items.insert(0, f"{key} AS input_key")
        branches.append(f"SELECT {', '.join(items)} FROM {stage.relation.sql()} WHERE {key} IS NOT NULL")
    values = "".join(f", any_value(q.{name}) AS {name}" for name in names)
    return (
        f"SELECT q.input_key{values} FROM ({' UNION ALL '.join(branches)}) AS q "
        f"ANTI JOIN {store.relation.sql()} AS s ON s.input_key = q.input_key GROUP BY q.input_key"
    )


def _staged_todo(work: Workspace, stage: Stage, call: Call, store: StoreTable, todo: Relation) -> tuple[str, int]:
    """FROM clause of the rows to score, and their number. ``todo`` holds the ids of rows where not all are."""
    work.execute(f"CREATE OR REPLACE TABLE {todo.sql()} AS {todo_sql(store, stage.relation, call)}")
    wanted, source = count(work, todo), stage.relation.sql()
    if wanted != count(work, stage.relation):
        source = f"{source} WHERE rowid IN (SELECT row_id FROM {todo.sql()})"
    return source, wanted


def _keyed_todo(work: Workspace, keyed: KeyedCall, store: StoreTable) -> tuple[str, int]:
    assert keyed.inputs is not None
    source, wanted = keyed.inputs.sql(), keyed.wanted
    if count(work, store.relation) != keyed.store_rows:
        # Another call of this function has scored since the look-up.
        key = quote(keyed.call.key or "")
        source = f"{source} AS q ANTI JOIN {store.relation.sql()} AS s ON s.input_key = q.{key}"
        wanted = int(work.rows(f"SELECT count(*) FROM {source}")[0][0])
    return source, wanted


def _score_rows(
    env: RunEnvironment,
    place: tuple[Owner, Stage, Call],
    prepared: PreparedFunction,
    todo: tuple[str, int],
    seconds: Seconds,
    times: int = 1,
) -> int:
    """``times``: how many calls have their inputs in one row of the stage."""
    owner, stage, call = place
    source, wanted = todo
    names = tuple(dict.fromkeys((call.key or "", *call.arguments)))
    store = StoreTable(prepared.contract)
    inputs = count(env.workspace, stage.relation) * times
    known, done, valid = count(env.workspace, store.relation), 0, 0
    with deaths.opened_session(env, owner.key, prepared, known) as session:
        sql = f"SELECT {select(names, as_enums(session, call))} FROM {source}"
        with (
            env.workspace.reader(sql, env.read_rows(prepared.contract)) as reader,
            session.score(
                reader, call.arguments, names[:1], as_column=RESULT, error_column=ERROR,
                policy=env.error_policy(prepared.contract).together(times), total=inputs, cancel=env.cancel,
            ) as scored,
        ):  # fmt: skip
            for chunk in chunks(env, iter(scored), env.store_chunk, env.quick_chunk):
                began = perf_counter()
                known = _append(env, store, _as_store_rows(chunk, store, prepared), known)
                seconds.add("write", perf_counter() - began)
                done += chunk.num_rows
                valid += chunk.num_rows - _errors(chunk)
                env.emit(Progress(owner.key, call.function, done, wanted, seconds.so_far(scored)))
                fail_point("after_append")
                env.stop_if_cancelled()
            seconds.add_session(scored)
    env.stop_if_cancelled()
    if done != wanted:
        raise RunError(f"{wanted} inputs were to be scored, {done} came back from the session")
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
