"""Two answers side by side: numbers, labels, vectors, and what is no number; and fields picked from raw outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import FunctionError
from sqlinfer.functions.check.parity import compare
from sqlinfer.functions.fuse.selection import select
from sqlinfer.project.values import ReturnField

RAW = {"label": np.array(["a", "b"], dtype=object), "probabilities": np.array([[0.75, 0.25], [0.25, 0.75]])}
CLASSES = ("a", "b")


def test_differences_are_relative_to_the_originals_value() -> None:
    found = compare(np.array([10.0, -2.0]), pa.array([10.5, -2.0]))
    assert (found.absolute.tolist(), found.relative.tolist()) == ([0.5, 0.0], [0.05, 0.0])


def test_values_near_zero_are_compared_as_if_they_were_larger() -> None:
    assert compare(np.array([1e-9]), pa.array([2e-9])).relative.tolist() == pytest.approx([1e-6])


def test_a_vector_is_compared_by_its_largest_element() -> None:
    found = compare(np.array([[100.0, 0.0]]), pa.array([[100.0, 1e-3]]))
    assert found.relative.tolist() == pytest.approx([1e-5])


def test_what_is_no_number_equals_only_what_is_no_number() -> None:
    found = compare(np.array([np.nan, np.inf, np.nan, 1.0]), pa.array([None, None, 1.0, None]))
    assert found.absolute.tolist() == [0.0, 0.0, np.inf, np.inf]
    assert found.over(1e-6).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("expected", "actual"), [(np.array(["a", "b"], dtype=object), ["a", "c"]), (np.array([1, 2]), [1, 3])]
)
def test_a_changed_label_is_over_any_tolerance(expected: Any, actual: list[Any]) -> None:
    found = compare(expected, pa.array(actual))
    assert found.over(1e9).tolist() == [False, True]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (ReturnField("value", "DOUBLE", output="probabilities", index=1), [0.25, 0.75]),
        (ReturnField("value", "DOUBLE", output="probabilities", key="a"), [0.75, 0.25]),
        (ReturnField("value", "DOUBLE[2]", output="probabilities"), [[0.75, 0.25], [0.25, 0.75]]),
        (ReturnField("value", "TEXT", output="label", own_labels=True), ["a", "b"]),
        (ReturnField("value", "TEXT", output="probabilities", argmax=True), ["a", "b"]),
        (ReturnField("value", "BIGINT", output="probabilities", argmax=True), [0, 1]),
    ],
)
def test_fields_pick_from_raw_outputs(field: ReturnField, expected: list[Any]) -> None:
    assert select(field, RAW, CLASSES).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (np.array([0, 7]), ("0", "7"), ["0", "7"]),
        (np.array([False, True]), ("False", "True"), ["False", "True"]),
        (np.array([1.0, 2.0]), ("1", "2"), ["1", "2"]),
        (np.array([1.0, 2.5]), ("1.0", "2.5"), ["1.0", "2.5"]),
    ],
)
def test_labels_as_texts_have_the_classes_spelling(labels: Any, classes: tuple[str, ...], expected: list[str]) -> None:
    field = ReturnField("value", "TEXT", output="label", own_labels=True)
    assert select(field, {"label": labels}, classes).tolist() == expected


def test_a_class_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(FunctionError, match="no class 'x'") as raised:
        select(ReturnField("value", key="x", output="probabilities"), RAW, CLASSES)
    assert raised.value.hint == "there are a, b"
