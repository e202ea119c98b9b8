"""The SQL of a node after Jinja, and the way from a place in it back to the file. Data: no template is read here."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location
from sqlinfer.project import Node, Project
from sqlinfer.project.segments import Segment


@dataclass(frozen=True, slots=True)
class RenderedNode:
    """``sql`` is ready to be parsed; ephemeral models that it refers to stand in it as CTEs."""

    sql: str
    source: str
    path: Path | None = None
    refs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    is_slice: bool = False
    """``is_incremental()`` was called and answered true: the rows are a part of the desired state."""

    def locate(self, start: int, end: int) -> Location:
        """The place in the ``.sql`` file of ``sql[start:end]``.

        Exact for text of the file. Text that Jinja made is placed at its ``{{ … }}``; text of an ephemeral model that
        was put in front, and text of macros, at the nearest place of the file before it.
        """
        found = bisect.bisect_right(self.segments, start, key=lambda segment: segment.start) - 1
        if found < 0:
            if self.segments:
                first = self.segments[0]
                return Location.in_source(self.source, first.origin, first.origin_end, path=self.path)
            return Location.in_source(self.sql, start, end, path=self.path)
        segment = self.segments[found]
        if not segment.literal:
            return Location.in_source(self.source, segment.origin, segment.origin_end, path=self.path)
        origin = min(segment.origin + start - segment.start, max(segment.origin, segment.origin_end - 1))
        last = self._origin_of_end(end)
        return Location.in_source(self.source, origin, max(origin + 1, last), path=self.path)

    def _origin_of_end(self, end: int) -> int:
        found = bisect.bisect_right(self.segments, max(0, end - 1), key=lambda segment: segment.start) - 1
        segment = self.segments[max(0, found)]
        if segment.literal and end <= segment.end:
            return segment.origin + end - segment.start
        return segment.origin_end


def external_sql(node: Node, project: Project) -> str:
    """An external model is read from its file, as dbt-duckdb does."""
    location = node.config.location or ""
    if "://" not in location and not Path(location).is_absolute():
        location = str(project.root / location)
    return "'" + location.replace("'", "''") + "'"
