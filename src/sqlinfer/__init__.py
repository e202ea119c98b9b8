"""Prediction as a nightly SQL job: predict() in a SELECT, predictions in a table.

``sqlinfer.connect(project_dir).sql("select predict('f', x) from t")`` and
``sqlinfer.register(connection, project_dir)`` are the ways in from Python; both are imported on first use, so that
``import sqlinfer`` stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlinfer.interpreted import prefer_source
from sqlinfer.version import __version__

prefer_source()

if TYPE_CHECKING:
    from sqlinfer.api import connect as connect
    from sqlinfer.api import lookup as lookup
    from sqlinfer.api import outcome as outcome
    from sqlinfer.api import register as register

__all__ = ["__version__", "connect", "lookup", "outcome", "register"]


def __getattr__(name: str) -> Any:
    if name in ("connect", "lookup", "outcome", "register"):
        from sqlinfer import api

        return getattr(api, name)
    raise AttributeError(f"module 'sqlinfer' has no attribute '{name}'")
