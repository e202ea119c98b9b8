"""Graphs as skl2onnx really writes them: one input per column, strings included, probabilities behind a ZipMap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sqlinfer.project.values import ReturnField
from sqlinfer.testing.workshop import Workshop, score

pytest.importorskip("skl2onnx")
pytestmark = pytest.mark.filterwarnings("ignore")

COLUMNS = [("n0", "DOUBLE"), ("n1", "DOUBLE"), ("c0", "TEXT"), ("c1", "TEXT")]


def classifiers() -> dict[str, Any]:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    return {
        "boosting": GradientBoostingClassifier(n_estimators=20),
        "forest": RandomForestClassifier(10),
        "logistic": LogisticRegression(),
        "neighbours": KNeighborsClassifier(),
    }


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["boosting", "forest", "logistic", "neighbours"])
def test_a_pipeline_scores_as_in_sklearn(shop: Workshop, kind: str, zipmap: bool) -> None:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 2)).astype(np.float32)
    texts = rng.choice(["a", "b", "c"], size=(200, 2)).astype(object)
    table = np.concatenate([numbers.astype(object), texts], axis=1)
    label = np.where(numbers[:, 0] + (texts[:, 0] == "a") > 0.3, "Yes", "No")
    encode = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
            ("c", OneHotEncoder(handle_unknown="ignore"), [2, 3]),
        ],
        sparse_threshold=0,
    )
    pipeline = make_pipeline(encode, classifiers()[kind]).fit(table, label)
    types = [(n, (FloatTensorType if t == "DOUBLE" else StringTensorType)([None, 1])) for n, t in COLUMNS]
    model = convert_sklearn(pipeline, initial_types=types, options={id(pipeline): {"zipmap": zipmap}}, target_opset=17)
    output = "output_probability" if zipmap else "probabilities"
    prepared = shop.make(model.SerializeToString(), COLUMNS, ReturnField("value", "DOUBLE", output=output, index=1))
    assert [b.layout for b in prepared.inputs] == ["column"] * 4
    feeds = {"n0": numbers[:, :1], "n1": numbers[:, 1:], "c0": texts[:, :1], "c1": texts[:, 1:]}
    np.testing.assert_allclose(score(prepared, feeds)["value"], pipeline.predict_proba(table)[:, 1], atol=1e-5)
