"""What was being scored when a run died, so that the next run can be careful with it.

Before a function is scored a note goes to the side file, and each committed chunk advances it. A note that is still
there when the next run starts means that its writer died. After a crash in native code, or when two runs in a row died
at the same chunk (a hang that somebody ended, memory that ran out), the function is scored in worker processes, until a
pass ends that quarantined nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlinfer.adapters.base import META, SIDE, Workspace
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.events import Warned
from sqlinfer.spec.function import FunctionContract, PreparedFunction

_NOTES = Relation("scoring", META, SIDE)
_COLUMNS = "digest VARCHAR, run_id VARCHAR, progress BIGINT, last_death BIGINT, isolate BOOLEAN"


def blame_crash(work: Workspace) -> None:
    """The last run ended by a crash in native code: what it was scoring is isolated from now on."""
    if work.has(_NOTES):
        work.execute(f"UPDATE {_NOTES.sql()} SET isolate = TRUE WHERE run_id IS NOT NULL")


@contextmanager
def opened_session(env: RunEnvironment, node: str, prepared: PreparedFunction, progress: int = 0) -> Iterator[Any]:
    """A session for one pass, in worker processes where the last runs died with this function.

    ``progress``: how far the work is, in any unit that ``advance`` goes on with.
    """
    if not env.workspace.persistent:
        with env.session_factory(prepared) as session:
            yield session
        return
    isolate = _begin(env, node, prepared.contract, progress)
    factory = env.isolated_factory if isolate and env.isolated_factory else env.session_factory
    quarantined = 0
    finished = False
    try:
        with factory(prepared) as session:
            yield session
            quarantined = getattr(session, "quarantined", 0)
        finished = True
    finally:
        with suppress(AdapterError):
            _end(env.workspace, prepared.contract, keep=isolate and (quarantined > 0 or not finished))


def advance(work: Workspace, contract: FunctionContract, progress: int) -> None:
    """Inside the transaction that commits a chunk."""
    if work.persistent:
        work.execute(f"UPDATE {_NOTES.sql()} SET progress = ? WHERE digest = ?", (progress, contract.digest))


def _begin(env: RunEnvironment, node: str, contract: FunctionContract, progress: int) -> bool:
    work = env.workspace
    work.execute(f"CREATE TABLE IF NOT EXISTS {_NOTES.sql()} ({_COLUMNS})")
    found = work.rows(
        f"SELECT run_id, progress, last_death, isolate FROM {_NOTES.sql()} WHERE digest = ?", (contract.digest,)
    )
    run_id, reached, last_death, isolate = found[0] if found else (None, None, None, False)
    died = run_id is not None and run_id != env.run_id
    isolate = isolate or (died and reached == last_death)
    if isolate and env.isolated_factory:
        env.emit(
            Warned(node, f"an earlier run died while it scored with '{contract.name}': worker processes score it now")
        )
    death = reached if died else last_death
    with work.transaction():
        work.execute(f"DELETE FROM {_NOTES.sql()} WHERE digest = ?", (contract.digest,))
        work.execute(
            f"INSERT INTO {_NOTES.sql()} VALUES (?, ?, ?, ?, ?)",
            (contract.digest, env.run_id, progress, death, isolate),
        )
    return bool(isolate)


def _end(work: Workspace, contract: FunctionContract, keep: bool) -> None:
    work.execute(
        f"UPDATE {_NOTES.sql()} SET run_id = NULL, last_death = NULL, isolate = ? WHERE digest = ?",
        (keep, contract.digest),
    )
