"""What a statement says when files that it reads fail in the middle of a scan."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from sqlinfer import scrub
from sqlinfer.storage import NOWHERE
from sqlinfer.storage.scanning import Scanned, failure

DUCKDB = (
    "Invalid Input Error: reading the Arrow source failed: ",
    "Invalid Input Error: reading the stream registered as 'it's' failed: ",
    "Invalid Input Error: arrow_scan: get_next failed(): ",
)


def said(text: str, lead: str = DUCKDB[0], files: tuple[str, ...] = ("lake/events/a.parquet",)) -> str:
    place = Scanned("s3://lake/events", files, LocalFileSystem(), NOWHERE)
    found = failure(lead + text, [place])
    assert found is not None
    return f"{found.message} | {found.hint}"


@pytest.mark.parametrize("lead", DUCKDB)
def test_status_and_object_are_named(lead: str) -> None:
    busy = said("IOError: AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate", lead)
    assert busy.startswith("s3://lake is not available (503): s3://lake/events was asked for")
    gone = said("IOError: Could not open Parquet input source 'lake/events/a.parquet': AWS Error NO_SUCH_KEY during "
                "GetObject operation: ", lead)  # fmt: skip
    assert gone.startswith("s3://lake/events/a.parquet is gone (404)")


def test_the_object_that_refuses_is_found_where_the_answer_does_not_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    (tmp_path / "a").write_bytes(b"there")
    files = (str(tmp_path / "a"), str(tmp_path / "b"))
    text = said("IOError: AWS Error ACCESS_DENIED during GetObject operation: Access Denied", files=files)
    assert text.startswith(f"access to s3://{files[1]} is denied (403, GetObject)")


def test_a_damaged_file_is_named() -> None:
    text = said("Invalid: Could not open Parquet input source 'lake/events/a.parquet': Parquet magic bytes not found")
    assert text.startswith("s3://lake/events/a.parquet cannot be read: Parquet magic bytes not found")
    assert "page header" in said("IOError: Couldn't deserialize thrift: TProtocolException: Invalid data\npage header")


@pytest.mark.parametrize("kind", ["Invalid", "Type error", "Not implemented"])
def test_values_of_rows_stay_out(kind: str) -> None:
    text = said(f"{kind}: Failed to parse string: 'geheim' as a scalar of type int32")
    assert text.startswith("s3://lake/events: a value does not fit its column")
    assert "geheim" not in text


def test_secrets_stay_out_even_where_a_message_is_cut() -> None:
    scrub.learn(["SECRETSECRETSECRET"])
    lead = "x" * 190
    assert "SECRET" not in said(f"IOError: {lead} SECRETSECRETSECRET")
    assert "SECRET" not in said(f"IOError: AWS Error UNKNOWN during GetObject operation: {lead}SECRETSECRETSECRET")


def test_what_no_scan_says_is_no_failure_of_a_scan() -> None:
    place = Scanned("s3://lake/events", (), LocalFileSystem(), NOWHERE)
    assert failure("Conversion Error: Could not convert string 'geheim' to INT32", [place]) is None
    assert failure(f"{DUCKDB[0]}IOError: gone", []) is None
