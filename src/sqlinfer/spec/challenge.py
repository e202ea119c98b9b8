"""How far the predictions of a challenger are from those of its champion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contest:
    """One column of predictions, over the rows of one night."""

    prediction: str
    """The column."""
    rows: int
    """That both have."""
    mean_shift: float | None = None
    """Challenger minus champion; None where they are no numbers."""
    mean_absolute_shift: float | None = None
    largest_shift: float | None = None
    flips: int | None = None
    """Rows whose decision is another one; None where nothing is decided."""
    flip_share: float | None = None
    psi: float | None = None
    """Population stability index of the challenger's values against the champion's."""
