"""What every rewrite of a graph gives: the graph to go on with, and words about it for ``functions describe``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rewritten:
    """``graph`` is the one that was given, byte for byte, where nothing was ``done``."""

    graph: bytes
    done: tuple[str, ...] = ()
    """What was made of it, e.g. ``trees without branches``."""
    kept: tuple[str, ...] = ()
    """What stays as it is and why, e.g. ``trees as they are: their thresholds are doubles``."""


class Kept(Exception):
    """Why a part of a graph stays as it is; no words where there is nothing to say."""
