"""CatBoost's own JSON → the trees and what is done with their sums. The library writes a ``.cbm`` as JSON first."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.forests import table
from sqlinfer.functions.forests.oblivious import Oblivious, fits
from sqlinfer.functions.forests.table import Mode, NodeTable

MOST_DEPTH: Final = 16
"""CatBoost grows no deeper tree."""
_VERSION: Final = re.compile(r"(?:release |tags/v)([0-9][0-9.]*[0-9])")


@dataclass(frozen=True, slots=True)
class CatBoostModel:
    """What the file says. Weights are doubles, thresholds floats; ``feature`` counts the columns of the training."""

    trees: NodeTable
    scale: float
    bias: tuple[float, ...]
    loss: str
    texts: frozenset[int]
    """Columns that are categories, texts or embeddings."""
    inexact: str | None
    """Why there is no graph of it."""
    features: int
    classes: tuple[str | int | float, ...]
    version: str | None
    oblivious: Oblivious | None = None
    """The same trees, where each level of a tree asks one thing, and they are not too many."""
    threshold: float = 0.5
    """Probability of the second of two classes above which it is the label."""


def read(data: bytes, what: str) -> CatBoostModel:
    """Raises ArtifactError: it is no model of CatBoost, it is damaged, or made to do harm."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or not isinstance(found.get("features_info"), dict):
            raise ValueError("it has no 'features_info', so that it is no model of CatBoost")
        return _model(found, what)
    except ArtifactError:
        raise
    except UnicodeDecodeError as error:
        raise table.damaged(what, "a text in it is not UTF-8") from error
    except RecursionError as error:
        raise table.damaged(what, "it is nested too deeply") from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise table.damaged(what, (why or type(error).__name__).splitlines()[0][:200]) from error


def _model(found: Mapping[str, Any], what: str) -> CatBoostModel:
    info = found["features_info"]
    numbers = {int(one["feature_index"]): one for one in info.get("float_features", ())}
    others = [
        one for kind in ("categorical_features", "text_features", "embedding_features") for one in info.get(kind, ())
    ]
    places = [int(one["flat_feature_index"]) for one in (*numbers.values(), *others)]
    if any(not 0 <= place < 1 << 20 for place in places):
        raise ValueError("it has a feature whose place is no count")
    scale, bias = found.get("scale_and_bias", [1, [0]])
    bias = tuple(float(one) for one in (bias if isinstance(bias, list) else [bias]))
    meta = found.get("model_info", {})
    parameters = meta.get("params", {})
    params = meta.get("class_params", {})
    classes = params.get("class_names", ())
    if params.get("class_label_type") == "Float":  # of which JSON writes whole ones without a fraction
        classes = [float(one) for one in classes]
    inexact = _inexact(found, others)
    features = max(places, default=-1) + 1
    trees = table.joined([], len(bias)) if inexact else _trees(found, _Features(numbers), len(bias))
    if not np.isfinite([scale, *bias]).all():
        raise ValueError("its scale or bias is no number")
    return CatBoostModel(
        table.checked(trees, max(features, 1), what), float(scale), bias,
        str(parameters.get("loss_function", {}).get("type", "RMSE")),
        frozenset(int(one["flat_feature_index"]) for one in others), inexact, features, tuple(classes),
        _version(meta), None if inexact else _levels(found, _Features(numbers), len(bias)),
        float(meta.get("binclass_probability_threshold", 0.5)),
    )  # fmt: skip


def _inexact(found: Mapping[str, Any], others: Sequence[Any]) -> str | None:
    if found["features_info"].get("text_features") or found["features_info"].get("embedding_features"):
        return "it has text or embedding features"
    if others:
        return "CatBoost hashes the texts of its categorical features, and keeps the hashes only"
    return None


def _version(meta: Mapping[str, Any]) -> str | None:
    match = _VERSION.search(str(meta.get("catboost_version_info", "")))
    return match.group(1) if match else None


@dataclass(frozen=True, slots=True)
class _Features:
    numbers: Mapping[int, Mapping[str, Any]]

    def split(self, given: Mapping[str, Any]) -> tuple[int, float, bool]:
        """Column, border, and whether a missing value is above the border."""
        if given["split_type"] != "FloatFeature":
            raise ValueError(f"a split by '{str(given['split_type'])[:40]}' of no feature")
        feature = self.numbers[int(given["float_feature_index"])]
        treatment = feature.get("nan_value_treatment", "AsIs")
        if treatment not in ("AsIs", "AsFalse", "AsTrue"):
            raise ValueError(f"missing values are '{str(treatment)[:40]}'")
        border = float(np.float32(given["border"]))
        return int(feature["flat_feature_index"]), border, treatment == "AsTrue"


def _trees(found: Mapping[str, Any], features: _Features, targets: int) -> NodeTable:
    oblivious: Sequence[Any] = found.get("oblivious_trees") or ()
    nested: Sequence[Any] = found.get("trees") or ()
    made = [_oblivious(tree, features, targets) for tree in oblivious] + [_nested(t, features, targets) for t in nested]
    return table.joined(made, targets)


def _oblivious(tree: Mapping[str, Any], features: _Features, targets: int) -> NodeTable:
    """All nodes of a level ask the same. The first split is the lowest bit of a leaf's number, so it is asked last."""
    splits = [features.split(one) for one in tree["splits"] or ()]
    depth = len(splits)
    if depth > MOST_DEPTH:
        raise ValueError(f"a tree has {depth} levels")
    leaves = 1 << depth
    weights = np.asarray(tree["leaf_values"], np.float64)
    if weights.shape != (leaves * targets,):
        raise ValueError(f"a tree of {depth} levels has {len(weights)} weights for {targets} targets")
    inner = leaves - 1
    levels = [split for level, split in enumerate(reversed(splits)) for _ in range(1 << level)]
    place = np.arange(inner)
    pad = np.zeros(leaves, np.int64)
    column, border, missing = zip(*levels, strict=True) if levels else ((), (), ())
    return NodeTable(
        np.zeros(1, np.int64), np.r_[np.full(inner, int(Mode.GT)), pad + int(Mode.LEAF)],
        np.r_[np.asarray(column, np.int64), pad], np.r_[np.asarray(border, np.float64), pad.astype(np.float64)],
        np.r_[2 * place + 2, pad], np.r_[2 * place + 1, pad],
        np.r_[np.asarray(missing, np.bool_), pad.astype(np.bool_)],
        np.repeat(inner + np.arange(leaves), targets), np.tile(np.arange(targets), leaves), weights, targets,
    )  # fmt: skip


def _levels(found: Mapping[str, Any], features: _Features, targets: int) -> Oblivious | None:
    """Called for trees that ``_oblivious`` has read."""
    trees: Sequence[Any] = found.get("oblivious_trees") or ()
    if found.get("trees") or not trees:
        return None
    depth = max(len(tree["splits"] or ()) for tree in trees)
    if not fits(len(trees), depth, targets):
        return None
    feature, border = np.zeros((len(trees), depth), np.int64), np.full((len(trees), depth), np.inf, np.float32)
    weight = np.zeros((len(trees), 1 << depth, targets))
    above = set()
    for place, tree in enumerate(trees):
        for level, one in enumerate(tree["splits"] or ()):
            column, feature_border, is_above = features.split(one)
            feature[place, level], border[place, level] = column, feature_border
            above |= {column} if is_above else set()
        values = np.asarray(tree["leaf_values"], np.float64).reshape(-1, targets)
        weight[place, : len(values)] = values
    return Oblivious(feature, border, weight, frozenset(above))


def _nested(tree: Mapping[str, Any], features: _Features, targets: int) -> NodeTable:
    rows: list[tuple[int, int, float, int, int, bool]] = []
    leaves: list[tuple[int, Any]] = []

    def grow(node: Mapping[str, Any], depth: int) -> int:
        if depth > 200:
            raise ValueError("a tree has more than 200 levels")
        place = len(rows)
        rows.append((int(Mode.LEAF), 0, 0.0, 0, 0, False))
        if "split" not in node:
            leaves.append((place, node["value"]))
            return place
        column, border, missing = features.split(node["split"])
        no, yes = grow(node["left"], depth + 1), grow(node["right"], depth + 1)
        rows[place] = (int(Mode.GT), column, border, yes, no, missing)
        return place

    grow(tree, 0)
    columns = list(zip(*rows, strict=True))
    mode, feature, yes, no = (np.asarray(columns[at], np.int64) for at in (0, 1, 3, 4))
    values = np.asarray([value for _, value in leaves], np.float64).reshape(len(leaves), -1)
    if values.shape[1] != targets:
        raise ValueError(f"a leaf has {values.shape[1]} weights for {targets} targets")
    return NodeTable(
        np.zeros(1, np.int64), mode, feature, np.asarray(columns[2], np.float64), yes, no,
        np.asarray(columns[5], np.bool_), np.repeat([place for place, _ in leaves], targets),
        np.tile(np.arange(targets), len(leaves)), values.reshape(-1), targets,
    )  # fmt: skip
