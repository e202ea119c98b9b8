"""A matrix that only the first layer reads → its transpose, so that columns are copied as they lie in memory.

Spread over the rows of a matrix, each value is a write of its own; a layer that reads the matrix turned costs the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sqlinfer.inference.graphs.trial import opened, same

DONE = "first layer fed by column"
_ROWS = (1, 2, 3, 5, 16, 17, 64, 1000)
"""Of the runs that are compared: the runtime has ways of its own for one row, and for what is left of a tile."""
Array = np.ndarray[Any, Any]


def fed_by_column(graph: bytes, packed: Sequence[str]) -> tuple[bytes, tuple[str, ...]]:
    """The graph, and those of the ``packed`` inputs that it takes as [F,N] now; none where a bit would change."""
    model = onnx.load_from_string(graph)
    turned = tuple(_turned(model, set(packed)))
    if not turned:
        return graph, ()
    changed: bytes = model.SerializeToString()
    return (changed, turned) if _gives_the_same(graph, changed, turned) else (graph, ())


def _turned(model: Any, packed: set[str]) -> Iterator[str]:
    """Changes the model. Its matrices must be all of its inputs: others cannot be made up for the trial."""
    graph, constants = model.graph, {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in graph.input if port.name not in constants]
    if {port.name for port in ports} - packed or model.functions:
        return
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.initializer):
        return
    if any(one.HasField("g") or one.graphs for node in graph.node for one in node.attribute):
        return
    outputs = {port.name for port in graph.output}
    for port in ports:
        readers = [(node, at) for node in graph.node for at, name in enumerate(node.input) if name == port.name]
        if len(readers) == 1 and port.name not in outputs and _is_turnable(port, *readers[0]):
            yield _turn(port, readers[0][0])


def _is_turnable(port: Any, node: Any, at: int) -> bool:
    kind = port.type.tensor_type
    is_matrix = kind.elem_type == TensorProto.FLOAT and len(kind.shape.dim) == 2 and kind.shape.dim[1].dim_value > 1
    is_layer = node.op_type == "Gemm" and node.domain in ("", "ai.onnx") and at == 0
    return is_matrix and is_layer and not any(one.name == "transA" and one.i for one in node.attribute)


def _turn(port: Any, node: Any) -> str:
    width, shape = port.type.tensor_type.shape.dim[1].dim_value, port.type.tensor_type.shape
    kept = [one for one in node.attribute if one.name != "transA"]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("transA", 1)])
    del shape.dim[:]
    shape.dim.add().dim_value = width
    shape.dim.add().dim_param = "rows"
    return str(port.name)


def _gives_the_same(graph: bytes, changed: bytes, turned: Sequence[str]) -> bool:
    random = np.random.default_rng(0)
    try:
        before, after = opened(graph), opened(changed)
        for rows in _ROWS:
            feeds = {port.name: _values(random, rows, port.shape[1]) for port in before.get_inputs()}
            other = {name: np.ascontiguousarray(one.T) if name in turned else one for name, one in feeds.items()}
            pairs = zip(before.run(None, feeds), after.run(None, other), strict=True)
            if not all(same(a, b) for a, b in pairs):
                return False
    except Exception:  # ONNX Runtime's exceptions share no base class
        return False
    return True


def _values(random: np.random.Generator, rows: int, width: int) -> Array:
    """Numbers of every size, some of them odd."""
    values: Array = (random.standard_normal((rows, width)) * 10.0 ** random.integers(-6, 7, (rows, width))).astype("f4")
    odd = random.random((rows, width)) < 0.01
    values[odd] = random.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42], dtype="f4"), int(odd.sum()))
    return values
