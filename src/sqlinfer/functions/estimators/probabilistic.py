"""Naive Bayes, mixtures of Gaussians, discriminant analysis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.graph import Array, Frame, Graph


def gaussian_bayes(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    logs = []
    for i in range(len(model.classes_)):
        constant = float(np.log(model.class_prior_[i]) - 0.5 * np.sum(np.log(2.0 * np.pi * model.var_[i])))
        away = graph.op("Sub", x, model.theta_[i])
        squares = graph.op("Div", graph.op("Mul", away, away), model.var_[i])
        total = graph.op("ReduceSum", squares, np.array([1]), keepdims=1)
        logs.append(graph.op("Add", graph.op("Mul", total, -0.5), constant))
    return _posterior(graph, graph.op("Concat", *logs, axis=1) if len(logs) > 1 else logs[0], model.classes_)


def _posterior(graph: Graph, joint: str, classes: Array) -> Answer:
    chances = graph.op("Softmax", joint, axis=1)
    return Answer("classes", classes=classes, votes=joint, probabilities=chances)


def multinomial_bayes(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    graph.refuse(graph.op("Less", graph.op("ReduceMin", x, np.array([1]), keepdims=1), 0.0))
    return _posterior(graph, linear.affine(graph, x, model.feature_log_prob_, model.class_log_prior_), model.classes_)


def complement_bayes(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    graph.refuse(graph.op("Less", graph.op("ReduceMin", x, np.array([1]), keepdims=1), 0.0))
    prior = model.class_log_prior_ if len(model.classes_) == 1 else np.zeros(len(model.classes_))
    return _posterior(graph, linear.affine(graph, x, model.feature_log_prob_, prior), model.classes_)


def bernoulli_bayes(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    if model.binarize is not None:
        x = graph.op("Where", graph.op("Greater", x, float(model.binarize)), 1.0, 0.0)
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    bias = model.class_log_prior_ + absent.sum(axis=1)
    return _posterior(graph, linear.affine(graph, x, model.feature_log_prob_ - absent, bias), model.classes_)


def mixture(graph: Graph, model: Any, frame: Frame) -> Answer:
    x = graph.checked(frame)
    logs = [_gaussian(graph, model, x, k) for k in range(model.n_components)]
    joint = graph.op("Concat", *logs, axis=1) if len(logs) > 1 else logs[0]
    joint = graph.op("Add", joint, np.log(model.weights_))
    return Answer("cluster", votes=joint, probabilities=graph.op("Softmax", joint, axis=1))


def _gaussian(graph: Graph, model: Any, x: str, k: int) -> str:
    """Log density [N,1] under one component, in the library's own order of operations."""
    how, mean = model.covariance_type, model.means_[k]
    width = len(mean)
    chol = model.precisions_cholesky_ if how == "tied" else model.precisions_cholesky_[k]
    if how in ("full", "tied"):
        away = graph.op("Sub", graph.op("MatMul", x, chol), mean @ chol)
        distance = graph.op("ReduceSum", graph.op("Mul", away, away), np.array([1]), keepdims=1)
        log_det = float(np.sum(np.log(np.diag(chol))))
    else:
        precision = np.broadcast_to(np.asarray(chol) ** 2, mean.shape)
        cross = graph.op("MatMul", x, (mean * precision).reshape(-1, 1))
        squares = graph.op("MatMul", graph.op("Mul", x, x), precision.reshape(-1, 1))
        own = float(np.sum(mean**2 * precision))
        distance = graph.op("Add", graph.op("Sub", own, graph.op("Mul", cross, 2.0)), squares)
        log_det = float(np.sum(np.log(np.broadcast_to(chol, mean.shape))))
    constant = width * math.log(2 * math.pi)
    return graph.op("Add", graph.op("Mul", graph.op("Add", distance, constant), -0.5), log_det)


def discriminant(graph: Graph, model: Any, frame: Frame) -> Answer:
    """LinearDiscriminantAnalysis."""
    scores = linear.affine(graph, graph.checked(frame), model.coef_, model.intercept_)
    if len(model.classes_) == 2:
        return linear.scored(graph, scores, model.classes_, linear.of_two(graph, graph.op("Sigmoid", scores)))
    return linear.scored(graph, scores, model.classes_, graph.op("Softmax", scores, axis=1))
