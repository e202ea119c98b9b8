"""Published rows → how their prediction columns are spread, for the run record."""

from __future__ import annotations

from collections.abc import Sequence

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.shared.queries import first_rows
from sqlinfer.errors import AdapterError
from sqlinfer.spec import distributions
from sqlinfer.spec.distributions import SAMPLE, Distribution
from sqlinfer.types import is_numeric, is_text, of_column


class NotSampled(Exception):
    """A signal: the rows could not be read, and the transaction around may be lost with that."""


def sampled(work: Workspace, sql: str, predicted: Sequence[str], last: str) -> str:
    """The text for the record.

    Args:
        sql: of the rows that this run publishes.
        last: the text of the run before.

    Raises:
        NotSampled: where a warehouse says no.
    """
    try:
        kinds = _kinds(work, sql, predicted)
        found = work.sample(sql, tuple(kinds), SAMPLE) if kinds else []
    except AdapterError as error:
        raise NotSampled(error.message) from error
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
