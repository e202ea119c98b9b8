"""What was being scored when a run died, so that the next run can be careful with it.

Before a function is scored a note goes to the side file, and each committed chunk advances it. A note that is still
there when the next run starts means that its writer died. After a crash in native code, or when two runs in a row died
at the same chunk (a hang that somebody ended, memory that ran out), the function is scored in worker processes, by
every node. Where that finds the row, it stays so for as long as the function is this one (its digest): the row is there
the next night, too. Where the node that died comes through without one, the death had another cause and is forgotten.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import AdapterError
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.spec.events import Warned
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.spec.session import Session, SessionFactory


@dataclass(frozen=True, slots=True)
class _Note:
    """What is known of a function in a node."""

    digest: str
    node: str
    run_id: str | None = None
    """Of the run that is scoring, or died."""
    progress: int | None = None
    last_death: int | None = None
    isolate: bool = False
    found: bool = False
    """Whether a row ended a worker."""
    cleared: str | None = None
    """The run in which a pass came through without such a row. The rest of that run is still isolated."""


def _known(work: Workspace, digest: str | None = None) -> Iterator[_Note]:
    """Notes of a function, or all. A later version may have put more into one."""
    fields = {field.name for field in dataclasses.fields(_Note)}
    for payload in work.notes("scoring").values():
        if digest in (None, payload["digest"]):
            yield _Note(**{name: value for name, value in payload.items() if name in fields})


def _write(work: Workspace, note: _Note) -> None:
    work.note("scoring", f"{note.digest} {note.node}", asdict(note))


def blame_crash(work: Workspace) -> None:
    """The last run ended by a crash in native code: what it was scoring is isolated from now on."""
    for note in _known(work):
        if note.run_id is not None:
            _write(work, replace(note, isolate=True))


@contextmanager
def noted(
    env: RunEnvironment, node: str, functions: Iterable[PreparedFunction], progress: int
) -> Iterator[SessionFactory]:
    """A note for each function while one pass is made; the factory opens it, in worker processes where the last runs
    died with it.

    ``progress``: how far the work is, in any unit that ``advance`` goes on with.
    """
    if not env.workspace.persistent:
        yield env.session_factory
        return
    with ExitStack() as stack:
        passes = {}
        for prepared in dict.fromkeys(functions):
            one = stack.enter_context(_noted(env, node, prepared.contract, progress))
            passes[prepared.contract.digest] = one
        yield _Sessions(passes)


@dataclass(slots=True)
class _Pass:
    factory: SessionFactory
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class _Sessions:
    """A ``SessionFactory`` that counts the rows which were given up. It can be pickled where its factories can."""

    passes: Mapping[str, _Pass]
    """By digest."""

    @contextmanager
    def __call__(self, prepared: PreparedFunction) -> Iterator[Session]:
        one = self.passes[prepared.contract.digest]
        with one.factory(prepared) as session:
            try:
                yield session
            finally:
                one.quarantined += session.quarantined


@contextmanager
def _noted(env: RunEnvironment, node: str, contract: FunctionContract, progress: int) -> Iterator[_Pass]:
    mine, isolate = _begin(env, node, contract, progress)
    one = _Pass(env.isolated_factory if isolate and env.isolated_factory else env.session_factory)
    finished = False
    try:
        yield one
        finished = True
    finally:
        with suppress(AdapterError):
            found = mine.found or one.quarantined > 0
            cleared = env.run_id if finished and not found else None
            _write(env.workspace, _Note(mine.digest, node, isolate=mine.isolate or found, found=found, cleared=cleared))


def advance(work: Workspace, functions: Iterable[PreparedFunction], progress: int) -> None:
    """Inside the transaction that commits a chunk."""
    if not work.persistent:
        return
    for digest in dict.fromkeys(prepared.contract.digest for prepared in functions):
        for note in tuple(_known(work, digest)):
            if note.run_id is not None:
                _write(work, replace(note, progress=progress))


def _begin(env: RunEnvironment, node: str, contract: FunctionContract, progress: int) -> tuple[_Note, bool]:
    """What is known of this pass, and whether it is scored in worker processes."""
    work = env.workspace
    notes = {note.node: note for note in _known(work, contract.digest)}
    mine = _after(notes.get(node, _Note(contract.digest, node)), env.run_id)
    isolate = mine.isolate or any(_after(note, env.run_id).isolate for note in notes.values())
    if isolate and env.isolated_factory:
        env.emit(
            Warned(node, f"an earlier run died while it scored with '{contract.name}': worker processes score it now")
        )
    _write(work, replace(mine, run_id=env.run_id, progress=progress))
    return mine, isolate


def _after(note: _Note, run_id: str) -> _Note:
    """The note as the run ``run_id`` sees it: where its writer died, with that death; where it was cleared, without."""
    if note.run_id not in (None, run_id):
        again = note.isolate or note.progress == note.last_death
        return replace(note, last_death=note.progress, isolate=again, cleared=None)
    if note.cleared not in (None, run_id):
        return replace(note, isolate=note.found, cleared=None)
    return note
