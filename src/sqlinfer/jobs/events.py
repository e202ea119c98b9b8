"""What a job tells besides the runner's own events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlinfer.spec import events


@dataclass(frozen=True, slots=True)
class JobStarted:
    version: str
    found: tuple[tuple[str, int], ...]
    """Kind of resource → how many the project has."""
    total: int
    """How many will be worked on."""
    target: str


@dataclass(frozen=True, slots=True)
class TargetClaimed:
    """The target is this job's alone from now on."""

    database: str
    """As the profile spells it; what looks like a secret in it is masked."""
    lock: Path | None
    """None where the warehouse itself holds the lock."""


@dataclass(frozen=True, slots=True)
class SourceStarted:
    """The newest row of a source is asked for."""

    name: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class SourceFinished:
    name: str
    number: int
    total: int
    status: str
    seconds: float
    age: float | None
    """Seconds since the newest row was loaded."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Preparing:
    """A function is made from its model, which is done once and may take minutes."""

    function: str
    message: str


@dataclass(frozen=True, slots=True)
class BackfillStarted:
    unique_ids: tuple[str, ...]
    slices: int
    done: int
    """Slices that were published before."""


@dataclass(frozen=True, slots=True)
class SliceStarted:
    start: str
    end: str
    number: int
    total: int


Event = (
    events.Event
    | JobStarted
    | TargetClaimed
    | SourceStarted
    | SourceFinished
    | Preparing
    | BackfillStarted
    | SliceStarted
)
