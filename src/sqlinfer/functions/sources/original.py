"""A fitted model in its own library: what every source's child module offers, in a process of its own.

A child module has ``load(request) -> Original``; ``asked`` calls it in the child, ``library`` asks it from the parent.
Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from sqlinfer.spec.function import MISSING_TEXT

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["MISSING_TEXT", "PACKED", "Kind", "NotExact", "Original", "Refused", "Results", "Suggested"]

PACKED: Final = "features"
"""The one input [N,F] of a graph that takes all arguments as a matrix."""
Kind = Literal[
    "value", "classes", "cluster", "outlier", "vector", "values", "text_classes", "embedding", "score"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suggested:
    """One argument as the model knows it."""

    name: str
    data_type: str
    """Canonical DuckDB spelling: DOUBLE, REAL, BIGINT, TEXT, BOOLEAN, BLOB, REAL[4] …"""
    on_null: Literal["null", "nan"] = "null"
    """``nan`` where the model takes or imputes missing values: floats as NaN, texts as ``MISSING_TEXT``."""


@dataclass(frozen=True, slots=True)
class Results:
    """What comes out, in the source's raw outputs.

    ======== =================================================================================================
    value    ``value`` [N]: regressors, rankers
    classes  ``label`` [N], and ``probabilities`` [N,K] where the model has them
    cluster  ``label`` [N]
    outlier  ``value`` [N] (decision_function), ``label`` [N]
    vector   ``vector`` [N,K]
    values   one output [N] for each of ``names``
    ======== =================================================================================================

    Text classifiers have ``label`` and ``score``, encoders ``vector``, cross-encoders ``value``.
    """

    kind: Kind
    classes: tuple[str, ...] | None = None
    """Labels as texts, in the order of the columns of ``probabilities``."""
    names: tuple[str, ...] = ()
    width: int | None = None


class Original(Protocol):
    """A model in its own library."""

    arguments: tuple[Suggested, ...]
    results: Results
    made_with: Mapping[str, str]
    """Versions written in the file (distribution → version), empty where it has none."""

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, np.ndarray[Any, Any]]:
        """The library's own answer: raw outputs by name, as the library gives them.

        ``rows`` has the columns of ``arguments``; nulls stand only where ``on_null`` is ``nan``, and reach the library
        as it wants missing values. May raise for rows that the library refuses.
        """

    def convert(self, target: Path) -> None:
        """Write ONNX: one input per argument, named like it ([N,1]), or one input ``features`` [N,F]. Outputs are
        named as in ``predict``.

        Raises:
            NotExact: there is no exact conversion.
        """

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        """Rows made from the model: thresholds and both neighbours, NULL, NaN, infinities, unseen categories, empty
        texts, integers above 2^24, long texts."""


class NotExact(Exception):
    """Why a model has no exact conversion; the user is told of ``runtime: native``."""


class Refused(Exception):
    """The file is not what it should be, or must not be loaded: one message, and a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
