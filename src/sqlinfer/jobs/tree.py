"""A tree of labels as lines of text that fit a terminal of 80 columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from sqlinfer.shown import columns

BAR, TEE, END, GAP = "│  ", "├─ ", "└─ ", "   "
WIDTH = 80
_LEAST = 20
"""Columns that a label has at any depth."""


@dataclass(frozen=True, slots=True)
class Tree:
    label: str
    children: tuple[Tree, ...] = ()

    def lines(self, width: int = WIDTH) -> Iterator[str]:
        """Labels are broken between words; what hangs over is indented below the first line."""
        inner = max(width - len(BAR), _LEAST)
        first, *rest = _wrapped(self.label, max(width, _LEAST))
        yield first
        yield from (f"{BAR if self.children else GAP}{line}" for line in rest)
        for position, child in enumerate(self.children):
            last = position == len(self.children) - 1
            for number, line in enumerate(child.lines(inner)):
                yield f"{(END if last else TEE) if number == 0 else (GAP if last else BAR)}{line}"


def _wrapped(label: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells; those after the first leave room for their indent."""
    if columns(label) <= width and "\n" not in label:
        return [label]
    cells = 2 if columns(label) > len(label) else 1
    return textwrap.wrap(label, (width - len(GAP)) // cells, break_on_hyphens=False) or [""]
