"""Rows made from a fitted estimator: where it decides, a hair to both sides, and what no training set had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from sqlinfer.functions.estimators.arguments import Column, Demand, inner_steps
from sqlinfer.functions.estimators.categories import is_missing

_ODD_NUMBERS: Final = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, 100.0, -100.0, 1e6, -1e6, 2.0**24, 2.0**24 + 1, -(2.0**24) - 1, 2.0**31, 1e12,
    float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
_ODD_TEXTS: Final = ("", " ", "a category that nobody has seen", "ÄÖÜ ß é", "it's \"quoted\", 100 %", "日本語 🙂",
                     "nan", "None", "x" * 2000)  # fmt: skip
_ODD_INTEGERS: Final = (0, 1, -1, 2**24 + 1, 2**31, -(2**53) - 1, 2**62)
_THRESHOLDS_A_COLUMN: Final = 60


def values_of(column: Column, model: Any, count: int) -> list[Any]:
    """The values of one argument that are worth a row; None stands for a missing one."""
    demand, missing = column.demand, [None] if column.demand.missing else []
    known = [one for one in demand.categories if not is_missing(one)]
    if demand.kind == "text":
        return [*known[:200], *_ODD_TEXTS, *_texts(model), *missing]
    if demand.kind == "integer":
        return [*(int(one) for one in known[:200]), *_ODD_INTEGERS, *missing]
    if demand.kind == "boolean":
        return [True, False, *missing]
    places = thresholds(model, count).get(column.place, ())
    return [*(float(one) for one in known[:200]), *_around(places), *_ODD_NUMBERS, *missing]


def _around(places: Sequence[float]) -> list[float]:
    """Each threshold, both float32 neighbours and both doubles next to it."""
    if not len(places):
        return []
    chosen = np.unique(places)
    if len(chosen) > _THRESHOLDS_A_COLUMN:
        chosen = chosen[np.linspace(0, len(chosen) - 1, _THRESHOLDS_A_COLUMN).astype(int)]
    with np.errstate(over="ignore"):
        rounded = chosen.astype(np.float32)
        low, high = np.nextafter(rounded, np.float32(-np.inf)), np.nextafter(rounded, np.float32(np.inf))
    made = [chosen, rounded, low, high, np.nextafter(chosen, -np.inf), np.nextafter(chosen, np.inf)]
    return [float(one) for one in np.concatenate(made) if np.isfinite(one)]


def _texts(model: Any) -> list[str]:
    """Sentences out of the vocabulary."""
    for step in walk(model):
        vocabulary = getattr(step, "vocabulary_", None)
        if vocabulary:
            words = sorted(vocabulary)[:40]
            return [" ".join(words[i : i + 5]) for i in range(0, len(words), 5)] + [words[0].upper(), words[-1] + "."]
    return []


def walk(model: Any) -> list[Any]:
    """The estimator and all inside of it."""
    if model is None or isinstance(model, str):
        return []
    found = [model]
    for step in (*inner_steps(model), *_parts(model)):
        found += walk(step)
    return found


def _parts(model: Any) -> list[Any]:
    inner = [step for _, step, *_ in getattr(model, "transformers_", ())]
    inner += [step for _, step in getattr(model, "transformer_list", ())]
    return [*inner, *([model.final_estimator_] if hasattr(model, "final_estimator_") else [])]


# -- thresholds, back through the steps before ----------------------------------------------------------------------

Origin = tuple[int, float, float] | None
"""A feature is ``scale · column + offset``; None: it is something else."""


def thresholds(model: Any, count: int) -> dict[int, list[float]]:
    """Column of the estimator's input → values of it at which something is decided."""
    found: dict[int, list[float]] = {}
    _collect(model, [(i, 1.0, 0.0) for i in range(count)], found)
    return found


def _collect(model: Any, origins: list[Origin], found: dict[int, list[float]]) -> list[Origin]:
    """Adds what one step decides; answers where its output columns come from."""
    if model is None or isinstance(model, str):
        return origins
    name = type(model).__name__
    if hasattr(model, "steps"):
        for _, step in model.steps:
            origins = _collect(step, origins, found)
        return origins
    if name == "ColumnTransformer":
        made: list[Origin] = []
        for label, step, _ in model.transformers_:
            chosen = [int(i) for i in model._transformer_to_input_indices.get(label, ())]
            if chosen and not (isinstance(step, str) and step == "drop"):
                made += _collect(step, [origins[i] if i < len(origins) else None for i in chosen], found)
        return made
    _own(model, origins, found)
    for step in inner_steps(model):
        features = getattr(step, "n_features_in_", len(origins))
        if features == len(origins):
            _collect(step, origins, found)
    return _after(name, model, origins)


def _own(model: Any, origins: list[Origin], found: dict[int, list[float]]) -> None:
    for feature, value in _decided(model):
        origin = origins[feature] if feature < len(origins) else None
        if origin is not None and origin[1]:
            place, scale, offset = origin
            found.setdefault(place, []).append((value - offset) / scale)


def _decided(model: Any) -> list[tuple[int, float]]:
    tree, predictors = getattr(model, "tree_", None), getattr(model, "_predictors", None)
    if tree is not None:
        inner = np.flatnonzero(tree.children_left >= 0)
        return list(zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True))
    if predictors is not None and model._preprocessor is None:
        nodes = np.concatenate([one.nodes for stage in predictors for one in stage])
        nodes = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
        return list(zip(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), strict=True))
    found: list[tuple[int, float]] = []
    for i, edges in enumerate(getattr(model, "bin_edges_", ())):
        found += [(i, float(edge)) for edge in edges]
    for name in ("mean_", "center_", "data_min_", "data_max_", "statistics_"):
        values = getattr(model, name, None)
        if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind == "f":
            found += [(i, float(value)) for i, value in enumerate(values) if np.isfinite(value)]
    centres = getattr(model, "cluster_centers_", None)
    if centres is not None:
        found += [(i, float(value)) for centre in centres[:20] for i, value in enumerate(centre)]
    return found


def _after(name: str, step: Any, origins: list[Origin]) -> list[Origin]:
    count = len(origins)
    if name == "StandardScaler":
        return _centred(origins, step.mean_, step.scale_)
    if name == "RobustScaler":
        return _centred(origins, step.center_, step.scale_)
    if name == "MinMaxScaler":
        return _affine(origins, step.scale_, step.min_)
    if name == "MaxAbsScaler":
        return _affine(origins, 1 / step.scale_, np.zeros(count))
    if name == "SimpleImputer" and not step.add_indicator:
        return origins
    if name == "FunctionTransformer" and step.func is None:
        return origins
    return [None] * _width(step, count)


def _centred(origins: list[Origin], centre: Any, scale: Any) -> list[Origin]:
    count = len(origins)
    middle, width = _row(centre, 0.0, count), _row(scale, 1.0, count)
    return _affine(origins, 1 / width, -middle / width)


def _row(values: Any, default: float, count: int) -> Any:
    return np.full(count, default) if values is None else np.asarray(values, np.float64)


def _affine(origins: list[Origin], scale: Any, offset: Any) -> list[Origin]:
    return [
        None if one is None else (one[0], one[1] * float(a), one[2] * float(a) + float(b))
        for one, a, b in zip(origins, scale, offset, strict=True)
    ]


def _width(step: Any, count: int) -> int:
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return count


def typical(demand: Demand, places: Sequence[float], random: np.random.Generator, *, positive: bool = False) -> Any:
    """One value as a training set might hold it."""
    value = _typical(demand, places, random)
    return abs(value) + 1.0 if positive and isinstance(value, float) else value


def _typical(demand: Demand, places: Sequence[float], random: np.random.Generator) -> Any:
    known = [one for one in demand.categories if not is_missing(one)]
    if known:
        return known[int(random.integers(len(known)))]
    if demand.kind == "text":
        return "a text"
    if demand.kind == "boolean":
        return bool(random.integers(2))
    if demand.kind == "integer":
        return int(random.integers(10))
    if not len(places):
        return float(np.round(random.normal(0, 2), 3))
    return float(places[int(random.integers(len(places)))] + random.normal(0, 1))
