"""Boosters of XGBoost give its own numbers, to the last bits, on rows made to tell them apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

xgb = pytest.importorskip("xgboost")
pd = pytest.importorskip("pandas")

from sqlinfer.functions.sources import xgboost_model  # noqa: E402
from sqlinfer.functions.sources.original import NotExact  # noqa: E402
from sqlinfer.inference import open_session  # noqa: E402
from sqlinfer.project.values import ReturnField  # noqa: E402
from sqlinfer.spec.function import Argument  # noqa: E402
from sqlinfer.testing.originals import both, relative  # noqa: E402
from sqlinfer.testing.workshop import Workshop  # noqa: E402

ROWS = 600
QUIET = {"nthread": 1, "max_depth": 4}


def customers(seed: int = 0) -> pd.DataFrame:
    """Like the customers of a telephone company; a tenth of the numbers is missing."""
    random = np.random.default_rng(seed)
    found = pd.DataFrame({
        "tenure": random.integers(0, 72, ROWS).astype(float),
        "monthly charges": random.normal(65, 30, ROWS).round(2),
        "total": random.normal(2000, 900, ROWS),
        "senior": random.integers(0, 2, ROWS).astype(float),
    })  # fmt: skip
    return found.mask(random.random(found.shape) < 0.1)


def with_contract(seed: int = 0) -> pd.DataFrame:
    random, found = np.random.default_rng(seed), customers(seed)
    found["contract"] = pd.Categorical(random.choice(["Month-to-month", "One year", "Two year", ""], ROWS))
    found["region"] = pd.Categorical(random.integers(3, 60, ROWS))
    found.loc[::9, "contract"] = None
    return found


def risk(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    numbers = frame[["tenure", "monthly charges", "total"]].fillna(0)
    noise = np.random.default_rng(9).normal(0, 0.3, len(frame))
    return np.asarray(numbers["monthly charges"] / 60 - numbers["tenure"] / 30 + numbers["total"] / 4000 + noise)


def original(folder: Path, model: Any, suffix: str = ".ubj") -> xgboost_model.XGBoost:
    path = folder / f"model{suffix}"
    model.save_model(path)
    return xgboost_model.load({"path": str(path), "name": path.name})


def trained(objective: str, rounds: int = 25, **options: Any) -> Any:
    """A booster over unnamed features."""
    frame = customers()
    label = np.abs(risk(frame)) + 0.01
    parameters = {**QUIET, "objective": objective, **options}
    if objective.startswith(("binary", "reg:logistic", "rank")):
        label = (risk(frame) > 0).astype(int)
    if objective.startswith("multi"):
        label, parameters["num_class"] = np.digitize(risk(frame), [-0.5, 1.0]), 3
    data = xgb.DMatrix(frame.to_numpy(), label)
    if objective.startswith("rank"):
        data.set_group([30] * (ROWS // 30))
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", label)
        data.set_float_info("label_upper_bound", label)
    return xgb.train(parameters, data, rounds)


OBJECTIVES = [
    "binary:logistic", "binary:logitraw", "binary:hinge", "reg:logistic", "multi:softprob", "multi:softmax",
    "rank:pairwise", "rank:ndcg", "rank:map", "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox",
    "survival:aft", "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
]  # fmt: skip


def assert_same(found: dict[str, tuple[Any, Any]], rows: int = 900) -> None:
    for name, (expected, actual) in found.items():
        assert len(expected) >= rows
        if name == "label":
            np.testing.assert_array_equal(expected, actual)
        assert relative(expected, actual) < 3e-7, name


@pytest.mark.parametrize("suffix", [".ubj", ".json"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective(tmp_path: Path, objective: str, suffix: str) -> None:
    assert_same(both(original(tmp_path, trained(objective), suffix), tmp_path))


def test_sums_have_the_same_bits(tmp_path: Path) -> None:
    expected, actual = both(original(tmp_path, trained("rank:ndcg", 120)), tmp_path)["value"]
    np.testing.assert_array_equal(expected, actual)


@pytest.mark.parametrize("wrapped", [False, True])
def test_dart(tmp_path: Path, wrapped: bool) -> None:
    options = {"booster": "dart", "rate_drop": 0.4, "one_drop": 1}
    model = trained("reg:squarederror", 30, **options)
    if wrapped:
        frame = customers()
        model = xgb.XGBRegressor(n_estimators=30, n_jobs=1, **options).fit(frame, risk(frame))
    expected, actual = (
        both(original(tmp_path, model), tmp_path, finite_rows())["value"]
        if not wrapped
        else (both(original(tmp_path, model), tmp_path)["value"])
    )
    np.testing.assert_array_equal(expected, actual)


def finite_rows() -> pa.RecordBatch:
    values = np.random.default_rng(3).normal(30, 40, (1000, 4))
    return pa.RecordBatch.from_arrays([pa.array(column) for column in values.T], names=["f0", "f1", "f2", "f3"])


@pytest.mark.parametrize("most", [1, 1000], ids=["sets", "one against all"])
@pytest.mark.parametrize("suffix", [".ubj", ".json"])
def test_categories_of_text_and_whole_numbers(tmp_path: Path, suffix: str, most: int) -> None:
    frame = with_contract()
    target = risk(frame) + frame["contract"].cat.codes + frame["region"].cat.codes % 5
    model = xgb.XGBRegressor(n_estimators=25, n_jobs=1, enable_categorical=True, max_cat_to_onehot=most)
    found = original(tmp_path, model.fit(frame, target), suffix)
    assert [(one.name, one.data_type) for one in found.arguments][4:] == [("contract", "TEXT"), ("region", "DOUBLE")]
    assert_same(both(found, tmp_path), rows=800)


def test_a_category_that_is_not_in_the_training_set_gives_no_number(tmp_path: Path) -> None:
    frame = with_contract()
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1, enable_categorical=True).fit(frame, risk(frame) > 0)
    found = original(tmp_path, model)
    row = {**dict.fromkeys(frame.columns, 1.0), "contract": "Weekly", "region": 5.0}
    batch = pa.RecordBatch.from_pylist([row], pa.schema(
        [(one.name, pa.string() if one.data_type == "TEXT" else pa.float64()) for one in found.arguments]
    ))  # fmt: skip
    with pytest.raises(ValueError, match="contract is not in the training set"):
        found.predict(batch)
    graph = onnx_outputs(found, tmp_path, batch, ["probabilities"])
    assert np.isnan(graph["probabilities"]).all()


def onnx_outputs(found: Any, folder: Path, batch: pa.RecordBatch, names: list[str]) -> dict[str, Any]:
    """Some outputs alone: a label cannot be made for every row."""
    import onnx
    from onnx.utils import Extractor

    from sqlinfer.testing.originals import run

    found.convert(folder / "all.onnx")
    model = onnx.load(folder / "all.onnx")
    part = Extractor(model).extract_model([one.name for one in model.graph.input], names)
    onnx.save(part, folder / "part.onnx")
    return run(folder / "part.onnx", batch)


def test_categories_as_codes(tmp_path: Path) -> None:
    frame = with_contract()
    codes = frame.assign(contract=frame["contract"].cat.codes.replace(-1, np.nan), region=frame["region"].cat.codes)
    types = ["float"] * 4 + ["c", "c"]
    data = xgb.DMatrix(codes.to_numpy(), risk(frame) + codes["region"] % 5, feature_types=types,
                       feature_names=["v0", "c0", "value", "label", "a b", "features"],
                       enable_categorical=True)  # fmt: skip
    assert_same(both(original(tmp_path, xgb.train(QUIET, data, 20)), tmp_path))


@pytest.mark.parametrize("strategy", ["multi_output_tree", "one_output_per_tree"])
def test_several_targets(tmp_path: Path, strategy: str) -> None:
    frame = customers()
    targets = np.column_stack([risk(frame), frame["tenure"].fillna(0)])
    model = xgb.XGBRegressor(n_estimators=20, max_depth=4, multi_strategy=strategy, tree_method="hist", n_jobs=1)
    found = original(tmp_path, model.fit(frame, targets))
    assert found.results.names == ("y0", "y1")
    assert_same(both(found, tmp_path))


def test_quantiles(tmp_path: Path) -> None:
    assert_same(both(original(tmp_path, trained("reg:quantileerror", quantile_alpha=[0.1, 0.9])), tmp_path))


def test_labels_of_several_kinds_at_once(tmp_path: Path) -> None:
    frame = customers()
    model = xgb.XGBClassifier(n_estimators=15, n_jobs=1)
    assert_same(
        both(original(tmp_path, model.fit(frame, np.column_stack([risk(frame) > 0, risk(frame) > 1]))), tmp_path)
    )


def stopped_early() -> Any:
    frame = customers()
    label = (risk(frame) > 0) ^ (np.random.default_rng(1).random(ROWS) > 0.7)
    model = xgb.XGBClassifier(n_estimators=200, early_stopping_rounds=3, n_jobs=1)
    return model.fit(frame, label, eval_set=[(frame, risk(frame) > 0)], verbose=False)


def test_a_wrapper_that_stopped_early_predicts_with_its_best_rounds(tmp_path: Path) -> None:
    model = stopped_early()
    found = original(tmp_path, model)
    assert found.model.rounds == model.best_iteration + 1
    assert len(found.model.trees.roots) == model.best_iteration + 1
    assert_same(both(found, tmp_path))
    frame = customers(5)
    answer = found.predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(frame))


def test_a_booster_that_stopped_early_predicts_with_all_rounds_as_its_own_predict_does(tmp_path: Path) -> None:
    frame = customers()
    data = xgb.DMatrix(frame, risk(frame))
    booster = xgb.train(QUIET, data, 50, evals=[(xgb.DMatrix(frame, -risk(frame)), "v")], early_stopping_rounds=3,
                        verbose_eval=False)  # fmt: skip
    found = original(tmp_path, booster)
    answer = found.predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    np.testing.assert_array_equal(answer["value"], booster.predict(data))
    assert_same(both(found, tmp_path))


def test_random_forests_of_xgboost(tmp_path: Path) -> None:
    frame = customers()
    model = xgb.XGBRFClassifier(n_estimators=20, n_jobs=1).fit(frame, risk(frame) > 0)
    assert_same(both(original(tmp_path, model), tmp_path))


def test_bigints_above_2_to_the_24_are_rounded_as_xgboost_does(tmp_path: Path) -> None:
    values = 2**24 + np.arange(400, dtype=np.int64)
    booster = xgb.train({"nthread": 1, "max_depth": 6}, xgb.DMatrix(values.reshape(-1, 1), np.arange(400)), 20)
    rows = pa.RecordBatch.from_arrays([pa.array(values.astype(float))], names=["f0"])
    expected, actual = both(original(tmp_path, booster), tmp_path, rows)["value"]
    np.testing.assert_array_equal(expected, actual)
    np.testing.assert_array_equal(expected, booster.predict(xgb.DMatrix(values.reshape(-1, 1))))


def test_linear_boosters_and_unknown_objectives_have_no_exact_graph(tmp_path: Path) -> None:
    booster = xgb.train({"booster": "gblinear", "nthread": 1}, xgb.DMatrix(np.eye(3), [1, 2, 3]), 2)
    with pytest.raises(NotExact, match="linear booster"):
        original(tmp_path, booster).convert(tmp_path / "model.onnx")
    found = original(tmp_path, trained("reg:squarederror", 2), ".json")
    content = json.loads((tmp_path / "model.json").read_text())
    content["learner"]["objective"]["name"] = "mine:own"
    (tmp_path / "model.json").write_text(json.dumps(content))
    found = xgboost_model.load({"path": str(tmp_path / "model.json"), "name": "model.json"})
    with pytest.raises(NotExact, match="mine:own"):
        found.convert(tmp_path / "model.onnx")


@pytest.mark.parametrize("ending", [".ubj", ".json"])
def test_linear_boosters_predict_with_runtime_native(shop: Workshop, ending: str) -> None:
    path = shop.folder / f"linear{ending}"
    frame, labels = customers(), np.arange(ROWS) % 3
    model = xgb.XGBClassifier(booster="gblinear", n_estimators=5, n_jobs=1).fit(frame, labels)
    model.save_model(path)
    error = shop.refused(path, (), (), source="xgboost")
    assert "linear booster" in error.message
    assert "runtime: native" in str(error.hint)
    prepared = shop.make(path, (), (), source="xgboost", runtime="native")
    table = pa.Table.from_pandas(frame)
    with open_session(prepared, device="cpu", threads=1) as session:
        found = session.score_table(table, keep=())
    assert found.column("label").to_pylist() == model.predict(frame).tolist()
    np.testing.assert_allclose(found.column("probabilities").to_pylist(), model.predict_proba(frame), 1e-6)


def test_a_declaration_of_three_lines(shop: Workshop) -> None:
    frame = with_contract()
    model = xgb.XGBClassifier(n_estimators=15, n_jobs=1, enable_categorical=True).fit(frame, risk(frame) > 0)
    model.save_model(shop.folder / "risk.ubj")
    prepared = shop.make(shop.folder / "risk.ubj", (), (), source="xgboost")
    assert [one.name for one in prepared.contract.arguments] == list(frame.columns)
    assert {one.on_null for one in prepared.contract.arguments} == {"nan"}
    assert prepared.contract.return_type == "DOUBLE"
    assert prepared.verified is not None
    assert (prepared.verified.over, prepared.verified.labels) == (0, 0)
    assert prepared.verified.relative < 3e-7


def test_labels_and_several_classes(shop: Workshop) -> None:
    trained("multi:softprob").save_model(shop.folder / "plan.json")
    arguments = [Argument(f"f{place}", "DOUBLE", "nan") for place in range(4)]
    prepared = shop.make(shop.folder / "plan.json", arguments, (), source="xgboost")
    assert prepared.contract.return_type == 'STRUCT("label" BIGINT, "probabilities" DOUBLE[3])'
    field = ReturnField("value", "TEXT", own_labels=True)
    assert shop.make(shop.folder / "plan.json", arguments, field, source="xgboost").contract.return_type == "TEXT"


def test_another_file_is_refused_with_its_place(shop: Workshop) -> None:
    (shop.folder / "risk.ubj").write_bytes(b"{\0\0\0")
    error = shop.refused(shop.folder / "risk.ubj", (), (), source="xgboost")
    assert "risk.ubj is damaged" in error.message
