"""``model: {expected: rows.parquet}``: rows of arguments and the outputs that the prepared graph must give for them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqlinfer.functions.describe import describe
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop

DATA = ob.linear([2.0, 1.0], 0.5, element_type="double")
AB = (("a", "DOUBLE"), ("b", "DOUBLE"))


def rows(folder: Path, **columns: list[object]) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_expected_outputs_that_come_are_remembered_and_shown(shop: Workshop, tmp_path: Path) -> None:
    expected = rows(tmp_path, a=[1, 2, None], b=[0.5, 0.0, 1.0], expected=[3.0, 4.5, None])
    prepared = shop.make(DATA, AB, expected=expected)
    assert prepared.verified is not None
    assert (prepared.verified.rows, prepared.verified.over) == (3, 0)
    assert describe(prepared).verified.startswith("verified against rows.parquet on 3 rows: largest difference 0")


def test_without_expected_outputs_nothing_is_verified(shop: Workshop) -> None:
    assert describe(shop.make(DATA, AB)).verified == "not verified"


def test_other_outputs_are_refused_with_the_numbers(shop: Workshop, tmp_path: Path) -> None:
    expected = rows(tmp_path, a=[1.0, 2.0], b=[0.5, 0.0], value=[3.0, 4.6])
    error = shop.refused(DATA, AB, expected=expected)
    assert "1 row of 2 differ (largest difference 0.1, 0.0217 relative, 1e-06 is allowed)" in error.message
    assert error.hint == "'config: {tolerance: 3e-02}' allows it"


def test_a_tolerance_allows_them(shop: Workshop, tmp_path: Path) -> None:
    expected = rows(tmp_path, a=[1.0, 2.0], b=[0.5, 0.0], value=[3.0, 4.6])
    prepared = shop.make(DATA, AB, expected=expected, tolerance=0.03)
    assert prepared.verified is not None
    assert prepared.verified.over == 0


def test_another_file_of_rows_is_compared_again(shop: Workshop, tmp_path: Path) -> None:
    shop.make(DATA, AB, expected=rows(tmp_path, a=[1.0], b=[0.5], value=[3.0]))
    shop.refused(DATA, AB, expected=rows(tmp_path, a=[1.0], b=[0.5], value=[4.0]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0], "value": [1.0]}, "has no column for the argument 'b'"),
        ({"a": [1.0], "b": [1.0]}, "has no column for the output 'value'"),
        ({"a": ["x"], "b": [1.0], "value": [1.0]}, "has 'a' as string, which does not fit DOUBLE"),
    ],
)
def test_a_file_that_does_not_fit_names_both_sides(
    shop: Workshop, tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    error = shop.refused(DATA, AB, expected=rows(tmp_path, **columns))
    assert message in error.message
    assert "wanted: a, b, value" in error.message


def test_a_file_that_is_no_parquet_is_refused(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 but not really")
    assert "is not a Parquet file" in shop.refused(DATA, AB, expected=tmp_path / "rows.parquet").message


def test_a_file_that_is_not_there_is_refused(shop: Workshop, tmp_path: Path) -> None:
    assert "rows.parquet" in shop.refused(DATA, AB, expected=tmp_path / "rows.parquet").message
