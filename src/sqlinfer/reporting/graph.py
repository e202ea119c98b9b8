"""The project's graph as SVG: sources, seeds and functions at the left, what is made of them to the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlinfer.reporting.charts import frame
from sqlinfer.reporting.data import Member
from sqlinfer.reporting.layout import layers
from sqlinfer.reporting.markup import anchor, text

_WIDE, _TALL, _GAP, _STEP = 168, 28, 10, 240
_LETTERS = 22


def graph(members: Sequence[Member]) -> str:
    """Each box leads to what is known of its node."""
    known = {member.unique_id: member for member in members}
    found = layers({member.unique_id: member.parents for member in members})
    place = _places(found)
    width = max(len(found) * _STEP - (_STEP - _WIDE) + 20, 200)
    height = max((len(layer) for layer in found), default=1) * (_TALL + _GAP) + 20
    edges = "".join(
        _edge(place[one], place[member.unique_id], known[one].kind == "function")
        for member in members
        for one in member.parents
        if one in place
    )
    boxes = "".join(_box(known[name], place[name]) for layer in found for name in layer)
    drawn = frame(width, height, "Graph of the project", _said(members), f"<g>{edges}</g>{boxes}", "graph")
    # Links inside of an image are not announced; as a group they are, and each has its own name.
    drawn = drawn.replace('role="img"', f'role="group" width="{width}" height="{height}"', 1)
    return f'<div class="wide" role="region" tabindex="0" aria-label="Graph of the project">{drawn}</div>'


def _places(found: Sequence[Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Layers stand in the middle of the tallest one."""
    most = max((len(layer) for layer in found), default=0)
    return {
        name: (10 + column * _STEP, 10 + ((most - len(layer)) / 2 + row) * (_TALL + _GAP))
        for column, layer in enumerate(found)
        for row, name in enumerate(layer)
    }


def _edge(start: tuple[float, float], end: tuple[float, float], called: bool) -> str:
    x, y = start[0] + _WIDE, start[1] + _TALL / 2
    to, down = end[0], end[1] + _TALL / 2
    bend = (to - x) / 2
    kind = "edge call" if called else "edge"
    return f'<path class="{kind}" d="M{x:g} {y:g}C{x + bend:g} {y:g} {to - bend:g} {down:g} {to:g} {down:g}"/>'


def _box(member: Member, place: tuple[float, float]) -> str:
    x, y = place
    label = f"{member.kind} {member.name}"
    return (
        f'<a href="#{anchor(member.unique_id)}" aria-label="{text(label)}"><title>{text(label)}</title>'
        f'<rect class="box {member.kind}" x="{x:g}" y="{y:g}" width="{_WIDE}" height="{_TALL}" rx="5"/>'
        f'<text x="{x + 10:g}" y="{y + 18:g}">{text(member.name, _LETTERS)}</text></a>'
    )


def _said(members: Sequence[Member]) -> str:
    counts: Mapping[str, int] = {}
    for member in members:
        counts = {**counts, member.kind: counts.get(member.kind, 0) + 1}
    return ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in counts.items()) or "Nothing"
