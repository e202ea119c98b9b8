"""The child's side of ``source: catboost``: the library writes a ``.cbm`` as JSON, the graph is made from that."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pyarrow as pa

from sqlinfer.functions.forests import catboost_file, catboost_graph
from sqlinfer.functions.forests.boundary import boundary_rows
from sqlinfer.functions.forests.catboost_file import CatBoostModel
from sqlinfer.functions.forests.features import Feature
from sqlinfer.functions.sources.original import Refused, Suggested

Array = np.ndarray[Any, Any]
_MAGIC: Final = b"CBM1"
_HINT: Final = "save the model again, and check that the whole file was copied"


def load(request: Mapping[str, Any]) -> CatBoost:
    path = Path(request["path"])
    what = f"the CatBoost model {request['name']}"
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        catboost_file.read(data, what)  # says what is wrong, before the library looks at it
        return CatBoost(*_loaded(path, "json", what))
    if len(data) < 8 or int.from_bytes(data[4:8], "little") > len(data) - 8:
        raise Refused(f"{what} is cut off: it states more bytes than it has", _HINT)
    return CatBoost(*_loaded(path, "cbm", what))


def _loaded(path: Path, kind: str, what: str) -> tuple[CatBoostModel, Any]:
    """Our reading, and the library's model."""
    import catboost

    library = catboost.CatBoost()
    try:
        library.load_model(str(path), format=kind)
    except (catboost.CatBoostError, UnicodeDecodeError, ValueError) as error:
        raise Refused(f"{what} is not read by CatBoost: {str(error).splitlines()[0][:200]}", _HINT) from error
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.json")
        library.save_model(str(written), format="json")
        return catboost_file.read(written.read_bytes(), what), library


class CatBoost:
    """One model file."""

    def __init__(self, model: CatBoostModel, library: Any) -> None:
        self.model, self.library = model, library
        names = [str(one) for one in library.feature_names_ or ()][: max(model.features, 1)]
        names += [str(place) for place in range(len(names), max(model.features, 1))]
        if all(name == str(place) for place, name in enumerate(names)):
            names = [f"f{place}" for place in range(len(names))]
        self.features = tuple(
            Feature(name, categories=("",) if place in model.texts else None) for place, name in enumerate(names)
        )
        self.arguments = tuple(
            Suggested(one.name, "TEXT", "null") if one.is_text else one.suggested for one in self.features
        )
        self.results = catboost_graph.results_of(model)
        self.made_with: Mapping[str, str] = {"catboost": model.version} if model.version else {}

    def convert(self, target: Path) -> None:
        onnx.save(catboost_graph.graph_of(self.model), target)

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        rows = boundary_rows(self.features, self.model.trees.thresholds, limit, seed, single=True)
        columns = [
            column.fill_null("") if one.is_text else column
            for one, column in zip(self.features, rows.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=rows.schema)

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        given = self._given(rows)
        if self.results.kind == "classes":
            kinds = ("Class", "Probability")
            label, probabilities = (self.library.predict(given, prediction_type=kind, thread_count=1) for kind in kinds)
            return {"label": self._labels(np.asarray(label).reshape(-1)), "probabilities": np.asarray(probabilities)}
        kind = "Exponent" if self.model.loss in catboost_graph.EXPONENT else "RawFormulaVal"
        found = np.asarray(self.library.predict(given, prediction_type=kind, thread_count=1))
        if self.results.kind == "value":
            return {"value": found.reshape(-1)}
        return dict(zip(self.results.names, found.reshape(rows.num_rows, -1).T, strict=True))

    def _labels(self, found: Array) -> Array:
        whole = catboost_graph.are_whole(catboost_graph.classes_of(self.model))
        return found.astype(np.int64) if whole else found.astype(str).astype(object)

    def _given(self, rows: pa.RecordBatch) -> Any:
        """A matrix of floats; a data frame where there are categories, which cannot be missing."""
        if not self.model.texts:
            with np.errstate(over="ignore"):
                columns = [column.to_numpy(zero_copy_only=False).astype(np.float32) for column in rows.columns]
            return np.column_stack(columns)
        import pandas as pd

        columns = [
            column.to_pylist() if one.is_text else column.to_numpy(zero_copy_only=False)
            for one, column in zip(self.features, rows.columns, strict=True)
        ]
        return pd.DataFrame(dict(zip((one.name for one in self.features), columns, strict=True)))
