"""The child's side of an MLflow ``python_function``: loaded by MLflow, which runs the model's own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.functions.sources import mlmodel
from sqlinfer.functions.sources.original import NotExact, Refused, Results, Suggested

Array = np.ndarray[Any, Any]
_TRIED: Final[Mapping[str, tuple[Any, ...]]] = {"TEXT": ("", "a"), "BOOLEAN": (False, True), "BLOB": (b"", b"a")}


def load(request: Mapping[str, Any]) -> Function:
    from mlflow import pyfunc

    folder = Path(request["uri"])
    known = mlmodel.read(folder).signature
    if known is None and not request["arguments"]:
        raise Refused("the model has no signature", "write 'arguments:' in the declaration")
    written = tuple(Suggested(one["name"], one["data_type"]) for one in request["arguments"])
    return Function(pyfunc.load_model(str(folder)), known or written)


class Function:
    made_with: Mapping[str, str] = {}

    def __init__(self, model: Any, arguments: tuple[Suggested, ...]) -> None:
        self._model = model
        self.arguments = arguments
        self.results = self._results()

    def predict(self, rows: pa.RecordBatch) -> Mapping[str, Array]:
        return _outputs(self._model.predict(rows.to_pandas()))

    def convert(self, target: Path) -> None:
        raise NotExact("it is code")

    def boundary(self, limit: int, seed: int) -> pa.RecordBatch:
        """Two ordinary rows: what code takes, nobody knows."""
        columns = [pa.array(_TRIED.get(one.data_type, (0, 1)) if not types.is_array(one.data_type)
                            else [[0] * (types.array_width(one.data_type) or 1)] * 2, types.arrow_type(one.data_type))
                   for one in self.arguments]  # fmt: skip
        return pa.RecordBatch.from_arrays(columns, names=[one.name for one in self.arguments])

    def _results(self) -> Results:
        outputs = self.predict(self.boundary(2, 0))
        if "vector" in outputs:
            return Results("vector", width=outputs["vector"].shape[1])
        if "label" in outputs:
            return Results("classes")
        return Results("value") if "value" in outputs else Results("values", names=tuple(outputs))


def _outputs(result: Any) -> Mapping[str, Array]:
    """One column of floats is a value, one of anything else a label, several are named."""
    if hasattr(result, "columns") and result.shape[1] != 1:
        return {str(name): np.asarray(result.iloc[:, place]) for place, name in enumerate(result.columns)}
    if isinstance(result, Mapping):
        return {str(name): np.asarray(values) for name, values in result.items()}
    values = np.asarray(result)
    if values.ndim == 2 and values.shape[1] != 1:
        return {"vector": values}
    values = values.reshape(len(values))
    return {"value" if values.dtype.kind == "f" else "label": values}
