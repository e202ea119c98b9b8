"""What every source shares: arguments and results from the model, proof when prepared, no library afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sqlinfer.errors import FunctionError
from sqlinfer.functions.sources import entrypoint
from sqlinfer.project.values import ReturnField
from sqlinfer.spec.function import Argument
from sqlinfer.testing.workshop import Workshop

skops = pytest.importorskip("skops.io")
linear_model = pytest.importorskip("sklearn.linear_model")

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(0, 1, (200, 3))


def saved(folder: Path, model: object) -> Path:
    path = folder / "model.skops"
    skops.dump(model, path)
    return path


@pytest.fixture
def regression(tmp_path: Path) -> Path:
    return saved(tmp_path, linear_model.LinearRegression().fit(ROWS, ROWS @ [1.0, 2.0, 3.0]))


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    labels = np.where(ROWS.sum(axis=1) > 0, "Two year", "Monthly")
    return saved(tmp_path, linear_model.LogisticRegression().fit(ROWS, labels))


@pytest.fixture
def grades(tmp_path: Path) -> Path:
    return saved(tmp_path, linear_model.LogisticRegression().fit(ROWS, np.digitize(ROWS.sum(axis=1), [-1, 1]) * 2))


def test_left_out_arguments_and_returns_come_from_the_model(shop: Workshop, regression: Path) -> None:
    contract = shop.make(regression, (), (), source="sklearn").contract
    assert [(a.name, a.data_type, a.on_null) for a in contract.arguments] == [
        ("f0", "DOUBLE", "null"), ("f1", "DOUBLE", "null"), ("f2", "DOUBLE", "null"),
    ]  # fmt: skip
    assert contract.return_type == "DOUBLE"


def test_a_binary_classifier_gives_the_probability_of_its_second_class(shop: Workshop, churn: Path) -> None:
    prepared = shop.make(churn, (), (), source="sklearn")
    assert (prepared.contract.return_type, prepared.origins) == ("DOUBLE", ("probabilities",))


def test_several_classes_give_the_label_and_all_probabilities(shop: Workshop, grades: Path) -> None:
    contract = shop.make(grades, (), (), source="sklearn").contract
    assert contract.return_type == 'STRUCT("label" BIGINT, "probabilities" DOUBLE[3])'


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (ReturnField("value", "TEXT", own_labels=True), "TEXT"),
        (ReturnField("value", output="probabilities"), "DOUBLE[3]"),
        (ReturnField("value", key=4), "DOUBLE"),
        (ReturnField("value", "REAL", index=2), "REAL"),
        (ReturnField("value", "BIGINT"), "BIGINT"),
    ],
)
def test_written_returns_pick_from_the_models_own(
    shop: Workshop, grades: Path, field: ReturnField, expected: str
) -> None:
    prepared = shop.make(grades, (), field, source="sklearn")
    assert prepared.contract.return_type == expected
    assert prepared.verified is not None
    assert prepared.verified.over == 0


def test_an_unclear_result_names_the_models_outputs_and_classes(shop: Workshop, grades: Path) -> None:
    error = shop.refused(grades, (), "DOUBLE", source="sklearn")
    assert "label, probabilities (classes 0, 2, 4)" in error.message


def test_written_arguments_count_by_position_where_no_name_fits(shop: Workshop, regression: Path) -> None:
    prepared = shop.make(regression, [("a", "INT"), ("b", "REAL"), ("c", "DOUBLE")], "DOUBLE", source="sklearn")
    assert prepared.inputs[0].arguments == ("a", "b", "c")


def test_written_arguments_are_matched_by_name_first(shop: Workshop, regression: Path) -> None:
    prepared = shop.make(regression, [("F2", "DOUBLE"), ("F0", "DOUBLE"), ("f1", "DOUBLE")], (), source="sklearn")
    assert prepared.inputs[0].arguments == ("F0", "f1", "F2")


@pytest.mark.parametrize("names", [("f0", "f1"), ("f0", "f1", "tenure")])
def test_a_mismatch_of_arguments_names_both_sides(shop: Workshop, regression: Path, names: tuple[str, ...]) -> None:
    error = shop.refused(regression, [(name, "DOUBLE") for name in names], (), source="sklearn")
    assert f"arguments declared: {', '.join(f'{name} DOUBLE' for name in names)}" in error.message
    assert "the model's own: f0 DOUBLE, f1 DOUBLE, f2 DOUBLE" in error.message


def test_preparing_compares_with_the_library_and_remembers_it(shop: Workshop, regression: Path) -> None:
    config = shop.declare(regression, (), (), source="sklearn")
    for prepared in (shop.prepare(config), shop.prepare(config)):
        assert prepared.verified is not None
        assert prepared.verified.against.startswith("scikit-learn ")
        assert prepared.verified.rows >= 100
        assert prepared.verified.relative < 1e-9


def test_another_models_numbers_are_refused(shop: Workshop, regression: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = shop.refused(regression, (), (), source="sklearn", tolerance=0.0)
    assert "0 is allowed" in error.message
    assert "runtime: native" in (error.hint or "")


def test_a_tolerance_is_read_again_from_the_memory(shop: Workshop, regression: Path) -> None:
    shop.make(regression, (), (), source="sklearn")
    assert "0 is allowed" in shop.refused(regression, (), (), source="sklearn", tolerance=0.0).message


def test_a_prepared_function_needs_its_library_no_more(
    shop: Workshop, regression: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shop.declare(regression, (), (), source="sklearn")
    first = shop.prepare(config)
    monkeypatch.setattr(entrypoint, "version", lambda _: None)
    assert shop.prepare(config) == first


def test_a_missing_library_names_its_extra(shop: Workshop, regression: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "version", lambda _: None)
    error = shop.refused(regression, (), (), source="sklearn")
    assert (error.hint, "scikit-learn" in error.message) == ("pip install 'sqlinfer[sklearn]'", True)


def test_a_pasted_declaration_has_the_same_digest(shop: Workshop, grades: Path) -> None:
    inferred = shop.make(grades, (), (), source="sklearn")
    fields = (ReturnField("label", "BIGINT", output="label"), ReturnField("probabilities", "DOUBLE[3]"))
    arguments = [Argument(f"f{i}", "DOUBLE") for i in range(3)]
    written = shop.make(grades, arguments, fields, source="sklearn", is_struct=True)
    assert written.contract.digest == inferred.contract.digest


def test_a_file_of_another_kind_is_not_read(shop: Workshop, tmp_path: Path) -> None:
    other = tmp_path / "model.bin"
    other.write_bytes(b"x")
    with pytest.raises(FunctionError, match=r"reads \.skops"):
        shop.make(other, (), (), source="sklearn")


def test_a_damaged_file_is_one_clear_error(shop: Workshop, regression: Path) -> None:
    regression.write_bytes(regression.read_bytes()[:200])
    error = shop.refused(regression, (), (), source="sklearn")
    assert "cannot be read" in error.message
    assert "BadZipFile" in error.message
    assert "Traceback" not in str(error)


def test_a_child_that_takes_too_long_is_ended(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_PREPARE_SECONDS", "1")
    (tmp_path / "endless.py").write_text("def model():\n    while True:\n        pass\n")
    error = shop.refused(None, (), (), source="sklearn", entrypoint="endless:model")
    assert "takes too long" in error.message
