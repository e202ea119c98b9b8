"""What was being scored when a run died, so that the next run can be careful with it.

Before a function is scored a note goes to the side file, and each committed chunk advances it. A note that is still
there when the next run starts means that its writer died. After a crash in native code, or when two runs in a row died
at the same chunk (a hang that somebody ended, memory that ran out), the function is scored in worker processes, by
every node. Where that finds the row, it stays so for as long as the function is this one (its digest): the row is there
the next night, too. Where the node that died comes through without one, the death had another cause and is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.events import Warned
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.names import META, SIDE
from sqlinfer.spec.session import Session

_NOTES = Relation("passes", META, SIDE)
_COLUMNS = (
    "digest VARCHAR, node VARCHAR, run_id VARCHAR, progress BIGINT, last_death BIGINT, isolate BOOLEAN, found BOOLEAN, "
    "cleared VARCHAR"
)


@dataclass(frozen=True, slots=True)
class _Note:
    """What is known of a function in a node."""

    run_id: str | None = None
    """Of the run that is scoring, or died."""
    progress: int | None = None
    last_death: int | None = None
    isolate: bool = False
    found: bool = False
    """Whether a row ended a worker."""
    cleared: str | None = None
    """The run in which a pass came through without such a row. The rest of that run is still isolated."""


def blame_crash(work: Workspace) -> None:
    """The last run ended by a crash in native code: what it was scoring is isolated from now on."""
    if work.has(_NOTES):
        work.execute(f"UPDATE {_NOTES.sql()} SET isolate = TRUE WHERE run_id IS NOT NULL")


@contextmanager
def opened_session(env: RunEnvironment, node: str, prepared: PreparedFunction, progress: int = 0) -> Iterator[Session]:
    """A session for one pass, in worker processes where the last runs died with this function.

    ``progress``: how far the work is, in any unit that ``advance`` goes on with.
    """
    if not env.workspace.persistent:
        with env.session_factory(prepared) as session:
            yield session
        return
    mine, isolate = _begin(env, node, prepared.contract, progress)
    factory = env.isolated_factory if isolate and env.isolated_factory else env.session_factory
    quarantined = 0
    finished = False
    try:
        with factory(prepared) as session:
            try:
                yield session
            finally:
                quarantined = session.quarantined
        finished = True
    finally:
        with suppress(AdapterError):
            found = mine.found or quarantined > 0
            cleared = env.run_id if finished and not found else None
            _end(env.workspace, node, prepared.contract, mine.isolate or found, found, cleared)


def advance(work: Workspace, contract: FunctionContract, progress: int) -> None:
    """Inside the transaction that commits a chunk."""
    if work.persistent:
        work.execute(
            f"UPDATE {_NOTES.sql()} SET progress = ? WHERE digest = ? AND run_id IS NOT NULL",
            (progress, contract.digest),
        )


def _begin(env: RunEnvironment, node: str, contract: FunctionContract, progress: int) -> tuple[_Note, bool]:
    """What is known of this pass, and whether it is scored in worker processes."""
    work = env.workspace
    work.execute(f"CREATE TABLE IF NOT EXISTS {_NOTES.sql()} ({_COLUMNS})")
    notes = {
        str(name): _Note(*rest)
        for name, *rest in work.rows(
            f"SELECT node, run_id, progress, last_death, isolate, found, cleared FROM {_NOTES.sql()} WHERE digest = ?",
            (contract.digest,),
        )
    }
    mine = _after(notes.get(node, _Note()), env.run_id)
    isolate = mine.isolate or any(_after(note, env.run_id).isolate for note in notes.values())
    if isolate and env.isolated_factory:
        env.emit(
            Warned(node, f"an earlier run died while it scored with '{contract.name}': worker processes score it now")
        )
    with work.transaction():
        work.execute(f"DELETE FROM {_NOTES.sql()} WHERE digest = ? AND node = ?", (contract.digest, node))
        work.execute(
            f"INSERT INTO {_NOTES.sql()} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (contract.digest, node, env.run_id, progress, mine.last_death, mine.isolate, mine.found, mine.cleared),
        )
    return mine, isolate


def _after(note: _Note, run_id: str) -> _Note:
    """The note as the run ``run_id`` sees it: where its writer died, with that death; where it was cleared, without."""
    if note.run_id not in (None, run_id):
        again = note.isolate or note.progress == note.last_death
        return replace(note, last_death=note.progress, isolate=again, cleared=None)
    if note.cleared not in (None, run_id):
        return replace(note, isolate=note.found, cleared=None)
    return note


def _end(
    work: Workspace, node: str, contract: FunctionContract, isolate: bool, found: bool, cleared: str | None
) -> None:
    work.execute(
        f"UPDATE {_NOTES.sql()} SET run_id = NULL, last_death = NULL, isolate = ?, found = ?, cleared = ? "
        "WHERE digest = ? AND node = ?",
        (isolate, found, cleared, contract.digest, node),
    )
