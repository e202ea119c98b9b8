"""Tiny ONNX models for tests and examples: numbers in, ``bytes`` out. Needs onnx, never ONNX Runtime.

Every builder takes keyword ``path=`` to also write the file: ``linear([2.0], path=tmp_path / "f.onnx")``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import onnx
from onnx import TensorProto, helper

Shape = Sequence[int | str | None]
_TYPES = {
    "float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL, "string": TensorProto.STRING,
}  # fmt: skip
_OPSETS = {"": 17, "ai.onnx.ml": 3}


def value(name: str, element_type: str, shape: Shape | None) -> onnx.ValueInfoProto:
    """A graph input or output: ``value("x", "float", ["N", 4])``."""
    return helper.make_tensor_value_info(name, _TYPES[element_type], shape)


def constant(name: str, values: object, element_type: str = "float", shape: Sequence[int] | None = None) -> TensorProto:
    """An initialiser from (nested) numbers or strings."""
    flat = _flatten(values)
    dims = list(shape) if shape is not None else _shape_of(values)
    data = [str(v).encode() for v in flat] if element_type == "string" else flat
    return helper.make_tensor(name, _TYPES[element_type], dims, data)


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
    *,
    opsets: Mapping[str, int] | None = None,
    path: Path | None = None,
) -> bytes:
    """Serialise a checked graph; ``path`` also writes it."""
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    imports = [helper.make_opsetid(domain, version) for domain, version in {**_OPSETS, **(opsets or {})}.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    data = bytes(model.SerializeToString(deterministic=True))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return data


def linear(
    weights: Sequence[float],
    bias: float = 0.0,
    *,
    inputs: Sequence[str] | None = None,
    packed: bool = True,
    element_type: str = "float",
    output: str = "score",
    path: Path | None = None,
) -> bytes:
    """``score = weights · x + bias``, [N,1]. ``packed``: one input ``features`` [N,F]; else one [N,1] per name."""
    names = list(inputs or [f"x{i}" for i in range(len(weights))])
    nodes, ports = _features(names, packed, element_type)
    nodes.append(helper.make_node("MatMul", ["features", "w"], ["product"]))
    nodes.append(helper.make_node("Add", ["product", "b"], [output]))
    consts = [constant("w", [[w] for w in weights], element_type), constant("b", [bias], element_type)]
    return build(nodes, ports, [value(output, element_type, ["N", 1])], consts, path=path)


def mlp(layers: Sequence[int], seed: int = 0, *, output: str = "score", path: Path | None = None) -> bytes:
    """A ReLU network over one input ``features`` [N, layers[0]], weights drawn from ``seed``."""
    rng, nodes, consts, last = random.Random(seed), [], [], "features"
    for i, (fan_in, fan_out) in enumerate(pairwise(layers)):
        final = i == len(layers) - 2
        scale = 1 / math.sqrt(fan_in)
        consts.append(
            constant(f"w{i}", [rng.gauss(0, scale) for _ in range(fan_in * fan_out)], shape=(fan_in, fan_out))
        )
        consts.append(constant(f"b{i}", [rng.gauss(0, 0.1) for _ in range(fan_out)]))
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [output if final else f"z{i}"]))
        if not final:
            nodes.append(helper.make_node("Relu", [f"z{i}"], [f"h{i}"]))
        last = f"h{i}"
    return build(
        nodes, [value("features", "float", ["N", layers[0]])], [value(output, "float", ["N", layers[-1]])], consts,
        path=path,
    )  # fmt: skip


def identity(
    element_type: str = "float", *, column: bool = False, name: str = "x", output: str = "y", path: Path | None = None
) -> bytes:
    """Returns its argument: input and output [N], or [N,1] where ``column``."""
    shape: Shape = ["N", 1] if column else ["N"]
    node = helper.make_node("Identity", [name], [output])
    return build([node], [value(name, element_type, shape)], [value(output, element_type, shape)], path=path)


def classifier_zipmap(
    weights: Sequence[Sequence[float]] = ((1.0, -1.0), (0.5, 0.25)),
    labels: Sequence[str | int] = ("No", "Yes"),
    *,
    zipmap: bool = True,
    path: Path | None = None,
) -> bytes:
    """As skl2onnx writes a classifier: ``features`` [N,F] → ``label`` [N], ``probabilities`` (ZipMap, or [N,K]).

    ``weights[k]`` are the coefficients of class k.
    """
    features, text = len(weights[0]), isinstance(labels[0], str)
    names = {"classlabels_strings": list(labels)} if text else {"classlabels_ints": list(labels)}
    mapped = {"classlabels_strings": list(labels)} if text else {"classlabels_int64s": list(labels)}
    scores = "probability_tensor" if zipmap else "probabilities"
    nodes = [
        helper.make_node(
            "LinearClassifier", ["features"], ["label", scores], domain="ai.onnx.ml", post_transform="SOFTMAX",
            coefficients=[c for row in weights for c in row], intercepts=[0.0] * len(labels), **names,
        )
    ]  # fmt: skip
    probabilities = value("probabilities", "float", ["N", len(labels)])
    if zipmap:
        nodes.append(helper.make_node("ZipMap", [scores], ["probabilities"], domain="ai.onnx.ml", **mapped))
        key = TensorProto.STRING if text else TensorProto.INT64
        tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        kind = helper.make_sequence_type_proto(helper.make_map_type_proto(key, tensor))
        probabilities = helper.make_value_info("probabilities", kind)
    outputs = [value("label", "string" if text else "int64", ["N"]), probabilities]
    return build(nodes, [value("features", "float", ["N", features])], outputs, path=path)


def tree_ensemble(
    n_trees: int = 10, depth: int = 3, n_features: int = 4, seed: int = 0, *, path: Path | None = None
) -> bytes:
    """Full regression trees with random thresholds in [0, 1): ``features`` [N,F] → ``score`` [N,1]."""
    rng, columns = random.Random(seed), _TreeColumns()
    for tree in range(n_trees):
        for node in range(2 ** (depth + 1) - 1):
            leaf = node >= 2**depth - 1
            columns.add(tree, node, leaf, rng.randrange(n_features), rng.random(), rng.gauss(0, 1) / n_trees)
    node = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["score"], domain="ai.onnx.ml", n_targets=1, **columns.attributes
    )
    ports = [value("features", "float", ["N", n_features])]
    return build([node], ports, [value("score", "float", ["N", 1])], path=path)


def vector(
    width: int = 4, *, output: str = "embedding", columns: Sequence[str] = ("x",), path: Path | None = None
) -> bytes:
    """``embedding[i] = (i + 1) * sum(columns)``: [N,1] inputs → [N,width]."""
    nodes, ports = _features(list(columns), False, "float")
    nodes.append(helper.make_node("MatMul", ["features", "w"], [output]))
    weights = constant("w", [[float(i + 1) for i in range(width)] for _ in columns])
    return build(nodes, ports, [value(output, "float", ["N", width])], [weights], path=path)


def array_sum(width: int | None = 4, *, name: str = "v", path: Path | None = None) -> bytes:
    """Sums a list argument: ``v`` [N,width] → ``total`` [N]."""
    node = helper.make_node("ReduceSum", [name, "axes"], ["total"], keepdims=0)
    axes = constant("axes", [1], "int64")
    return build([node], [value(name, "float", ["N", width])], [value("total", "float", ["N"])], [axes], path=path)


def string_lookup(
    values: Mapping[str, float] | None = None,
    default: float = -1.0,
    *,
    name: str = "contract",
    path: Path | None = None,
) -> bytes:
    """Looks a string up: input [N,1] string → ``score`` [N,1] float, ``default`` where unseen."""
    table = dict(values or {"monthly": 1.0, "yearly": 12.0})
    node = helper.make_node(
        "LabelEncoder", [name], ["score"], domain="ai.onnx.ml", keys_strings=list(table),
        values_floats=list(table.values()), default_float=default,
    )  # fmt: skip
    return build([node], [value(name, "string", ["N", 1])], [value("score", "float", ["N", 1])], path=path)


def not_row_wise(kind: str = "batch_mean", *, path: Path | None = None) -> bytes:
    """A graph whose rows see each other: ``batch_mean``, ``softmax``, ``quantize``, ``random``, ``cumsum``."""
    port = [value("x", "float", ["N", 1])]
    result = [value("y", "float", ["N", 1])]
    nodes, consts = _MIXERS[kind]()
    return build(nodes, port, result, consts, path=path)


def encoder(
    vocabulary: int = 50, width: int = 8, seed: int = 0, *, types: bool = False, path: Path | None = None
) -> bytes:
    """A bag of token embeddings in the shape of a text encoder: ids, mask [N,T] → ``last_hidden_state`` [N,T,width]."""
    rng = random.Random(seed)
    table = constant("table", [rng.gauss(0, 1) for _ in range(vocabulary * width)], shape=(vocabulary, width))
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if types else [])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("Cast", ["attention_mask"], ["mask_f"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask_f", "last"], ["mask3"]),
        helper.make_node("Mul", ["embedded", "mask3"], ["last_hidden_state"]),
    ]
    ports = [value(name, "int64", ["N", "T"]) for name in names]
    result = [value("last_hidden_state", "float", ["N", "T", width])]
    return build(nodes, ports, result, [table, constant("last", [-1], "int64")], path=path)


class _TreeColumns:
    """The parallel attribute lists of a tree ensemble in heap order (children of i are 2i+1, 2i+2)."""

    def __init__(self) -> None:
        self.attributes: dict[str, list[int] | list[float] | list[str]] = {}

    def add(self, tree: int, node: int, leaf: bool, feature: int, threshold: float, weight: float) -> None:
        self._append("nodes_", treeids=tree, nodeids=node, featureids=0 if leaf else feature)
        self._append("nodes_", modes="LEAF" if leaf else "BRANCH_LEQ", values=0.0 if leaf else threshold)
        self._append("nodes_", truenodeids=0 if leaf else 2 * node + 1, falsenodeids=0 if leaf else 2 * node + 2)
        if leaf:
            self._append("target_", treeids=tree, nodeids=node, ids=0, weights=weight)

    def _append(self, prefix: str, **columns: int | float | str) -> None:
        for name, item in columns.items():
            self.attributes.setdefault(prefix + name, []).append(item)  # type: ignore[arg-type]


def _features(
    names: list[str], packed: bool, element_type: str
) -> tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto]]:
    if packed:
        return [], [value("features", element_type, ["N", len(names)])]
    node = helper.make_node("Concat", names, ["features"], axis=1)
    return [node], [value(name, element_type, ["N", 1]) for name in names]


def _batch_mean() -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], name="centre", axes=[0], keepdims=1)
    return [mean, helper.make_node("Sub", ["x", "mean"], ["y"])], []


def _softmax() -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    return [helper.make_node("Softmax", ["x"], ["y"], name="over_rows", axis=0)], []


def _quantize() -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    quantize = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], name="quantize")
    return [quantize, helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])], []


def _random() -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    noise = helper.make_node("RandomNormalLike", ["x"], ["noise"], name="noise", seed=1.0)
    return [noise, helper.make_node("Add", ["x", "noise"], ["y"])], []


def _cumsum() -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    return [helper.make_node("CumSum", ["x", "axis"], ["y"], name="running")], [constant("axis", 0, "int64")]


_MIXERS = {
    "batch_mean": _batch_mean, "softmax": _softmax, "quantize": _quantize, "random": _random, "cumsum": _cumsum,
}  # fmt: skip


def _flatten(values: object) -> list[float | int | str]:
    if isinstance(values, list | tuple):
        return [item for part in values for item in _flatten(part)]
    assert isinstance(values, float | int | str)
    return [values]


def _shape_of(values: object) -> list[int]:
    if isinstance(values, list | tuple):
        return [len(values), *(_shape_of(values[0]) if values else [])]
    return []
