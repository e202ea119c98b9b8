"""The stream strategy: every row of the stage once through the sessions, in order, into the scored table in chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from sqlinfer.errors import RunError
from sqlinfer.failpoints import fail_point
from sqlinfer.relation import Relation, quote
from sqlinfer.runner import deaths, errorlog
from sqlinfer.runner.categories import as_enums, select
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.identity import Identity
from sqlinfer.runner.scoring_store import chunks
from sqlinfer.spec.events import Progress
from sqlinfer.spec.names import ERROR, SCRATCH
from sqlinfer.spec.plan import NULL_INPUT, SKIPPED, Call, Counts, Owner, Stage
from sqlinfer.spec.seconds import Seconds
from sqlinfer.spec.session import Scored, Session

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StreamPass:
    """One pass over a stage. ``source`` is SQL with every column that is read, results of store calls included."""

    owner: Owner
    stage: Stage
    calls: tuple[Call, ...]
    source: str
    table: Relation
    """Made and filled here."""
    columns: tuple[str, ...]
    """Columns handed on to it."""
    total: int | None
    identity: Identity


def error_column(position: int) -> str:
    return f"{ERROR}_{position}"


def run_stream(env: RunEnvironment, work: StreamPass, seconds: Seconds) -> tuple[Counts, ...]:
    """Fill the table; counts per call, in order.

    Raises:
        RunError: rows were lost on the way.
    """
    tallies = [_Tally() for _ in work.calls]
    rows = 0
    with ExitStack() as stack:
        sessions = {
            prepared.contract.digest: stack.enter_context(deaths.opened_session(env, work.owner.key, prepared))
            for prepared in dict.fromkeys(env.function(call.function, call.digest) for call in work.calls)
        }
        contracts = [env.function(call.function, call.digest).contract for call in work.calls]
        source = _with_enums(work, sessions)
        reader = stack.enter_context(env.workspace.reader(source, env.read_rows(*contracts)))
        scored = _chain(env, stack, work, sessions, reader)
        stack.enter_context(env.workspace.fleeting())
        _create(env, work)
        for chunk in chunks(env, iter(scored[-1]), env.stream_chunk):
            began = perf_counter()
            _write(env, work, chunk, tallies)
            seconds.add("write", perf_counter() - began)
            rows += chunk.num_rows
            env.emit(Progress(work.owner.key, work.calls[-1].function, rows, work.total, seconds.so_far(*scored)))
            fail_point("after_append")
            env.stop_if_cancelled()
        for call, tally, one in zip(work.calls, tallies, scored, strict=True):
            seconds.add_session(one)
            if call.status is None:
                tally.nulls = one.counts.null_inputs
    env.stop_if_cancelled()
    written = int(env.workspace.rows(f"SELECT count(*) FROM {work.table.sql()}")[0][0])
    if written != rows or (work.total is not None and rows != work.total):
        raise RunError(f"{work.total} rows were staged, {rows} came back from the session, {written} were written")
    return tuple(tally.counts() for tally in tallies)


def _with_enums(work: StreamPass, sessions: Mapping[str, Session]) -> str:
    if len(work.calls) > 1:
        return work.source  # other calls may want the texts
    (call,) = work.calls
    carried = {*work.columns, *((call.status,) if call.status else ())}
    names = dict.fromkeys((*work.columns, *call.arguments, *carried))
    enums = as_enums(sessions[call.digest], call, carried)
    return f"SELECT {select(names, enums)} FROM ({work.source})" if enums else work.source


def _chain(
    env: RunEnvironment, stack: ExitStack, work: StreamPass, sessions: dict[str, Session], reader: pa.RecordBatchReader
) -> list[Scored]:
    """Each call reads what the one before it hands on; the last hands on everything."""
    scored: list[Scored] = []
    names = list(reader.schema.names)
    for position, call in enumerate(work.calls):
        later = {name for other in work.calls[position + 1 :] for name in other.arguments}
        carried = {*work.columns, *(error_column(p) for p in range(position)), *_results(work, position)}
        carried |= {c.status for c in work.calls if c.status} | later
        keep = [name for name in names if name in carried]
        one = sessions[call.digest].score(
            reader, call.arguments, keep, as_column=call.output, error_column=error_column(position),
            policy=env.error_policy(env.function(call.function, call.digest).contract), total=work.total,
            cancel=env.cancel,
        )  # fmt: skip
        scored.append(stack.enter_context(one))
        names = list(one.schema.names)
        if position + 1 < len(work.calls):
            reader = one.to_reader()
    return scored


def _results(work: StreamPass, position: int) -> set[str]:
    return {call.output for call in work.calls[:position]}


def _create(env: RunEnvironment, work: StreamPass) -> None:
    """The empty table, under its final name: it counts only once the node goes on to its result."""
    types = {c.name: c.data_type for c in env.workspace.describe(work.source)}
    columns = [f"{quote(name)} {types[name]}" for name in work.columns]
    for call in work.calls:
        contract = env.function(call.function, call.digest).contract
        columns.append(f"{quote(call.output)} {contract.return_type}")
    env.workspace.execute(f"CREATE OR REPLACE TABLE {work.table.sql()} ({', '.join(columns)})")


def _write(env: RunEnvironment, work: StreamPass, chunk: pa.Table, tallies: Sequence[_Tally]) -> None:
    items = [quote(name) for name in (*work.columns, *(call.output for call in work.calls))]
    bad = [
        tally.add(chunk, call, position) for position, (tally, call) in enumerate(zip(tallies, work.calls, strict=True))
    ]
    insert = f"INSERT INTO {work.table.sql()} SELECT {', '.join(items)} FROM chunk"
    if work.table.catalog == SCRATCH:  # one transaction cannot write two databases
        env.workspace.insert(insert, chunk)
    with env.workspace.transaction():
        if work.table.catalog != SCRATCH:
            env.workspace.insert(insert, chunk)
        for position, rows in enumerate(bad):
            if rows is not None:
                _record(env, work, position, rows)
        for call in work.calls:
            deaths.advance(env.workspace, env.function(call.function, call.digest).contract, tallies[0].rows)
        fail_point("before_append_commit")


def _record(env: RunEnvironment, work: StreamPass, position: int, rows: pa.Table) -> None:
    call = work.calls[position]
    types = env.workspace.describe(f"SELECT * FROM {work.table.sql()}")
    shown = work.identity.json(work.stage, call, types, "e")
    error = f"e.{quote(error_column(position))}"
    found, said = errorlog.from_error(error)
    if call.status:
        early = errorlog.is_bad(f"e.{quote(call.status)}")
        status_class, status_said = errorlog.from_status(call.status, "e")
        found = f"CASE WHEN {early} THEN {status_class} ELSE {found} END"
        said = f"CASE WHEN {early} THEN {status_said} ELSE {said} END"
    parts = (errorlog.NO_KEY, shown, found, said)
    env.workspace.insert(errorlog.insert(work.owner, call, work.stage, env.run_id, parts, "chunk AS e"), rows)


@dataclass(slots=True)
class _Tally:
    """Counts of one call, from its status, argument and error columns, vectorised."""

    rows: int = 0
    skipped: int = 0
    nulls: int = 0
    errors: int = 0

    def add(self, chunk: pa.Table, call: Call, position: int) -> pa.Table | None:
        """Count a chunk; its error rows, if it has any."""
        self.rows += chunk.num_rows
        error = chunk.column(error_column(position))
        status = chunk.column(call.status) if call.status else None
        if status is not None and status.null_count < len(status):
            return self._add_marked(chunk, error, status)
        return None if error.null_count == len(error) else self._add_errors(chunk, error)

    def _add_marked(self, chunk: pa.Table, error: pa.ChunkedArray, status: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc

        from sqlinfer.arrays import from_texts

        skipped, null = (pc.equal(status, one) for one in from_texts([SKIPPED, NULL_INPUT]))
        self.skipped += pc.sum(skipped).as_py() or 0
        self.nulls += pc.sum(null).as_py() or 0
        ours = pc.and_kleene(pc.is_valid(status), pc.invert(pc.or_(skipped, null)))
        return self._keep(chunk, pc.or_(pc.is_valid(error), ours))

    def _add_errors(self, chunk: pa.Table, error: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc  # 40 ms that a night without errors need not pay

        return self._keep(chunk, pc.is_valid(error))

    def _keep(self, chunk: pa.Table, bad: pa.ChunkedArray) -> pa.Table | None:
        import pyarrow.compute as pc

        errors = pc.sum(bad).as_py() or 0
        self.errors += errors
        return chunk.filter(bad) if errors else None

    def counts(self) -> Counts:
        inputs = self.rows - self.skipped
        return Counts(inputs, inputs - self.nulls - self.errors, 0, self.nulls, self.errors)
