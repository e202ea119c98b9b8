"""The graphs of the workloads, built in code: what skl2onnx or an exporter would have written for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sqlinfer.testing import onnx_builder as ob

KINDS = tuple(f"category {number}" for number in range(12))
"""Categories that the one-hot encoders of W5 know; the data has a thirteenth."""


def scaled_logistic(features: int, *, seed: int = 0) -> bytes:
    """W4: Scaler, LinearClassifier, as scikit-learn's pipeline of the two becomes: ``probabilities`` [N,2]."""
    rng = random.Random(seed)
    scaler = helper.make_node(
        "Scaler", ["features"], ["scaled"], domain="ai.onnx.ml",
        offset=[rng.random() for _ in range(features)], scale=[1 + rng.random() for _ in range(features)],
    )  # fmt: skip
    weights = [rng.gauss(0, 1) for _ in range(features)]
    linear = helper.make_node(
        "LinearClassifier", ["scaled"], ["label", "raw"], domain="ai.onnx.ml", post_transform="LOGISTIC",
        coefficients=[*(-w for w in weights), *weights], intercepts=[-0.1, 0.1], classlabels_ints=[0, 1], multi_class=1,
    )  # fmt: skip
    norm = helper.make_node("Normalizer", ["raw"], ["probabilities"], domain="ai.onnx.ml", norm="L1")
    outputs = [ob.value("label", "int64", ["N"]), ob.value("probabilities", "float", ["N", 2])]
    return ob.build([scaler, linear, norm], [ob.value("features", "float", ["N", features])], outputs)


def categorical_trees(numbers: Sequence[str], texts: Sequence[str], *, trees: int = 100, depth: int = 3) -> bytes:
    """W5: one [N,1] input per column, one-hot on the texts, boosted trees over all of it: ``score`` [N,1].

    As many trees, and as deep, as scikit-learn's gradient boosting grows by default.
    """
    nodes: list[NodeProto] = []
    for name in texts:
        attributes = {"cats_strings": list(KINDS), "zeros": 1}
        nodes.append(helper.make_node("OneHotEncoder", [name], [f"{name}_hot"], domain="ai.onnx.ml", **attributes))
        nodes.append(helper.make_node("Reshape", [f"{name}_hot", "flat"], [f"{name}_flat"]))
    parts = [*numbers, *(f"{name}_flat" for name in texts)]
    nodes.append(helper.make_node("Concat", parts, ["all"], axis=1))
    nodes.append(_trees("all", len(numbers), len(numbers) + len(KINDS) * len(texts), trees, depth))
    ports = [ob.value(name, "float", ["N", 1]) for name in numbers]
    ports += [ob.value(name, "string", ["N", 1]) for name in texts]
    flat = ob.constant("flat", [-1, len(KINDS)], "int64")
    return ob.build(nodes, ports, [ob.value("score", "float", ["N", 1])], [flat])


def categorical_linear(numbers: int, categories: Sequence[int], targets: int = 2, *, kind: str = "classifier") -> bytes:
    """As skl2onnx writes a pipeline of scaler, one-hot encoder and linear model: ``n0`` …, ``s0`` … → ``p``.

    ``categories``: of each text column. ``kind``: ``classifier``, ``regressor``, ``gemm``.
    """
    rng = np.random.default_rng(0)
    hot = [f"hot{place}" for place in range(len(categories))]
    nodes = [helper.make_node("Concat", [f"n{place}" for place in range(numbers)], ["numbers"], axis=1)]
    scaling = {"offset": rng.random(numbers).tolist(), "scale": (1 + rng.random(numbers)).tolist()}
    nodes.append(helper.make_node("Scaler", ["numbers"], ["scaled"], domain="ai.onnx.ml", **scaling))
    for place, count in enumerate(categories):
        attributes = {"cats_strings": words(place, count), "zeros": 1}
        nodes.append(helper.make_node("OneHotEncoder", [f"s{place}"], [hot[place]], domain="ai.onnx.ml", **attributes))
    nodes.append(helper.make_node("Concat", hot, ["hots"], axis=-1))
    nodes.append(helper.make_node("Reshape", ["hots", "flat"], ["hot"]))
    nodes.append(helper.make_node("Concat", ["scaled", "hot"], ["all"], axis=1))
    weights, bias = rng.normal(size=(targets, numbers + sum(categories))), rng.normal(size=targets).tolist()
    constants = [ob.constant("flat", [-1, sum(categories)], "int64")]
    plain = {"coefficients": weights.reshape(-1).tolist(), "intercepts": bias, "domain": "ai.onnx.ml"}
    if kind == "classifier":
        labels = {"classlabels_ints": list(range(targets)), "post_transform": "LOGISTIC" if targets == 2 else "SOFTMAX"}
        nodes.append(helper.make_node("LinearClassifier", ["all"], ["label", "p"], **plain, **labels))
    elif kind == "regressor":
        nodes.append(helper.make_node("LinearRegressor", ["all"], ["p"], targets=targets, **plain))
    else:
        constants += [ob.constant("w", weights.T.tolist()), ob.constant("b", bias)]
        nodes.append(helper.make_node("Gemm", ["all", "w", "b"], ["p"]))
    ports = [ob.value(f"n{place}", "float", ["N", 1]) for place in range(numbers)]
    ports += [ob.value(f"s{place}", "string", ["N", 1]) for place in range(len(categories))]
    return ob.build(nodes, ports, [ob.value("p", "float", ["N", targets])], constants)


def words(column: int, count: int) -> list[str]:
    return [f"{column} word {number}" for number in range(count)]


def _trees(source: str, numbers: int, features: int, trees: int, depth: int, *, seed: int = 0) -> NodeProto:
    rng, columns = random.Random(seed), ob._TreeColumns()
    for tree in range(trees):
        for node in range(2 ** (depth + 1) - 1):
            # half of the splits on numbers, as trained trees have it
            feature = rng.randrange(numbers) if rng.random() < 0.5 else rng.randrange(numbers, features)
            threshold = rng.random() if feature < numbers else 0.5
            columns.add(tree, node, node >= 2**depth - 1, feature, threshold, rng.gauss(0, 1) / trees)
    return helper.make_node(
        "TreeEnsembleRegressor", [source], ["score"], domain="ai.onnx.ml", n_targets=1, **columns.attributes
    )


def encoder(
    path: Path, *, layers: int = 6, width: int = 384, heads: int = 12, vocabulary: int = 4096, pooled: bool = False
) -> None:
    """W6: a BERT-like encoder, ``input_ids``, ``attention_mask`` [N,T] → ``last_hidden_state`` [N,T,width].

    ``pooled``: the graph after preparing it with ``pooling: mean``, → ``pooled`` [N,width].
    """
    made = _Encoder(layers, width, heads, vocabulary)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.graph(pooled))


def convolution(path: Path, *, size: int = 224) -> None:
    """One convolution over pixels [N,3,size,size] and the mean of what it finds → ``score`` [N]."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (8, 3, 7, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixels", "w"], ["found"], kernel_shape=[7, 7], strides=[4, 4]),
        helper.make_node("Relu", ["found"], ["kept"]),
        helper.make_node("ReduceMean", ["kept"], ["score"], axes=[1, 2, 3], keepdims=0),
    ]
    pixels = ob.value("pixels", "float", ["N", 3, size, size])
    ob.build(nodes, [pixels], [ob.value("score", "float", ["N"])], [numpy_helper.from_array(weights, "w")], path=path)


class _Encoder:
    def __init__(self, layers: int, width: int, heads: int, vocabulary: int) -> None:
        self.layers, self.width, self.heads, self.vocabulary = layers, width, heads, vocabulary
        self.rng = np.random.default_rng(0)
        self.nodes: list[NodeProto] = []
        self.consts: list[TensorProto] = []
        self.count = 0

    def graph(self, pooled: bool) -> bytes:
        hidden = self._norm(self._embed())
        bias = self._mask_bias()
        for _ in range(self.layers):
            hidden = self._layer(hidden, bias)
        name, shape = ("pooled", ["N", self.width]) if pooled else ("last_hidden_state", ["N", "T", self.width])
        self.nodes.append(helper.make_node("Identity", [self._mean(hidden) if pooled else hidden], [name]))
        ports = [ob.value(port, "int64", ["N", "T"]) for port in ("input_ids", "attention_mask")]
        return ob.build(self.nodes, ports, [ob.value(name, "float", shape)], self.consts)

    def _mean(self, hidden: str) -> str:
        """The nodes that preparing a function fuses in; importing that needs more than a GPU machine may have."""
        mask = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        total = self._op("MatMul", self._op("Unsqueeze", mask, self._const(np.array([1]))), hidden)
        columns = self._op("Unsqueeze", mask, self._const(np.array([2])))
        ones = self._op("Add", self._op("Sub", columns, columns), self._const(np.ones((1, 1), np.float32)))
        count = self._op("MatMul", self._op("Transpose", columns, perm=[0, 2, 1]), ones)
        mean = self._op("Div", total, self._op("Max", count, self._const(np.float32(1e-9))))
        return self._op("Squeeze", mean, self._const(np.array([1])))

    def _layer(self, hidden: str, bias: str) -> str:
        hidden = self._norm(self._op("Add", hidden, self._attention(hidden, bias)))
        inner = self._gelu(self._linear(hidden, self.width, 4 * self.width))
        return self._norm(self._op("Add", hidden, self._linear(inner, 4 * self.width, self.width)))

    def _attention(self, hidden: str, bias: str) -> str:
        query, key, value = (self._split(self._linear(hidden, self.width, self.width)) for _ in range(3))
        across = self._op("Transpose", key, perm=[0, 1, 3, 2])
        scores = self._op("MatMul", query, across)
        scores = self._op("Mul", scores, self._const(np.float32((self.width // self.heads) ** -0.5)))
        weights = self._op("Softmax", self._op("Add", scores, bias), axis=-1)
        mixed = self._op("Transpose", self._op("MatMul", weights, value), perm=[0, 2, 1, 3])
        joined = self._op("Reshape", mixed, self._const(np.array([0, 0, self.width])))
        return self._linear(joined, self.width, self.width)

    def _split(self, hidden: str) -> str:
        shape = self._const(np.array([0, 0, self.heads, self.width // self.heads]))
        return self._op("Transpose", self._op("Reshape", hidden, shape), perm=[0, 2, 1, 3])

    def _embed(self) -> str:
        table = self._const(self.rng.normal(0, 0.5, (self.vocabulary, self.width)).astype(np.float32))
        places = self._const(self.rng.normal(0, 0.5, (512, self.width)).astype(np.float32))
        length = self._op("Gather", self._op("Shape", "input_ids"), self._const(np.array(1)))
        steps = self._op("Range", self._const(np.array(0)), length, self._const(np.array(1)))
        return self._op("Add", self._op("Gather", table, "input_ids"), self._op("Gather", places, steps))

    def _mask_bias(self) -> str:
        mask = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        mask = self._op("Unsqueeze", mask, self._const(np.array([1, 2])))
        gone = self._op("Sub", self._const(np.float32(1)), mask)
        return self._op("Mul", gone, self._const(np.float32(-10000)))

    def _linear(self, hidden: str, fan_in: int, fan_out: int) -> str:
        weights = self.rng.normal(0, fan_in**-0.5, (fan_in, fan_out)).astype(np.float32)
        product = self._op("MatMul", hidden, self._const(weights))
        return self._op("Add", product, self._const(self.rng.normal(0, 0.02, fan_out).astype(np.float32)))

    def _norm(self, hidden: str) -> str:
        ones, zeros = np.ones(self.width, np.float32), np.zeros(self.width, np.float32)
        return self._op("LayerNormalization", hidden, self._const(ones), self._const(zeros), axis=-1, epsilon=1e-12)

    def _gelu(self, hidden: str) -> str:
        inner = self._op("Erf", self._op("Div", hidden, self._const(np.float32(2**0.5))))
        outer = self._op("Mul", hidden, self._op("Add", inner, self._const(np.float32(1))))
        return self._op("Mul", outer, self._const(np.float32(0.5)))

    def _op(self, kind: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _const(self, values: object) -> str:
        self.count += 1
        name = f"c{self.count}"
        self.consts.append(numpy_helper.from_array(np.asarray(values), name))
        return name


WORDS = tuple(f"word{number}" for number in range(4000))


def tokenizer(folder: Path) -> None:
    """A word-level tokenizer.json whose every word is one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[PAD]": 0, "[UNK]": 1} | {word: 2 + position for position, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))


def texts(count: int) -> list[str]:
    """Texts of 5 to 120 of the tokenizer's words."""
    rng = np.random.default_rng(0)
    stops = np.cumsum(rng.integers(5, 121, count)).tolist()
    picks = rng.choice(np.array(WORDS, dtype=object), stops[-1] if stops else 0).tolist()
    return [" ".join(picks[start:stop]) for start, stop in pairwise([0, *stops])]
