"""The child's side of ``source: xgboost``: the graph is made from our own reading of the file, the answers are the
library's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa

from sqlinfer.functions.forests import xgboost_file, xgboost_graph
from sqlinfer.functions.forests.boundary import boundary_rows
from sqlinfer.functions.forests.features import Feature
from sqlinfer.functions.forests.xgboost_file import XGBoostModel

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]


def load(request: Mapping[str, Any]) -> XGBoost:
    path = Path(request["path"])
    return XGBoost(xgboost_file.read(path, request["name"]), path)


class XGBoost:
    """One model file; the library reads the file when it is first asked to predict."""

    def __init__(self, model: XGBoostModel, path: Path) -> None:
        self.model, self.path = model, path
        self.features = xgboost_graph.features_of(model)
        self.arguments = tuple(one.suggested for one in self.features)
        self.results = xgboost_graph.results_of(model)
        self.made_with: Mapping[str, str] = {_distribution(): model.version} if model.version else {}
        self._booster: Any = None

    def convert(self, target: Path) -> None:
        onnx.save(xgboost_graph.graph_of(self.model), target)

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        return boundary_rows(self.features, self.model.trees.thresholds, limit, seed, single=True)

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        found = self._predicted(rows, self._predict_type())
        if self.results.kind == "classes":
            return self._classes(found)
        if self.results.kind == "values":
            return dict(zip(self.results.names, found.reshape(rows.num_rows, -1).T, strict=True))
        return {"value": found.reshape(-1)}

    def _predict_type(self) -> str:
        return "margin" if self.model.objective == "multi:softmax" else "value"

    def _predicted(self, rows: pa.RecordBatch, kind: str) -> Array:
        if not rows.num_rows:
            return np.empty((0, self.model.trees.targets), np.float32)
        if self._booster is None:
            self._booster = _load(self.path)
        given, rounds = self._given(rows), (0, self.model.rounds or 0)
        by_matrix = self.model.tree_weights and not self.model.is_wrapped  # the two ways add up otherwise
        if by_matrix or self.model.is_linear:  # linear boosters have one way only
            found = self._booster.predict(
                self._as_dmatrix(given), output_margin=kind == "margin", iteration_range=rounds
            )
        else:
            found = self._booster.inplace_predict(given, iteration_range=rounds, predict_type=kind)
        return np.asarray(found)

    def _as_dmatrix(self, given: Array | pd.DataFrame) -> Any:
        import xgboost

        if not isinstance(given, np.ndarray):
            return xgboost.DMatrix(given, enable_categorical=True)
        types = ["c" if one.is_code else "float" for one in self.features]
        return xgboost.DMatrix(given, feature_names=[one.name for one in self.features], feature_types=types,
                               enable_categorical=True)  # fmt: skip

    def _given(self, rows: pa.RecordBatch) -> Array | pd.DataFrame:
        """A matrix; a data frame where the model knows categories."""
        if not any(one.categories for one in self.features):
            return np.column_stack([column.to_numpy(zero_copy_only=False) for column in rows.columns])
        import pandas as pd

        columns = {one.name: _column(one, column) for one, column in zip(self.features, rows.columns, strict=True)}
        return pd.DataFrame(columns)

    def _classes(self, found: Array) -> Mapping[str, Array]:
        if self.model.objective == "binary:logistic":
            second = found.reshape(-1)
            probabilities = np.column_stack([np.float32(1) - second, second])
            return {"label": (second > 0.5).astype(np.int64), "probabilities": probabilities}
        found = found.reshape(len(found), -1)
        label = np.argmax(found, axis=1).astype(np.int64)
        if self.model.objective == "multi:softmax":  # whose predict gives labels only
            grown = np.exp(found - found.max(axis=1, keepdims=True))
            found = grown / grown.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        return {"label": label, "probabilities": found}


def _distribution() -> str:
    """The installed one of the two that bring the library, to whose version the file's is compared."""
    try:
        metadata.version("xgboost-cpu")
    except metadata.PackageNotFoundError:
        return "xgboost"
    return "xgboost-cpu"


def _load(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster(model_file=path)
    booster.set_param({"nthread": 1})
    return booster


def _column(feature: Feature, column: pa.Array) -> Any:
    """XGBoost 3.2 takes the next category in order for one that it has not seen, and says so for the last one only."""
    import pandas as pd

    if feature.categories is None:
        return column.to_numpy(zero_copy_only=False)
    values = column.to_pylist() if feature.is_text else [_whole(feature, one) for one in column.to_pylist()]
    seen = set(feature.categories)
    if any(one is not None and one not in seen for one in values):
        raise ValueError(f"a category of {feature.name} is not in the training set")
    return pd.Categorical(values, categories=pd.Index(feature.categories))


def _whole(feature: Feature, value: float | None) -> int | None:
    if value is None or np.isnan(value):
        return None
    if value != np.floor(value):
        raise ValueError(f"a category of {feature.name} is not a whole number")
    return int(value)
