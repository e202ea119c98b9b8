"""Text from strangers → HTML, and the small pieces of which pages are made."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from math import floor, log10

from sqlinfer.shown import one_line, shown


def text(value: object, most: int = 0) -> str:
    """On one line, fit for an element or a quoted attribute.

    >>> text('<script>"x"')
    '&lt;script&gt;&quot;x&quot;'
    """
    return html.escape(one_line(value, most))


def block(value: str) -> str:
    """The same, lines kept."""
    return html.escape(shown(value))


def anchor(unique_id: str) -> str:
    """An id that is the same each time and holds nothing of the name."""
    return "n" + sha256(unique_id.encode(errors="replace")).hexdigest()[:12]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Cells are markup already; the first column heads its row, the others are numbers."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(caption)}"><table><caption>{text(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def day(epoch: float) -> str:
    return _utc(epoch, "%Y-%m-%d")


def minute(epoch: float) -> str:
    return _utc(epoch, "%Y-%m-%d %H:%M")


def _utc(epoch: float, form: str) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime(form)
    except (OverflowError, OSError, ValueError):
        return "?"


def number(value: float | None) -> str:
    """
    >>> number(1234.0), number(0.0123456), number(None), number(12.345)
    ('1,234', '0.0123', '–', '12.3')
    """
    if value is None:
        return "–"
    if value == 0 or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    size = floor(log10(abs(value)))
    return f"{value:,.{max(0, 2 - size)}f}" if -5 < size < 15 else f"{value:.2e}"


def short(value: float) -> str:
    """For the side of a chart.

    >>> short(17_020_200), short(20_000), short(26.0), short(0.000407)
    ('17.0M', '20.00k', '26', '4.1e-4')
    """
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}".replace("e-0", "e-")
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{number(scaled) if not float(scaled).is_integer() else f'{scaled:.2f}'}{unit}"
    return number(value)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{number(round(share * 100, 4))} %"


def duration(seconds: float | None) -> str:
    """
    >>> duration(0.41), duration(75), duration(7261)
    ('0.41 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def age(seconds: float) -> str:
    """
    >>> age(7200), age(200_000), age(-90)
    ('2 hours', '2 days', '1 minute ahead of the clock')
    """
    if seconds < -60:
        return f"{age(-seconds)} ahead of the clock"
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size or (seconds >= size and unit == "minute"):
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a minute"


def money(value: float | None, currency: str) -> str:
    if value is None:
        return "–"
    size = floor(log10(value)) if 0 < value < 1 else 0
    return f"{value:,.{2 - size}f} {text(currency)}".strip()
