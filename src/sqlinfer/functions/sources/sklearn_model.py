"""The child's side of ``source: sklearn``: the fitted estimator in its own library."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer.functions.estimators import boundary, finish, trees
from sqlinfer.functions.estimators.arguments import Column, columns_of, takes_texts
from sqlinfer.functions.estimators.categories import is_missing
from sqlinfer.functions.sources import sklearn_file
from sqlinfer.functions.sources.original import NotExact, Refused, Results, Suggested

Array = np.ndarray[Any, Any]
_TRIES = 6
_TYPICAL = 120
"""Rows as a training set might hold them."""
_TYPES = {"number": "DOUBLE", "text": "TEXT", "integer": "BIGINT", "boolean": "BOOLEAN"}


def load(request: Mapping[str, Any]) -> Estimator:
    model, made_with = sklearn_file.load(request)
    if not (hasattr(model, "predict") or hasattr(model, "transform")):
        raise Refused(f"it holds {type(model).__name__}, which is no fitted estimator",
                      "save the pipeline itself, after fit()")  # fmt: skip
    return Estimator(model, made_with)


class Estimator:
    """A fitted estimator or pipeline, with what it takes and gives."""

    def __init__(self, model: Any, made_with: Mapping[str, str]) -> None:
        self.model, self.made_with = model, made_with
        for step in boundary.walk(model):
            trees.check_nodes(step)
        columns, self._names, self._count = columns_of(model)
        self._require_pandas()
        if not columns:
            raise Refused(f"{type(model).__name__} is not fitted, or takes nothing", "save it after fit()")
        self._columns = columns
        self._marker = _missing_marker(model)
        self._example, self._said = self._tried_out()
        self.results = self._results()
        self._columns = tuple(replace(one, demand=replace(one.demand, missing=self._may_miss(one))) for one in columns)
        self.arguments = tuple(
            Suggested(one.name, _TYPES[one.demand.kind], "nan" if one.demand.missing else "null")
            for one in self._columns
        )

    def _require_pandas(self) -> None:
        by_name = any(type(step).__name__ == "ColumnTransformer" for step in boundary.walk(self.model))
        if self._names is not None and by_name and find_spec("pandas") is None:
            raise Refused("its columns are chosen by name, which needs pandas", "pip install 'sqlinfer[sklearn]'")

    # -- what the library says ---------------------------------------------------------------------------------------

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._answers(self._table(rows))

    def _answers(self, table: Any) -> dict[str, Array]:
        model, kind = self.model, self.results.kind
        if kind == "vector":
            made = model.transform(table)
            return {"vector": np.asarray(made.toarray() if hasattr(made, "toarray") else made)}
        said = np.asarray(model.predict(table))
        if kind == "classes":
            chances = self._probabilities(table)
            return {"label": said} if chances is None else {"label": said, "probabilities": chances}
        if kind == "outlier":
            return {"value": np.asarray(model.decision_function(table)), "label": said}
        if kind == "values":
            return {name: said[:, place] for place, name in enumerate(self.results.names)}
        return {"label" if kind == "cluster" else "value": said.reshape(len(said))}

    def _probabilities(self, table: Any) -> Array | None:
        if not hasattr(self.model, "predict_proba"):
            return None
        return np.asarray(self.model.predict_proba(table))

    # -- what goes in --------------------------------------------------------------------------------------------------

    def _table(self, rows: pa.RecordBatch) -> Any:
        """The rows as the estimator was fitted: texts, a frame with names, or a matrix."""
        given = {one.place: _values(rows.column(i), one, self._marker) for i, one in enumerate(self._columns)}
        if takes_texts(self.model):
            return given[0]
        every = [given.get(place, np.zeros(rows.num_rows)) for place in range(self._count)]
        if self._names is not None and (frame := _frame(every, self._names)) is not None:
            return frame
        if any(values.dtype == object for values in every):
            return np.stack([values.astype(object) for values in every], axis=1)
        return np.column_stack(every)

    def _may_miss(self, column: Column) -> bool:
        if column.demand.kind in ("integer", "boolean"):
            return False
        if column.demand.missing is not None:
            return column.demand.missing
        if not hasattr(self, "_takers"):
            self._takers = self._tried([one.place for one in self._columns if one.demand.missing is None])
        return column.place in self._takers

    def _tried(self, places: list[int]) -> set[int]:
        """The columns that may be NaN, found by halving: the estimator is asked."""
        if not places:
            return set()
        if self._takes_nan(set(places)):
            return set(places)
        if len(places) == 1:
            return set()
        middle = len(places) // 2
        return self._tried(places[:middle]) | self._tried(places[middle:])

    def _takes_nan(self, places: set[int]) -> bool:
        row = [None if one.place in places else value for one, value in zip(self._columns, self._example, strict=True)]
        try:
            self.predict(self._batch([row]))
        except Exception:  # whatever it raises means no
            return False
        return True

    # -- what comes out ------------------------------------------------------------------------------------------------

    def _results(self) -> Results:
        from sklearn.base import is_classifier, is_clusterer, is_outlier_detector

        model = self.model
        if not hasattr(model, "predict"):
            if self._said is None:
                raise Refused(f"{type(model).__name__} refuses every row that was tried", "is it fitted?")
            return Results("vector", width=int(self._said.shape[1]))
        classes = getattr(model, "classes_", None)
        if is_outlier_detector(model) and hasattr(model, "decision_function"):
            return Results("outlier")
        if is_clusterer(model) or type(_last(model)).__name__.endswith("Mixture"):
            return Results("cluster")
        if self._said is not None and np.ndim(self._said) == 2 and self._said.shape[1] > 1:
            return Results("values", names=tuple(f"y{i}" for i in range(self._said.shape[1])))
        if is_classifier(model) and classes is not None:
            return Results("classes", tuple(str(one) for one in np.asarray(classes).tolist()))
        return Results("value")

    def _tried_out(self) -> tuple[list[Any], Array | None]:
        """A row that the estimator takes, and what it says of it."""
        random = np.random.default_rng(0)
        row: list[Any] = []
        for i in range(_TRIES):
            row = [boundary.typical(one.demand, (), random, positive=bool(i % 2)) for one in self._columns]
            with warnings.catch_warnings(), suppress(Exception):  # whatever it raises: another row
                warnings.simplefilter("ignore")
                table = self._table(self._batch([row]))
                said = self.model.predict(table) if hasattr(self.model, "predict") else self.model.transform(table)
                return row, said
        return row, None

    def convert(self, target: Path) -> None:
        kinds = [one.demand.kind for one in self._columns]
        places = [one.place for one in self._columns]
        try:
            is_none = self._marker is None
            graph = finish.written(self.model, self.results, kinds, places, self._count, is_none=is_none)
        except (AttributeError, KeyError, IndexError, TypeError) as error:  # another version keeps it elsewhere
            raise NotExact(f"{type(self.model).__name__} is not as this version knows it ({error})") from error
        target.write_bytes(graph.SerializeToString())

    # -- rows made from the model --------------------------------------------------------------------------------------

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        random = np.random.default_rng(seed)
        decided = boundary.thresholds(self.model, self._count)
        bases = [
            [
                boundary.typical(one.demand, decided.get(one.place, ()), random, positive=bool(i % 2))
                for one in self._columns
            ]
            for i in range(_TYPICAL)
        ]
        odd: list[list[Any]] = []
        for at, one in enumerate(self._columns):
            for value in boundary.values_of(one, self.model, self._count):
                base = list(bases[len(odd) % len(bases)])
                base[at] = value
                odd.append(base)
        room = max(limit - len(bases), 0)
        if len(odd) > room:
            odd = [odd[int(i)] for i in np.linspace(0, len(odd) - 1, room).astype(int)]
        return self._batch([*bases, *odd][:limit])

    def _batch(self, rows: list[list[Any]]) -> pa.RecordBatch:
        kinds = {"number": pa.float64(), "text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}
        arrays = [pa.array([row[at] for row in rows], kinds[one.demand.kind]) for at, one in enumerate(self._columns)]
        return pa.RecordBatch.from_arrays(arrays, names=[one.name for one in self._columns])


def _frame(columns: list[Array], names: tuple[str, ...]) -> Any:
    """A frame of pandas, where that is installed: columns by name need it, other estimators take a matrix."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return pd.DataFrame(dict(enumerate(columns))).set_axis(list(names), axis=1)


def _values(column: pa.Array, wanted: Column, marker: Any) -> Array:
    kind = wanted.demand.kind
    if kind == "text":
        return np.array([marker if one is None else one for one in column.to_pylist()], dtype=object)
    if kind == "number":
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _missing_marker(model: Any) -> Any:
    """What stands for a missing text: None where the estimator was fitted on it, else NaN."""
    for step in boundary.walk(model):
        marker = getattr(step, "missing_values", float("nan"))
        if marker is None:
            return None
        categories = itertools.chain.from_iterable(one.tolist() for one in getattr(step, "categories_", ()))
        if any(one is None for one in categories if is_missing(one)):
            return None
    return float("nan")


def _last(model: Any) -> Any:
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return model
