"""Strings as the codes of a vocabulary, and the rewritten graph remembered on disk so that onnx is imported once."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sqlinfer.inference.tensors import Array
from sqlinfer.spec.function import PreparedFunction

_VERSION = 1


@dataclass(frozen=True, slots=True)
class CodedGraph:
    graph: bytes
    inputs: frozenset[str]
    vocabulary: pa.Array


def codes_of(column: pa.Array, vocabulary: pa.Array) -> Array:
    """int64 positions in the vocabulary, -1 for strings outside of it. The column has no nulls."""
    if pa.types.is_dictionary(column.type):
        known = codes_of(column.dictionary.cast(pa.large_string()), vocabulary)
        picked: Array = known.take(column.indices.to_numpy(zero_copy_only=False))
        return picked
    import pyarrow.compute as pc

    found = pc.index_in(column.cast(pa.large_string()), value_set=vocabulary)
    filled = found.fill_null(-1) if found.null_count else found
    codes: Array = filled.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def coded_graph(prepared: PreparedFunction, cache_dir: Path | None) -> CodedGraph | None:
    """The function's graph over codes, or None where there is nothing to encode."""
    if not any(binding.element_type == "string" for binding in prepared.inputs):
        return None
    name = f"codes-{prepared.contract.digest[:32]}-{_VERSION}"
    cached = _read(cache_dir, name)
    if cached is None:
        from sqlinfer.inference.categories import encode

        made = encode(prepared.graph.read_bytes())
        cached = ((list(made.inputs), list(made.vocabulary)), made.graph) if made else (([], []), b"")
        _write(cache_dir, name, cached[0], cached[1])
    (inputs, vocabulary), graph = cached
    if not inputs:
        return None
    return CodedGraph(graph, frozenset(inputs), pa.array(vocabulary, pa.large_string()))


def _read(cache_dir: Path | None, name: str) -> tuple[tuple[list[str], list[str]], bytes] | None:
    if cache_dir is None:
        return None
    try:
        inputs, vocabulary = json.loads((cache_dir / f"{name}.json").read_text(encoding="utf-8"))
        return (inputs, vocabulary), (cache_dir / f"{name}.onnx").read_bytes()
    except (OSError, ValueError):
        return None


def _write(cache_dir: Path | None, name: str, names: tuple[list[str], list[str]], graph: bytes) -> None:
    """The graph first: the JSON beside it says that it is complete."""
    if cache_dir is None:
        return
    with contextlib.suppress(OSError):
        cache_dir.mkdir(parents=True, exist_ok=True)
        for suffix, content in ((".onnx", graph), (".json", json.dumps(names).encode())):
            handle, temporary = tempfile.mkstemp(dir=cache_dir, suffix=".tmp")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, cache_dir / f"{name}{suffix}")
