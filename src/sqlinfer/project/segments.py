"""A piece of rendered text and where it stands in its template."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """``output[start:end]`` came from ``source[origin:…]``; letter by letter where ``literal``."""

    start: int
    end: int
    origin: int
    origin_end: int
    literal: bool
