"""XGBoost's own ``.json`` and ``.ubj`` files → the trees and what is done with their sums. Needs no XGBoost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.forests import table, ubjson
from sqlinfer.functions.forests.table import Floats, Mode, NodeTable

Categories = tuple[str, ...] | tuple[int, ...]
_NO_TREES: Final = ({"tree_info": (), "trees": (), "gbtree_model_param": {"num_trees": 0}}, np.empty(0))


@dataclass(frozen=True, slots=True)
class XGBoostModel:
    """What the file says. Weights and thresholds are floats, whose sums start at ``base``."""

    trees: NodeTable
    base: tuple[float, ...]
    """Base scores as the file has them, one for each target or one for all: in the space of predictions."""
    objective: str
    names: tuple[str, ...]
    categorical: tuple[bool, ...]
    categories: tuple[Categories | None, ...]
    """Of each feature, in the order of their codes; None where the file has none."""
    version: str
    rounds: int | None
    """Rounds that ``trees`` are, where a scikit-learn wrapper stopped early; None: all."""
    is_wrapped: bool
    """Whether a scikit-learn wrapper wrote it."""
    tree_weights: tuple[float, ...] = ()
    """Of all trees, where some were dropped out (dart)."""
    is_linear: bool = False
    """Whether the booster is linear (gblinear), and no trees."""


def read(path: Path, name: str | None = None) -> XGBoostModel:
    """``name`` is the file's in errors.

    Raises:
        ArtifactError: it is no model of XGBoost, it is damaged, or made to do harm.
    """
    what = f"the XGBoost model {name or path.name}"
    data = path.read_bytes()
    if not data:
        raise ArtifactError(f"{what} is empty")
    try:
        return _model(_parsed(data), what)
    except ArtifactError:
        raise
    except UnicodeDecodeError as error:
        raise table.damaged(what, "a text in it is not UTF-8") from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        raise table.damaged(what, _why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _parsed(data: bytes) -> Mapping[str, Any]:
    head = data[:64].lstrip()
    if not head.startswith(b"{"):
        raise ValueError("it starts neither as .json nor as .ubj (the old binary format is not read: save it again)")
    is_json = head[1:].lstrip()[:1] in (b'"', b"}")
    found = json.loads(data) if is_json else ubjson.loads(data)
    if not isinstance(found, dict) or not isinstance(found.get("learner"), dict):
        raise ValueError("it has no 'learner', so that it is no model of XGBoost")
    return found


def _model(found: Mapping[str, Any], what: str) -> XGBoostModel:
    learner = found["learner"]
    is_linear = learner["gradient_booster"]["name"] == "gblinear"
    parameters = learner["learner_model_param"]
    features = _integer(parameters["num_feature"], 0, 1 << 24)
    targets = max(_integer(parameters.get("num_class", 0), 0, 1 << 20), 1)
    targets *= max(_integer(parameters.get("num_target", 1), 0, 1 << 20), 1)
    if is_linear:
        _check_linear(learner["gradient_booster"]["model"], (features + 1) * targets)
    booster, weights = _NO_TREES if is_linear else _booster(learner["gradient_booster"])
    if len(weights) not in (0, len(booster["trees"])):
        raise ValueError(f"it has {len(booster['trees'])} trees and the weights of {len(weights)}")
    rounds = None if is_linear else _rounds(learner.get("attributes", {}))
    trees = _trees(booster, targets)
    if rounds is not None:
        trees = trees.first_trees(_trees_of(booster, rounds, len(trees.roots)))
    names = tuple(str(one) for one in learner.get("feature_names", ())) or tuple(f"f{i}" for i in range(features))
    kinds = [str(one) for one in learner.get("feature_types", ())] or ["float"] * features
    if not len(names) == len(kinds) == features:
        raise ValueError(f"it names {len(names)} features with {len(kinds)} types, and has {features}")
    objective = learner["objective"]
    return XGBoostModel(
        table.checked(trees, features, what), _base(parameters["base_score"], targets), str(objective["name"]),
        names, tuple(kind == "c" for kind in kinds), _categories(booster.get("cats"), features),
        ".".join(str(int(one)) for one in found.get("version", ())), rounds,
        "scikit_learn" in learner.get("attributes", {}), tuple(weights.tolist()), is_linear,
    )  # fmt: skip


def _booster(found: Mapping[str, Any]) -> tuple[Mapping[str, Any], Floats]:
    """The trees' part of the file, and the weights of the trees where they are dropped out (dart)."""
    if found["name"] not in ("gbtree", "dart"):
        raise ValueError(f"it has a booster '{str(found['name'])[:40]}'")
    if found["name"] == "gbtree":
        return found["model"], np.empty(0)
    return found["gbtree"]["model"], _floats(found["weight_drop"])


def _check_linear(found: Mapping[str, Any], count: int) -> None:
    weights = _floats(found["weights"])
    if len(weights) != count or not np.isfinite(weights).all():
        raise ValueError(f"it has {len(weights)} weights of {count}, or one that is no number")


def _trees(booster: Mapping[str, Any], targets: int) -> NodeTable:
    groups = _ints(booster["tree_info"])
    trees: Sequence[Mapping[str, Any]] = booster["trees"]
    if len(groups) != len(trees) or len(trees) != _integer(booster["gbtree_model_param"]["num_trees"], 0, 1 << 30):
        raise ValueError(f"it has {len(trees)} trees, and another number is stated")
    found = [_tree(tree, int(group), targets) for tree, group in zip(trees, groups, strict=True)]
    return table.joined(found, targets)


def _trees_of(booster: Mapping[str, Any], rounds: int, count: int) -> int:
    """How many trees the first rounds have."""
    starts = _ints(booster["iteration_indptr"]).tolist()
    found = int(starts[min(rounds, len(starts) - 1)])
    if not 0 <= found <= count:
        raise ValueError("its rounds have more trees than there are")
    return found


def _tree(tree: Mapping[str, Any], group: int, targets: int) -> NodeTable:
    left, right = _ints(tree["left_children"]), _ints(tree["right_children"])
    condition, feature = _floats(tree["split_conditions"]), _ints(tree["split_indices"])
    default_left = _ints(tree["default_left"]).astype(np.bool_)
    count, size = len(left), _integer(tree["tree_param"]["size_leaf_vector"], 0, 1 << 20)
    if _integer(tree["tree_param"]["num_nodes"], 0, 1 << 31) != count or not count:
        raise ValueError("a tree states another number of nodes than it has")
    is_leaf = left == -1
    leaves = np.flatnonzero(is_leaf)
    if size > 1:
        weight = _floats(tree["leaf_weights"]).reshape(-1, size)[right[leaves]]
        if size != targets:
            raise ValueError(f"a tree gives to {size} targets of {targets}")
        leaf, target, value = np.repeat(leaves, size), np.tile(np.arange(size), len(leaves)), weight.reshape(-1)
    else:
        leaf, target, value = leaves, np.full(len(leaves), group, np.int64), condition[leaves]
    mode = np.where(is_leaf, int(Mode.LEAF), int(Mode.LT)).astype(np.int64)
    members = _members(tree, count)
    turned = np.zeros(count, np.bool_)
    turned[list(members)] = True
    mode[turned & ~is_leaf] = int(Mode.MEMBER)
    kinds = _ints(tree.get("split_type", np.zeros(count)))
    if len(kinds) != count or ((kinds == 1) & ~is_leaf & ~turned).any():
        raise ValueError("a split by category has no categories")
    return NodeTable(
        np.zeros(1, np.int64), mode, feature, condition,
        np.where(turned, right, left), np.where(turned, left, right), np.where(turned, ~default_left, default_left),
        leaf, target, value, targets, {place: one for place, one in members.items() if not is_leaf[place]},
    )  # fmt: skip


def _members(tree: Mapping[str, Any], count: int) -> dict[int, tuple[float, ...]]:
    """Node → categories that go right."""
    nodes = _ints(tree.get("categories_nodes", ()))
    if not len(nodes):
        return {}
    starts, sizes = _ints(tree["categories_segments"]), _ints(tree["categories_sizes"])
    values = _floats(tree["categories"])
    if not len(nodes) == len(starts) == len(sizes) or ((nodes < 0) | (nodes >= count)).any():
        raise ValueError("the categories of a tree belong to no node")
    if ((starts < 0) | (sizes < 0) | (starts + sizes > len(values))).any():
        raise ValueError("a split by category names categories that there are not")
    found = zip(nodes.tolist(), starts.tolist(), sizes.tolist(), strict=True)
    return {node: tuple(values[start : start + size].tolist()) for node, start, size in found}


def _base(given: Any, targets: int) -> tuple[float, ...]:
    parsed = json.loads(given) if isinstance(given, str) else given
    values = tuple(float(np.float32(one)) for one in (parsed if isinstance(parsed, list) else [parsed]))
    if len(values) not in (1, targets) or not np.isfinite(values).all():
        raise ValueError(f"it has {len(values)} base scores for {targets} targets, or one that is no number")
    return values


def _categories(found: Any, features: int) -> tuple[Categories | None, ...]:
    """Texts or whole numbers of each feature, in the order of their codes."""
    encoded = found["enc"] if found else ()
    if not len(encoded):
        return (None,) * features
    if len(encoded) != features:
        raise ValueError(f"it has categories of {len(encoded)} features, and {features} features")
    return tuple(_decoded(one) for one in encoded)


def _decoded(one: Mapping[str, Any]) -> Categories | None:
    if not len(one["values"]):
        return None
    if "offsets" not in one:
        values = np.asarray(one["values"])
        if values.dtype.kind not in "iu" and not (values == np.floor(values)).all():
            raise ArtifactError("its categories are fractions", hint="XGBoost's are texts or whole numbers")
        return tuple(int(value) for value in values)
    raw = np.asarray(_ints(one["values"])).astype(np.uint8).tobytes()
    ends = _ints(one["offsets"]).tolist()
    if ends != sorted(ends) or ends[0] < 0 or ends[-1] > len(raw):
        raise ValueError("the texts of its categories overlap")
    return tuple(raw[a:b].decode("utf-8") for a, b in pairwise(ends))


def _rounds(attributes: Any) -> int | None:
    """The wrappers for scikit-learn predict with the best rounds, Booster.predict with all of them."""
    if "scikit_learn" not in attributes or "best_iteration" not in attributes:
        return None
    return _integer(attributes["best_iteration"], 0, 1 << 30) + 1


def _integer(given: Any, low: int, high: int) -> int:
    number = int(given)
    if not low <= number < high:
        raise ValueError(f"{number} is no count")
    return number


def _ints(values: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    found = np.asarray(values)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iufb"):
        raise ValueError("a column of its trees is no list of numbers")
    return found.astype(np.int64)


def _floats(values: Any) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError("a column of its trees is no list of numbers")
    with np.errstate(over="ignore"):  # too large for a float: infinite, which is refused in leaves
        return found.astype(np.float32).astype(np.float64)
