"""What a fitted estimator takes: the columns that it looks at, with their kinds and whether they may be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from sqlinfer.functions.estimators.categories import is_missing, kind_of

Kind = Literal["number", "text", "integer", "boolean"]
_RANK: Final = ("text", "integer", "boolean", "number")
VECTORIZERS: Final = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
_ENCODERS: Final = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_PASSING: Final = ("FunctionTransformer", "VarianceThreshold")


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one column."""

    kind: Kind
    missing: bool | None = None
    """Whether it may be missing; None: only the estimator itself can say, when it is tried."""
    categories: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    place: int
    """Among all features that the estimator was fitted on."""
    demand: Demand


def columns_of(model: Any) -> tuple[tuple[Column, ...], tuple[str, ...] | None, int]:
    """The columns that are looked at; the names of all features, where there are any; how many there are."""
    names = _first(model, "feature_names_in_")
    if takes_texts(model):
        return (Column("f0", 0, Demand("text", False)),), None, 1
    count = len(names) if names is not None else int(_first(model, "n_features_in_") or 0)
    known = tuple(str(name) for name in names) if names is not None else None
    asked = demands(model, count)
    found = [Column(known[i] if known else f"f{i}", i, demand) for i, demand in enumerate(asked) if demand is not None]
    return tuple(found), known, count


def inner_steps(model: Any) -> Iterator[Any]:
    """The estimators that see an estimator's own input, first ones first."""
    if hasattr(model, "steps"):
        yield from (step for _, step in model.steps)
    for name in ("best_estimator_", "regressor_", "estimator_"):
        if hasattr(model, name):
            yield getattr(model, name)
    for name in ("estimators_", "calibrated_classifiers_"):
        for one in np.ravel(np.asarray(getattr(model, name, ()), dtype=object)):
            yield one.estimator if name == "calibrated_classifiers_" else one


def _first(model: Any, attribute: str) -> Any:
    """The attribute of the estimator, or of the first one inside that has it."""
    try:
        found = getattr(model, attribute, None)
    except (AttributeError, ValueError):
        found = None
    if found is not None:
        return found
    for step in inner_steps(model):
        if not isinstance(step, str) and step is not None and (found := _first(step, attribute)) is not None:
            return found
    return None


def takes_texts(model: Any) -> bool:
    """Whether its input is a list of texts rather than a table."""
    name = type(model).__name__
    if name in VECTORIZERS:
        return True
    if name == "ColumnTransformer":
        return False
    if name == "FeatureUnion":
        return any(takes_texts(step) for _, step in model.transformer_list)
    first = next((step for step in inner_steps(model) if step is not None and step != "passthrough"), None)
    return first is not None and not isinstance(first, str) and takes_texts(first)


def demands(model: Any, count: int) -> list[Demand | None]:
    """For each column; None: nothing looks at it."""
    name = type(model).__name__
    if isinstance(model, str) or model is None:
        return [Demand("number")] * count
    if name == "ColumnTransformer":
        return _of_columns(model, count)
    if name == "FeatureUnion":
        return _merged((demands(step, count) for _, step in model.transformer_list), count)
    if name in _ENCODERS:
        return [_of_categories(categories) for categories in model.categories_]
    if name in VECTORIZERS:
        return [Demand("text", False)] * count
    if name == "SimpleImputer":
        return [_imputed(value) for value in model.statistics_.tolist()]
    if name.startswith("HistGradientBoosting") and getattr(model, "_preprocessor", None) is not None:
        return _of_histograms(model, count)
    return _of_steps(model, count)


def _of_steps(model: Any, count: int) -> list[Demand | None]:
    """A pipeline asks what its first step asks, other estimators what those inside ask."""
    steps = [step for step in inner_steps(model) if not (step is None or isinstance(step, str))]
    steps = [step for step in steps if type(step).__name__ not in _PASSING]
    first = next((step for step in steps if getattr(step, "n_features_in_", count) == count), None)
    if first is None:
        return [Demand("number")] * count
    asked = demands(first, count)
    if type(first).__name__ == "SimpleImputer" and hasattr(model, "steps") and len(steps) > 1:
        return _imputed_first(asked, demands(steps[1], count))
    return asked


def _imputed_first(asked: list[Demand | None], then: list[Demand | None]) -> list[Demand | None]:
    """What the step after an imputer knows of the categories."""
    if len(then) != len(asked):
        return asked
    return [
        one if one is None or two is None or one.kind != two.kind else replace(one, categories=two.categories)
        for one, two in zip(asked, then, strict=True)
    ]


def _of_columns(model: Any, count: int) -> list[Demand | None]:
    found: list[list[Demand | None]] = []
    for name, step, _ in model.transformers_:
        chosen = [int(i) for i in model._transformer_to_input_indices.get(name, ())]
        if (isinstance(step, str) and step == "drop") or not chosen:
            continue
        spread: list[Demand | None] = [None] * count
        for place, demand in zip(chosen, demands(step, len(chosen)), strict=True):
            spread[place] = demand
        found.append(spread)
    return _merged(found, count)


def _merged(asked: Iterable[Sequence[Demand | None]], count: int) -> list[Demand | None]:
    """A column of several steps: the narrowest kind; it may be missing where all of them take that."""
    found: list[Demand | None] = [None] * count
    for one in asked:
        for i, demand in enumerate(one):
            found[i] = demand if found[i] is None else _both(found[i], demand)
    return found


def _both(first: Demand | None, second: Demand | None) -> Demand | None:
    if first is None or second is None:
        return first or second
    kind = min(first.kind, second.kind, key=_RANK.index)
    missing = None if None in (first.missing, second.missing) else bool(first.missing and second.missing)
    return Demand(kind, False if False in (first.missing, second.missing) else missing,
                  first.categories or second.categories)  # fmt: skip


def _of_categories(categories: Any) -> Demand:
    kind: Any = kind_of(categories)
    return Demand(kind, any(is_missing(one) for one in categories.tolist()), tuple(categories.tolist()))


def _imputed(value: Any) -> Demand:
    return Demand("text", True) if isinstance(value, str) else Demand("number")


def _of_histograms(model: Any, count: int) -> list[Demand | None]:
    """Its own encoder takes missing categories as missing."""
    encoder = model._preprocessor.named_transformers_["encoder"]
    found: list[Demand | None] = [Demand("number")] * count
    for place, categories in zip(np.flatnonzero(model.is_categorical_).tolist(), encoder.categories_, strict=True):
        found[place] = replace(_of_categories(categories), missing=True)
    return found
