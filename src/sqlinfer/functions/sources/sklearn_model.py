"""The child's side of ``source: sklearn``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import is_classifier

from sqlinfer.functions.sources.original import NotExact, Refused, Results, Suggested

Array = np.ndarray[Any, Any]


def load(request: Mapping[str, Any]) -> Estimator:
    if request["entrypoint"]:
        module, name = request["entrypoint"]
        made = getattr(importlib.import_module(module), name)
        return Estimator(made() if not hasattr(made, "predict") else made)
    path = Path(request["path"])
    if path.suffix == ".skops":
        from skops import io

        unknown = io.get_untrusted_types(file=path)
        if unknown:
            raise Refused(f"{request['name']} holds types that are not trusted: {', '.join(unknown)}",
                          "use an entrypoint that returns the estimator")  # fmt: skip
        return Estimator(io.load(path))
    import joblib

    return Estimator(joblib.load(path))


class Estimator:
    """Linear and logistic regression over numbers."""

    def __init__(self, model: Any) -> None:
        self.model = model
        names = getattr(model, "feature_names_in_", None)
        count = model.n_features_in_
        self._named = names is not None
        known = [str(one) for one in names] if names is not None else [f"f{i}" for i in range(count)]
        self.arguments = tuple(Suggested(name, "DOUBLE") for name in known)
        classes = tuple(str(one) for one in model.classes_.tolist()) if is_classifier(model) else None
        self.results = Results("classes" if classes else "value", classes)
        version = getattr(model, "__dict__", {}).get("_sklearn_version")
        self.made_with: Mapping[str, str] = {"scikit-learn": str(version)} if version else {}

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        matrix: Any = np.column_stack([column.to_numpy(zero_copy_only=False) for column in rows.columns])
        if self._named:
            import pandas as pd

            matrix = pd.DataFrame(matrix, columns=[one.name for one in self.arguments])
        if self.results.classes:
            return {"label": self.model.predict(matrix), "probabilities": self.model.predict_proba(matrix)}
        return {"value": self.model.predict(matrix)}

    def convert(self, target: Path) -> None:
        if type(self.model).__name__ not in ("LinearRegression", "LogisticRegression"):
            raise NotExact(f"{type(self.model).__name__} is not known yet")
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType

        shape = [("features", DoubleTensorType([None, len(self.arguments)]))]
        options = {id(self.model): {"zipmap": False}} if self.results.classes else None
        graph = to_onnx(self.model, initial_types=shape, options=options)
        names = ["label", "probabilities"] if self.results.classes else ["value"]
        _rename_outputs(graph, names)
        target.write_bytes(graph.SerializeToString())

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        random = np.random.default_rng(seed)
        matrix = random.normal(0, 10, (min(limit, 200), len(self.arguments)))
        matrix[:4] = [[0.0], [1.0], [-1e6], [2.0**24 + 1]]
        return pa.RecordBatch.from_arrays([pa.array(column) for column in matrix.T],
                                          names=[one.name for one in self.arguments])  # fmt: skip


def _rename_outputs(graph: Any, names: list[str]) -> None:
    for output, name in zip(graph.graph.output, names, strict=True):
        for node in graph.graph.node:
            for at, made in enumerate(node.output):
                if made == output.name:
                    node.output[at] = name
            for at, read in enumerate(node.input):
                if read == output.name:
                    node.input[at] = name
        output.name = name
