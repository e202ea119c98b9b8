"""sqlinfer inside a dbt project: the manifest executor, the mixed build, the dbt-duckdb plugin, Python models."""

from __future__ import annotations

from typing import Any

__all__ = ["predict"]


def predict(dbt: Any, relation: Any, function: str, **options: Any) -> Any:
    """Score a relation inside a dbt Python model; see ``sqlinfer.dbt.python_model.predict``."""
    from sqlinfer.dbt.python_model import predict as score

    return score(dbt, relation, function, **options)
