"""Arrow batches in, Arrow batches out, through ONNX Runtime. Importing it is cheap: the engine loads on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlinfer.inference.layout import Layout, read_layout

if TYPE_CHECKING:
    from sqlinfer.inference.reader import ScoredReader
    from sqlinfer.inference.session import BatchResult, Session, open_session

__all__ = ["BatchResult", "Layout", "ScoredReader", "Session", "open_session", "read_layout"]


def __getattr__(name: str) -> Any:
    if name in ("BatchResult", "ScoredReader", "Session", "open_session"):
        from sqlinfer.inference import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
