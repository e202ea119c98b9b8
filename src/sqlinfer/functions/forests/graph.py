"""A small writer of ONNX graphs: every value has a name of ours, and is made by one call."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ML: Final = "ai.onnx.ml"
OPSET: Final = 18
_IR: Final = 10
_TYPES: Final = {
    "float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "int64": TensorProto.INT64, "int32": TensorProto.INT32,
    "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL, "string": TensorProto.STRING,
}  # fmt: skip


class GraphWriter:
    """Nodes in the order in which they are asked for.

    Args:
        ml_opset: 3 for TreeEnsembleRegressor, 5 for TreeEnsemble; a graph has one of them.
    """

    def __init__(self, ml_opset: int = 3) -> None:
        self.ml_opset = ml_opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tensors: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: str, width: int) -> str:
        """A matrix [N,width] of the graph."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[kind], ["N", width]))
        return name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """The name of what a node of ai.onnx gives."""
        return self._node(op_type, inputs, "", attributes)

    def ml(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """The same for a node of ai.onnx.ml."""
        return self._node(op_type, inputs, ML, attributes)

    def cast(self, value: str, kind: str) -> str:
        return self.op("Cast", value, to=_TYPES[kind])

    def constant(self, array: np.ndarray[Any, Any] | list[Any] | float | int, kind: Any = None) -> str:
        """The name of a constant; equal ones are kept once."""
        values = np.asarray(array, dtype=kind)
        key = (
            values.dtype.str,
            values.shape,
            str(values.tolist()).encode() if values.dtype == object else values.tobytes(),
        )
        if key not in self._constants:
            name = self._constants[key] = f"sqlinfer:c{len(self._tensors)}"
            self._tensors.append(numpy_helper.from_array(values, name))
        return self._constants[key]

    def output(self, value: str, name: str, kind: str, width: int | None) -> None:
        """``value`` becomes an output: [N,width], or [N] where ``width`` is None."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        shape = ["N"] if width is None else ["N", width]
        self._outputs.append(helper.make_tensor_value_info(name, _TYPES[kind], shape))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self._nodes, "model", self._inputs, self._outputs, self._tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, self.ml_opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="sqlinfer")

    def _node(self, op_type: str, inputs: tuple[str, ...], domain: str, attributes: dict[str, Any]) -> str:
        name = f"sqlinfer:v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, list(inputs), [name], domain=domain, **attributes))
        return name
