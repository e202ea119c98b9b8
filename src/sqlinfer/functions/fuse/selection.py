"""A declared field applied to raw outputs in numpy: what the prepared graph does, and what ``runtime: native`` gives.

In: raw outputs by name, as a library gives them. Out: one array [N] or [N,K] a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sqlinfer import types
from sqlinfer.errors import FunctionError
from sqlinfer.project.values import ReturnField

Array = np.ndarray[Any, Any]


def select(field: ReturnField, raw: Mapping[str, Array], classes: Sequence[str] | None = None) -> Array:
    """The field's values. Texts come as objects.

    Raises:
        FunctionError: an output, a class or a column is not there.
    """
    values = np.asarray(raw[_output(field, raw)])
    if field.activation is not None:
        values = _activated(values, field.activation)
    if field.argmax:
        return _named(values.argmax(axis=-1), field.labels or _text_labels(field, classes))
    if field.index is not None or field.key is not None:
        values = values[:, _column(field, values.shape[1], classes)]
    if field.normalize:
        norms = np.linalg.norm(values, axis=-1, keepdims=True)
        values = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    if values.ndim == 2 and values.shape[1] == 1 and not _is_vector(field):
        values = values[:, 0]
    if field.labels is not None and field.index is None and field.key is None:
        return _named(values, field.labels)
    if field.data_type is not None and types.is_text(field.data_type):
        return _texts(values, classes)
    return values


def _output(field: ReturnField, raw: Mapping[str, Array]) -> str:
    name = field.output or (field.name if field.name in raw else next(iter(raw)))
    if name not in raw:
        raise FunctionError(f"there is no output '{name}'", hint=f"there are {', '.join(raw)}")
    return name


def _activated(values: Array, activation: str) -> Array:
    if activation == "sigmoid":
        with np.errstate(over="ignore"):
            found: Array = 1 / (1 + np.exp(-values))
        return found
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    normed: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return normed


def _column(field: ReturnField, width: int, classes: Sequence[str] | None) -> int:
    if field.index is not None:
        place = field.index
    else:
        known = [str(one) for one in field.labels or classes or ()]
        if str(field.key) not in known:
            raise FunctionError(f"there is no class {field.key!r}", hint=f"there are {', '.join(known) or 'none'}")
        place = known.index(str(field.key))
    if not 0 <= place < width:
        raise FunctionError(f"index {place} is out of range: there are {width} columns")
    return place


def _is_vector(field: ReturnField) -> bool:
    return field.data_type is not None and types.is_array(field.data_type)


def _text_labels(field: ReturnField, classes: Sequence[str] | None) -> Sequence[str] | None:
    return classes if field.data_type is None or types.is_text(field.data_type) else None


def _named(values: Array, labels: Sequence[str] | None) -> Array:
    if labels is None:
        return values
    named: Array = np.array(labels, dtype=object)[values.astype(np.int64)]
    return named


def _texts(values: Array, classes: Sequence[str] | None) -> Array:
    """Labels as texts: whole numbers without a fraction, booleans by the classes' own spelling."""
    if values.dtype.kind == "b" and classes is not None:
        return _named(values, classes)
    listed = [str(int(v)) if isinstance(v, float) and v.is_integer() and str(v) not in (classes or ()) else str(v)
              for v in values.tolist()]  # fmt: skip
    return np.array(listed, dtype=object)
