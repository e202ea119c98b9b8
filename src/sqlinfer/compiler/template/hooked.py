"""Hooks of one node as data."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.project.values import Hook


@dataclass(frozen=True, slots=True)
class Hooks:
    """The rendered hooks of one node, in the order in which they run."""

    before: tuple[Hook, ...] = ()
    """Outside of the transaction, before the node's query is read."""
    begin: tuple[Hook, ...] = ()
    """In the transaction that publishes, before the table is written."""
    end: tuple[Hook, ...] = ()
    after: tuple[Hook, ...] = ()
    """After the commit."""

    @property
    def inside(self) -> tuple[Hook, ...]:
        return (*self.begin, *self.end)


NONE = Hooks()
