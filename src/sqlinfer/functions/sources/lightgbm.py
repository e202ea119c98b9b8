"""``source: lightgbm``: a booster as LightGBM's own text."""

from __future__ import annotations

from typing import Final

from sqlinfer.functions.sources.library import Library

SOURCE: Final = Library(
    name="lightgbm",
    module="sqlinfer.functions.sources.lightgbm_model",
    packages=(("lightgbm",),),
    suffixes=(".txt", ".lgb", ".model"),
)  # fmt: skip
