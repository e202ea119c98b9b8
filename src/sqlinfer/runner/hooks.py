"""Running the hooks of a node: inside the transaction that publishes it, or by themselves."""

from __future__ import annotations

from collections.abc import Iterable

from sqlinfer.adapters.base import Workspace
from sqlinfer.errors import DatabaseLocked, PublicationError, RunError, SqlinferError
from sqlinfer.project.values import Hook
from sqlinfer.relation import Relation


def run_inside(work: Workspace, hooks: Iterable[Hook], node: str) -> None:
    """Inside ``publishing()``. Raises PublicationError: the transaction is rolled back."""
    for hook in hooks:
        try:
            work.run_statement(hook.sql)
        except SqlinferError as error:
            said = f"{hook.name} of '{node}' failed: {error.message}; the published table is unchanged"
            raise PublicationError(said, hint=error.hint, location=hook.location) from error.__cause__


def run_by_themselves(
    work: Workspace, hooks: Iterable[Hook], label: str, timeout: float, then: str = "", into: Relation | None = None
) -> None:
    """Each statement commits by itself.

    Args:
        then: what is so when one fails, in words.
        into: the node's relation: its database is open for writing.

    Raises:
        RunError: one failed, or the warehouse stayed held for ``timeout`` seconds.
    """
    wanted = tuple(hooks)
    if not wanted:
        return
    now = wanted[0]
    try:
        with work.writing(timeout, into):
            for now in wanted:
                work.run_statement(now.sql)
    except SqlinferError as error:
        of = f" of '{label}'" if label else ""
        waited = f" (waited {timeout:g} s)" if isinstance(error, DatabaseLocked) else ""
        said = f"{now.name}{of} failed: {error.message}{waited}" + (f"; {then}" if then else "")
        raise RunError(said, hint=error.hint, location=now.location) from error.__cause__
