"""Published rows → how their prediction columns are spread, for the run record. Never makes a night fail."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared.queries import first_rows
from sqlinfer.errors import AdapterError
from sqlinfer.spec import distributions
from sqlinfer.spec.distributions import SAMPLE, Distribution
from sqlinfer.types import is_numeric, is_text, of_column


def sampled(work: Workspace, sql: str, predicted: Sequence[str], rows: int, last: str) -> str | None:
    """The text for the record. None: nothing is predicted, or it could not be read.

    Args:
        sql: of the rows that this run publishes.
        rows: about how many these are.
        last: the text of the run before.
    """
    if not predicted:
        return None
    try:
        kinds = _kinds(work, sql, predicted)
        found = work.sample(sql, tuple(kinds), SAMPLE / max(rows, 1)) if kinds else []
    except AdapterError:
        return None
    before = distributions.from_text(last)
    columns = zip(*found, strict=True) if found else ((),) * len(kinds)
    return distributions.to_text(
        {name: _of(column, kinds[name], before.get(name)) for name, column in zip(kinds, columns, strict=True)}
    )


def _kinds(work: Workspace, sql: str, predicted: Sequence[str]) -> dict[str, bool]:
    """Columns that can be counted, and whether they are numbers, which booleans are not. Lists and structs cannot."""
    wanted = {name.casefold() for name in predicted}
    found = {}
    for column in work.describe(first_rows(sql, 0)):
        kind = of_column(column.data_type, work.dialect)
        if column.name.casefold() in wanted and (is_numeric(kind) or is_text(kind)):
            found[column.name] = is_numeric(kind) and kind != "BOOLEAN"
    return found


def _of(values: Sequence[object], number: bool, last: Distribution | None) -> Distribution:
    return distributions.of_numbers(values, last) if number else distributions.of_labels(values)
