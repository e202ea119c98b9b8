"""``functions describe`` as text. In: the description as values. Out: lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlinfer.cli.tables import render
from sqlinfer.shown import one_line

SHOWN = (
    "description",
    "source",
    "resolved",
    "digest",
    "returns",
    "strategy",
    "device",
    "batch_size",
    "precision",
    "verified",
    "artifact",
)


def function_text(described: Mapping[str, Any]) -> str:
    return "\n".join(lines(described))


def lines(described: Mapping[str, Any]) -> Iterator[str]:
    yield one_line(described["name"])
    for name in SHOWN:
        value = described[name]
        reason = described["strategy_reason"] if name == "strategy" else ""
        if value:
            yield f"  {name.replace('_', ' ') + ':':<13}{one_line(value)}{f': {one_line(reason)}' if reason else ''}"
    for title in ("arguments", "outputs"):
        rows = described[title]
        yield ""
        yield render(list(rows[0]), (row.values() for row in rows)) if rows else f"no {title}"
    yield "\nyml to paste into the declaration:\n"
    yield "\n".join(f"    {line}" for line in described["yml"].splitlines())
    yield from (f"\nwarning: {one_line(warning)}" for warning in described["warnings"])
