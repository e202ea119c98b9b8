"""The child's side of ``source: catboost``: the library writes a ``.cbm`` as JSON, the graph is made from that."""

from __future__ import annotations

import json
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
_PREDICTS: Final = {
    **dict.fromkeys(catboost_graph.EXPONENT, "Exponent"), "RMSEWithUncertainty": "RMSEWithUncertainty",
    "MultiLogloss": "Class", "MultiCrossEntropy": "Class",
}  # fmt: skip
"""Loss → what ``predict`` of CatBoost's own wrappers gives."""
_BOOLEANS: Final = (("1", "0"), ("True", "False"))
_UNSEEN: Final = "\ufdd0"
_ROWS: Final = 200
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
    if library._get_embedding_feature_indices():
        raise Refused(f"{what} has embedding features, which are not read", "train it on their elements as numbers")
    if library._get_text_feature_indices():  # which CatBoost does not write as JSON
        return catboost_file.read(json.dumps(_described(library)).encode(), what), library
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "model.json")
        library.save_model(str(written), format="json")
        return catboost_file.read(written.read_bytes(), what), library


def _described(library: Any) -> dict[str, Any]:
    """What its JSON would say of a model, without the trees."""
    metadata = library.get_metadata()
    texts, categories = set(library._get_text_feature_indices()), set(library._get_cat_feature_indices())
    places = range(len(library.feature_names_))
    numbers = [place for place in places if place not in texts | categories]
    scale, bias = library.get_scale_and_bias()
    meta = {key: metadata[key] for key in metadata.keys()}  # noqa: SIM118 - it is no dict
    parsed = {key: json.loads(meta[key]) for key in ("params", "class_params") if key in meta}
    return {
        "features_info": {
            "float_features": [{"feature_index": i, "flat_feature_index": one} for i, one in enumerate(numbers)],
            "categorical_features": [{"flat_feature_index": one} for one in sorted(categories)],
            "text_features": [{"flat_feature_index": one} for one in sorted(texts)],
        },
        "model_info": {**meta, **parsed},
        "scale_and_bias": [scale, bias],
    }  # fmt: skip


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
        self.results = catboost_graph.results_of(model)
        self.arguments = tuple(
            Suggested(one.name, "TEXT", "null") if one.is_text else one.suggested for one in self.features
        )
        self._made = self.boundary(_ROWS, 0)
        self._spelled: dict[int, dict[str, str]] = {}
        self._spelled = self._spellings()
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
        kind = _PREDICTS.get(self.model.loss, "RawFormulaVal")
        found = np.asarray(self.library.predict(given, prediction_type=kind, thread_count=1))
        if self.results.kind == "value":
            return {"value": found.reshape(-1)}
        return dict(zip(self.results.names, found.reshape(rows.num_rows, -1).T, strict=True))

    def _spellings(self) -> dict[int, dict[str, str]]:
        """Categories that were booleans come as ``true`` and ``false`` from a warehouse; CatBoost keeps hashes of ``1``
        and ``0``, or of ``True`` and ``False``. So the model is asked which of them it tells from a text that it has
        never seen."""
        found: dict[int, dict[str, str]] = {}
        for place in self.library._get_cat_feature_indices():
            if not self._tells(place, "true", "false"):
                known = next((pair for pair in _BOOLEANS if self._tells(place, *pair)), None)
                found |= {place: dict(zip(("true", "false"), known, strict=True))} if known else {}
        return found

    def _tells(self, place: int, *texts: str) -> bool:
        unseen = self._said_of(place, _UNSEEN)
        return any(bool((self._said_of(place, one) != unseen).any()) for one in texts)

    def _said_of(self, place: int, text: str) -> Array:
        rows = self._made
        columns = [pa.array([text] * rows.num_rows) if at == place else one for at, one in enumerate(rows.columns)]
        found = self.predict(pa.RecordBatch.from_arrays(columns, names=rows.schema.names))
        return np.column_stack([values for name, values in found.items() if name != "label"])

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
            [self._spelled.get(place, {}).get(text, text) for text in column.to_pylist()] if one.is_text
            else column.to_numpy(zero_copy_only=False)
            for place, (one, column) in enumerate(zip(self.features, rows.columns, strict=True))
        ]  # fmt: skip
        return pd.DataFrame(dict(zip((one.name for one in self.features), columns, strict=True)))
