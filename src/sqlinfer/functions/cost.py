"""A static estimate of a graph's work for one row, and the strategy that follows from it.

The estimate must not flip from night to night, so nothing is measured here: it is a sum over nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import onnx

from sqlinfer.functions import graph as g
from sqlinfer.spec.function import Reuse, Strategy

STORE_FROM: Final = 40_000.0
"""Floating-point operations a row from which remembering is cheaper than scoring again.

``make bench BENCH=reuse``, 20 numbers, 5 M rows, 1 % of them changed: a night through the store takes as long as
scoring all at 11,000 operations a row; what the first night takes more is won back after 19 nights at 23,000 and after
5 at 38,000. A session does about 1.3e11 operations a second, so 40,000 take 0.3 µs. A 20-32-32-1 MLP (3,500) streams;
a 20-256-256-1 MLP (142,000) and 200 trees of depth 6 (480,000) are stored.
"""
STORE_FROM_TEXT: Final = 150_000.0
"""The same where an argument (text, list, decimal) is keyed by a digest of its content: four numbers and eight short
texts take as long both ways at 100,000."""
_TREE_STEP: Final = 400.0
"""One visit of a tree node in operations: a cache miss and a branch. From W3 (0.25 M rows/s) against W2 (0.93)."""
_SMALL_TREE, _SMALL_STEP = 15.0, 45.0
"""Trees of so few branches are run without branching (``inference/graphs/branch_free.py``); operations of each branch.
From ``make bench BENCH=forests``: 100 trees of depth 3 take 0.38 µs, 200 of depth 4 1.5 µs."""
_KERNEL_COLUMN, _KERNEL_BRANCH, _KERNEL_LEVEL = 200.0, 2.0, 100.0
"""Where the forest kernel runs them: ranking a column, a branch of a tree that is walked whole, a level of a deeper
one. With one thread and 20 columns 200 trees of depth 6 take 0.2 µs (AVX2: 0.4), 100 of depth 3 0.1 (0.27), 500 of
depth 8 2.6, 60 of depth 14 1.0; two threads are the session of above."""
_STRING_STEP: Final = 600.0
"""One string look-up in operations (about 5 ns)."""
_ENDLESS: Final = 1e300
_TOKENS: Final = 64
"""Stands in for a dynamic dimension that is not the batch (tokens of a text)."""
_MATRIX = frozenset({"MatMul", "Gemm", "FusedMatMul", "MatMulInteger", "QLinearMatMul", "FusedGemm", "MatMulNBits"})
_CONVOLUTION = frozenset({"Conv", "ConvTranspose", "QLinearConv", "ConvInteger", "FusedConv"})
_STRING_OPS = frozenset({"LabelEncoder", "CategoryMapper", "OneHotEncoder", "StringNormalizer", "TfIdfVectorizer"})
_FREE = frozenset({"Constant", "Identity", "Shape", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ConstantOfShape"})


def cost_per_row(model: onnx.ModelProto, *, kernel: bool = False) -> float:
    """Operations for one row. ``kernel``: forests are run by the compiled kernel."""
    estimate = _Estimate(model, kernel)
    found = sum(estimate.node(node) for node in g.all_nodes(model.graph))
    return float(round(found)) if math.isfinite(found) else _ENDLESS  # of shapes that no machine holds


def choose(
    reuse: Reuse, cost: float, *, always_store: str | None = None, fixed_width: bool = True
) -> tuple[Strategy, str]:
    """The strategy and a readable reason.

    Args:
        always_store: what makes the function expensive by nature.
        fixed_width: no argument is keyed by its content.
    """
    if reuse == "true":
        return "store", "reuse: true"
    if reuse == "false":
        return "stream", "reuse: false"
    if always_store:
        return "store", f"{always_store} functions always remember their results"
    shown = readable(cost)
    if cost < (STORE_FROM if fixed_width else STORE_FROM_TEXT):
        return "stream", f"{shown} operations a row: scoring again is cheaper than a look-up"
    return "store", f"{shown} operations a row: a look-up is cheaper than scoring again"


def readable(cost: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if cost >= size:
            return f"{cost / size:.3g} {unit}"
    return f"{cost:.0f}"


class _Estimate:
    def __init__(self, model: onnx.ModelProto, kernel: bool) -> None:
        self.kernel = kernel
        self.shapes: Mapping[str, tuple[g.Dim, ...]] = g.shapes_of(model)
        ports = g.input_ports(model.graph)
        self.batch = {p.shape[0] for p in ports if p.shape and isinstance(p.shape[0], str)}
        self.constants = {t.name for t in model.graph.initializer}

    def node(self, node: onnx.NodeProto) -> float:
        try:
            return self._node(node)
        except (IndexError, OverflowError):  # inputs that the operator needs are missing: the graph's check says so
            return 0.0

    def _node(self, node: onnx.NodeProto) -> float:
        if node.op_type in _FREE:
            return 0.0
        if node.op_type in _MATRIX:
            return self._matrix(node)
        if node.op_type in _CONVOLUTION:
            return self._convolution(node)
        if node.op_type.startswith("TreeEnsemble"):
            return tree_cost(node, kernel=self.kernel)
        if node.op_type.startswith(("SVM", "LinearClassifier", "LinearRegressor")):
            return self._coefficients(node)
        if node.op_type in ("LSTM", "GRU", "RNN"):
            return self._recurrent(node)
        if node.op_type in _STRING_OPS:
            return _STRING_STEP * self._size(node.input[0]) + self._size(node.output[0])
        return max((self._size(name) for name in (*node.output, *node.input) if name), default=0.0)

    def _size(self, name: str) -> float:
        """Elements of one row; constants and unknown shapes count one."""
        shape = self.shapes.get(name)
        if shape is None or name in self.constants:
            return 1.0
        return math.prod(self._dim(d, first=i == 0) for i, d in enumerate(shape))

    def _dim(self, dim: g.Dim, *, first: bool) -> float:
        if isinstance(dim, int):
            return float(dim)
        return 1.0 if first or dim in self.batch else float(_TOKENS)

    def _matrix(self, node: onnx.NodeProto) -> float:
        inner = self.shapes.get(node.input[0], ())
        weights = self.shapes.get(node.input[3] if node.op_type == "QLinearMatMul" else node.input[1], ())
        if len(weights) >= 2 and isinstance(weights[-1], int) and isinstance(weights[-2], int):
            rows = self._size(node.input[0]) / (weights[-1] if g.int_attribute(node, "transB", 0) else weights[-2])
            return 2.0 * max(1.0, rows) * weights[-1] * weights[-2]
        contracted = self._dim(inner[-1], first=False) if inner else 1.0
        return 2.0 * self._size(node.output[0]) * contracted

    def _convolution(self, node: onnx.NodeProto) -> float:
        kernel = self.shapes.get(node.input[3] if node.op_type == "QLinearConv" else node.input[1], ())
        per_output = math.prod(float(d) if isinstance(d, int) else 1.0 for d in kernel[1:])
        return 2.0 * per_output * self._size(node.output[0])

    def _recurrent(self, node: onnx.NodeProto) -> float:
        weights = sum(self._all(name) for name in node.input[1:3])
        steps = self._size(node.output[0] or node.output[1]) / max(1, g.int_attribute(node, "hidden_size", 1))
        return 2.0 * weights * max(1.0, steps)

    def _all(self, name: str) -> float:
        return math.prod(float(d) if isinstance(d, int) else 1.0 for d in self.shapes.get(name, ()))

    def _coefficients(self, node: onnx.NodeProto) -> float:
        count = sum(_length(node, name) for name in ("coefficients", "support_vectors"))
        return 2.0 * count


def tree_cost(node: onnx.NodeProto, *, kernel: bool = False) -> float:
    """Trees times their mean depth, or their branches where they are few; n branches make log2(n + 1) levels."""
    trees = g.attribute(node, "nodes_treeids")
    if not isinstance(trees, Sequence):  # TreeEnsemble of ai.onnx.ml 5 lists roots instead
        roots = max(1, _length(node, "tree_roots"))
        nodes = _length(node, "nodes_featureids") * 2 + roots
    else:
        roots, nodes = max(1, len(set(trees))), len(trees)
    branches = max(1.0, (nodes / roots - 1) / 2)
    if kernel and _is_for_kernel(node):
        each = min(_KERNEL_BRANCH * branches, _KERNEL_LEVEL * math.log2(branches + 1))
        return _KERNEL_COLUMN * _columns(node) + each * roots
    if branches <= _SMALL_TREE:
        return _SMALL_STEP * roots * branches
    return _TREE_STEP * roots * math.log2(branches + 1)


def _is_for_kernel(node: onnx.NodeProto) -> bool:
    """Most that the kernel leaves to ONNX Runtime is seen here; the rest is found when a session is made."""
    if node.op_type == "TreeEnsembleClassifier":
        return not any(attribute.name.endswith("_as_tensor") for attribute in node.attribute)
    return g.attribute(node, "post_transform") in (None, 0, "NONE", b"NONE")


def _columns(node: onnx.NodeProto) -> int:
    found = g.attribute(node, "nodes_featureids")
    return len(set(found)) if isinstance(found, Sequence) else 0


def _length(node: onnx.NodeProto, name: str) -> int:
    found = g.attribute(node, name)
    return len(found) if isinstance(found, Sequence) else 0
