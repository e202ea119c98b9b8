"""The freshness of prediction tables in words. In: what the job found. Out: lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlinfer.shown import counted

if TYPE_CHECKING:
    from sqlinfer.jobs.impact import Impact
    from sqlinfer.jobs.staleness import TableFreshness


def lines(found: Sequence[TableFreshness], now: datetime | None = None) -> Iterator[str]:
    moment = now or datetime.now(UTC)
    if not found:
        yield "No prediction table: nothing to look at"
    for one in found:
        above = [other for other in found if other.table in one.above and other.stale_rows]
        said = [*_facts(one, moment), *(f"made from {other.table}, which is stale" for other in above)]
        yield f"{one.table}: {', '.join(said)}"
        if one.impact is not None:
            yield f"  {impact(one, one.impact)}"


def _facts(one: TableFreshness, now: datetime) -> Iterator[str]:
    yield counted(one.rows, "row")
    if one.newest is not None and one.oldest is not None:
        yield f"newest {age(one.newest, now)} old"
        yield f"oldest {age(one.oldest, now)} old"
    if one.stale_rows is None:
        yield "stale rows not known"
        return
    yield f"{one.stale_rows:,} stale ({percent(one.stale_share or 0.0)})"
    yield f"{one.older_function_rows:,} by an older function"
    if one.gone:
        yield f"{one.gone:,} that the query does not return any more"
    if one.unknown:
        yield f"{one.unknown:,} from before inputs were kept"


def impact(one: TableFreshness, found: Impact) -> str:
    """
    >>> from sqlinfer.jobs.impact import Impact
    >>> from sqlinfer.jobs.staleness import TableFreshness
    >>> one = TableFreshness("scores", 20_000, 2_000)
    >>> print(impact(one, Impact(2_000, 61, 0.0238, 0.039, 0.0412)))
    of 2,000 stale rows 61 (2.4–3.9 %) would change decision; scores moved by 0.0412 on average; yesterday's table is wrong for about 0.3 % of its rows
    """  # noqa: E501
    stale = one.stale_rows or 0
    rows = "stale rows" if found.sampled == stale else f"sampled stale rows (of {stale:,})"
    parts = []
    if found.flips is None or found.low is None or found.high is None:
        parts.append(f"of {found.sampled:,} {rows} nothing is decided: declare decision: in the config of the model")
    else:
        bounds = f"{found.low * 100:.1f}–{found.high * 100:.1f} %"
        parts.append(f"of {found.sampled:,} {rows} {found.flips:,} ({bounds}) would change decision")
    if found.mean_shift is not None:
        parts.append(f"scores moved by {found.mean_shift:.3g} on average")
    if found.flip_share is not None and one.stale_share is not None:
        wrong = percent(found.flip_share * one.stale_share)
        parts.append(f"yesterday's table is wrong for about {wrong} of its rows")
    return "; ".join(parts)


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def age(moment: datetime, now: datetime) -> str:
    """
    >>> age(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, 1, tzinfo=UTC))
    '2 days'
    """
    seconds = max(0.0, (now - moment).total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size or (seconds >= size and unit == "minute"):
            return counted(int(seconds // size), unit)
    return counted(int(seconds), "second")
