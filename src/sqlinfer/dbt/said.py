"""What dbt said with ``--log-format json`` → the texts that people should see, and what ``dbt ls`` listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LOUD = ("warn", "error")
NOTHING = "NoNodesForSelectionCriteria"
"""A word of a selection that matches nothing."""
_EMPTY = "NoNodesSelected"
"""What `dbt ls` alone says of an empty selection."""
_OURS = "Constraint types are not supported for prediction "
"""What dbt says it ignores, and sqlinfer does."""
_COLOR = re.compile(r"\x1b\[[\d;]*m")
_LABEL = re.compile(r"^\[WARNING\]:?\s*")


@dataclass(frozen=True, slots=True)
class Said:
    listed: tuple[dict[str, Any], ...]
    warnings: tuple[tuple[str, str], ...]
    """Name of dbt's event, and its text."""

    def unmatched(self) -> tuple[str, ...]:
        """Warnings of selections that match nothing."""
        return tuple(text for name, text in self.warnings if name == NOTHING)

    def texts(self) -> tuple[str, ...]:
        texts = (text for name, text in self.warnings if name != _EMPTY and not text.startswith(_OURS))
        return tuple(dict.fromkeys(texts))


def read(text: str) -> Said:
    """Lines that are no events are what other versions of dbt print bare."""
    listed, warnings = [], []
    for event in _events(text):
        info = event.get("info")
        if not isinstance(info, dict):
            listed.append(event)
        elif info.get("level") == "warn":
            warnings.append((str(info.get("name")), _one_line(str(info.get("msg")))))
        elif (item := _object(str(info.get("msg")))) is not None:
            listed.append(item)
    return Said(tuple(one for one in listed if "unique_id" in one), tuple(warnings))


def _one_line(text: str) -> str:
    """Without dbt's colours, label and line breaks: our lines have their own."""
    return _LABEL.sub("", " ".join(_COLOR.sub("", text).split()))


def loud(text: str) -> str:
    """Errors and warnings, and lines that are no events: why a call failed."""
    lines = []
    for line in text.splitlines():
        event = _object(line)
        info = event.get("info") if event is not None else None
        if isinstance(info, dict):
            lines += str(info.get("msg")).strip().splitlines() if info.get("level") in LOUD else []
        elif event is None:
            lines.append(line)
    return "\n".join(lines)


def _events(text: str) -> Iterator[dict[str, Any]]:
    found = (_object(line) for line in text.splitlines())
    return (one for one in found if one is not None)


def _object(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
