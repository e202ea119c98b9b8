"""CalibratedClassifierCV: curves over scores, sigmoid or in steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from sqlinfer.functions.estimators import linear, scaling
from sqlinfer.functions.estimators.answer import Answer
from sqlinfer.functions.estimators.convert import answered
from sqlinfer.functions.estimators.ensembles import added
from sqlinfer.functions.estimators.graph import Frame, Graph
from sqlinfer.functions.sources.original import NotExact


def calibrated(graph: Graph, model: Any, frame: Frame) -> Answer:
    parts = [_one(graph, one, frame) for one in model.calibrated_classifiers_]
    chances = graph.op("Div", added(graph, parts), float(len(parts)))
    return Answer("classes", classes=model.classes_, votes=chances, probabilities=chances)


def _one(graph: Graph, one: Any, frame: Frame) -> str:
    answer = answered(graph, one.estimator, frame)
    count = len(one.classes)
    if one.method not in ("sigmoid", "isotonic"):
        raise NotExact(f"calibration by {one.method}")
    curves = [
        _curve(graph, calibrator, score)
        for calibrator, score in zip(one.calibrators, _scores(graph, answer), strict=True)
    ]
    if count == 2:
        return _bounded(graph, linear.of_two(graph, curves[0]))
    whole = graph.op("Concat", *_placed(graph, curves, one, answer), axis=1)
    return _bounded(graph, linear.normalised(graph, whole, one.classes))


def _placed(graph: Graph, curves: list[str], one: Any, answer: Answer) -> list[str]:
    """Columns in the order of all classes; 0 for a class that the estimator never saw."""
    known = dict(zip(np.asarray(answer.classes).tolist(), curves, strict=True))
    nothing = graph.op("Mul", curves[0], 0.0)
    return [known.get(label, nothing) for label in np.asarray(one.classes).tolist()]


def _scores(graph: Graph, answer: Answer) -> list[str]:
    """[N,1] for each calibrator."""
    count = len(answer.classes) if answer.classes is not None else 0
    if answer.decision is not None:
        if count == 2:
            return [answer.decision]
        source = answer.decision
    elif answer.probabilities is not None:
        source = answer.probabilities
    else:
        raise NotExact("calibration of an estimator without scores")
    columns = [1] if count == 2 else list(range(count))
    return [graph.op("Gather", source, np.array([k]), axis=1) for k in columns]


def _curve(graph: Graph, calibrator: Any, score: str) -> str:
    if type(calibrator).__name__ == "_SigmoidCalibration":
        inner = graph.op("Add", graph.op("Mul", score, float(calibrator.a_)), float(calibrator.b_))
        return graph.op("Sigmoid", graph.op("Neg", inner))
    return steps(graph, calibrator, score)


def steps(graph: Graph, model: Any, score: str) -> str:
    """IsotonicRegression: straight lines between its thresholds."""
    points, values = model.X_thresholds_, model.y_thresholds_
    if points.dtype == np.float32:
        score = graph.cast(graph.cast(score, "float"), "double")
    clipped = score
    if model.out_of_bounds == "clip":
        clipped = graph.op("Clip", score, float(model.X_min_), float(model.X_max_))
    elif model.out_of_bounds == "raise":
        graph.refuse(graph.op("Less", score, float(points[0])))
        graph.refuse(graph.op("Greater", score, float(points[-1])))
    made = scaling.interpolated(graph, clipped, points, values)
    if model.out_of_bounds == "nan":
        outside = graph.op("Or", graph.op("Less", score, float(points[0])),
                           graph.op("Greater", score, float(points[-1])))  # fmt: skip
        made = graph.op("Where", outside, np.nan, made)
    if points.dtype == np.float32:
        made = graph.cast(graph.cast(made, "float"), "double")
    return made


def isotonic(graph: Graph, model: Any, frame: Frame) -> Answer:
    return Answer("value", value=steps(graph, model, graph.checked(frame)))


def _bounded(graph: Graph, chances: str) -> str:
    """A hair above 1 is 1."""
    above = graph.op("And", graph.op("Greater", chances, 1.0), graph.op("LessOrEqual", chances, 1.0 + 1e-5))
    return graph.op("Where", above, 1.0, chances)
