"""Arrays made of buffers are those that pyarrow makes, for every type, slice and pattern of NULLs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer import arrays

KINDS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "?"]
SLICES = [(0, 0), (0, 1), (0, 300), (1, 7), (8, 64), (13, 200), (299, 1)]


def values(kind: str) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 2 if kind == "?" else 100, 300).astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_numbers_and_nulls(kind: str, share: float) -> None:
    given = values(kind)
    missing = np.random.default_rng(1).random(300) < share
    made = arrays.from_numpy(given, missing=missing)
    made.validate(full=True)
    assert made.equals(pa.array(given, mask=missing))
    assert made.null_count == missing.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", SLICES)
def test_any_slice_is_read(kind: str, place: tuple[int, int]) -> None:
    given = values(kind)
    start, length = place
    np.testing.assert_array_equal(arrays.to_numpy(pa.array(given).slice(start, length)), given[start : start + length])


@pytest.mark.parametrize("kind", ["int32", "float32", "float64"])
@pytest.mark.parametrize("place", SLICES)
def test_null_is_nan_as_pyarrow_has_it(kind: str, place: tuple[int, int]) -> None:
    missing = np.random.default_rng(1).random(300) < 0.5
    given = pa.array(values(kind), mask=missing).slice(*place)
    found = arrays.to_numpy(given)
    np.testing.assert_array_equal(found, given.to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(arrays.valid(given), given.is_valid().to_numpy(zero_copy_only=False))


def test_columns_of_a_matrix_are_copied_side_by_side() -> None:
    matrix = np.arange(12.0).reshape(4, 3)
    assert arrays.from_numpy(matrix[:, 1]).to_pylist() == [1.0, 4.0, 7.0, 10.0]


def test_a_type_over_numbers() -> None:
    assert arrays.from_numpy(np.array([0, 1], np.int32), pa.date32()).equals(
        pa.array([0, 1], pa.int32()).view("date32")
    )


TEXTS = ["a", None, "", "grün", "漢字", "x" * 1000, None]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("given", [[], TEXTS, TEXTS * 20, ["plain", "ascii"]])
def test_texts(kind: pa.DataType, given: list[str | None]) -> None:
    made = arrays.from_texts(given, kind)
    made.validate(full=True)
    assert made.equals(pa.array(given, kind))
    assert arrays.texts(made).tolist() == given
    assert arrays.texts(made.slice(1, 3)).tolist() == given[1:4]


def test_texts_of_another_kind_of_array() -> None:
    assert arrays.texts(pa.array(["a", None], pa.string_view())).tolist() == ["a", None]
    assert arrays.texts(pa.nulls(2, pa.string())).tolist() == [None, None]


def test_a_column_of_nulls_alone() -> None:
    assert arrays.valid(pa.nulls(3)).tolist() == [False] * 3
    assert np.isnan(arrays.to_numpy(pa.nulls(3, pa.float64()))).all()
