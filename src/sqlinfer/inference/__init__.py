"""Arrow batches in, Arrow batches out, through ONNX Runtime. Importing it is cheap: the engine loads on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlinfer.inference.batch_result import BatchResult
    from sqlinfer.inference.isolation import IsolatedSession, open_isolated
    from sqlinfer.inference.layout import Layout, read_layout
    from sqlinfer.inference.reader import ScoredReader
    from sqlinfer.inference.runnable import read_rewrites
    from sqlinfer.inference.session import Session, open_session

__all__ = [
    "BatchResult", "IsolatedSession", "Layout", "ScoredReader", "Session", "open_isolated", "open_session",
    "read_layout", "read_rewrites",
]  # fmt: skip


_HOMES = {
    "BatchResult": "batch_result", "Session": "session", "open_session": "session", "ScoredReader": "reader",
    "IsolatedSession": "isolation", "open_isolated": "isolation", "Layout": "layout", "read_layout": "layout",
    "read_rewrites": "runnable",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
