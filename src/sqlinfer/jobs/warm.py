"""Sessions that outlive a run: opened by the first that needs them, closed when a run has not used them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from types import TracebackType

from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.session import Session


@dataclass(slots=True)
class _Kept:
    prepared: PreparedFunction
    opened: AbstractContextManager[Session]
    session: Session
    used: bool = True


@dataclass(slots=True)
class WarmSessions:
    """For one thread. ``close`` it at the end."""

    _kept: dict[str, _Kept] = field(default_factory=dict)

    def lend(self, prepared: PreparedFunction, opener: Callable[[], AbstractContextManager[Session]]) -> Lent:
        """A context manager like ``opener()``, whose session is kept after its exit unless something was raised."""
        return Lent(self, prepared, opener)

    def settle(self) -> None:
        """Between two runs: sessions that the last one did not use are closed."""
        for digest, kept in tuple(self._kept.items()):
            if not kept.used:
                self.drop(digest)
            kept.used = False

    def drop(self, digest: str) -> None:
        kept = self._kept.pop(digest, None)
        if kept is not None:
            kept.opened.__exit__(None, None, None)

    def close(self) -> None:
        for digest in tuple(self._kept):
            with suppress(Exception):  # each is closed, whatever became of the one before
                self.drop(digest)

    def taken(self, prepared: PreparedFunction, opener: Callable[[], AbstractContextManager[Session]]) -> Session:
        digest = prepared.contract.digest
        kept = self._kept.get(digest)
        if kept is None or kept.prepared != prepared:  # its batch size or device is another now
            self.drop(digest)
            opened = opener()
            kept = self._kept[digest] = _Kept(prepared, opened, opened.__enter__())
        kept.used = True
        return kept.session


@dataclass(slots=True)
class Lent:
    _lender: WarmSessions
    _prepared: PreparedFunction
    _opener: Callable[[], AbstractContextManager[Session]]
    _session: Session | None = None

    def __enter__(self) -> Session:
        self._session = self._lender.taken(self._prepared, self._opener)
        return self._session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        # A session that lost workers, or was left in the middle, is not handed on.
        if kind is not None or (self._session is not None and self._session.quarantined):
            self._lender.drop(self._prepared.contract.digest)
