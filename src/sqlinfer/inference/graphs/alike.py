"""A graph and its rewritten form side by side: every category, numbers of every size, NaN, infinities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from sqlinfer.inference.graphs.lookups import Lookups

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]
ROWS, SINGLE_ROWS = 2048, 64
SIZES = (ROWS, 2, 3, 7, 16)
"""Rows of a run: matrix products take several at a time, and the rest in other ways."""
_ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-42])


@dataclass(frozen=True, slots=True)
class Trial:
    """The original's answers."""

    feeds: Feeds
    several: tuple[list[Any], ...]
    """Outputs of a run of each of ``SIZES``."""
    single: tuple[list[Any], ...]
    """Of runs of one row."""
    widths: Mapping[str, int]
    """Of the float tensors [N,width] inside the graph."""

    @classmethod
    def of(cls, graph: bytes, lookups: Lookups) -> Trial | None:
        """None where rows cannot be made up, or the graph does not run."""
        model = onnx.load_from_string(graph)
        feeds = made_up(model, lookups)
        if feeds is None:
            return None
        try:
            session = opened(graph)
            several = tuple(session.run(None, _first(feeds, size)) for size in SIZES)
            single = tuple(session.run(None, row) for row in _rows(feeds))
            return cls(feeds, several, single, _widths(model, feeds))
        except Exception:  # ONNX Runtime's exceptions share no base class
            return None

    def has_the_bits_of(self, other: bytes, *, one_row: bool = False) -> bool:
        """Whether another graph answers alike: runs of several rows, or those of one."""
        try:
            session = opened(other)
            runs = _rows(self.feeds) if one_row else [_first(self.feeds, size) for size in SIZES]
            wanted = self.single if one_row else self.several
            return all(
                _same(a, b)
                for feeds, outputs in zip(runs, wanted, strict=True)
                for a, b in zip(outputs, session.run(None, feeds), strict=True)
            )
        except Exception:  # ONNX Runtime's exceptions share no base class
            return False


def made_up(model: onnx.ModelProto, lookups: Lookups) -> dict[str, Array] | None:
    """Values for every input, or None where an input is neither numbers nor categories."""
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for port in model.graph.input:
        if port.name in lookups.constants:
            continue
        kind, dims = port.type.tensor_type.elem_type, port.type.tensor_type.shape.dim
        widths = [dim.dim_value for dim in dims[1:]]
        if not dims or dims[0].dim_value or not all(widths):
            return None
        shape = (ROWS, *widths)
        if kind in (TensorProto.FLOAT, TensorProto.DOUBLE):
            values = random.normal(size=shape) * 10.0 ** random.uniform(-3, 4, shape)
            odd = random.random(shape) < 0.01
            values[odd] = random.choice(_ODD, int(odd.sum()))
            feeds[port.name] = values.astype(np.float32 if kind == TensorProto.FLOAT else np.float64)
        elif kind in (TensorProto.INT64, TensorProto.INT32):
            known = np.asarray(lookups.asked.get(port.name, (0, 1)), dtype=np.int64)
            coded = lookups.coded.get(port.name)
            beside = [-1, coded - 1] if coded else [known.min(initial=0) - 1, known.max(initial=0) + 1]
            values = random.choice(np.concatenate([known, known, beside]), shape)
            feeds[port.name] = values.astype(np.int64 if kind == TensorProto.INT64 else np.int32)
        else:
            return None
    return feeds


def either(original: onnx.ModelProto, sums: onnx.ModelProto) -> bytes:
    """A graph that runs as ``original`` for a single row, and as ``sums`` for more."""
    whole = onnx.ModelProto()
    whole.CopyFrom(original)
    outputs = [port.name for port in original.graph.output]
    first = original.graph.input[0].name
    tensors = [onnx.numpy_helper.from_array(np.array(0), "__rows_axis"), onnx.numpy_helper.from_array(
        np.array(1), "__rows_one")]  # fmt: skip
    nodes = [
        helper.make_node("Shape", [first], ["__rows_shape"]),
        helper.make_node("Gather", ["__rows_shape", "__rows_axis"], ["__rows"], axis=0),
        helper.make_node("Equal", ["__rows", "__rows_one"], ["__rows_is_one"]),
        helper.make_node("If", ["__rows_is_one"], outputs, then_branch=_branch(original, "__one_"),
                         else_branch=_branch(sums, "__more_")),
    ]  # fmt: skip
    del whole.graph.node[:], whole.graph.initializer[:], whole.graph.value_info[:]
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(tensors)
    made: bytes = whole.SerializeToString()
    return made


def _branch(model: onnx.ModelProto, prefix: str) -> onnx.GraphProto:
    """The graph without inputs, its names its own; it reads those of the graph around it."""
    own = {tensor.name for tensor in model.graph.initializer}
    own |= {name for node in model.graph.node for name in node.output if name}

    def named(name: str) -> str:
        return prefix + name if name in own else name

    nodes, tensors, ports = [], [], []
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:], copy.output[:] = map(named, node.input), map(named, node.output)
        nodes.append(copy)
    for tensor in model.graph.initializer:
        same = TensorProto()
        same.CopyFrom(tensor)
        same.name = named(tensor.name)
        tensors.append(same)
    for port in model.graph.output:
        result = onnx.ValueInfoProto()
        result.CopyFrom(port)
        result.name = named(port.name)
        ports.append(result)
    return helper.make_graph(nodes, f"{prefix}branch", [], ports, tensors)


def opened(graph: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _widths(model: onnx.ModelProto, feeds: Feeds) -> dict[str, int]:
    """What a run of three rows shows."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    names = [name for node in shown.graph.node for name in node.output if name]
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    given = {port.name: feeds[port.name] for port in model.graph.input if port.name in feeds}
    values = opened(shown.SerializeToString()).run(None, _first(given, 3))
    found = [*given.items(), *zip(names, values, strict=True)]
    return {name: v.shape[1] for name, v in found if isinstance(v, np.ndarray) and v.dtype.kind == "f" and v.ndim == 2}


def _first(feeds: Feeds, size: int) -> dict[str, Array]:
    return {name: values[:size] for name, values in feeds.items()}


def _rows(feeds: Feeds) -> list[dict[str, Array]]:
    return [{name: values[row : row + 1] for name, values in feeds.items()} for row in range(SINGLE_ROWS)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and a.dtype.kind == "f":
        return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


def alive(nodes: Sequence[NodeProto], wanted: set[str]) -> list[NodeProto]:
    """What the outputs need, in order."""
    kept: list[NodeProto] = []
    needed = set(wanted)
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
