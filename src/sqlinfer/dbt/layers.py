"""A selection of a mixed graph → layers: SQL nodes for dbt, prediction nodes for us, in turn. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sqlinfer.dbt.manifest import Manifest, is_prediction
from sqlinfer.dbt.tests import as_data_test


@dataclass(frozen=True, slots=True)
class Layer:
    """What dbt builds first, and the prediction nodes that are scored after it."""

    sql: tuple[str, ...]
    predictions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerPlan:
    layers: tuple[Layer, ...]
    audited: frozenset[str] = frozenset()
    """Data tests that we run on the staged rows of a prediction node, so that dbt need not."""
    left_out: tuple[str, ...] = ()
    """Selected members that nobody can run: unit tests of prediction nodes."""

    @property
    def predictions(self) -> tuple[str, ...]:
        return tuple(key for layer in self.layers for key in layer.predictions)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key for layer in self.layers for key in (*layer.sql, *layer.predictions))


def plan(manifest: Manifest, selected: Iterable[str]) -> LayerPlan:
    """A node's layer is the number of selected prediction nodes on the longest way above it.

    What nobody builds has no layer: an ephemeral model is part of those that read it.
    """
    chosen = tuple(key for key in dict.fromkeys(selected) if manifest.is_built(key))
    ours = {key for key in chosen if is_prediction(manifest.nodes.get(key, {}))}
    left_out = tuple(key for key in chosen if key in manifest.unit_tests and set(manifest.parents(key)) & ours)
    depths = _depths(manifest, ours)
    audited = frozenset(key for key in chosen if _audited(key, manifest, ours, depths))
    count = 1 + max((depths(key) for key in chosen), default=0)
    dbt = [key for key in chosen if key not in ours and key not in audited and key not in left_out]
    layers = tuple(
        Layer(
            tuple(key for key in dbt if depths(key) == number),
            tuple(sorted(key for key in ours if depths(key) == number)),
        )
        for number in range(count)
    )
    return LayerPlan(layers, audited, left_out)


def _audited(key: str, manifest: Manifest, ours: set[str], depths: _depths) -> bool:
    """Before its node is published a test cannot read what is built with the node, or after it."""
    node = manifest.nodes.get(key) or {}
    tested = node.get("attached_node")
    if tested not in ours or as_data_test(node, manifest) is None:
        return False
    others = [other for other in manifest.parents(key) if other != tested]
    return all(depths(other) + (other in ours) <= depths(str(tested)) for other in others)


class _depths:
    """unique_id → layer, remembered. Iterative, since graphs may be deep."""

    def __init__(self, manifest: Manifest, ours: set[str]) -> None:
        self._manifest, self._ours = manifest, ours
        self._known: dict[str, int] = {}

    def __call__(self, unique_id: str) -> int:
        stack = [unique_id]
        while stack:
            key = stack[-1]
            parents = self._manifest.parents(key)
            missing = [parent for parent in parents if parent not in self._known]
            if missing:
                stack += missing
                continue
            self._known[key] = max((self._known[parent] + (parent in self._ours) for parent in parents), default=0)
            stack.pop()
        return self._known[unique_id]


def blocked(manifest: Manifest, broken: Iterable[str], ids: Iterable[str]) -> dict[str, str]:
    """unique_id → the broken member that keeps it from being built. A failed test blocks what is below all it tests."""
    ancestors = _Ancestors(manifest)
    culprits = [(key, _roots(key, manifest)) for key in broken]
    found: dict[str, str] = {}
    for key in ids:
        above = ancestors(key)
        culprit = next((one for one, roots in culprits if one != key and roots and roots <= above), None)
        if culprit is not None:
            found[key] = culprit
    return found


def _roots(key: str, manifest: Manifest) -> frozenset[str]:
    is_test = key.startswith(("test.", "unit_test."))
    return frozenset(manifest.parents(key)) if is_test else frozenset((key,))


class _Ancestors:
    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def __call__(self, unique_id: str) -> frozenset[str]:
        seen: set[str] = set()
        stack = list(self._manifest.parents(unique_id))
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                stack += self._manifest.parents(key)
        return frozenset(seen)


_SPECIAL = re.compile(r"[^\w.\-]")
"""What has a meaning in a selection, or ends its word."""


def selectors(manifest: Manifest, ids: Iterable[str]) -> tuple[str, ...]:
    """The words that make dbt take exactly these members.

    dbt takes what begins with an ``fqn``, too: the models of a folder that has a model's name. Hence the file beside.
    """
    known = [tuple(one.get("fqn") or ()) for one in manifest.members()]
    folders = Counter(fqn[start:end] for fqn in known for start in (0, 1) for end in range(start + 1, len(fqn) + 1))
    return tuple(_word(key, manifest.member(key), folders) for key in ids)


def _word(key: str, member: Mapping[str, Any], folders: Mapping[tuple[str, ...], int]) -> str:
    fqn = tuple(member.get("fqn") or (key,))
    word = "fqn:" + _SPECIAL.sub("?", ".".join(fqn))
    name = PurePosixPath(str(member.get("original_file_path") or "").replace("\\", "/")).name
    shared = folders.get(fqn, 0) > 1 or "?" in word
    return f"{word},file:{_SPECIAL.sub('?', name)}" if name and shared else word
