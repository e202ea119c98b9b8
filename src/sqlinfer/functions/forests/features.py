"""The features of a forest as arguments, and the matrix that its trees look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sqlinfer.functions.forests.graph import GraphWriter
from sqlinfer.functions.sources.original import MISSING_TEXT, PACKED, Suggested

UNSEEN: Final = -1
_MISSING: Final = -2


@dataclass(frozen=True, slots=True)
class Feature:
    """A number; or a category: a text or number of a list, or its code itself."""

    name: str
    is_code: bool = False
    """A category that comes as its code."""
    categories: tuple[str, ...] | tuple[int, ...] | tuple[float, ...] | None = None

    @property
    def is_text(self) -> bool:
        return bool(self.categories) and isinstance((self.categories or ("",))[0], str)

    @property
    def is_number(self) -> bool:
        return not self.is_code and self.categories is None

    @property
    def suggested(self) -> Suggested:
        return Suggested(self.name, "TEXT" if self.is_text else "DOUBLE", "nan")


@dataclass(frozen=True, slots=True)
class Matrix:
    """Names of values of the graph."""

    rows: str
    """[N,F]."""
    unseen: str | None
    """[N,1], bool: whether a category was none of the list."""


def matrix(writer: GraphWriter, features: Sequence[Feature], kind: str, outputs: Sequence[str]) -> Matrix:
    """The inputs of the graph, and what is made of them: codes for categories, NaN for missing ones.

    Args:
        kind: ``float`` or ``double``: what the trees compare.
        outputs: names that no input may have.
    """
    if all(one.is_number for one in features):
        return Matrix(writer.input(PACKED, kind, len(features)), None)
    columns, unseen = [], []
    for feature in features:
        column, flag = _column(writer, feature, kind, outputs)
        columns.append(column)
        unseen += [flag] if flag else []
    flags = writer.op("Concat", *unseen, axis=1) if unseen else None
    if flags is not None:
        flags = writer.cast(writer.op("ReduceMax", writer.cast(flags, "int32"), writer.constant([1], np.int64)), "bool")
    return Matrix(writer.op("Concat", *columns, axis=1), flags)


def _column(writer: GraphWriter, feature: Feature, kind: str, outputs: Sequence[str]) -> tuple[str, str | None]:
    name = feature.name if feature.name not in outputs else f"{feature.name} (argument)"
    if feature.is_number:
        return writer.input(name, kind, 1), None
    if feature.categories is None:
        code = writer.input(name, kind, 1)
        return (writer.op("Floor", code) if kind == "float" else code), None  # LightGBM's are cut where they are used
    code = _of_text(writer, name, feature) if feature.is_text else _of_number(writer, name, feature)
    number = writer.cast(code, kind)
    missing = writer.op("Equal", code, writer.constant(_MISSING, np.int64))
    dtype = np.float32 if kind == "float" else np.float64
    column = writer.op("Where", missing, writer.constant(np.nan, dtype), number)
    return column, writer.op("Equal", code, writer.constant(UNSEEN, np.int64))


def _of_text(writer: GraphWriter, name: str, feature: Feature) -> str:
    texts = [str(one) for one in feature.categories or ()]
    return writer.ml(
        "LabelEncoder",
        writer.input(name, "string", 1),
        keys_strings=[*texts, MISSING_TEXT],
        values_int64s=[*range(len(texts)), _MISSING],
        default_int64=UNSEEN,
    )


def _of_number(writer: GraphWriter, name: str, feature: Feature) -> str:
    """Positions in the list; a number that is none of them is unseen."""
    given = np.asarray(feature.categories, np.float64)
    rows = writer.input(name, "double", 1)
    hit = writer.op("Equal", rows, writer.constant(given.reshape(1, -1)))
    seen = writer.op("ReduceMax", writer.cast(hit, "int32"), writer.constant([1], np.int64))
    place = writer.op("ArgMax", writer.cast(hit, "int32"), axis=1)
    code = writer.op("Where", writer.cast(seen, "bool"), place, writer.constant(UNSEEN, np.int64))
    return writer.op("Where", writer.op("IsNaN", rows), writer.constant(_MISSING, np.int64), code)
