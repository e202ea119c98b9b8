"""A prepared graph → the graph that a session runs: rewritten for the CPU once, then remembered on disk.

ONNX Runtime's own optimised file is not kept: it opens a tenth sooner at best (44 against 39 ms for an encoder of
48 MB, ``python -m tests.benchmarks.forests``), and one made for one processor may not run on another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.inference.unchanged import graph_source
from sqlinfer.spec.function import PreparedFunction

_VERSION = 3
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


def runnable_graph(prepared: PreparedFunction, family: str, cache_dir: Path | None) -> Runnable:
    """The fastest known form of a function's graph on a provider family (``cpu``, ``cuda``, …)."""
    name = _name(prepared.contract.digest, family)
    found = _read(cache_dir, name)
    if found is None:
        found = _made(prepared, family)
        _write(cache_dir, name, *found)
    facts, graph = found
    if not graph:
        return Runnable(prepared.graph)
    words = None
    if facts["inputs"]:
        import pyarrow as pa

        words = pa.array(facts["vocabulary"], pa.large_string())
    return Runnable(graph, frozenset(facts["inputs"]), words, tuple(facts["rewrites"]))


def read_rewrites(cache_dir: Path, digest: str, family: str) -> tuple[str, ...]:
    """What was done to a function's graph when it was first loaded, in words; nothing where it was not loaded yet."""
    return tuple((_facts(cache_dir, _name(digest, family)) or {}).get("rewrites", ()))


def _name(digest: str, family: str) -> str:
    return f"runnable-{digest[:32]}-{family}-{_VERSION}"


def _made(prepared: PreparedFunction, family: str) -> tuple[dict[str, Any], bytes]:
    """No bytes where the graph runs as it is."""
    facts: dict[str, Any] = {"inputs": [], "vocabulary": [], "rewrites": []}
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
    if family == "cpu" and b"TreeEnsemble" in graph:
        found = _faster_forests(graph)
        if found is not None:
            graph = found[0]
            facts["rewrites"] += found[1]
    return facts, graph if facts["rewrites"] else b""


def _faster_forests(graph: bytes) -> tuple[bytes, tuple[str, ...]] | None:
    from sqlinfer.inference.graphs.forests import faster_forests

    try:
        return faster_forests(graph)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # a tree ensemble that is not what the standard says: the runtime shall judge it


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
