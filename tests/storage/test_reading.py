"""Rows of Parquet files that others wrote."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sqlinfer.storage.access import Access
from sqlinfer.storage.reading import dataset

FILES = ("a.parquet", "old-a.parquet", "x/a.parquet", "x/old-a.parquet", "x/y/a.parquet", "xx/y/b.parquet")


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*.parquet", "a.parquet old-a.parquet"),
        ("**/a.parquet", "a.parquet x/a.parquet x/y/a.parquet"),
        ("x/**/a.parquet", "x/a.parquet x/y/a.parquet"),
        ("**/y/*.parquet", "x/y/a.parquet xx/y/b.parquet"),
        ("*/**/?.parquet", "x/a.parquet x/y/a.parquet xx/y/b.parquet"),
        ("x/**", "x/a.parquet x/old-a.parquet x/y/a.parquet"),
        ("**.parquet", " ".join(FILES)),
        ("**/*.parquet", " ".join(FILES)),
        ("x/[!o]*.parquet", "x/a.parquet"),
    ],
)
def test_a_pattern_reads_the_files_that_it_stands_for_and_no_others(tmp_path: Path, pattern: str, wanted: str) -> None:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"name": [name]}), path)
    found = dataset(f"{tmp_path}/{pattern}", Access.of({})).to_table()
    assert sorted(found.column("name").to_pylist()) == sorted(wanted.split())
