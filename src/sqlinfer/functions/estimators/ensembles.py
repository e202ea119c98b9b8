"""Estimators over estimators: votes, stacks, bags, boosting by weight, one against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.convert import answered
from sqlinfer.functions.estimators.graph import Array, Frame, Graph, Piece
from sqlinfer.functions.estimators.vectors import against_rest
from sqlinfer.functions.sources.original import NotExact


def hot(graph: Graph, answer: Answer, columns: Array, count: int) -> str:
    """[N,count]: 1 in the column of the class that was chosen; ``columns`` has one for each class."""
    table = np.zeros((len(columns), count))
    table[np.arange(len(columns)), columns] = 1.0
    chosen = graph.op("ArgMax", _need(answer.votes, answer), axis=1, keepdims=0)
    return graph.op("Gather", table, chosen, axis=0)


def _need(tensor: str | None, answer: Answer) -> str:
    if tensor is None:
        raise NotExact(f"an ensemble over {answer.kind}, which have no such output")
    return tensor


def added(graph: Graph, terms: Sequence[str]) -> str:
    whole = terms[0]
    for term in terms[1:]:
        whole = graph.op("Add", whole, term)
    return whole


def _weighed(graph: Graph, terms: Sequence[str], weights: Sequence[float] | None) -> str:
    """numpy.average over the terms."""
    if weights is None:
        return graph.op("Div", added(graph, terms), float(len(terms)))
    scaled = [graph.op("Mul", term, float(weight)) for term, weight in zip(terms, weights, strict=True)]
    return graph.op("Div", added(graph, scaled), float(np.sum(weights)))


def voting_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    answers = [answered(graph, one, frame) for one in model.estimators_]
    weights, classes = model._weights_not_none, model.classes_
    if model.voting == "soft":
        chances = _weighed(graph, [_need(one.probabilities, one) for one in answers], weights)
        return Answer("classes", classes=classes, votes=chances, probabilities=chances)
    count = len(classes)
    ballots = [hot(graph, one, np.asarray(one.classes, np.int64), count) for one in answers]
    factors = [1.0] * len(ballots) if weights is None else weights
    votes = added(graph, [graph.op("Mul", one, float(factor)) for one, factor in zip(ballots, factors, strict=True)])
    return Answer("classes", classes=classes, votes=votes)


def voting_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    values = [_need((one := answered(graph, part, frame)).value, one) for part in model.estimators_]
    return Answer("value", value=_weighed(graph, values, model._weights_not_none))


def stacking(graph: Graph, model: Any, frame: Frame) -> Answer:
    columns: list[Piece] = []
    classes = getattr(model, "classes_", None)
    for one, method in zip(model.estimators_, model.stack_method_, strict=True):
        columns += _stacked(graph, answered(graph, one, frame), method, classes)
    if model.passthrough:
        columns += frame
    final = answered(graph, model.final_estimator_, tuple(columns))
    if classes is None:
        return final
    return Answer("classes", classes=classes, votes=final.votes, probabilities=final.probabilities,
                  decision=final.decision)  # fmt: skip


def _stacked(graph: Graph, answer: Answer, method: str, classes: Array | None) -> list[Piece]:
    """What one estimator hands to the last one."""
    if answer.kind == "value":
        return [Piece(_need(answer.value, answer), 1, finite=True)]
    if answer.classes is None or isinstance(classes, list):
        raise NotExact("a stack of several outputs")
    count = len(answer.classes)
    if method == "predict":
        made = graph.op("MatMul", hot(graph, answer, np.arange(count), count),
                        np.asarray(answer.classes, np.float64).reshape(-1, 1))  # fmt: skip
        return [Piece(made, 1, finite=True)]
    if method == "decision_function":
        return [Piece(_need(answer.decision, answer), 1 if count == 2 else count, finite=True)]
    chances = (Piece(_need(answer.probabilities, answer), count, finite=True),)
    return list(graph.take(chances, [1]) if count == 2 else chances)


def bagging_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    count = model.n_classes_
    terms = []
    for one, features in zip(model.estimators_, model.estimators_features_, strict=True):
        answer = answered(graph, one, graph.take(frame, [int(i) for i in features]))
        columns = np.asarray(answer.classes, np.int64)
        if answer.probabilities is None:
            terms.append(hot(graph, answer, columns, count))
        else:
            terms.append(_spread(graph, answer.probabilities, columns, count))
    chances = graph.op("Div", added(graph, terms), float(model.n_estimators))
    return Answer("classes", classes=model.classes_, votes=chances, probabilities=chances)


def _spread(graph: Graph, chances: str, columns: Array, count: int) -> str:
    if len(columns) == count:
        return chances
    table = np.zeros((len(columns), count))
    table[np.arange(len(columns)), columns] = 1.0
    return graph.op("MatMul", chances, table)


def bagging_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    values = []
    for one, features in zip(model.estimators_, model.estimators_features_, strict=True):
        answer = answered(graph, one, graph.take(frame, [int(i) for i in features]))
        values.append(_need(answer.value, answer))
    return Answer("value", value=graph.op("Div", added(graph, values), float(model.n_estimators)))


def weighted_boosting_classifier(graph: Graph, model: Any, frame: Frame) -> Answer:
    """AdaBoostClassifier."""
    count, classes = model.n_classes_, list(model.classes_)
    terms = []
    for one, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        answer = answered(graph, one, frame)
        chosen = hot(graph, answer, np.array([classes.index(label) for label in np.asarray(answer.classes)]), count)
        other = -1.0 / (count - 1) * float(weight)
        terms.append(graph.op("Add", graph.op("Mul", chosen, float(weight) - other), other))
    scores = graph.op("Div", added(graph, terms), float(model.estimator_weights_.sum()))
    if count > 2:
        chances = graph.op("Softmax", graph.op("Div", scores, float(count - 1)), axis=1)
        return Answer("classes", classes=model.classes_, votes=scores, decision=scores, probabilities=chances)
    decision = graph.op("MatMul", scores, np.array([[-1.0], [1.0]]))
    half = graph.op("Div", graph.op("Concat", graph.op("Neg", decision), decision, axis=1), 2.0)
    return linear.scored(graph, decision, model.classes_, graph.op("Softmax", half, axis=1))


def weighted_boosting_regressor(graph: Graph, model: Any, frame: Frame) -> Answer:
    """AdaBoostRegressor: the weighted median of its members."""
    members = [answered(graph, one, frame) for one in model.estimators_]
    values = [_need(one.value, one) for one in members]
    together = graph.op("Concat", *values, axis=1) if len(values) > 1 else values[0]
    weights = np.asarray(model.estimator_weights_[: len(values)], np.float64)
    ordered, places = graph.smallest(together, len(values))
    running = graph.op("CumSum", graph.op("Gather", weights, places, axis=0), np.array(1))
    last = graph.op("Gather", running, np.array([len(values) - 1]), axis=1)
    reached = graph.op("GreaterOrEqual", running, graph.op("Mul", last, 0.5))
    first = graph.op("ArgMax", graph.op("Where", reached, 1.0, 0.0), axis=1, keepdims=1)
    return Answer("value", value=graph.op("GatherElements", ordered, first, axis=1))


def one_against_rest(graph: Graph, model: Any, frame: Frame) -> Answer:
    answers = [answered(graph, one, frame) for one in model.estimators_]
    if model.multilabel_:
        raise NotExact("OneVsRestClassifier over several labels at once")
    votes = [_confidence(graph, one) for one in answers]
    chances = None
    if all(one.probabilities is not None for one in answers):
        seconds = [graph.op("Gather", _need(one.probabilities, one), np.array([1]), axis=1) for one in answers]
        chances = _normalised(graph, seconds)
    if len(votes) == 1:
        middle = 0.5 if answers[0].decision is None else 0.0
        scored = graph.op("Sub", votes[0], middle)
        decision = answers[0].decision
        both = graph.op("Concat", graph.op("Mul", scored, 0.0), scored, axis=1)
        return Answer("classes", classes=model.classes_, votes=both, probabilities=chances, decision=decision)
    joined = graph.op("Concat", *votes, axis=1)
    decision = joined if all(one.decision is not None for one in answers) else None
    return Answer("classes", classes=model.classes_, votes=joined, probabilities=chances, decision=decision)


def _confidence(graph: Graph, answer: Answer) -> str:
    if answer.kind == "value":
        return _need(answer.value, answer)
    if answer.decision is not None:
        return answer.decision
    return graph.op("Gather", _need(answer.probabilities, answer), np.array([1]), axis=1)


def _normalised(graph: Graph, seconds: list[str]) -> str:
    chances = linear.of_two(graph, seconds[0]) if len(seconds) == 1 else graph.op("Concat", *seconds, axis=1)
    total = graph.op("ReduceSum", chances, np.array([1]), keepdims=1)
    none = graph.op("Equal", total, 0.0)
    return graph.op("Where", none, chances, graph.op("Div", chances, graph.op("Where", none, 1.0, total)))


def constant(graph: Graph, model: Any, frame: Frame) -> Answer:
    """One class against the rest where the rest is empty."""
    value = float(np.ravel(model.y_)[0])
    x = graph.matrix(frame[:1])
    zero = graph.op("Mul", graph.op("Gather", graph.op("Where", graph.op("IsNaN", x), 0.0, x), np.array([0]), axis=1),
                    0.0)  # fmt: skip
    even = graph.op("Add", zero, value)
    return Answer("classes", classes=np.array([0, 1]), votes=linear.of_two(graph, even), decision=even,
                  probabilities=linear.of_two(graph, even))  # fmt: skip


def one_against_one(graph: Graph, model: Any, frame: Frame) -> Answer:
    """OneVsOneClassifier: every pair votes, and confidences below a third break ties."""
    count = len(model.classes_)
    indices = model.pairwise_indices_ or [None] * len(model.estimators_)
    chosen, sure = [], []
    for one, columns in zip(model.estimators_, indices, strict=True):
        seen = frame if columns is None else graph.take(frame, [int(i) for i in columns])
        answer = answered(graph, one, seen)
        chosen.append(graph.op("Gather", hot(graph, answer, np.arange(2), 2), np.array([1]), axis=1))
        sure.append(_confidence(graph, answer))
    second = graph.op("Concat", *chosen, axis=1) if len(chosen) > 1 else chosen[0]
    confidence = graph.op("Concat", *sure, axis=1) if len(sure) > 1 else sure[0]
    scores = against_rest(graph, second, confidence, count)
    if count > 2:
        return Answer("classes", classes=model.classes_, votes=scores, decision=scores)
    decision = graph.op("Gather", scores, np.array([1]), axis=1)
    above = graph.op("Sub", decision, 0.5 if answered(graph, model.estimators_[0], frame).decision is None else 0.0)
    return linear.scored(graph, above, model.classes_)


def several_outputs(graph: Graph, model: Any, frame: Frame) -> Answer:
    return Answer("values", parts=tuple(answered(graph, one, frame) for one in model.estimators_))


def chain(graph: Graph, model: Any, frame: Frame) -> Answer:
    """RegressorChain and ClassifierChain: each link sees what the ones before it said."""
    if getattr(model, "chain_method_", "predict") != "predict":
        raise NotExact("a chain that hands on probabilities")
    found: list[Answer] = []
    columns = list(frame)
    for one in model.estimators_:
        answer = answered(graph, one, tuple(columns))
        found.append(answer)
        columns.append(Piece(_said(graph, answer), 1, finite=True))
    back = np.argsort(model.order_)
    return Answer("values", parts=tuple(found[int(i)] for i in back))


def _said(graph: Graph, answer: Answer) -> str:
    if answer.kind == "value":
        return _need(answer.value, answer)
    classes = np.asarray(answer.classes, np.float64)
    return graph.op("MatMul", hot(graph, answer, np.arange(len(classes)), len(classes)), classes.reshape(-1, 1))
