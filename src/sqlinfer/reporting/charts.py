"""Inline SVG: bars and lines over nights, histograms of two nights. Colours are classes of the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlinfer.reporting.markup import number, short, text
from sqlinfer.spec.distributions import Distribution

_LEFT, _BOTTOM, _TOP = 46, 18, 8


def frame(width: int, height: int, name: str, description: str, body: str, kind: str = "chart") -> str:
    """An image with a name and a description for those who do not see it."""
    label = f"{text(name)}. {text(description)}"
    return (
        f'<svg class="{kind}" role="img" viewBox="0 0 {width} {height}" aria-label="{label}"><title>{text(name)}'
        f"</title><desc>{text(description)}</desc>{body}</svg>"
    )


def bars(values: Sequence[float | None], titles: Sequence[str], name: str, says: str, size: tuple[int, int]) -> str:
    """One bar a night. ``titles``: what each bar says when it is pointed at."""
    width, height = size
    top = max((value for value in values if value is not None), default=0.0)
    step = (width - _LEFT) / max(len(values), 1)
    room = height - _BOTTOM - _TOP
    drawn = []
    for n, (value, title) in enumerate(zip(values, titles, strict=True)):
        if value is None:
            continue
        tall = max(room * value / top if top else 0.0, 0.8)
        drawn.append(
            f'<rect class="a" x="{_LEFT + n * step:.1f}" y="{height - _BOTTOM - tall:.1f}" '
            f'width="{max(min(step * 0.8, 28), 0.6):.1f}" height="{tall:.1f}"><title>{text(title)}</title></rect>'
        )
    return frame(width, height, name, says, _axis(width, height, top) + "".join(drawn))


def line(
    values: Sequence[float | None], name: str, says: str, size: tuple[int, int], limit: float | None = None
) -> str:
    """One point a night; a gap where a night is not known. ``limit``: a level that is marked."""
    width, height = size
    known = [value for value in values if value is not None]
    top = max([*known, limit or 0.0], default=0.0) or 1.0
    step = (width - _LEFT - 4) / max(len(values) - 1, 1)
    room = height - _BOTTOM - _TOP

    def at(n: int, value: float) -> tuple[float, float]:
        return _LEFT + n * step, height - _BOTTOM - room * value / top

    path, dots = [], []
    for n, value in enumerate(values):
        if value is None:
            continue
        x, y = at(n, value)
        alone = (n == 0 or values[n - 1] is None) and (n + 1 == len(values) or values[n + 1] is None)
        path.append(f"{'L' if n and values[n - 1] is not None else 'M'}{x:.1f} {y:.1f}")
        if alone or n == len(values) - 1:
            dots.append(f'<circle class="a" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    mark = ""
    if limit is not None:
        level = at(0, limit)[1]
        mark = f'<path class="limit" d="M{_LEFT} {level:.1f}H{width}"/>'
    drawn = f'<path class="line" d="{"".join(path)}"/>' if path else ""
    return frame(width, height, name, says, _axis(width, height, top) + mark + drawn + "".join(dots))


def _axis(width: int, height: int, top: float) -> str:
    low = height - _BOTTOM
    most = f'<text x="{_LEFT - 4}" y="{_TOP + 4}" class="end">{short(top)}</text>' if top else ""
    return (
        f'<path class="axis" d="M{_LEFT} {_TOP}H{width}M{_LEFT} {low}H{width}"/>{most}'
        f'<text x="{_LEFT - 4}" y="{low + 3}" class="end">0</text>'
    )


def histogram(tonight: Distribution, last: Distribution | None, name: str, size: tuple[int, int]) -> str:
    """Shares of both nights, side by side: bins of numbers, else labels."""
    found = pairs(tonight, last)
    width, height = size
    top = max((max(new, old) for _, new, old in found), default=0.0) or 1.0
    step = (width - _LEFT) / max(len(found), 1)
    low, room = height - _BOTTOM, height - _BOTTOM - _TOP
    wide = step * (0.42 if last is not None else 0.8)
    drawn = []
    for n, (label, new, old) in enumerate(found):
        x = _LEFT + n * step + step * 0.08
        said = f"{label}: {new:.1%} tonight" + (f", {old:.1%} last night" if last is not None else "")
        before = _bar("b", x, low, wide, room * old / top) if last is not None else ""
        shifted = x + (wide if last is not None else 0)
        drawn.append(f"<g><title>{text(said)}</title>{before}{_bar('a', shifted, low, wide, room * new / top)}</g>")
    marks = _marks(tonight, found, low, step)
    says = "; ".join(f"{label} {new:.1%}" for label, new, _ in sorted(found, key=lambda one: -one[1])[:5])
    axis = _axis(width, height, top * 100).replace("</text>", " %</text>", 1)
    return frame(width, height, name, f"Most frequent tonight: {says}", axis + "".join(drawn) + marks)


def pairs(tonight: Distribution, last: Distribution | None) -> list[tuple[str, float, float]]:
    """Bin or label, its share tonight, its share last night."""
    before = _shares(last) if last is not None else {}
    now = _shares(tonight)
    if tonight.before is not None and last is not None and tonight.before[0] == last.edges:
        now = _shares(Distribution(last.edges, tonight.before[1], nulls=tonight.nulls))
    found = [(label, now.get(label, 0.0), before.get(label, 0.0)) for label in {**now, **before}]
    return [one for one in found if one[0] != "NULL"] + [one for one in found if one[0] == "NULL" and one[1] + one[2]]


def _shares(found: Distribution) -> dict[str, float]:
    rows = (found.known + found.nulls) or 1
    counted = {label: count / rows for label, count in found.labels.items()}
    if found.edges:
        names = [f"{number(a)} to {number(b)}" for a, b in pairwise(found.edges)]
        names = [f"below {number(found.edges[0])}", *names, f"above {number(found.edges[-1])}"]
        ends = (0, len(names) - 1)
        counted |= {
            name: count / rows
            for n, (name, count) in enumerate(zip(names, found.counts, strict=True))
            if count or n not in ends
        }
    return counted | {"NULL": found.nulls / rows}


def _bar(kind: str, x: float, low: float, wide: float, tall: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{low - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'


def _marks(tonight: Distribution, found: Sequence[tuple[str, float, float]], low: float, step: float) -> str:
    """What stands below the bars: some edges, or labels as far as there is room."""
    if not tonight.edges:
        room = max(int(step / 6.2), 2)
        return "".join(
            f'<text x="{_LEFT + (n + 0.5) * step:.1f}" y="{low + 13}" class="mid">{text(label, room)}</text>'
            for n, (label, _, _) in enumerate(found)
        )
    shown = [n for n in range(0, len(found), 5) if " to " in found[n][0]]
    return "".join(
        f'<text x="{_LEFT + n * step:.1f}" y="{low + 13}" class="mid">{text(found[n][0].split(" to ")[0])}</text>'
        for n in shown
    )
