"""``source: sklearn``: a fitted estimator as skops, as joblib or pickle under ``trust:``, or from an entrypoint."""

from __future__ import annotations

from typing import Final

from sqlinfer.functions.sources.library import Library

SOURCE: Final = Library(
    name="sklearn",
    module="sqlinfer.functions.sources.sklearn_model",
    packages=(("scikit-learn",), ("skops",)),
    suffixes=(".skops",),
    trusted=(".joblib", ".pkl", ".pickle"),
    revision=2,
)  # fmt: skip
