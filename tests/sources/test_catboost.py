"""Models of CatBoost give its own numbers on rows made to tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

cb = pytest.importorskip("catboost")
pd = pytest.importorskip("pandas")

from sqlinfer.errors import ArtifactError  # noqa: E402
from sqlinfer.functions.sources import catboost_model  # noqa: E402
from sqlinfer.functions.sources.original import NotExact, Refused  # noqa: E402
from sqlinfer.testing.originals import both, relative  # noqa: E402
from sqlinfer.testing.workshop import Workshop  # noqa: E402

ROWS = 600
QUIET = {"iterations": 30, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def customers(seed: int = 0) -> Any:
    """A tenth of the numbers is missing."""
    random = np.random.default_rng(seed)
    found = pd.DataFrame({
        "tenure": random.integers(0, 72, ROWS).astype(float),
        "monthly charges": random.normal(65, 30, ROWS).round(2),
        "total": random.normal(2000, 900, ROWS),
        "label": random.integers(2**24, 2**25, ROWS).astype(float),
    })  # fmt: skip
    return found.mask(random.random(found.shape) < 0.1)


def price(frame: Any) -> Any:
    known = frame.fillna(0)
    return np.asarray(known["monthly charges"] / 60 - known["tenure"] / 30 + (known["label"] % 100) / 100)


def original(folder: Path, model: Any, kind: str = "cbm") -> catboost_model.CatBoost:
    path = folder / f"model.{kind}"
    model.save_model(str(path), format=kind)
    return catboost_model.load({"path": str(path), "name": path.name})


def assert_same(found: dict[str, tuple[Any, Any]]) -> None:
    for name, (expected, actual) in found.items():
        assert len(expected) == 1000
        if name == "label":
            np.testing.assert_array_equal(expected, actual)
        else:
            assert relative(expected, actual) < 1e-9, name


def classes(count: int) -> Any:
    return np.digitize(price(customers()), [0.0, 0.7][: count - 1])


REGRESSORS = {
    "plain": {},
    "poisson": {"loss_function": "Poisson"},
    "tweedie": {"loss_function": "Tweedie:variance_power=1.5"},
    "quantile": {"loss_function": "Quantile:alpha=0.9"},
    "absolute": {"loss_function": "MAE"},
    "grown by loss": {"grow_policy": "Lossguide"},
    "grown by depth": {"grow_policy": "Depthwise"},
    "missing values are the greatest": {"nan_mode": "Max"},
    "one level": {"depth": 1},
    "without a bias": {"boost_from_average": False},
}


@pytest.mark.parametrize("kind", ["cbm", "json"])
@pytest.mark.parametrize("options", REGRESSORS.values(), ids=REGRESSORS)
def test_regressors(tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    frame = customers()
    model = cb.CatBoostRegressor(**{**QUIET, **options}).fit(frame, np.abs(price(frame)) + 0.01)
    found = original(tmp_path, model, kind)
    assert [one.name for one in found.arguments] == list(frame.columns)
    assert_same(both(found, tmp_path))
    answer = found.predict(pa.RecordBatch.from_pandas(customers(3), preserve_index=False))
    np.testing.assert_allclose(answer["value"], model.predict(customers(3)), rtol=1e-12)


LABELS = {
    "numbers": lambda found: found,
    "fractions": lambda found: found / 2,
    "booleans": lambda found: found > 0,
    "texts": lambda found: np.array(["no", "Two year", "It's"])[found],
}


@pytest.mark.parametrize("named", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("options", [{}, {"loss_function": "CrossEntropy"}, {"grow_policy": "Lossguide"}])
def test_two_classes(tmp_path: Path, named: Any, options: dict[str, Any]) -> None:
    frame = customers()
    label = classes(2) if options.get("loss_function") == "CrossEntropy" else named(classes(2))
    model = cb.CatBoostClassifier(**{**QUIET, **options}).fit(frame, label)
    found = original(tmp_path, model)
    assert_same(both(found, tmp_path))
    answer = found.predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    np.testing.assert_array_equal(answer["label"].astype(str), model.predict(frame).astype(str))
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(frame), rtol=1e-12)


@pytest.mark.parametrize("named", [LABELS["numbers"], LABELS["fractions"], LABELS["texts"]])
@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
def test_several_classes(tmp_path: Path, named: Any, loss: str) -> None:
    frame = customers()
    model = cb.CatBoostClassifier(**QUIET, loss_function=loss).fit(frame, named(classes(3)))
    found = original(tmp_path, model)
    assert found.results.classes == tuple(str(one) for one in model.classes_)
    assert_same(both(found, tmp_path))


def test_rankers(tmp_path: Path) -> None:
    frame = customers()
    pool = cb.Pool(frame, classes(3), group_id=np.arange(ROWS) // 20)
    assert_same(both(original(tmp_path, cb.CatBoost({**QUIET, "loss_function": "YetiRank"}).fit(pool)), tmp_path))


def test_several_targets(tmp_path: Path) -> None:
    frame = customers()
    model = cb.CatBoostRegressor(**QUIET, loss_function="MultiRMSE")
    found = original(tmp_path, model.fit(frame, np.column_stack([price(frame), -price(frame)])))
    assert found.results.names == ("y0", "y1")
    assert_same(both(found, tmp_path))


def test_features_without_names_are_numbered(tmp_path: Path) -> None:
    model = cb.CatBoostRegressor(**QUIET).fit(customers().to_numpy(), price(customers()))
    assert [one.name for one in original(tmp_path, model).arguments] == ["f0", "f1", "f2", "f3"]


def with_contract() -> Any:
    return customers().assign(contract=np.random.default_rng(2).choice(["Month", "One year", "ü", ""], ROWS))


@pytest.mark.parametrize("options", [{}, {"one_hot_max_size": 10}], ids=["statistics", "one-hot"])
def test_categories_are_the_librarys_own_to_predict(tmp_path: Path, options: dict[str, Any]) -> None:
    frame = with_contract()
    target = price(frame) + (frame["contract"] == "Month")
    model = cb.CatBoostRegressor(**QUIET, **options, cat_features=["contract"]).fit(frame, target)
    found = original(tmp_path, model)
    assert [(one.name, one.data_type, one.on_null) for one in found.arguments][-1] == ("contract", "TEXT", "null")
    answer = found.predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    np.testing.assert_array_equal(answer["value"], model.predict(frame))
    with pytest.raises(NotExact, match="hashes"):
        found.convert(tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", [bool, object])
def test_categories_that_were_booleans_are_known_as_a_warehouse_spells_them(tmp_path: Path, kind: Any) -> None:
    frame, prices = with_contract(), price(with_contract())
    frame["senior"] = (prices > 0.5).astype(kind)
    frame["word"] = np.where(prices > 0.2, "true", "false")
    model = cb.CatBoostRegressor(**QUIET, cat_features=["contract", "senior", "word"]).fit(frame, prices)
    spelled = frame.assign(senior=frame["senior"].map({True: "true", False: "false"}))
    answer = original(tmp_path, model).predict(pa.RecordBatch.from_pandas(spelled, preserve_index=False))
    np.testing.assert_array_equal(answer["value"], model.predict(frame))


def test_texts_are_the_librarys_own_to_predict(tmp_path: Path) -> None:
    frame = pd.DataFrame({"tenure": customers()["tenure"], "note": [f"text {i % 3} of {i % 5}" for i in range(ROWS)]})
    model = cb.CatBoostClassifier(**QUIET, text_features=["note"]).fit(frame, np.arange(ROWS) % 3)
    found = original(tmp_path, model)
    assert [one.data_type for one in found.arguments] == ["DOUBLE", "TEXT"]
    with pytest.raises(NotExact, match="text"):
        found.convert(tmp_path / "model.onnx")
    answer = found.predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    np.testing.assert_array_equal(answer["probabilities"], model.predict_proba(frame))


@pytest.mark.parametrize("loss", ["RMSEWithUncertainty", "LogLinQuantile", "Poisson", "MultiLogloss"])
def test_what_is_predicted_is_what_the_wrappers_predict(tmp_path: Path, loss: str) -> None:
    frame, label = customers(), np.abs(price(customers())) + 0.1
    kind = cb.CatBoostClassifier if loss == "MultiLogloss" else cb.CatBoostRegressor
    target = np.column_stack([label > 1, label > 2]).astype(int) if loss == "MultiLogloss" else label
    model = kind(**QUIET, loss_function=loss).fit(frame, target)
    answer = original(tmp_path, model).predict(pa.RecordBatch.from_pandas(frame, preserve_index=False))
    assert_array = np.testing.assert_array_equal
    assert_array(np.column_stack(list(answer.values())), model.predict(frame).reshape(ROWS, -1))


def test_a_declaration_of_three_lines(shop: Workshop) -> None:
    frame = customers()
    cb.CatBoostClassifier(**QUIET).fit(frame, classes(2)).save_model(str(shop.folder / "price.cbm"))
    prepared = shop.make(shop.folder / "price.cbm", (), (), source="catboost")
    assert prepared.contract.return_type == "DOUBLE"
    assert prepared.verified is not None
    assert (prepared.verified.over, prepared.verified.labels, prepared.verified.refused) == (0, 0, 0)


def test_categories_are_refused_with_the_way_out(shop: Workshop) -> None:
    frame = with_contract()
    model = cb.CatBoostRegressor(**QUIET, cat_features=["contract"]).fit(frame, price(frame))
    model.save_model(str(shop.folder / "price.cbm"))
    error = shop.refused(shop.folder / "price.cbm", (), (), source="catboost")
    assert "categorical" in error.message
    assert "runtime: native" in (error.hint or "")


CUTS = {
    "the magic alone": lambda data: data[:4],
    "half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "a size of four gigabytes": lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:],
    "zeros": lambda data: data[:8] + bytes(len(data) - 8),
    "noise": lambda data: data[:8] + np.random.default_rng(0).bytes(len(data) - 8),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_damaged_file_is_refused(tmp_path: Path, cut: Any) -> None:
    path = tmp_path / "price.cbm"
    cb.CatBoostRegressor(**QUIET).fit(customers(), price(customers())).save_model(str(path))
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises((Refused, ArtifactError), match=r"price\.cbm"):
        catboost_model.load({"path": str(path), "name": path.name})
