"""Records of publications → nights, and what each prediction table did over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlinfer.reporting.data import Member, Record, Report
from sqlinfer.spec.distributions import Distribution, from_text, shifts


@dataclass(frozen=True, slots=True)
class Night:
    """What one run published."""

    run_id: str
    started: float
    seconds: float
    nodes: int
    scored: int
    reused: int
    errors: int
    cost: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class Column:
    """A prediction column: tonight, the night before, and how far each night moved from the one before."""

    name: str
    tonight: Distribution
    last: Distribution | None
    shifts: tuple[float | None, ...]

    @property
    def shift(self) -> float | None:
        return self.shifts[-1] if self.shifts else None


@dataclass(frozen=True, slots=True)
class Table:
    member: Member
    records: tuple[Record, ...]
    columns: tuple[Column, ...]

    @property
    def last(self) -> Record | None:
        return self.records[-1] if self.records else None

    @property
    def worst(self) -> float:
        return max((column.shift or 0.0 for column in self.columns), default=0.0)


def nights(records: Iterable[Record]) -> tuple[Night, ...]:
    grouped: dict[str, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.run_id, []).append(record)
    return tuple(sorted((_night(run_id, found) for run_id, found in grouped.items()), key=lambda one: one.started))


def _night(run_id: str, found: Sequence[Record]) -> Night:
    started = min(one.started for one in found)
    costs = [cost for one in found if (cost := _cost(one)) is not None]
    return Night(
        run_id, started, max(one.ended for one in found) - started, len(found),
        sum(one.scored or 0 for one in found), sum(one.reused or 0 for one in found),
        sum(one.errors or 0 for one in found), sum(costs) if costs else None,
        next((one.currency for one in found if one.currency), ""),
    )  # fmt: skip


def _cost(record: Record) -> float | None:
    return record.cost if record.cost is not None else record.spot


def tables(report: Report) -> tuple[Table, ...]:
    """Prediction tables, those that moved most tonight first."""
    own = by_node(report.records)
    found = [
        Table(member, records, columns(records))
        for member in report.members
        if member.kind == "prediction"
        for records in (own.get(member.unique_id, ()),)
    ]
    return tuple(sorted(found, key=lambda one: (-round(one.worst, 3), one.member.name)))


def by_node(records: Iterable[Record]) -> dict[str, tuple[Record, ...]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.node, []).append(record)
    return {node: tuple(own) for node, own in found.items()}


def columns(records: Sequence[Record]) -> tuple[Column, ...]:
    """Of the last night that knows any, a shift for each record (None: not known)."""
    spread = [from_text(record.distributions) for record in records]
    tonight = next((one for one in reversed(spread) if one), {})
    return tuple(_column(name, [one.get(name) for one in spread]) for name in tonight)


def _column(name: str, spread: Sequence[Distribution | None]) -> Column:
    known = [one for one in spread if one is not None]
    return Column(name, known[-1], known[-2] if len(known) > 1 else None, shifts(spread))


def slowest(report: Report, last: str, most: int = 15) -> tuple[tuple[Member, Record, float], ...]:
    """Of the last run, with the median seconds of all runs."""
    ran = {record.node for record in report.records if record.run_id == last}
    own = by_node(record for record in report.records if record.node in ran)
    members = {member.unique_id: member for member in report.members}
    found = [
        (members.get(record.node) or Member(record.node, record.node.rpartition(".")[2], "model"), record,
         median([one.seconds for one in own[record.node] if one.seconds is not None]))
        for record in report.records
        if record.run_id == last and record.seconds is not None
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: -(one[1].seconds or 0.0))[:most])


def median(numbers: Iterable[float]) -> float:
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2] if ordered else 0.0
