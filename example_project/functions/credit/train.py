"""Train the credit model: boosted trees in which no feature may pull the wrong way. Writes ``credit.ubj``.

    pip install 'sqlinfer[xgboost]'
    python functions/credit/train.py

A higher income never raises the probability, one more late payment never lowers it: a reason that is given to an
applicant holds for the model as a whole. ``credit.onnx`` is the graph that ``source: xgboost`` makes of the file: with
it the nights need no XGBoost at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import xgboost
from generate import FEATURES, history

from sqlinfer.functions.forests import xgboost_file, xgboost_graph

MODEL = Path(__file__).parent / "credit.ubj"
ROWS, ROUNDS = 20_000, 60
DIRECTIONS = {
    "annual_income": -1,
    "debt_to_income": 1,
    "employment_years": -1,
    "late_payments": 1,
    "credit_history_months": -1,
    "card_utilisation": 1,
}


def dataset() -> tuple[np.ndarray, np.ndarray]:
    rows, labels = zip(*history(ROWS), strict=True)
    table = [[np.nan if row[name] is None else row[name] for name in FEATURES] for row in rows]
    return np.array(table, dtype=np.float32), np.array(labels, dtype=np.float32)


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve, from ranks."""
    ranks = scores.argsort().argsort() + 1.0
    hits = labels.sum()
    return float((ranks[labels == 1].sum() - hits * (hits + 1) / 2) / (hits * (len(labels) - hits)))


def main() -> None:
    inputs, labels = dataset()
    held_out = ROWS // 5
    settings = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "eta": 0.1,
        "min_child_weight": 20,
        "monotone_constraints": tuple(DIRECTIONS[name] for name in FEATURES),
        "nthread": 1,
        "seed": 7,
        "base_score": 0.08,
    }
    train = xgboost.DMatrix(inputs[held_out:], labels[held_out:], feature_names=list(FEATURES))
    booster = xgboost.train(settings, train, num_boost_round=ROUNDS)
    scores = booster.predict(xgboost.DMatrix(inputs[:held_out], feature_names=list(FEATURES)))
    booster.save_model(MODEL)
    onnx.save(xgboost_graph.graph_of(xgboost_file.read(MODEL, "credit_default")), MODEL.with_suffix(".onnx"))
    print(f"AUC on {held_out:,} held-out loans: {auc(scores, labels[:held_out]):.3f}; base rate {labels.mean():.3f}")


if __name__ == "__main__":
    main()
