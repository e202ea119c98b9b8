"""What a run tells while it runs. The caller decides what becomes of it; the runner prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlinfer.spec.challenge import Contest
from sqlinfer.spec.plan import Counts
from sqlinfer.spec.results import NodeResult


@dataclass(frozen=True, slots=True)
class NodeStarted:
    unique_id: str
    relation: str
    kind: str
    """``prediction model``, ``view model``, ``seed`` …"""


@dataclass(frozen=True, slots=True)
class Progress:
    unique_id: str
    function: str
    rows_done: int
    rows_total: int | None
    """None where it is not known."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage of the work → seconds so far."""


@dataclass(frozen=True, slots=True)
class Publishing:
    unique_id: str
    relation: str


@dataclass(frozen=True, slots=True)
class Warned:
    unique_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Audited:
    """A data test of a node has run on its rows, before they are published."""

    unique_id: str
    """The node."""
    result: NodeResult
    """The test's."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """The challenger of a node's functions was scored on the rows of the night and compared, or has failed."""

    unique_id: str
    champion: str
    challenger: str
    table: str
    """Both beside each other, row by row."""
    contests: tuple[Contest, ...]
    """One for each column of predictions; none where the challenger failed."""
    counts: Counts
    message: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class NodeFinished:
    result: NodeResult


Event = NodeStarted | Progress | Publishing | Warned | Audited | Challenged | NodeFinished
Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """The default listener."""
