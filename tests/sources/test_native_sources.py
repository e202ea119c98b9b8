"""``runtime: native``: the library itself predicts what a declaration asks for, and nothing is converted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_session
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.testing.workshop import Workshop

skops = pytest.importorskip("skops.io")
linear_model = pytest.importorskip("sklearn.linear_model")

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(0, 1, (300, 3))
KIND = np.where(ROWS[:, 0] > 0.3, "Two year", np.where(ROWS[:, 1] > 0, "Monthly", "One year"))


def saved(shop: Workshop, model: object) -> Path:
    skops.dump(model, shop.folder / "model.skops")
    return shop.folder / "model.skops"


@pytest.fixture
def plan(shop: Workshop) -> Any:
    model = linear_model.LogisticRegression().fit(ROWS, KIND)
    saved(shop, model)
    return model


def make(shop: Workshop, returns: Any = (), **options: Any) -> PreparedFunction:
    given = {"source": "sklearn", "runtime": "native", **options}
    return shop.make(shop.folder / "model.skops", options.pop("arguments", ()), returns, **given)


def scored(prepared: PreparedFunction) -> pa.Table:
    names = [argument.name for argument in prepared.contract.arguments]
    with open_session(prepared, threads=2) as session:
        return session.score_table(pa.table(dict(zip(names, ROWS.T, strict=True))), keep=())


def test_results_are_the_librarys_own_and_there_is_no_graph(shop: Workshop, plan: Any) -> None:
    prepared = make(shop)
    assert prepared.contract.return_type == 'STRUCT("label" TEXT, "probabilities" DOUBLE[3])'
    assert not list(prepared.folder.glob("*.onnx"))
    found = scored(prepared)
    assert found["label"].to_pylist() == plan.predict(ROWS).tolist()
    assert np.array_equal(np.array(found["probabilities"].to_pylist()), plan.predict_proba(ROWS))


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        (ReturnField("value", "TEXT", own_labels=True), lambda model: model.predict(ROWS).tolist()),
        (ReturnField("value", "DOUBLE", key="Two year"), lambda model: model.predict_proba(ROWS)[:, 2].tolist()),
        (ReturnField("value", "DOUBLE", "probabilities", index=0), lambda m: m.predict_proba(ROWS)[:, 0].tolist()),
        (ReturnField("value", None, "probabilities"), lambda model: model.predict_proba(ROWS).tolist()),
    ],
)
def test_what_returns_selects_is_what_a_graph_would_give(
    shop: Workshop, plan: Any, returns: Any, expected: Any
) -> None:
    assert scored(make(shop, returns))["value"].to_pylist() == expected(plan)


def test_native_is_part_of_the_digest_and_so_is_the_version_of_the_library(
    shop: Workshop, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlinfer.functions.sources import entrypoint

    before = make(shop).contract.digest
    assert make(shop, runtime="onnx").contract.digest != before
    monkeypatch.setattr(entrypoint, "version", lambda package: "99.0")
    assert make(shop).contract.digest != before


def test_the_model_that_was_prepared_is_the_one_that_predicts(shop: Workshop, plan: Any) -> None:
    prepared = make(shop)
    saved(shop, linear_model.LogisticRegression().fit(-ROWS, KIND))
    assert scored(prepared)["label"].to_pylist() == plan.predict(ROWS).tolist()
    prepared.graph.write_bytes((shop.folder / "model.skops").read_bytes())
    with pytest.raises(InferenceError, match="is not the file that was prepared"):
        scored(prepared)
