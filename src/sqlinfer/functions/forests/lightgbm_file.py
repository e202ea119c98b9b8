"""LightGBM's own text files → the trees and what is done with their sums. Needs no LightGBM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.forests import table
from sqlinfer.functions.forests.table import Floats, Ints, Mode, NodeTable

CATEGORICAL: Final = 1
DEFAULT_LEFT: Final = 2
MISSING: Final = ("none", "zero", "nan")
"""By the third and fourth bit of a node's decision type."""
_MOST: Final = 1 << 24
Categories = tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LightGBMModel:
    """What the file says. Weights and thresholds are doubles."""

    trees: NodeTable
    """``feature`` counts pairs of a feature and a kind of missing value: see ``columns``."""
    columns: tuple[tuple[int, str], ...]
    """Of what the nodes look at: the feature, and what is missing there (``none``, ``zero``, ``nan``), or ``code``."""
    names: tuple[str, ...]
    categories: Mapping[int, Categories]
    """Feature → what pandas knew as its categories, in the order of their codes."""
    codes: frozenset[int]
    """Features whose categories come as codes."""
    objective: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Words of the objective: ``sigmoid:1`` is one."""
    averaged_over: int = 1
    """Rounds that sums are divided by (random forests)."""
    is_linear: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines ``key=value`` up to an empty line."""

    lines: Mapping[str, str]
    words: frozenset[str]

    def text(self, key: str) -> str:
        if key not in self.lines:
            raise ValueError(f"it has no '{key}'")
        return self.lines[key]

    def integer(self, key: str, low: int, high: int) -> int:
        number = int(self.text(key))
        if not low <= number < high:
            raise ValueError(f"'{key}' is {number}")
        return number

    def numbers(self, key: str, count: int, kind: Any) -> Any:
        words = self.text(key).split()
        if len(words) != count:
            raise ValueError(f"'{key}' has {len(words)} values instead of {count}")
        return np.array(words, dtype=kind) if words else np.empty(0, kind)


def read(path: Path, name: str | None = None) -> LightGBMModel:
    """``name`` is the file's in errors.

    Raises:
        ArtifactError: it is no model of LightGBM, it is damaged, or made to do harm.
    """
    what = f"the LightGBM model {name or path.name}"
    data = path.read_bytes()
    try:
        if not data.startswith(b"tree\n") and not data.startswith(b"tree\r\n"):
            raise ValueError("it does not start as a text file of LightGBM does ('tree')")
        return _model(data.decode("utf-8"), what)
    except ArtifactError:
        raise
    except UnicodeDecodeError as error:
        raise table.damaged(what, "a text in it is not UTF-8") from error
    except (ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise table.damaged(what, (str(error) or type(error).__name__).splitlines()[0][:200]) from error


def _model(text: str, what: str) -> LightGBMModel:
    head, _, rest = text.partition("\nTree=")
    body, end, tail = rest.partition("\nend of trees")
    if not end:
        head, end, tail = text.partition("\nend of trees")
        body = ""
    if not end:
        raise ValueError("it is cut off: it has no 'end of trees'")
    header = _block(head)
    features = header.integer("max_feature_idx", 0, _MOST) + 1
    targets = header.integer("num_tree_per_iteration", 1, 1 << 20)
    names = tuple(header.text("feature_names").split(" "))
    if len(names) != features:
        raise ValueError(f"it names {len(names)} features of {features}")
    blocks = [_block(part) for part in body.split("\nTree=")] if body else []
    if "tree_sizes" in header.lines and len(header.text("tree_sizes").split()) != len(blocks):
        raise ValueError(f"it has {len(blocks)} trees of {len(header.text('tree_sizes').split())}")
    if len(blocks) % targets:
        raise ValueError(f"it has {len(blocks)} trees for {targets} targets")
    trees = table.joined([_tree(block, place % targets, targets) for place, block in enumerate(blocks)], targets)
    trees, columns = _by_missing(trees, features)
    objective = header.lines.get("objective", "custom").split()
    codes = frozenset(feature for feature, missing in columns if missing == "code")
    return LightGBMModel(
        table.checked(trees, max(len(columns), 1), what), columns, _named(names), _categories(tail, features, codes),
        codes, objective[0] if objective else "custom",
        {word.partition(":")[0]: word.partition(":")[2] for word in objective[1:]},
        max(len(blocks) // targets, 1) if "average_output" in header.words else 1,
        any(block.lines.get("is_linear", "0").strip() == "1" for block in blocks),
    )  # fmt: skip


def _block(text: str) -> _Block:
    lines: dict[str, str] = {}
    words = set()
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            lines.setdefault(key.strip(), value)
        elif line.strip():
            words.add(line.strip())
    return _Block(lines, frozenset(words))


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    """``Column_0`` … are LightGBM's names for features without one."""
    if all(name == f"Column_{place}" for place, name in enumerate(names)):
        return tuple(f"f{place}" for place in range(len(names)))
    return names


def _tree(block: _Block, target: int, targets: int) -> NodeTable:
    """Inner nodes first, then leaves: a negative child is the complement of a leaf."""
    leaves = block.integer("num_leaves", 1, 1 << 28)
    weights = block.numbers("leaf_value", leaves, np.float64)
    inner = leaves - 1
    if not inner:
        one = table.constant([0.0] * targets)
        return NodeTable(one.roots, one.mode, one.feature, one.threshold, one.yes, one.no, one.missing_yes,
                         np.zeros(1, np.int64), np.full(1, target), weights, targets)  # fmt: skip
    feature, kinds = block.numbers("split_feature", inner, np.int64), block.numbers("decision_type", inner, np.int64)
    threshold = block.numbers("threshold", inner, np.float64)
    left, right = _children(block, "left_child", inner, leaves), _children(block, "right_child", inner, leaves)
    missing = (kinds >> 2) & 3
    if ((kinds < 0) | (kinds > 15) | (missing == 3)).any():
        raise ValueError("a node has an unknown decision type")
    is_set = (kinds & CATEGORICAL) != 0
    members = _members(block, threshold, is_set)
    pad = np.zeros(leaves, np.int64)
    kind_of_column = np.where(is_set, 3, missing)
    return NodeTable(
        np.zeros(1, np.int64),
        np.r_[np.where(is_set, int(Mode.MEMBER), int(Mode.LEQ)), pad + int(Mode.LEAF)],
        np.r_[_paired(feature, kind_of_column), pad],
        np.r_[threshold, pad.astype(np.float64)], np.r_[left, pad], np.r_[right, pad],
        np.r_[((kinds & DEFAULT_LEFT) != 0) & ~is_set, pad.astype(np.bool_)],
        inner + np.arange(leaves), np.full(leaves, target, np.int64), weights, targets, members,
    )  # fmt: skip


def _paired(feature: Ints, kind: Ints) -> Ints:
    if ((feature < 0) | (feature >= _MOST)).any():
        raise ValueError("a node asks for a feature that there is not")
    return feature * 4 + kind


def _children(block: _Block, key: str, inner: int, leaves: int) -> Ints:
    found: Ints = block.numbers(key, inner, np.int64)
    if ((found >= inner) | (found < -leaves)).any():
        raise ValueError("a node has a child that there is not")
    return np.where(found < 0, inner + ~found, found)


def _members(block: _Block, threshold: Floats, is_set: Any) -> dict[int, tuple[float, ...]]:
    """Node → the codes in its bitset."""
    if not is_set.any():
        return {}
    count = block.integer("num_cat", 1, 1 << 28)
    ends = block.numbers("cat_boundaries", count + 1, np.int64)
    words = block.text("cat_threshold").split()
    if ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != len(words):
        raise ValueError("the bits of its categories end somewhere else than stated")
    bits = np.array(words, dtype=np.uint32)
    found = {}
    for node in np.flatnonzero(is_set).tolist():
        which = int(threshold[node])
        if not 0 <= which < count:
            raise ValueError("a split by category names bits that there are not")
        own = bits[ends[which] : ends[which + 1]]
        found[node] = tuple(np.flatnonzero(np.unpackbits(own.view(np.uint8), bitorder="little")).astype(float).tolist())
    return found


def _by_missing(trees: NodeTable, features: int) -> tuple[NodeTable, tuple[tuple[int, str], ...]]:
    """Nodes look at columns: a feature as it is, or with zeros as missing, or without missing values, or as a code."""
    branch = trees.is_branch
    used = np.unique(trees.feature[branch])
    if len(used) and used[-1] >= features * 4:
        raise ValueError(f"a node asks for feature {int(used[-1]) // 4} of {features}")
    columns = tuple((int(one) // 4, (*MISSING, "code")[int(one) % 4]) for one in used)
    place = np.searchsorted(used, trees.feature)
    feature = np.where(branch, place, 0)
    return NodeTable(
        trees.roots, trees.mode, feature, trees.threshold, trees.yes, trees.no, trees.missing_yes, trees.leaf,
        trees.target, trees.weight, trees.targets, trees.members,
    ), columns  # fmt: skip


def _categories(tail: str, features: int, codes: frozenset[int]) -> dict[int, Categories]:
    """The last line has the categories of pandas, the parameters say which features they belong to."""
    given = next((line for line in tail.splitlines() if line.startswith("pandas_categorical:")), "")
    lists: Sequence[Any] = json.loads(given.removeprefix("pandas_categorical:") or "null") or ()
    if not lists:
        return {}
    if not isinstance(lists, list) or not all(isinstance(one, list) for one in lists):
        raise ValueError("'pandas_categorical' is no list of lists")
    line = next((one for one in tail.splitlines() if one.startswith("[categorical_feature:")), "")
    words = line.removeprefix("[categorical_feature:").rstrip("] ").split(",")
    places = sorted(int(word) for word in words if word.strip().isdigit())
    if len(places) != len(lists):
        places = sorted(codes)
    if len(places) != len(lists) or any(place >= features for place in places):
        raise ArtifactError(
            f"the LightGBM model has the categories of {len(lists)} columns, and does not say of which",
            hint="save it with its parameters",
        )
    return {place: _typed(values) for place, values in zip(places, lists, strict=True)}


def _typed(values: list[Any]) -> Categories:
    if all(isinstance(one, str) for one in values):
        return tuple(values)
    if all(isinstance(one, (int, float)) and isfinite(one) for one in values):
        is_whole = all(one == int(one) for one in values)
        return tuple(int(one) for one in values) if is_whole else tuple(float(one) for one in values)
    raise ArtifactError("the categories of the LightGBM model are neither texts nor numbers",
                        hint="make them texts, and train it again")  # fmt: skip
