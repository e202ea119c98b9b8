"""Finds nodes that make one row's result depend on the other rows of its batch (design 1.1).

The batch axis is followed from the inputs through the graph. Where an operator is not known, its outputs are taken as
unknown and what follows is not judged: the check has no false alarms by design, and catches the operators that matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from sqlinfer.functions import graph as g

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_UNKNOWN = "unknown"
Axis = int | None | str
"""Where the batch is: an axis; None: the value does not depend on it; ``unknown``."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """A node that mixes rows."""

    node: str
    why: str

    def __str__(self) -> str:
        return f"{self.node} {self.why}"


def find_mixing(model: onnx.ModelProto) -> tuple[Mixing, ...]:
    """Every node that mixes rows, in graph order; empty where the function is row-wise as far as can be told."""
    return (*_anywhere(model.graph), *_Tracker(model).run())


def _anywhere(graph: onnx.GraphProto) -> list[Mixing]:
    """Operators that never are row-wise, nested graphs included."""
    found = []
    for node in g.all_nodes(graph):
        if node.op_type in _RANDOM:
            found.append(Mixing(_label(node), "draws random numbers"))
        elif node.op_type in _DYNAMIC:
            found.append(Mixing(_label(node), "takes its scale from the whole batch"))
        elif node.op_type == "BatchNormalization" and g.int_attribute(node, "training_mode", 0):
            found.append(Mixing(_label(node), "is in training mode: it normalises over the batch"))
    return found


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} '{node.name}'" if node.name else f"{node.op_type} (output '{node.output[0]}')"


class _Mixes(Exception):
    """Control flow inside this module; never escapes."""


class _Tracker:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph, self.opset = model.graph, g.opset(model)
        self.shapes = g.shapes_of(model)
        self.constants = g.constants_of(model.graph)
        self.axes: dict[str, Axis] = {t.name: None for t in model.graph.initializer}
        self.axes.update({p.name: 0 for p in g.input_ports(model.graph)})

    def run(self) -> list[Mixing]:
        found = []
        for node in self.graph.node:
            try:
                after = self._after(node)
            except _Mixes as mixes:
                found.append(Mixing(_label(node), str(mixes)))
                after = _UNKNOWN
            for name in node.output:
                self.axes[name] = after
        return found

    def _after(self, node: onnx.NodeProto) -> Axis:
        axes = [self.axes.get(name, _UNKNOWN) for name in node.input if name]
        if node.op_type == "Dropout":
            return self._dropout(node)
        if all(axis is None for axis in axes) or node.op_type in ("Shape", "Size"):
            return None
        rule = _RULES.get(node.op_type)
        if rule is not None and node.domain in ("", "ai.onnx", "com.microsoft"):
            return rule(self, node)
        if node.domain == "ai.onnx.ml":
            return self._ml(node)
        if node.op_type in _ELEMENTWISE:
            return self._elementwise(node)
        return _UNKNOWN

    # -- helpers ----------------------------------------------------------------------------------------------------

    def axis(self, node: onnx.NodeProto, i: int = 0) -> Axis:
        return self.axes.get(node.input[i], _UNKNOWN) if len(node.input) > i and node.input[i] else None

    def rank(self, name: str) -> int | None:
        shape = self.shapes.get(name)
        return None if shape is None else len(shape)

    def ints(self, node: onnx.NodeProto, i: int, name: str) -> tuple[int, ...] | None:
        """Axes and the like: from input ``i`` (newer opsets) or attribute ``name``; None where not constant."""
        if len(node.input) > i and node.input[i]:
            found = self.constants.get(node.input[i])
            return None if found is None else tuple(int(v) for v in found)
        listed = g.attribute(node, name)
        if isinstance(listed, int):
            return (listed,)
        return tuple(listed) if isinstance(listed, Sequence) and not isinstance(listed, bytes) else ()

    def absolute(self, axis: int, rank: int | None) -> int | None:
        return axis if axis >= 0 else (None if rank is None else axis + rank)

    # -- rules ------------------------------------------------------------------------------------------------------

    def _elementwise(self, node: onnx.NodeProto) -> Axis:
        """Broadcasting aligns from the right; two different batch positions make an N×N result."""
        from_right: set[int] = set()
        ranks = [self.rank(name) for name in node.input if name]
        known = [r for r in ranks if r is not None]
        for name in node.input:
            axis, rank = self.axes.get(name, _UNKNOWN) if name else None, self.rank(name)
            if axis is None:
                continue
            if not isinstance(axis, int) or rank is None:
                return _UNKNOWN
            from_right.add(rank - axis)
        if len(from_right) > 1:
            raise _Mixes("combines every row with every other (broadcasting [N] against [N,1])")
        out = self.rank(node.output[0]) or (max(known) if len(known) == len(ranks) else None)
        return _UNKNOWN if out is None else out - from_right.pop()

    def _reduce(self, node: onnx.NodeProto) -> Axis:
        batch, rank = self.axis(node), self.rank(node.input[0])
        axes = self.ints(node, 1, "axes")
        if not isinstance(batch, int) or axes is None:
            return _UNKNOWN
        if not axes:
            if g.int_attribute(node, "noop_with_empty_axes", 0):
                return batch
            raise _Mixes("reduces over all axes, the batch among them")
        return self._drop(node, batch, axes, rank, "reduces over the batch axis")

    def _arg_reduce(self, node: onnx.NodeProto) -> Axis:
        batch, rank = self.axis(node), self.rank(node.input[0])
        if not isinstance(batch, int):
            return _UNKNOWN
        return self._drop(node, batch, (g.int_attribute(node, "axis", 0),), rank, "picks an index over the batch axis")

    def _drop(self, node: onnx.NodeProto, batch: int, axes: tuple[int, ...], rank: int | None, why: str) -> Axis:
        found = {self.absolute(axis, rank) for axis in axes}
        if batch in found:
            raise _Mixes(why)
        if g.int_attribute(node, "keepdims", 1):
            return batch
        return _UNKNOWN if None in found else batch - sum(1 for axis in found if axis is not None and axis < batch)

    def _softmax(self, node: onnx.NodeProto) -> Axis:
        batch, rank = self.axis(node), self.rank(node.input[0])
        modern = self.opset >= 13
        axis = self.absolute(g.int_attribute(node, "axis", -1 if modern else 1), rank)
        if isinstance(batch, int) and axis is not None and (batch == axis if modern else batch >= axis):
            raise _Mixes("normalises over the batch axis")
        return batch

    def _layer_norm(self, node: onnx.NodeProto) -> Axis:
        batch, axis = self.axis(node), self.absolute(g.int_attribute(node, "axis", -1), self.rank(node.input[0]))
        if isinstance(batch, int) and axis is not None and batch >= axis:
            raise _Mixes("normalises over the batch axis")
        return batch

    def _mean_variance(self, node: onnx.NodeProto) -> Axis:
        axes = self.ints(node, 9, "axes") or (0, 2, 3)
        batch = self.axis(node)
        if isinstance(batch, int) and batch in {self.absolute(a, self.rank(node.input[0])) for a in axes}:
            raise _Mixes("normalises over the batch axis")
        return batch

    def _along(self, default: int, why: str) -> Callable[[onnx.NodeProto], Axis]:
        def rule(node: onnx.NodeProto) -> Axis:
            batch = self.axis(node)
            axis = self.absolute(g.int_attribute(node, "axis", default), self.rank(node.input[0]))
            if isinstance(batch, int) and axis == batch:
                raise _Mixes(why)
            return batch

        return rule

    def _cumsum(self, node: onnx.NodeProto) -> Axis:
        axes, batch = self.ints(node, 1, "axis"), self.axis(node)
        if axes and isinstance(batch, int) and self.absolute(axes[0], self.rank(node.input[0])) == batch:
            raise _Mixes("accumulates over the batch axis")
        return batch

    def _concat(self, node: onnx.NodeProto) -> Axis:
        found = {axis for name in node.input if (axis := self.axes.get(name, _UNKNOWN)) is not None}
        if len(found) != 1 or not isinstance(batch := next(iter(found)), int):
            return _UNKNOWN
        if self.absolute(g.int_attribute(node, "axis", 0), self.rank(node.input[0])) == batch:
            raise _Mixes("joins values along the batch axis")
        return batch

    def _flatten(self, node: onnx.NodeProto) -> Axis:
        batch, axis = self.axis(node), self.absolute(g.int_attribute(node, "axis", 1), self.rank(node.input[0]))
        if batch == 0 and axis == 0 and self.rank(node.input[0]) != 0:
            raise _Mixes("flattens all rows into one")
        return 0 if batch == 0 and axis == 1 else _UNKNOWN

    def _reshape(self, node: onnx.NodeProto) -> Axis:
        batch, before = self.axis(node), self.shapes.get(node.input[0])
        target = self.ints(node, 1, "shape")
        if batch != 0 or before is None or not target:
            return _UNKNOWN
        rest = before[1:]
        if not all(isinstance(d, int) for d in rest):
            return 0 if target[0] == 0 else _UNKNOWN
        size = math.prod(d for d in rest if isinstance(d, int))
        full = [before[i] if d == 0 and i < len(before) else d for i, d in enumerate(target)]
        if target[0] == 0:
            return 0
        fixed = math.prod(d for d in full if isinstance(d, int) and d != -1)
        if -1 in target and fixed == size:
            return target.index(-1) if target[0] == -1 or size == 1 else _UNKNOWN
        if -1 in target and target[0] != -1 and size > 1 and fixed != size and size % fixed:
            raise _Mixes(f"regroups {size} values a row by {fixed}")
        return _UNKNOWN

    def _transpose(self, node: onnx.NodeProto) -> Axis:
        batch, rank = self.axis(node), self.rank(node.input[0])
        order = self.ints(node, 9, "perm") or (tuple(range(rank))[::-1] if rank else ())
        return order.index(batch) if isinstance(batch, int) and batch in order else _UNKNOWN

    def _unsqueeze(self, node: onnx.NodeProto) -> Axis:
        batch, axes, rank = self.axis(node), self.ints(node, 1, "axes"), self.rank(node.input[0])
        if not isinstance(batch, int) or not axes or rank is None:
            return _UNKNOWN
        new = {axis % (rank + len(axes)) for axis in axes}
        old = [i for i in range(rank + len(axes)) if i not in new]
        return old[batch]

    def _squeeze(self, node: onnx.NodeProto) -> Axis:
        batch, axes, shape = self.axis(node), self.ints(node, 1, "axes"), self.shapes.get(node.input[0])
        if not isinstance(batch, int) or axes is None or shape is None:
            return _UNKNOWN
        gone = {a % len(shape) for a in axes} if axes else {i for i, d in enumerate(shape) if d == 1}
        return _UNKNOWN if batch in gone else batch - sum(1 for a in gone if a < batch)

    def _matmul(self, node: onnx.NodeProto) -> Axis:
        left, right = self.axis(node, 0), self.axis(node, 1)
        left_rank, right_rank = self.rank(node.input[0]), self.rank(node.input[1])
        if _UNKNOWN in (left, right) or left_rank is None or right_rank is None or min(left_rank, right_rank) < 2:
            return self._vector_matmul(left, left_rank)
        if (isinstance(left, int) and left == left_rank - 1) or (isinstance(right, int) and right == right_rank - 2):
            raise _Mixes("sums over the batch axis")
        rank = max(left_rank, right_rank)
        a = left + rank - left_rank if isinstance(left, int) else None
        b = right + rank - right_rank if isinstance(right, int) else None
        if a is not None and b is not None and a != b:
            raise _Mixes("multiplies every row with every other")
        return a if a is not None else b

    def _vector_matmul(self, left: Axis, left_rank: int | None) -> Axis:
        if left_rank == 1 and left == 0:
            raise _Mixes("sums over the batch axis")
        return 0 if left == 0 and left_rank is not None and left_rank > 1 else _UNKNOWN

    def _gemm(self, node: onnx.NodeProto) -> Axis:
        a, b = self.axis(node, 0), self.axis(node, 1)
        if _UNKNOWN in (a, b):
            return _UNKNOWN
        rows = None if a is None else (int(a) ^ 1 if g.int_attribute(node, "transA", 0) else int(a))
        columns = None if b is None else (int(b) ^ 1 if g.int_attribute(node, "transB", 0) else int(b))
        if rows == 1 or columns == 0:
            raise _Mixes("sums over the batch axis")
        if rows is not None and columns is not None:
            raise _Mixes("multiplies every row with every other")
        return 0 if rows == 0 else 1

    def _gather(self, node: onnx.NodeProto) -> Axis:
        data, indices = self.axis(node, 0), self.axis(node, 1)
        rank, index_rank = self.rank(node.input[0]), self.rank(node.input[1])
        axis = self.absolute(g.int_attribute(node, "axis", 0), rank)
        if isinstance(data, int) and indices is None:
            if axis == data:
                raise _Mixes("picks single rows of the batch")
            if axis is None or index_rank is None:
                return _UNKNOWN
            return data + index_rank - 1 if axis < data else data
        return axis + indices if data is None and isinstance(indices, int) and axis is not None else _UNKNOWN

    def _slice(self, node: onnx.NodeProto) -> Axis:
        batch, rank = self.axis(node), self.rank(node.input[0])
        starts, ends = self.ints(node, 1, "starts"), self.ints(node, 2, "ends")
        if not isinstance(batch, int) or not starts or not ends:
            return batch
        axes = self.ints(node, 3, "axes") or tuple(range(len(starts)))
        for axis, start, end in zip(axes, starts, ends, strict=False):
            if self.absolute(axis, rank) == batch and not (start == 0 and end >= 2**31 - 1):
                raise _Mixes("cuts the batch axis")
        return batch

    def _recurrent(self, node: onnx.NodeProto) -> Axis:
        batch = self.axis(node)
        if batch == (1 if g.int_attribute(node, "layout", 0) else 0):
            raise _Mixes("takes the batch axis for time steps (batch_first is missing)")
        return _UNKNOWN

    def _top_k(self, node: onnx.NodeProto) -> Axis:
        return self._along(-1, "sorts over the batch axis")(node)

    def _lp(self, node: onnx.NodeProto) -> Axis:
        return self._along(-1, "normalises over the batch axis")(node)

    def _positions(self, node: onnx.NodeProto) -> Axis:
        if isinstance(self.axis(node), int):
            raise _Mixes("lists positions over the whole batch")
        return _UNKNOWN

    def _unique(self, node: onnx.NodeProto) -> Axis:
        if isinstance(self.axis(node), int) and g.attribute(node, "axis") in (None, self.axis(node)):
            raise _Mixes("compares the rows of the batch")
        return _UNKNOWN

    def _compress(self, node: onnx.NodeProto) -> Axis:
        axis = g.attribute(node, "axis")
        if isinstance(self.axis(node), int) and (axis is None or axis == self.axis(node)):
            raise _Mixes("drops rows of the batch")
        return self.axis(node)

    def _dropout(self, node: onnx.NodeProto) -> Axis:
        training = self.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        if training and training[0]:
            raise _Mixes("is in training mode: it draws random numbers")
        return self.axis(node)

    def _same(self, node: onnx.NodeProto) -> Axis:
        """Batch first in, batch first out; any other axis is not judged."""
        return 0 if self.axis(node) == 0 else _UNKNOWN

    def _ml(self, node: onnx.NodeProto) -> Axis:
        data = self.axis(node)
        if node.op_type == "ArrayFeatureExtractor":
            if data is None:
                return 1
            if data == 0 and self.rank(node.input[0]) == 1:
                raise _Mixes("picks single rows of the batch")
            return data
        found = {self.axes.get(name, _UNKNOWN) for name in node.input if name} - {None}
        return 0 if found == {0} else _UNKNOWN


_Rule = Callable[[_Tracker, onnx.NodeProto], Axis]
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
         "ReduceLogSumExp", "ReduceSumSquare"), _Tracker._reduce,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), _Tracker._arg_reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _Tracker._softmax),
    **dict.fromkeys(("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"), _Tracker._layer_norm),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _Tracker._recurrent),
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool",
         "InstanceNormalization", "GroupNormalization", "BatchNormalization", "Resize", "Upsample", "DepthToSpace",
         "SpaceToDepth", "LRN", "QLinearConv", "ConvInteger", "FusedConv"), _Tracker._same,
    ),
    "MeanVarianceNormalization": _Tracker._mean_variance,
    "CumSum": _Tracker._cumsum,
    "Concat": _Tracker._concat,
    "Flatten": _Tracker._flatten,
    "Reshape": _Tracker._reshape,
    "Transpose": _Tracker._transpose,
    "Unsqueeze": _Tracker._unsqueeze,
    "Squeeze": _Tracker._squeeze,
    **dict.fromkeys(("MatMul", "FusedMatMul", "MatMulInteger"), _Tracker._matmul),
    **dict.fromkeys(("Gemm", "FusedGemm"), _Tracker._gemm),
    "Gather": _Tracker._gather,
    "Slice": _Tracker._slice,
    "TopK": _Tracker._top_k,
    "LpNormalization": _Tracker._lp,
    "NonZero": _Tracker._positions,
    "Unique": _Tracker._unique,
    "Compress": _Tracker._compress,
}  # fmt: skip
_ELEMENTWISE = frozenset(
    re.split(
        r"\s+",
        """Abs Acos Acosh Add And Asin Asinh Atan Atanh BiasGelu BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Div Elu Equal Erf Exp FastGelu Floor Gelu Greater
    GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul
    Neg Not Or
    PRelu Pow QuantizeLinear QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt
    StringConcat StringNormalizer RegexFullMatch Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor""",
    )
)
