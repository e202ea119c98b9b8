"""What a report is made of. Filled by ``jobs.report``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["source", "seed", "model", "prediction", "function"]


@dataclass(frozen=True, slots=True)
class Member:
    """A part of the project's graph."""

    unique_id: str
    name: str
    kind: Kind
    parents: tuple[str, ...] = ()
    path: str = ""
    relation: str = ""
    description: str = ""
    sql: str = ""
    """Compiled where that is there, else as written."""
    sql_is: str = ""
    """What ``sql`` is, in words."""


@dataclass(frozen=True, slots=True)
class Record:
    """One publication of a node. None: the record is of a version that did not know it."""

    run_id: str
    node: str
    started: float
    """Seconds since 1970."""
    seconds: float | None = None
    rows: int | None = None
    inputs: int | None = None
    scored: int | None = None
    reused: int | None = None
    nulls: int | None = None
    errors: int | None = None
    cost: float | None = None
    spot: float | None = None
    currency: str | None = None
    bound_by: str | None = None
    distributions: str | None = None
    """As in ``spec.distributions``."""

    @property
    def ended(self) -> float:
        return self.started + (self.seconds or 0.0)

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.inputs if self.inputs and self.errors is not None else None


@dataclass(frozen=True, slots=True)
class Staleness:
    """What ``sqlinfer freshness`` found of a table."""

    stale_share: float | None
    older_function_rows: int | None
    oldest: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    project: str
    target: str
    made_at: datetime
    version: str
    members: tuple[Member, ...]
    records: tuple[Record, ...]
    """In the order in which they started."""
    staleness: Mapping[str, Staleness] = field(default_factory=dict)
    """By unique id; empty where it was not asked for."""
