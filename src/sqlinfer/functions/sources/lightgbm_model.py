"""The child's side of ``source: lightgbm``: the graph is made from our own reading of the file, the answers are the
library's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pyarrow as pa

from sqlinfer.functions.forests import lightgbm_file, lightgbm_graph
from sqlinfer.functions.forests.boundary import boundary_rows
from sqlinfer.functions.forests.features import Feature
from sqlinfer.functions.forests.lightgbm_file import LightGBMModel

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]


def load(request: Mapping[str, Any]) -> LightGBM:
    path = Path(request["path"])
    return LightGBM(lightgbm_file.read(path, request["name"]), path)


class LightGBM:
    """One model file; the library reads the file when it is first asked to predict."""

    def __init__(self, model: LightGBMModel, path: Path) -> None:
        self.model, self.path = model, path
        self.features = lightgbm_graph.features_of(model)
        self.arguments = tuple(one.suggested for one in self.features)
        self.results = lightgbm_graph.results_of(model)
        self.made_with: Mapping[str, str] = {}
        self._booster: Any = None

    def convert(self, target: Path) -> None:
        onnx.save(lightgbm_graph.graph_of(self.model), target)

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        thresholds: dict[int, Array] = {}
        for column, known in self.model.trees.thresholds.items():
            feature = self.model.columns[column][0]
            thresholds[feature] = np.union1d(thresholds.get(feature, np.empty(0)), known)
        return boundary_rows(self.features, thresholds, limit, seed, single=False)

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        found = self._predicted(rows)
        if self.results.kind == "values":
            return dict(zip(self.results.names, found.reshape(rows.num_rows, -1).T, strict=True))
        if self.results.kind == "value":
            return {"value": found.reshape(-1)}
        probabilities = found.reshape(rows.num_rows, -1)
        if self.model.objective == "binary":
            probabilities = np.column_stack([1.0 - found, found])
        return {"label": np.argmax(probabilities, axis=1).astype(np.int64), "probabilities": probabilities}

    def _predicted(self, rows: pa.RecordBatch) -> Array:
        if not rows.num_rows:
            return np.empty((0, self.model.trees.targets))
        if self._booster is None:
            import lightgbm

            self._booster = lightgbm.Booster(model_file=str(self.path))
        found: Array = self._booster.predict(self._given(rows), validate_features=False, num_threads=1)
        return np.asarray(found, np.float64)

    def _given(self, rows: pa.RecordBatch) -> Array | pd.DataFrame:
        """A matrix; a data frame where the model knows the categories of pandas."""
        if not self.model.categories:
            return np.column_stack([column.to_numpy(zero_copy_only=False) for column in rows.columns])
        import pandas as pd

        columns = zip(self.features, rows.columns, strict=True)
        return pd.DataFrame({one.name: _column(one, column) for one, column in columns})


def _column(feature: Feature, column: pa.Array) -> Any:
    """A category that is not among the known ones becomes missing, as in LightGBM itself."""
    import pandas as pd

    if feature.categories is None:
        return column.to_numpy(zero_copy_only=False)
    known = list(feature.categories)
    seen = {one: one for one in known}  # a whole number as the category that is equal to it
    return pd.Categorical([seen.get(one) for one in column.to_pylist()], categories=pd.Index(known))
