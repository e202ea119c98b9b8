"""``functions describe`` as text. In: the description as values. Out: lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlinfer.cli.tables import render

SHOWN = ("description", "source", "digest", "returns", "strategy", "device", "batch_size", "precision", "artifact")


def function_text(described: Mapping[str, Any]) -> str:
    return "\n".join(lines(described))


def lines(described: Mapping[str, Any]) -> Iterator[str]:
    yield str(described["name"])
    for name in SHOWN:
        value = described[name]
        reason = described["strategy_reason"] if name == "strategy" else ""
        if value:
            yield f"  {name.replace('_', ' ') + ':':<13}{value}{f': {reason}' if reason else ''}"
    for title in ("arguments", "outputs"):
        rows = described[title]
        yield ""
        yield render(list(rows[0]), (row.values() for row in rows)) if rows else f"no {title}"
    yield "\nyml to paste into the declaration:\n"
    yield "\n".join(f"    {line}" for line in described["yml"].splitlines())
    yield from (f"\nwarning: {warning}" for warning in described["warnings"])
