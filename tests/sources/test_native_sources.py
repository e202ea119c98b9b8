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
@pytest.mark.thorough("returns1", "returns3")
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


NAMES = ["tenure", "monthly charges", "age"]


def boosted(source: str, folder: Path) -> tuple[Path, Any]:
    """A trained model of a library, and how it predicts."""
    target = ROWS @ [1.0, 2.0, 3.0]
    if source == "xgboost":
        xgboost = pytest.importorskip("xgboost")
        given = xgboost.DMatrix(ROWS, target, feature_names=NAMES)
        model = xgboost.train({"nthread": 1}, given, 5)
        model.save_model(path := folder / "model.ubj")
        return path, model.predict(given)
    if source == "lightgbm":
        lightgbm = pytest.importorskip("lightgbm")
        given = lightgbm.Dataset(ROWS, target, feature_name=["a", "b", "c"])
        model = lightgbm.train({"num_threads": 1, "verbosity": -1}, given, 5)
        model.save_model(path := folder / "model.txt")
        return path, model.predict(ROWS)
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRegressor(iterations=5, thread_count=1, verbose=False, allow_writing_files=False)
    model.fit(catboost.Pool(ROWS, target, feature_names=["a", "b", "c"]))
    model.save_model(str(path := folder / "model.cbm"))
    return path, model.predict(ROWS)


@pytest.mark.parametrize("source", ["xgboost", "lightgbm", "catboost"])
def test_written_arguments_reach_boosters_by_name_in_any_order(shop: Workshop, source: str) -> None:
    path, expected = boosted(source, shop.folder)
    known = shop.make(path, (), (), source=source, runtime="native").contract.arguments
    written = tuple(reversed(known))
    prepared = shop.make(path, written, (), source=source, runtime="native")
    assert [argument.name for argument in prepared.contract.arguments] == [one.name for one in written]
    columns = {one.name: values for one, values in zip(known, ROWS.T, strict=True)}
    with open_session(prepared, threads=1) as session:
        found = session.score_table(pa.table(columns), keep=())
    assert found["value"].to_pylist() == pytest.approx(expected.tolist(), rel=1e-6)
