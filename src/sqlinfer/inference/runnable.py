"""A prepared graph → the graph that a session runs: rewritten for the CPU once, then remembered on disk.

ONNX Runtime's own optimised file is not kept: it opens a tenth sooner at best (44 against 39 ms for an encoder of
48 MB, ``python -m tests.benchmarks.forests``), and one made for one processor may not run on another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.inference.unchanged import graph_source
from sqlinfer.spec.function import PreparedFunction

if TYPE_CHECKING:
    from sqlinfer.inference.graphs.rewriting import Rewritten

_VERSION = 4
_LARGEST = 64 << 20
"""Bytes of a graph that is looked at: a forest of that size takes ten seconds to rewrite, once."""
CODED = "categories as codes"


@dataclass(frozen=True, slots=True)
class Runnable:
    """``inputs`` take codes of ``vocabulary`` instead of strings."""

    graph: Path | bytes
    inputs: frozenset[str] = frozenset()
    vocabulary: Any = None
    """An Arrow array, where there are such inputs."""
    rewrites: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """What could have been rewritten and was not, and why."""


def runnable_graph(prepared: PreparedFunction, family: str, cache_dir: Path | None) -> Runnable:
    """The fastest known form of a function's graph on a provider family (``cpu``, ``cuda``, …)."""
    name = _name(prepared.contract.digest, family)
    found = _read(cache_dir, name)
    if found is None:
        found = _made(prepared, family)
        _write(cache_dir, name, *found)
    facts, graph = found
    kept = tuple(facts["kept"])
    if not graph:
        return Runnable(prepared.graph, kept=kept)
    words = None
    if facts["inputs"]:
        import pyarrow as pa

        from sqlinfer import arrays

        words = arrays.from_texts(facts["vocabulary"], pa.large_string())
    return Runnable(graph, frozenset(facts["inputs"]), words, tuple(facts["rewrites"]), kept)


def read_rewrites(cache_dir: Path, digest: str, family: str) -> tuple[str, ...]:
    """What was done to a function's graph when it was prepared, and what was not, in words."""
    facts = _facts(cache_dir, _name(digest, family)) or {}
    return (*facts.get("rewrites", ()), *facts.get("kept", ()))


def _name(digest: str, family: str) -> str:
    return f"runnable-{digest[:32]}-{family}-{_VERSION}"


def _made(prepared: PreparedFunction, family: str) -> tuple[dict[str, Any], bytes]:
    """No bytes where the graph runs as it is."""
    facts: dict[str, Any] = {"inputs": [], "vocabulary": [], "rewrites": [], "kept": []}
    if prepared.graph.stat().st_size > _LARGEST:
        return facts, b""
    source = graph_source(prepared)
    graph = source if isinstance(source, bytes) else source.read_bytes()
    if any(binding.element_type == "string" for binding in prepared.inputs):
        from sqlinfer.inference.graphs.categories import encode

        coded = encode(graph)
        if coded is not None:
            facts |= {"inputs": list(coded.inputs), "vocabulary": list(coded.vocabulary), "rewrites": [CODED]}
            graph = coded.graph
    for rewrite in _rewrites_for(family, dict.fromkeys(facts["inputs"], len(facts["vocabulary"]))):
        found = rewrite(graph)
        graph = found.graph
        facts["rewrites"] += found.done
        facts["kept"] += found.kept
    return facts, graph if facts["rewrites"] else b""


def _rewrites_for(family: str, coded: Mapping[str, int]) -> tuple[Callable[[bytes], Rewritten], ...]:
    """Each looks at the graph that the ones before it made. ``coded``: inputs with codes of so many words."""
    if family != "cpu":
        return ()
    from sqlinfer.inference.graphs.linear import looked_up_sums

    return (lambda graph: looked_up_sums(graph, coded), _faster_forests)


def _faster_forests(graph: bytes) -> Rewritten:
    from sqlinfer.inference.graphs.rewriting import Rewritten

    if b"TreeEnsemble" not in graph:
        return Rewritten(graph)
    from sqlinfer.inference.graphs.forests import faster_forests

    try:
        found = faster_forests(graph)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # a tree ensemble that is not what the standard says: the runtime shall judge it
        return Rewritten(graph, kept=(f"trees as they are: {type(error).__name__}",))
    return Rewritten(graph) if found is None else Rewritten(*found)


def _read(cache_dir: Path | None, name: str) -> tuple[dict[str, Any], bytes] | None:
    if cache_dir is None:
        return None
    facts = _facts(cache_dir, name)
    if facts is None:
        return None
    try:
        graph = (cache_dir / f"{name}.onnx").read_bytes() if facts["rewrites"] else b""
        return (facts, graph) if facts.pop("sha256") == _seal(facts, graph) else None
    except (OSError, KeyError, TypeError):
        return None


def _seal(facts: dict[str, Any], graph: bytes) -> str:
    """Over both, so that one that is edited is made anew."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + graph).hexdigest()


def _facts(cache_dir: Path, name: str) -> dict[str, Any] | None:
    """Without the graph, which compiling has no use for."""
    try:
        facts = parse_json(read_plain(cache_dir / f"{name}.json"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _write(cache_dir: Path | None, name: str, facts: dict[str, Any], graph: bytes) -> None:
    """The graph first: the JSON beside it says that it is complete."""
    if cache_dir is None:
        return
    with contextlib.suppress(OSError):
        if graph:
            write_atomic(cache_dir / f"{name}.onnx", graph)
        write_atomic(cache_dir / f"{name}.json", json.dumps(facts | {"sha256": _seal(facts, graph)}).encode())
