"""The original of a prepared function, asked for rows of the caller's: ``sqlinfer verify``. Needs its library."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sqlinfer.errors import SqlinferError
from sqlinfer.functions.check import parity, verifying
from sqlinfer.functions.check.tolerance import tolerance_of
from sqlinfer.functions.sources import Workspace, raw, source_named
from sqlinfer.functions.sources.base import Compared
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import MISSING_TEXT, PreparedFunction, Verified

MOST_WORST = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One row, both answers."""

    arguments: dict[str, Any]
    expected: dict[str, Any]
    actual: dict[str, Any]
    absolute: float
    relative: float
    label_changed: bool
    made: bool
    """From the model, and not from the user's tables."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    function: str
    found: Verified
    made: int
    """Of the rows, refused ones included, those made from the model."""
    tolerance: float
    worst: tuple[Row, ...]

    @property
    def own(self) -> int:
        """Of the rows, those of the user's tables."""
        return self.found.rows + self.found.refused - self.made

    @property
    def ok(self) -> bool:
        return self.found.over == 0


def side_by_side(
    config: FunctionConfig,
    prepared: PreparedFunction,
    rows: pa.RecordBatch | None,
    *,
    cache_dir: Path,
    root: Path,
    tolerance: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> SideBySide | None:
    """``rows`` (arguments as the warehouse casts them) and rows made from the model; None where there is no original.

    Raises:
        FunctionError: the library is not installed, or refuses the model.
    """
    allowed = tolerance_of(config) if tolerance is None else tolerance
    workspace = Workspace(cache_dir, root, tell)
    try:
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".tmp-") as scratch:
            return _compared(config, prepared, rows, workspace, Path(scratch), allowed)
    except SqlinferError as error:
        raise error.at(config.location) from error.__cause__


def has_original(config: FunctionConfig) -> bool:
    return config.expected is not None or hasattr(source_named(config.source, config.location), "ask")


def _compared(
    config: FunctionConfig,
    prepared: PreparedFunction,
    rows: pa.RecordBatch | None,
    workspace: Workspace,
    scratch: Path,
    tolerance: float,
) -> SideBySide | None:
    if config.expected is not None:
        compared = Compared(config.expected, None, config.expected.name)
        given, wanted = verifying.of_parquet(prepared, compared)
        nobody = np.zeros(given.num_rows, dtype=bool)
        return _reported(prepared, given, wanted, nobody, tolerance, compared.against, given.num_rows)
    source: Any = source_named(config.source, config.location)
    if not hasattr(source, "ask"):
        return None
    fingerprint = source.fingerprint(config, workspace)
    path = None
    if rows is not None and rows.num_rows:
        raw.write(path := scratch / "given.arrow", _as_nulls(rows))
    told = source.ask(config, workspace, scratch, fingerprint, convert=False, rows=path)
    given = raw.read(scratch / "original" / "rows.arrow")
    outputs, refused = raw.of_batch(raw.read(scratch / "original" / "answers.arrow"))
    wanted = verifying.selected(prepared, outputs, told.results.classes)
    own = 0 if rows is None else rows.num_rows
    gaps = verifying.best_gaps(outputs)
    return _reported(prepared, given, wanted, refused, tolerance, told.against, own, gaps)


def _as_nulls(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Texts that stand for NULL (``on_null: nan``) are NULL to a library."""
    import pyarrow.compute as pc

    columns = []
    for column in rows.columns:
        if pa.types.is_string(column.type):
            column = pc.if_else(pc.equal(column, MISSING_TEXT), pa.scalar(None, pa.string()), column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _reported(
    prepared: PreparedFunction,
    rows: pa.RecordBatch,
    wanted: verifying.Wanted,
    refused: parity.Array,
    tolerance: float,
    against: str,
    own: int,
    gaps: parity.Array | None = None,
) -> SideBySide:
    actual = verifying.scored(prepared, rows)
    found = verifying.side_by_side(prepared, rows, wanted, tolerance, gaps, actual)
    places = _worst(found, refused)
    worst = tuple(_row(place, rows, wanted, actual, found, own) for place in places)
    name = prepared.contract.name
    summed = verifying.summary(found, refused, tolerance, against)
    return SideBySide(name, summed, rows.num_rows - own, tolerance, worst)


def _worst(found: parity.Compared, refused: parity.Array) -> list[int]:
    """The rows that differ most, changed labels first."""
    rank = np.where(refused, -1.0, np.where(found.changed, np.inf, found.relative))
    order = np.argsort(-rank, kind="stable")[:MOST_WORST]
    return [int(place) for place in order if rank[place] > 0]


def _row(
    place: int,
    rows: pa.RecordBatch,
    wanted: verifying.Wanted,
    actual: pa.Table,
    found: parity.Compared,
    own: int,
) -> Row:
    return Row(
        {name: rows.column(name)[place].as_py() for name in rows.schema.names},
        {name: values[place].tolist() if hasattr(values[place], "tolist") else values[place]
         for name, values in wanted.items()},
        {name: actual.column(name)[place].as_py() for name in wanted},
        float(found.absolute[place]), float(found.relative[place]), bool(found.changed[place]), place >= own,
    )  # fmt: skip
