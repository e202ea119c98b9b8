"""A graph that grows node by node, in the numbers that scikit-learn itself uses: doubles, unless it casts.

A ``Frame`` is what one step of a pipeline hands to the next: pieces that lie side by side, some text and some numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import helper

from sqlinfer.functions.forests.graph import GraphWriter

Kind = Literal["double", "float", "int64", "string", "bool"]
Array = np.ndarray[Any, Any]
MICROSOFT: Final = "com.microsoft"
OPSET: Final = 20
"""The first that compares texts, joins them and splits them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor [N,width]."""

    tensor: str
    width: int
    kind: Kind = "double"
    finite: bool = False
    """Whether the library's own check of the values was made, or has nothing to find."""


Frame = tuple[Piece, ...]


class Graph(GraphWriter):
    """``op`` takes names of tensors, numpy arrays and Python numbers (doubles); the same question is asked once."""

    def __init__(self, *, is_none: bool = False) -> None:
        """``is_none``: missing texts are None to the library, which is not NaN to its imputers."""
        super().__init__(ml_opset=5)
        self.is_none = is_none
        self._asked: dict[tuple[Any, ...], str] = {}
        self._refusals: list[str] = []
        self._typed: list[onnx.ValueInfoProto] = []
        self._result = ""

    def column(self, name: str, kind: Kind) -> Piece:
        """One argument [N,1]."""
        return Piece(self.input(name, kind, 1), 1, kind, finite=kind != "double")

    def op(self, op_type: str, *inputs: Any, **attributes: Any) -> str:
        if op_type == "MatMul":
            op_type = "Gemm"  # ONNX Runtime folds a factor beside a MatMul into it, as a float32
        names = [one if isinstance(one, str) else self.constant(_array(one)) for one in inputs]
        domain = attributes.pop("domain", "")
        key = (op_type, domain, *names, *(f"{name}={value}" for name, value in sorted(attributes.items())))
        if key not in self._asked:
            self._asked[key] = self._node(op_type, tuple(names), domain, attributes)
        return self._asked[key]

    def words(self, texts: str, expression: str) -> str:
        """[N] → [N,T]: what matches the expression, filled up with empty texts."""
        found = self.op("Tokenizer", texts, domain=MICROSOFT, mark=0, mincharnum=1, pad_value="", tokenexp=expression)
        # ONNX knows nothing of this operator, and its inference of shapes crashes on operators behind untyped values.
        self._typed.append(helper.make_tensor_value_info(found, onnx.TensorProto.STRING, ["N", None]))
        return found

    def smallest(self, values: str, count: int) -> tuple[str, str]:
        """Values and places of the ``count`` smallest of each row, in order."""
        names = [f"top{len(self._nodes)}", f"top{len(self._nodes)}_at"]
        inputs = [values, self.constant(np.array([count]))]
        self._nodes.append(helper.make_node("TopK", inputs, names, axis=1, largest=0, sorted=1))
        return names[0], names[1]

    def ordered(self, values: str) -> str:
        """The places of each row's values, smallest first."""
        width = self.op("Slice", self.op("Shape", values), np.array([1]), np.array([2]))
        names = [f"top{len(self._nodes)}", f"top{len(self._nodes)}_at"]
        self._nodes.append(helper.make_node("TopK", [values, width], names, axis=1, largest=0, sorted=1))
        return names[1]

    def result(self, value: str) -> None:
        """Of the body of a loop."""
        self._result = value

    def loop(self, body: Graph, times: int, state: str, coefficients: str) -> str:
        """``state`` [N,K] after so many rounds of a body that reads ``state`` and ``coefficients``."""
        name, inner = f"loop{len(self._nodes)}", f"loop{len(self._nodes)}_"
        rename = {"state": f"{inner}state", "coefficients": coefficients}
        nodes = [_renamed(node, inner, rename) for node in body._nodes]
        tensors = [_named(tensor, inner) for tensor in body._tensors]
        nodes.append(helper.make_node("Identity", [f"{inner}go"], [f"{inner}on"]))
        ports = [helper.make_tensor_value_info(f"{inner}i", onnx.TensorProto.INT64, []),
                 helper.make_tensor_value_info(f"{inner}go", onnx.TensorProto.BOOL, []),
                 helper.make_tensor_value_info(f"{inner}state", onnx.TensorProto.DOUBLE, None)]  # fmt: skip
        results = [helper.make_tensor_value_info(f"{inner}on", onnx.TensorProto.BOOL, []),
                   helper.make_tensor_value_info(inner + body._result, onnx.TensorProto.DOUBLE, None)]  # fmt: skip
        graph = helper.make_graph(nodes, "round", ports, results, tensors)
        inputs = [self.constant(np.array(times)), self.constant(np.array(True)), state]
        self._nodes.append(helper.make_node("Loop", inputs, [name], body=graph))
        return name

    def model(self) -> onnx.ModelProto:
        made = super().model()
        for entry in made.opset_import:
            if not entry.domain:
                entry.version = OPSET
        made.graph.value_info.extend(self._typed)
        if self._typed:
            made.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        return made

    # -- frames -----------------------------------------------------------------------------------------------------

    def matrix(self, frame: Frame, kind: Kind = "double") -> str:
        """The pieces as one tensor [N,F] of one kind."""
        parts = [self.as_kind(piece, kind).tensor for piece in frame]
        if not parts:
            raise ValueError("a step that hands on no columns")
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=1)

    def as_kind(self, piece: Piece, kind: Kind) -> Piece:
        if piece.kind == kind:
            return piece
        return replace(piece, tensor=self.cast(piece.tensor, kind), kind=kind)

    def take(self, frame: Frame, columns: Sequence[int]) -> Frame:
        """Columns of a frame, in that order; neighbours out of one piece stay one piece."""
        places = [(piece, column) for piece in frame for column in range(piece.width)]
        found: list[tuple[Piece, list[int]]] = []
        for column in columns:
            piece, place = places[column]
            if found and found[-1][0] is piece:
                found[-1][1].append(place)
            else:
                found.append((piece, [place]))
        return tuple(self._part(piece, chosen) for piece, chosen in found)

    def _part(self, piece: Piece, columns: list[int]) -> Piece:
        if columns == list(range(piece.width)):
            return piece
        taken = self.op("Gather", piece.tensor, np.array(columns), axis=1)
        return replace(piece, tensor=taken, width=len(columns))

    # -- rows that the library refuses ----------------------------------------------------------------------------

    def checked(self, frame: Frame, *, allow_nan: bool = False, kind: Kind = "double") -> str:
        """The matrix of a frame, after the check for NaN and infinities that an estimator makes of its input."""
        matrix = self.matrix(frame, kind)
        if kind == "float" or not all(piece.finite for piece in frame):
            self.refuse_not_finite(matrix, allow_nan=allow_nan, kind=kind)
        return matrix

    def refuse_not_finite(self, matrix: str, *, allow_nan: bool, kind: Kind = "double") -> None:
        zero = np.zeros((), np.float32 if kind == "float" else np.float64)
        held = self.op("Where", self.op("IsNaN", matrix), zero, matrix) if allow_nan else matrix
        total = self.op("ReduceSum", self.op("Mul", held, zero), np.array([1]), keepdims=1)
        self._refusals.append(self.cast(total, "double") if kind == "float" else total)

    def refuse(self, where: str) -> None:
        """Rows [N,1] for which the library raises: their results are NaN."""
        self._refusals.append(self.op("Where", where, np.nan, 0.0))

    def poisoned(self, scores: str) -> str:
        """Scores [N,K], NaN where the library refuses the row."""
        for refusal in dict.fromkeys(self._refusals):
            scores = self.op("Add", scores, refusal)
        return scores


def _renamed(node: onnx.NodeProto, prefix: str, known: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [known.get(name, prefix + name) for name in node.input]
    copy.output[:] = [prefix + name for name in node.output]
    return copy


def _named(tensor: onnx.TensorProto, prefix: str) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = prefix + tensor.name
    return copy


def _array(value: Any) -> Array:
    array = np.asarray(value)
    if array.dtype.kind in "US":
        return array.astype(object)
    return array.astype(np.int64) if array.dtype.kind == "i" else array
