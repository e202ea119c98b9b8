"""``source: catboost``: a model in CatBoost's own formats."""

from __future__ import annotations

from typing import Final

from sqlinfer.functions.sources.library import Library

SOURCE: Final = Library(
    name="catboost",
    module="sqlinfer.functions.sources.catboost_model",
    packages=(("catboost",),),
    suffixes=(".cbm", ".json"),
    revision=2,
)  # fmt: skip
