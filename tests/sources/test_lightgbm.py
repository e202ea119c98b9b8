"""Boosters of LightGBM give its own doubles on rows made to tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

lgb = pytest.importorskip("lightgbm")
pd = pytest.importorskip("pandas")

from sqlinfer.functions.sources import lightgbm_model  # noqa: E402
from sqlinfer.functions.sources.original import NotExact  # noqa: E402
from sqlinfer.testing.originals import both, relative  # noqa: E402
from sqlinfer.testing.workshop import Workshop  # noqa: E402

ROWS = 800
QUIET = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "min_data_per_group": 5}


def customers(seed: int = 0) -> Any:
    """Numbers of several kinds: missing ones, many zeros, whole ones far above 2^24."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(ROWS, 5))
    values[random.random(values.shape) < 0.1] = np.nan
    values[:, 2] = np.where(random.random(ROWS) < 0.6, 0, values[:, 2])
    values[:, 3] = np.nan_to_num(values[:, 3])
    values[:, 4] = random.integers(0, 2**40, ROWS)
    return values


def demand(values: Any) -> Any:
    known = np.nan_to_num(values)
    return known[:, 0] * 2 + known[:, 1] * known[:, 3] + known[:, 2] + (known[:, 4] % 2**30 > 2**29)


def with_contract(seed: int = 0) -> Any:
    random, values = np.random.default_rng(seed), customers(seed)
    found = pd.DataFrame(values[:, :3], columns=["tenure", "monthly charges", "value"])
    found["contract"] = pd.Categorical(random.choice(["Month-to-month", "One year", "Zwei Jahre ü", ""], ROWS))
    found["region"] = pd.Categorical(random.integers(3, 90, ROWS))
    found["constant"] = pd.Categorical(["only"] * ROWS)
    found.loc[::9, "contract"] = None
    return found


def original(folder: Path, model: Any) -> lightgbm_model.LightGBM:
    path = folder / "model.txt"
    getattr(model, "booster_", model).save_model(path)
    return lightgbm_model.load({"path": str(path), "name": path.name})


def trained(objective: str, rounds: int = 40, **options: Any) -> Any:
    values = customers()
    label, group = demand(values), None
    parameters = {**QUIET, "objective": objective, **options}
    if objective in ("poisson", "gamma", "tweedie", "mape"):
        label = np.abs(label) + 0.01
    if objective == "binary" or objective.startswith("cross"):
        label = (label > 0).astype(int)
    if objective.startswith(("multi", "lambdarank", "rank")):
        label = np.digitize(label, [-1, 1])
    if objective.startswith("multi"):
        parameters["num_class"] = 3
    if objective.startswith(("lambdarank", "rank")):
        group = [40] * (ROWS // 40)
    return lgb.train(parameters, lgb.Dataset(values, label, group=group), rounds)


def assert_same(found: dict[str, tuple[Any, Any]], rows: int = 1000) -> None:
    for name, (expected, actual) in found.items():
        assert len(expected) >= rows
        if name == "label":
            np.testing.assert_array_equal(expected, actual)
        assert relative(expected, actual) < 1e-13, name


OBJECTIVES = [
    "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "binary",
    "multiclass", "multiclassova", "cross_entropy", "cross_entropy_lambda", "lambdarank", "rank_xendcg",
]  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective(tmp_path: Path, objective: str) -> None:
    assert_same(both(original(tmp_path, trained(objective)), tmp_path))


OPTIONS = {
    "zeros are missing": {"zero_as_missing": True},
    "nothing is missing": {"use_missing": False},
    "square roots": {"reg_sqrt": True},
    "dart": {"boosting": "dart"},
    "random forest": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    "no splits": {"min_data_in_leaf": 5000},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option(tmp_path: Path, options: dict[str, Any]) -> None:
    assert_same(both(original(tmp_path, trained("regression", **options)), tmp_path))


@pytest.mark.parametrize("options", [{"sigmoid": 0.7}, OPTIONS["random forest"]], ids=["sigmoid", "random forest"])
def test_every_option_of_two_classes(tmp_path: Path, options: dict[str, Any]) -> None:
    assert_same(both(original(tmp_path, trained("binary", **options)), tmp_path))


@pytest.mark.parametrize("options", [{}, {"zero_as_missing": True}, {"max_cat_to_onehot": 100}])
def test_categories_as_codes(tmp_path: Path, options: dict[str, Any]) -> None:
    values, random = customers(), np.random.default_rng(1)
    values[:, 1], values[:, 2] = random.integers(0, 100, ROWS), random.integers(0, 5, ROWS)
    data = lgb.Dataset(values, demand(values) + values[:, 1] % 7, categorical_feature=[1, 2])
    assert_same(both(original(tmp_path, lgb.train({**QUIET, **options}, data, 40)), tmp_path))


def test_categories_of_pandas(tmp_path: Path) -> None:
    frame = with_contract()
    target = demand(customers()) + frame["contract"].cat.codes + frame["region"].cat.codes % 5
    found = original(tmp_path, lgb.LGBMRegressor(n_estimators=30, verbose=-1, n_jobs=1).fit(frame, target))
    assert [(one.name, one.data_type) for one in found.arguments] == [
        ("tenure", "DOUBLE"), ("monthly_charges", "DOUBLE"), ("value", "DOUBLE"), ("contract", "TEXT"),
        ("region", "DOUBLE"), ("constant", "TEXT"),
    ]  # fmt: skip
    assert_same(both(found, tmp_path))


def test_unseen_categories_are_missing_values_as_in_lightgbm(tmp_path: Path) -> None:
    frame = with_contract()
    model = lgb.LGBMRegressor(n_estimators=30, verbose=-1, n_jobs=1, min_child_samples=5)
    model.fit(frame, demand(customers()) + frame["contract"].cat.codes * 3)
    found = original(tmp_path, model)
    other = frame.assign(contract=pd.Categorical(["Weekly"] * ROWS), region=pd.Categorical([1] * ROWS))
    plain = other.assign(contract=other["contract"].astype(str), region=1.0, constant="only")
    rows = pa.RecordBatch.from_pandas(plain, preserve_index=False)
    rows = rows.rename_columns([one.name for one in found.arguments])
    expected, actual = both(found, tmp_path, rows.cast(pa.schema(
        [(one.name, pa.string() if one.data_type == "TEXT" else pa.float64()) for one in found.arguments]
    )))["value"]  # fmt: skip
    np.testing.assert_array_equal(expected, model.predict(other))
    np.testing.assert_array_equal(expected, actual)


def test_early_stopping_saves_the_best_rounds(tmp_path: Path) -> None:
    values = customers()
    label = (demand(values) > 0) ^ (np.random.default_rng(1).random(ROWS) > 0.8)
    data = lgb.Dataset(values, label)
    booster = lgb.train(
        {**QUIET, "objective": "binary"}, data, 300, valid_sets=[lgb.Dataset(values[:200], demand(values)[:200] > 0)],
        callbacks=[lgb.early_stopping(3, verbose=False)],
    )  # fmt: skip
    found = original(tmp_path, booster)
    assert len(found.model.trees.roots) == booster.best_iteration < 300
    answer = found.predict(pa.RecordBatch.from_arrays([pa.array(one) for one in values.T], names=list("abcde")))
    np.testing.assert_array_equal(answer["probabilities"][:, 1], booster.predict(values))
    assert_same(both(found, tmp_path))


def test_linear_trees_have_no_exact_graph(tmp_path: Path) -> None:
    with pytest.raises(NotExact, match="linear_tree"):
        original(tmp_path, trained("regression", 5, linear_tree=True)).convert(tmp_path / "model.onnx")


def test_linear_trees_are_refused_with_the_way_out(shop: Workshop) -> None:
    trained("regression", 5, linear_tree=True).save_model(shop.folder / "demand.txt")
    error = shop.refused(shop.folder / "demand.txt", (), (), source="lightgbm")
    assert "linear_tree" in error.message
    assert "runtime: native" in (error.hint or "")


def test_a_declaration_of_three_lines(shop: Workshop) -> None:
    frame = with_contract()
    model = lgb.LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1).fit(frame, demand(customers()) > 0)
    model.booster_.save_model(shop.folder / "demand.txt")
    prepared = shop.make(shop.folder / "demand.txt", (), (), source="lightgbm")
    assert prepared.contract.return_type == "DOUBLE"
    assert prepared.verified is not None
    assert (prepared.verified.over, prepared.verified.labels, prepared.verified.refused) == (0, 0, 0)
    assert prepared.verified.relative < 1e-13


def test_features_without_names_are_numbered(tmp_path: Path) -> None:
    assert [one.name for one in original(tmp_path, trained("regression", 2)).arguments] == [
        "f0",
        "f1",
        "f2",
        "f3",
        "f4",
    ]
