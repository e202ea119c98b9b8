"""The worker's side of ``runtime: native``: a model in its own library predicts what a declaration asks for."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.errors import InferenceError
from sqlinfer.functions.cache import hash_of
from sqlinfer.functions.fuse.selection import select
from sqlinfer.functions.sources import matching
from sqlinfer.functions.sources.missing import with_missing
from sqlinfer.functions.sources.original import Original, Refused
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import Argument


def load_scorer(request: str) -> Callable[[pa.RecordBatch], Sequence[Any]]:
    """Raises InferenceError where the model is not the one that was prepared, or does not load."""
    asked = json.loads(request)
    original = _loaded(asked)
    fields = [ReturnField(**{**one, "labels": tuple(one["labels"]) if one["labels"] else None})
              for one in asked["fields"]]  # fmt: skip
    written = [Argument(**one) for one in asked["arguments"]]
    order = matching.matched(asked["function"], written, matching.named(original.arguments, asked["known"]))
    kinds = [types.arrow_type(one.data_type) for one in original.arguments]
    names = [one.name for one in original.arguments]
    missing = frozenset(asked["missing"])
    classes = original.results.classes

    def score(rows: pa.RecordBatch) -> Sequence[Any]:
        given = with_missing(rows, missing)
        columns = [given.column(place).cast(kind, safe=False) for place, kind in zip(order, kinds, strict=True)]
        found = original.predict(pa.RecordBatch.from_arrays(columns, names=names))
        raw = {name: np.asarray(values) for name, values in found.items()}
        return [select(field, raw, classes) for field in fields]

    return score


def _loaded(asked: dict[str, Any]) -> Original:
    for path, sha in asked["hashes"].items():
        if hash_of(Path(path)) != sha:
            raise InferenceError(f"{path} is not the file that was prepared", hint="remove it; it is made again")
    sys.path[:0] = asked["search"]
    warnings.simplefilter("ignore")
    try:
        original: Original = importlib.import_module(asked["module"]).load(asked)
    except Refused as error:
        raise InferenceError(str(error), hint=error.hint) from error
    return original
