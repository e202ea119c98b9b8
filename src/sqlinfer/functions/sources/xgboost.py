"""``source: xgboost``: a booster in XGBoost's own formats."""

from __future__ import annotations

from typing import Final

from sqlinfer.functions.sources.library import Library

SOURCE: Final = Library(
    name="xgboost",
    module="sqlinfer.functions.sources.xgboost_model",
    packages=(("xgboost", "xgboost-cpu"),),
    suffixes=(".json", ".ubj"),
)  # fmt: skip
