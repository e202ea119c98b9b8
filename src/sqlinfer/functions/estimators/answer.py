"""What the last step of a pipeline says of a row, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlinfer.functions.estimators.graph import Array


@dataclass(frozen=True, slots=True)
class Answer:
    """Tensors of doubles; those that a kind does not have are None."""

    kind: Literal["value", "classes", "cluster", "outlier", "values"]
    value: str | None = None
    """[N,1] of a regressor; the score of an outlier detector."""
    classes: Array | None = None
    """Labels, in the order of the columns."""
    votes: str | None = None
    """[N,K]: the first largest column is what ``predict`` says."""
    probabilities: str | None = None
    """[N,K]."""
    decision: str | None = None
    """``decision_function``: [N,1] of two classes, else [N,K]."""
    parts: tuple[Answer, ...] = ()
    """One for each target."""
