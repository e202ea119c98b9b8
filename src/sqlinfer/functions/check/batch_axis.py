"""Where the batch axis is after an operator, one rule for each. In: a node and the axes before it. Out: the axis.

Where an operator is not known, its outputs are taken as unknown and what follows is not judged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import onnx

from sqlinfer.errors import MixesRows
from sqlinfer.functions import graph as g

UNKNOWN = "unknown"
Axis = int | None | str
"""Where the batch is: an axis; None: the value does not depend on it; ``unknown``."""


class Axes:
    """What is known of the values of a graph so far."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.opset = g.opset(model)
        self.shapes = g.shapes_of(model)
        self.constants = g.constants_of(model.graph)
        self.known: dict[str, Axis] = {t.name: None for t in model.graph.initializer}
        self.known.update({p.name: 0 for p in g.input_ports(model.graph)})

    def after(self, node: onnx.NodeProto) -> Axis:
        """The batch axis of the node's outputs.

        Raises:
            MixesRows: the node makes a row depend on others.
        """
        axes = [self.known.get(name, UNKNOWN) for name in node.input if name]
        if node.op_type == "Dropout":
            return _dropout(self, node)
        if all(axis is None for axis in axes) or node.op_type in ("Shape", "Size"):
            return None
        rule = _RULES.get(node.op_type)
        if rule is not None and node.domain in ("", "ai.onnx", "com.microsoft"):
            return rule(self, node)
        if node.domain == "ai.onnx.ml":
            return _ml(self, node)
        if node.op_type in _ELEMENTWISE:
            return _elementwise(self, node)
        return UNKNOWN

    def axis(self, node: onnx.NodeProto, i: int = 0) -> Axis:
        return self.known.get(node.input[i], UNKNOWN) if len(node.input) > i and node.input[i] else None

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


Rule = Callable[[Axes, onnx.NodeProto], Axis]


def _elementwise(at: Axes, node: onnx.NodeProto) -> Axis:
    """Broadcasting aligns from the right; two different batch positions make an N×N result."""
    from_right: set[int] = set()
    ranks = [at.rank(name) for name in node.input if name]
    known = [r for r in ranks if r is not None]
    for name in node.input:
        axis, rank = at.known.get(name, UNKNOWN) if name else None, at.rank(name)
        if axis is None:
            continue
        if not isinstance(axis, int) or rank is None:
            return UNKNOWN
        from_right.add(rank - axis)
    if len(from_right) > 1:
        raise MixesRows("combines every row with every other (broadcasting [N] against [N,1])")
    out = at.rank(node.output[0]) or (max(known) if len(known) == len(ranks) else None)
    return UNKNOWN if out is None else out - from_right.pop()


def _reduce(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, rank = at.axis(node), at.rank(node.input[0])
    axes = at.ints(node, 1, "axes")
    if not isinstance(batch, int) or axes is None:
        return UNKNOWN
    if not axes:
        if g.int_attribute(node, "noop_with_empty_axes", 0):
            return batch
        raise MixesRows("reduces over all axes, the batch among them")
    return _drop(at, node, batch, axes, rank, "reduces over the batch axis")


def _arg_reduce(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, rank = at.axis(node), at.rank(node.input[0])
    if not isinstance(batch, int):
        return UNKNOWN
    return _drop(at, node, batch, (g.int_attribute(node, "axis", 0),), rank, "picks an index over the batch axis")


def _drop(at: Axes, node: onnx.NodeProto, batch: int, axes: tuple[int, ...], rank: int | None, why: str) -> Axis:
    found = {at.absolute(axis, rank) for axis in axes}
    if batch in found:
        raise MixesRows(why)
    if g.int_attribute(node, "keepdims", 1):
        return batch
    return UNKNOWN if None in found else batch - sum(1 for axis in found if axis is not None and axis < batch)


def _softmax(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, rank = at.axis(node), at.rank(node.input[0])
    modern = at.opset >= 13
    axis = at.absolute(g.int_attribute(node, "axis", -1 if modern else 1), rank)
    if isinstance(batch, int) and axis is not None and (batch == axis if modern else batch >= axis):
        raise MixesRows("normalises over the batch axis")
    return batch


def _layer_norm(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, axis = at.axis(node), at.absolute(g.int_attribute(node, "axis", -1), at.rank(node.input[0]))
    if isinstance(batch, int) and axis is not None and batch >= axis:
        raise MixesRows("normalises over the batch axis")
    return batch


def _mean_variance(at: Axes, node: onnx.NodeProto) -> Axis:
    axes = at.ints(node, 9, "axes") or (0, 2, 3)
    batch = at.axis(node)
    if isinstance(batch, int) and batch in {at.absolute(a, at.rank(node.input[0])) for a in axes}:
        raise MixesRows("normalises over the batch axis")
    return batch


def _along(default: int, why: str) -> Rule:
    """An operator that works along its attribute ``axis``."""

    def rule(at: Axes, node: onnx.NodeProto) -> Axis:
        batch = at.axis(node)
        axis = at.absolute(g.int_attribute(node, "axis", default), at.rank(node.input[0]))
        if isinstance(batch, int) and axis == batch:
            raise MixesRows(why)
        return batch

    return rule


def _cumsum(at: Axes, node: onnx.NodeProto) -> Axis:
    axes, batch = at.ints(node, 1, "axis"), at.axis(node)
    if axes and isinstance(batch, int) and at.absolute(axes[0], at.rank(node.input[0])) == batch:
        raise MixesRows("accumulates over the batch axis")
    return batch


def _concat(at: Axes, node: onnx.NodeProto) -> Axis:
    found = {axis for name in node.input if (axis := at.known.get(name, UNKNOWN)) is not None}
    if len(found) != 1 or not isinstance(batch := next(iter(found)), int):
        return UNKNOWN
    if at.absolute(g.int_attribute(node, "axis", 0), at.rank(node.input[0])) == batch:
        raise MixesRows("joins values along the batch axis")
    return batch


def _flatten(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, axis = at.axis(node), at.absolute(g.int_attribute(node, "axis", 1), at.rank(node.input[0]))
    if batch == 0 and axis == 0 and at.rank(node.input[0]) != 0:
        raise MixesRows("flattens all rows into one")
    return 0 if batch == 0 and axis == 1 else UNKNOWN


def _reshape(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, before = at.axis(node), at.shapes.get(node.input[0])
    target = at.ints(node, 1, "shape")
    if batch != 0 or before is None or not target:
        return UNKNOWN
    rest = before[1:]
    if not all(isinstance(d, int) for d in rest):
        return 0 if target[0] == 0 else UNKNOWN
    size = math.prod(d for d in rest if isinstance(d, int))
    full = [before[i] if d == 0 and i < len(before) else d for i, d in enumerate(target)]
    if target[0] == 0:
        return 0
    fixed = math.prod(d for d in full if isinstance(d, int) and d != -1)
    if -1 in target and fixed == size:
        return target.index(-1) if target[0] == -1 or size == 1 else UNKNOWN
    if -1 in target and target[0] != -1 and size > 1 and fixed != size and size % fixed:
        raise MixesRows(f"regroups {size} values a row by {fixed}")
    return UNKNOWN


def _transpose(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, rank = at.axis(node), at.rank(node.input[0])
    order = at.ints(node, 9, "perm") or (tuple(range(rank))[::-1] if rank else ())
    return order.index(batch) if isinstance(batch, int) and batch in order else UNKNOWN


def _unsqueeze(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, axes, rank = at.axis(node), at.ints(node, 1, "axes"), at.rank(node.input[0])
    if not isinstance(batch, int) or not axes or rank is None:
        return UNKNOWN
    new = {axis % (rank + len(axes)) for axis in axes}
    old = [i for i in range(rank + len(axes)) if i not in new]
    return old[batch]


def _squeeze(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, axes, shape = at.axis(node), at.ints(node, 1, "axes"), at.shapes.get(node.input[0])
    if not isinstance(batch, int) or axes is None or shape is None:
        return UNKNOWN
    gone = {a % len(shape) for a in axes} if axes else {i for i, d in enumerate(shape) if d == 1}
    return UNKNOWN if batch in gone else batch - sum(1 for a in gone if a < batch)


def _matmul(at: Axes, node: onnx.NodeProto) -> Axis:
    left, right = at.axis(node, 0), at.axis(node, 1)
    left_rank, right_rank = at.rank(node.input[0]), at.rank(node.input[1])
    if UNKNOWN in (left, right) or left_rank is None or right_rank is None or min(left_rank, right_rank) < 2:
        return _vector_matmul(left, left_rank)
    if (isinstance(left, int) and left == left_rank - 1) or (isinstance(right, int) and right == right_rank - 2):
        raise MixesRows("sums over the batch axis")
    rank = max(left_rank, right_rank)
    a = left + rank - left_rank if isinstance(left, int) else None
    b = right + rank - right_rank if isinstance(right, int) else None
    if a is not None and b is not None and a != b:
        raise MixesRows("multiplies every row with every other")
    return a if a is not None else b


def _vector_matmul(left: Axis, left_rank: int | None) -> Axis:
    if left_rank == 1 and left == 0:
        raise MixesRows("sums over the batch axis")
    return 0 if left == 0 and left_rank is not None and left_rank > 1 else UNKNOWN


def _gemm(at: Axes, node: onnx.NodeProto) -> Axis:
    a, b = at.axis(node, 0), at.axis(node, 1)
    if UNKNOWN in (a, b):
        return UNKNOWN
    rows = None if a is None else (int(a) ^ 1 if g.int_attribute(node, "transA", 0) else int(a))
    columns = None if b is None else (int(b) ^ 1 if g.int_attribute(node, "transB", 0) else int(b))
    if rows == 1 or columns == 0:
        raise MixesRows("sums over the batch axis")
    if rows is not None and columns is not None:
        raise MixesRows("multiplies every row with every other")
    return 0 if rows == 0 else 1


def _gather(at: Axes, node: onnx.NodeProto) -> Axis:
    data, indices = at.axis(node, 0), at.axis(node, 1)
    rank, index_rank = at.rank(node.input[0]), at.rank(node.input[1])
    axis = at.absolute(g.int_attribute(node, "axis", 0), rank)
    if isinstance(data, int) and indices is None:
        if axis == data:
            raise MixesRows("picks single rows of the batch")
        if axis is None or index_rank is None:
            return UNKNOWN
        return data + index_rank - 1 if axis < data else data
    return axis + indices if data is None and isinstance(indices, int) and axis is not None else UNKNOWN


def _slice(at: Axes, node: onnx.NodeProto) -> Axis:
    batch, rank = at.axis(node), at.rank(node.input[0])
    starts, ends = at.ints(node, 1, "starts"), at.ints(node, 2, "ends")
    if not isinstance(batch, int) or not starts or not ends:
        return batch
    axes = at.ints(node, 3, "axes") or tuple(range(len(starts)))
    for axis, start, end in zip(axes, starts, ends, strict=False):
        if at.absolute(axis, rank) == batch and not (start == 0 and end >= 2**31 - 1):
            raise MixesRows("cuts the batch axis")
    return batch


def _recurrent(at: Axes, node: onnx.NodeProto) -> Axis:
    batch = at.axis(node)
    if batch == (1 if g.int_attribute(node, "layout", 0) else 0):
        raise MixesRows("takes the batch axis for time steps (batch_first is missing)")
    return UNKNOWN


def _positions(at: Axes, node: onnx.NodeProto) -> Axis:
    if isinstance(at.axis(node), int):
        raise MixesRows("lists positions over the whole batch")
    return UNKNOWN


def _unique(at: Axes, node: onnx.NodeProto) -> Axis:
    if isinstance(at.axis(node), int) and g.attribute(node, "axis") in (None, at.axis(node)):
        raise MixesRows("compares the rows of the batch")
    return UNKNOWN


def _compress(at: Axes, node: onnx.NodeProto) -> Axis:
    axis = g.attribute(node, "axis")
    if isinstance(at.axis(node), int) and (axis is None or axis == at.axis(node)):
        raise MixesRows("drops rows of the batch")
    return at.axis(node)


def _dropout(at: Axes, node: onnx.NodeProto) -> Axis:
    training = at.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if training and training[0]:
        raise MixesRows("is in training mode: it draws random numbers")
    return at.axis(node)


def _same(at: Axes, node: onnx.NodeProto) -> Axis:
    """Batch first in, batch first out; any other axis is not judged."""
    return 0 if at.axis(node) == 0 else UNKNOWN


def _ml(at: Axes, node: onnx.NodeProto) -> Axis:
    data = at.axis(node)
    if node.op_type == "ArrayFeatureExtractor":
        if data is None:
            return 1
        if data == 0 and at.rank(node.input[0]) == 1:
            raise MixesRows("picks single rows of the batch")
        return data
    found = {at.known.get(name, UNKNOWN) for name in node.input if name} - {None}
    return 0 if found == {0} else UNKNOWN


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
         "ReduceLogSumExp", "ReduceSumSquare"), _reduce,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"), _layer_norm),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool",
         "InstanceNormalization", "GroupNormalization", "BatchNormalization", "Resize", "Upsample", "DepthToSpace",
         "SpaceToDepth", "LRN", "QLinearConv", "ConvInteger", "FusedConv"), _same,
    ),
    "MeanVarianceNormalization": _mean_variance,
    "CumSum": _cumsum,
    "Concat": _concat,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    **dict.fromkeys(("MatMul", "FusedMatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("Gemm", "FusedGemm"), _gemm),
    "Gather": _gather,
    "Slice": _slice,
    "TopK": _along(-1, "sorts over the batch axis"),
    "LpNormalization": _along(-1, "normalises over the batch axis"),
    "NonZero": _positions,
    "Unique": _unique,
    "Compress": _compress,
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
