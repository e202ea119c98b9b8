"""Where the columns of a node come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnOrigin:
    relation: str
    """As the plan spells it: ``database.schema.name``."""
    column: str


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """A call whose result is in a column, or is a part of it."""

    function: str
    digest: str
    arguments: tuple[tuple[str, tuple[ColumnOrigin, ...]], ...]
    """Argument → the columns that its value is made of; those of an inner call are those of its arguments."""


@dataclass(frozen=True, slots=True)
class ColumnLineage:
    column: str
    origins: tuple[ColumnOrigin, ...] = ()
    """What it is made of without a call."""
    calls: tuple[CallOrigin, ...] = ()

    @property
    def every(self) -> tuple[ColumnOrigin, ...]:
        """Also the arguments of its calls."""
        under = (one for call in self.calls for _, origins in call.arguments for one in origins)
        return tuple(dict.fromkeys((*self.origins, *under)))
