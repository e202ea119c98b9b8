"""A prepared graph → the graph that a session runs: rewritten for the CPU once, then remembered on disk.

ONNX Runtime's own optimised file is not kept: it opens a tenth sooner at best (44 against 39 ms for an encoder of
48 MB, ``python -m tests.benchmarks.forests``), and one made for one processor may not run on another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import ArtifactError
from sqlinfer.files import parse_json, read_plain, write_atomic
from sqlinfer.forest_kernel import OFF
from sqlinfer.inference.trees.library import Library, library
from sqlinfer.inference.unchanged import graph_source
from sqlinfer.spec.function import PreparedFunction

if TYPE_CHECKING:
    from sqlinfer.inference.graphs.rewriting import Rewritten
    from sqlinfer.inference.trees.split import Split

_Made = tuple[dict[str, Any], bytes, bytes]
"""Facts, the graph as it is rewritten, and how it is split."""
_VERSION = 7
_LARGEST = 64 << 20
"""Bytes of a graph that is looked at: a forest of that size takes ten seconds to rewrite, once."""
CODED = "categories as codes"
KERNEL = "forest kernel"
NO_KERNEL = "no forest kernel"
_ENSEMBLE = b"TreeEnsemble"


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
    by_column: frozenset[str] = frozenset()
    """Inputs that take a matrix turned, [F,N]."""
    split: Split | None = None
    """Around the forests that our own kernel runs; ``graph`` is whole all the same."""


def runnable_graph(prepared: PreparedFunction, family: str, cache_dir: Path | None) -> Runnable:
    """The fastest known form of a function's graph on a provider family (``cpu``, ``cuda``, …)."""
    name = _name(prepared.contract.digest, family)
    found = _read(cache_dir, name)
    if found is None:
        found = _made(prepared, family)
        _write(cache_dir, name, *found)
    facts, graph, split = found
    kept = tuple(facts["kept"])
    if not graph:
        return Runnable(prepared.graph, kept=kept)
    words = None
    if facts["inputs"]:
        import pyarrow as pa

        from sqlinfer import arrays

        words = arrays.from_texts(facts["vocabulary"], pa.large_string())
    return Runnable(graph, frozenset(facts["inputs"]), words, tuple(facts["rewrites"]), kept,
                    frozenset(facts["by_column"]), _unpacked(split))  # fmt: skip


def read_rewrites(cache_dir: Path, digest: str, family: str) -> tuple[str, ...]:
    """What was done to a function's graph when it was prepared, and what was not, in words."""
    facts = _facts(cache_dir, _name(digest, family)) or {}
    return (*facts.get("rewrites", ()), *facts.get("kept", ()))


def _name(digest: str, family: str) -> str:
    """A CPU's has the instructions in it that it was made for."""
    found = library() if family == "cpu" else ""
    instructions = found.instructions if isinstance(found, Library) else "off" if OFF in found else "none"
    kind = f"{family}-{instructions.lower().replace(' ', '-')}" if family == "cpu" else family
    return f"runnable-{digest[:32]}-{kind}-{_VERSION}"


def _made(prepared: PreparedFunction, family: str) -> _Made:
    """No bytes where the graph runs as it is."""
    facts: dict[str, Any] = {"inputs": [], "vocabulary": [], "rewrites": [], "kept": [], "by_column": []}
    if prepared.graph.stat().st_size > _LARGEST:
        return facts, b"", b""
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
    split = b""
    if family == "cpu" and (_ENSEMBLE in graph or _has_oblivious(graph)):
        graph, split = _forests(prepared, graph, facts)
    elif family == "cpu":
        graph = _by_column(prepared, graph, facts)
    return facts, graph if facts["rewrites"] else b"", split


def _has_oblivious(graph: bytes) -> bool:
    """Whether there are trees that are written with plain operators."""
    from sqlinfer.inference.graphs.oblivious import has_oblivious

    return has_oblivious(graph)


def _by_column(prepared: PreparedFunction, graph: bytes, facts: dict[str, Any]) -> bytes:
    from sqlinfer.inference.graphs.by_column import DONE, fed_by_column

    packed = [one.name for one in prepared.inputs if one.layout == "packed" and one.name not in facts["inputs"]]
    if packed:
        graph, facts["by_column"] = fed_by_column(graph, packed)
        facts["rewrites"] += [DONE] if facts["by_column"] else []
    return graph


def _forests(prepared: PreparedFunction, graph: bytes, facts: dict[str, Any]) -> tuple[bytes, bytes]:
    """How the graph is split where our own kernel runs its forests, else its forests as operators that are faster."""
    split, why, left = _split(graph, prepared.output_names)
    if split is not None:
        facts["rewrites"].append(f"{KERNEL} ({why})")
        if left:
            facts["kept"].append(f"ONNX Runtime ({NO_KERNEL}: {left} of the forests, behind what others give)")
        return graph, split
    facts["kept"].append(f"ONNX Runtime ({NO_KERNEL}: {why})")
    found = _faster_forests(graph)
    facts["rewrites"] += found.done
    facts["kept"] += found.kept
    return found.graph, b""


def _split(graph: bytes, names: Sequence[str]) -> tuple[bytes | None, str, int]:
    """With which instructions, and how many forests are not in it; or nothing, and why not."""
    from sqlinfer.inference.graphs.ensemble import Unsupported
    from sqlinfer.inference.graphs.split import forests_left, split_of
    from sqlinfer.inference.trees.split import packed

    kernel = library()
    if isinstance(kernel, str):
        return None, kernel, 0
    try:
        found = split_of(graph, names, kernel)
        return packed(found), kernel.instructions, forests_left(found)
    except Unsupported as error:
        return None, str(error), 0
    except (ArithmeticError, ArtifactError, LookupError, TypeError, ValueError):
        return None, "a tree ensemble that is not what the standard says", 0


def _unpacked(data: bytes) -> Split | None:
    """None too where it is damaged: the graph runs as a whole."""
    if not data:
        return None
    from sqlinfer.inference.trees.split import unpacked

    try:
        return unpacked(data)
    except (ArtifactError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _rewrites_for(family: str, coded: Mapping[str, int]) -> tuple[Callable[[bytes], Rewritten], ...]:
    """Each looks at the graph that the ones before it made. ``coded``: inputs with codes of so many words."""
    if family != "cpu":
        return ()
    from sqlinfer.inference.graphs.hot_columns import plain_hot_columns
    from sqlinfer.inference.graphs.linear import looked_up_sums

    return tuple(partial(rewrite, coded=coded) for rewrite in (looked_up_sums, plain_hot_columns))


def _faster_forests(graph: bytes) -> Rewritten:
    from sqlinfer.inference.graphs.forests import AS_THEY_ARE, rewritten_forests
    from sqlinfer.inference.graphs.rewriting import Rewritten

    try:
        return rewritten_forests(graph)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # a tree ensemble that is not what the standard says: the runtime shall judge it
        return Rewritten(graph, kept=(f"{AS_THEY_ARE}: {type(error).__name__}",))


def _read(cache_dir: Path | None, name: str) -> _Made | None:
    if cache_dir is None:
        return None
    facts = _facts(cache_dir, name)
    if facts is None:
        return None
    try:
        graph = (cache_dir / f"{name}.onnx").read_bytes() if facts["rewrites"] else b""
        is_split = any(one.startswith(KERNEL) for one in facts["rewrites"])
        split = (cache_dir / f"{name}.trees").read_bytes() if is_split else b""
        return (facts, graph, split) if facts.pop("sha256") == _seal(facts, graph + split) else None
    except (OSError, KeyError, TypeError):
        return None


def _seal(facts: dict[str, Any], graph: bytes) -> str:
    """Over all of it, so that one that is edited is made anew."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + graph).hexdigest()


def _facts(cache_dir: Path, name: str) -> dict[str, Any] | None:
    """Without the graph, which compiling has no use for."""
    try:
        facts = parse_json(read_plain(cache_dir / f"{name}.json"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _write(cache_dir: Path | None, name: str, facts: dict[str, Any], graph: bytes, split: bytes) -> None:
    """The graph first: the JSON beside it says that it is complete."""
    if cache_dir is None:
        return
    with contextlib.suppress(OSError):
        if graph:
            write_atomic(cache_dir / f"{name}.onnx", graph)
        if split:
            write_atomic(cache_dir / f"{name}.trees", split)
        sealed = facts | {"sha256": _seal(facts, graph + split)}
        write_atomic(cache_dir / f"{name}.json", json.dumps(sealed).encode())
