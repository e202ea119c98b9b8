"""Support vector machines: kernels in doubles, and libsvm's own votes and probabilities."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Array, Frame, Graph
from sqlinfer.functions.sources.original import NotExact


def kernel(graph: Graph, model: Any, x: str) -> str:
    """[N,V]: the kernel of each row with each support vector."""
    vectors = model.support_vectors_
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors, np.float64)
    product = graph.op("MatMul", x, vectors.T)
    name, gamma = model.kernel, float(model._gamma)
    if name == "linear":
        return product
    if name == "rbf":
        squares = graph.op("ReduceSum", graph.op("Mul", x, x), np.array([1]), keepdims=1)
        own = graph.op("Add", squares, np.einsum("ij,ij->i", vectors, vectors))
        distance = graph.op("Sub", own, graph.op("Mul", product, 2.0))
        return graph.op("Exp", graph.op("Mul", distance, -gamma))
    inner = graph.op("Add", graph.op("Mul", product, gamma), float(model.coef0))
    if name == "poly":
        return graph.op("Pow", inner, float(model.degree))
    if name == "sigmoid":
        return graph.op("Tanh", inner)
    raise NotExact(f"{type(model).__name__} with the kernel {name}")


def regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    return Answer("value", value=linear.affine(graph, kernel(graph, model, x), _dense(model._dual_coef_),
                                               model._intercept_))  # fmt: skip


def outlier(graph: Graph, model: Any, frame: Frame) -> Answer:
    """OneClassSVM."""
    return Answer("outlier", value=regressor(graph, model, frame).value)


def _dense(values: Any) -> Array:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float64)


def classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    if callable(model.kernel) or model.kernel == "precomputed":
        raise NotExact(f"{type(model).__name__} with a kernel that is code or computed before")
    kernels = kernel(graph, model, graph.checked(frame))
    classes = model.classes_
    pairs = linear.affine(graph, kernels, _pair_weights(model), model._intercept_)
    chances = _probabilities(graph, model, pairs) if len(model._probA) else None
    won = _votes(graph, pairs, len(classes))
    if len(classes) == 2:
        scores = graph.op("Neg", pairs)  # libsvm counts the first class as positive, scikit-learn the second
        return Answer("classes", classes=classes, votes=won, decision=scores, probabilities=chances)
    decision = _one_vs_rest(graph, pairs, len(classes)) if model.decision_function_shape == "ovr" else pairs
    votes = decision if model.break_ties else won
    return Answer("classes", classes=classes, votes=votes, decision=decision, probabilities=chances)


def _pair_weights(model: Any) -> Array:
    """[K(K-1)/2, V]: each pair of classes weighs the support vectors of both."""
    counts = model._n_support if len(model._n_support) else model.n_support_
    ends = np.concatenate([[0], np.cumsum(counts)])
    dual = _dense(model._dual_coef_)
    rows = []
    for i, j in combinations(range(len(counts)), 2):
        row = np.zeros(dual.shape[1])
        row[ends[i] : ends[i + 1]] = dual[j - 1, ends[i] : ends[i + 1]]
        row[ends[j] : ends[j + 1]] = dual[i, ends[j] : ends[j + 1]]
        rows.append(row)
    return np.array(rows)


def _sides(count: int) -> tuple[Array, Array]:
    """Which class each pair votes for when its value is above 0, and which otherwise."""
    first, second = np.zeros((0, count)), np.zeros((0, count))
    for i, j in combinations(range(count), 2):
        first = np.vstack([first, np.eye(count)[i]])
        second = np.vstack([second, np.eye(count)[j]])
    return first, second


def _votes(graph: Graph, pairs: str, count: int) -> str:
    first, second = _sides(count)
    yes = graph.op("Where", graph.op("Greater", pairs, 0.0), 1.0, 0.0)
    yes = graph.op("Add", yes, graph.op("Mul", pairs, 0.0))  # NaN stays NaN
    no = graph.op("Sub", 1.0, yes)
    return graph.op("Add", graph.op("MatMul", yes, first), graph.op("MatMul", no, second))


def _one_vs_rest(graph: Graph, pairs: str, count: int) -> str:
    lost = graph.op("Where", graph.op("Less", pairs, 0.0), 1.0, 0.0)
    return against_rest(graph, lost, graph.op("Neg", pairs), count)


def against_rest(graph: Graph, second: str, confidence: str, count: int) -> str:
    """scikit-learn's: votes of pairs, and the sums of confidences squeezed below a third to break ties.

    Args:
        second: [N,P], 1 where a pair chose its second class; ``confidence`` is how sure it was of that.
    """
    firsts, seconds = _sides(count)
    votes = graph.op("Add", graph.op("MatMul", graph.op("Sub", 1.0, second), firsts),
                     graph.op("MatMul", second, seconds))  # fmt: skip
    sums = graph.op("MatMul", confidence, seconds - firsts)
    squeezed = graph.op("Div", sums, graph.op("Mul", graph.op("Add", graph.op("Abs", sums), 1.0), 3.0))
    return graph.op("Add", votes, squeezed)


_ITERATIONS = 100
"""libsvm's most; it stops sooner."""


def _probabilities(graph: Graph, model: Any, pairs: str) -> str:
    """libsvm's own coupling of the pairs: as many steps as it takes, and no more."""
    count = len(model.classes_)
    a, b = np.asarray(model._probA, np.float64), np.asarray(model._probB, np.float64)
    first = graph.op("Sigmoid", graph.op("Neg", graph.op("Add", graph.op("Mul", pairs, a), b)))
    first = graph.op("Clip", first, 1e-7, 1 - 1e-7)
    second = graph.op("Sub", 1.0, first)
    chance: dict[tuple[int, int], str] = {}
    for k, (i, j) in enumerate(combinations(range(count), 2)):
        chance[i, j] = graph.op("Gather", first, np.array([k]), axis=1)
        chance[j, i] = graph.op("Gather", second, np.array([k]), axis=1)
    return _coupled(graph, [[_coefficient(graph, chance, i, j, count) for j in range(count)] for i in range(count)])


def _coefficient(graph: Graph, chance: dict[tuple[int, int], str], i: int, j: int, count: int) -> str:
    """Q[i][j] of the paper by Wu, Lin and Weng."""
    if i != j:
        return graph.op("Neg", graph.op("Mul", chance[j, i], chance[i, j]))
    squares = [graph.op("Mul", chance[other, i], chance[other, i]) for other in range(count) if other != i]
    whole = squares[0]
    for square in squares[1:]:
        whole = graph.op("Add", whole, square)
    return whole


def _coupled(graph: Graph, q: list[list[str]]) -> str:
    """Each row stops by itself: a step is kept while the row's largest error is above libsvm's own limit."""
    count = len(q)
    even = graph.op("Add", graph.op("Mul", q[0][0], 0.0), 1.0 / count)
    start = graph.op("Concat", *([even] * count), axis=1)
    body = _step(count)
    values = graph.op("Concat", *(one for row in q for one in row), axis=1)
    return graph.loop(body, _ITERATIONS, start, values)


def _step(count: int) -> Graph:
    """The body of the loop: one round over the classes, for the rows that are not done."""
    step = Graph()
    q = [[step.op("Gather", "coefficients", np.array([i * count + j]), axis=1) for j in range(count)]
         for i in range(count)]  # fmt: skip
    p = [step.op("Gather", "state", np.array([t]), axis=1) for t in range(count)]
    products = [_sum(step, [step.op("Mul", q[t][j], p[j]) for j in range(count)]) for t in range(count)]
    whole = _sum(step, [step.op("Mul", p[t], products[t]) for t in range(count)])
    errors = [step.op("Abs", step.op("Sub", product, whole)) for product in products]
    largest = step.op("Max", *errors) if len(errors) > 1 else errors[0]
    done = step.op("Less", largest, 0.005 / count)
    for t in range(count):
        away = step.op("Div", step.op("Sub", whole, products[t]), q[t][t])
        p[t] = step.op("Add", p[t], away)
        grown = step.op("Add", away, 1.0)
        twice = step.op("Add", step.op("Mul", away, q[t][t]), step.op("Mul", products[t], 2.0))
        whole = step.op("Div", step.op("Div", step.op("Add", whole, step.op("Mul", away, twice)), grown), grown)
        products = [
            step.op("Div", step.op("Add", product, step.op("Mul", away, q[t][j])), grown)
            for j, product in enumerate(products)
        ]
        p = [step.op("Div", one, grown) for one in p]
    step.result(step.op("Where", done, "state", step.op("Concat", *p, axis=1)))
    return step


def _sum(graph: Graph, terms: list[str]) -> str:
    whole = terms[0]
    for term in terms[1:]:
        whole = graph.op("Add", whole, term)
    return whole
