"""Where functions come from: one file per source, all behind ``Source``. A new source is one file and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from sqlinfer.errors import FunctionError, Location, did_you_mean
from sqlinfer.functions.sources.base import Artifact, Source, Workspace, ignore

SOURCES: Final = {
    "onnx": "sqlinfer.functions.sources.onnx",
    "torch": "sqlinfer.functions.sources.torch",
    "mlflow": "sqlinfer.functions.sources.mlflow",
    "python": "sqlinfer.functions.sources.python",
    "sklearn": "sqlinfer.functions.sources.sklearn",
    "xgboost": "sqlinfer.functions.sources.xgboost",
    "lightgbm": "sqlinfer.functions.sources.lightgbm",
    "catboost": "sqlinfer.functions.sources.catboost",
    "huggingface": "sqlinfer.functions.sources.huggingface",
}
"""Source name → module with a ``SOURCE``. Names rather than objects, so that an unused source is never imported."""

__all__ = ["SOURCES", "Artifact", "Source", "Workspace", "ignore", "source_named"]


def source_named(name: str, location: Location | None = None) -> Source:
    """The source of that name.

    Raises:
        FunctionError: there is none.
    """
    module = SOURCES.get(name)
    if module is None:
        hint = did_you_mean(name, SOURCES)
        raise FunctionError(f"unknown source '{name}' of a function", hint=hint, location=location)
    source: Source = import_module(module).SOURCE
    return source
