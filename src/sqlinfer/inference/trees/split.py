"""A graph cut around its forests: what comes before and after them runs in ONNX Runtime, the forests in the kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqlinfer.inference.trees.program import OP, SET, Program, program

Array = np.ndarray[Any, Any]
_RECORDS = {"ops": OP, "sets": SET}


@dataclass(frozen=True, slots=True)
class Part:
    """One forest."""

    program: Program
    columns: tuple[tuple[str, int], ...]
    """For each column of the program an input of the graph or an output of the head, and the place in its rows."""
    total: str
    """What the sums are called: an input of the tail, or an output of the graph."""
    wide: bool
    """Sums are doubles."""
    label: str = ""
    """For classes, what the best one of each row is called; ``total`` are their scores then."""
    labels: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A graph for ONNX Runtime."""

    graph: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    forests: tuple[Part, ...]
    head: Piece | None
    tail: Piece | None
    direct: Mapping[str, str]
    """Output of the graph → the sums that it is."""
    by_column: frozenset[str] = frozenset()
    """Matrices of the graph's inputs that forests alone look at: their columns need not be packed."""


def packed(split: Split) -> bytes:
    """As bytes for the cache: a line of JSON, then arrays."""
    arrays: list[bytes] = []

    def kept(data: bytes) -> int:
        arrays.append(data)
        return len(data)

    def piece(one: Piece | None) -> Any:
        return one and [kept(one.graph), one.inputs, one.outputs]

    forests = [
        {
            "numbers": dict(part.program.numbers),
            "arrays": {name: [name if name in _RECORDS else array.dtype.str, kept(array.tobytes())]
                       for name, array in part.program.arrays.items()},
            "columns": part.columns, "total": part.total, "wide": part.wide, "label": part.label,
            "labels": part.labels,
        }
        for part in split.forests
    ]  # fmt: skip
    facts = {"forests": forests, "head": piece(split.head), "tail": piece(split.tail)}
    facts |= {"direct": dict(split.direct), "by_column": sorted(split.by_column)}
    line = json.dumps(facts).encode()
    return len(line).to_bytes(8, "little") + line + b"".join(arrays)


def unpacked(data: bytes) -> Split:
    """
    Raises:
        ArtifactError, ValueError, LookupError, TypeError: it is not what ``packed`` made.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    facts, at = json.loads(data[8:end]), end

    def taken(size: int) -> bytes:
        nonlocal at
        if size < 0 or at + size > len(data):
            raise ValueError("too short")
        at += size
        return data[at - size : at]

    def array(kind: str, size: int) -> Array:
        return np.frombuffer(taken(size), dtype=_RECORDS.get(kind) or np.dtype(kind))

    def piece(one: Any) -> Piece | None:
        return one and Piece(taken(one[0]), tuple(one[1]), tuple(one[2]))

    forests = tuple(
        Part(
            program(one["numbers"], {name: array(*what) for name, what in one["arrays"].items()}),
            tuple((str(tensor), int(place)) for tensor, place in one["columns"]),
            one["total"],
            one["wide"],
            one["label"],
            tuple(one["labels"]),
        )
        for one in facts["forests"]
    )
    head, tail = piece(facts["head"]), piece(facts["tail"])
    return Split(forests, head, tail, facts["direct"], frozenset(facts["by_column"]))
