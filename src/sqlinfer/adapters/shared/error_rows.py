"""Error records as SELECTs that DuckDB and PostgreSQL read alike: which rows are bad, and what is said of them."""

from __future__ import annotations

from sqlinfer.relation import literal, quote
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, Call, Owner, Stage

MOST_CLASSES, MOST_REASONS = 3, 5


def is_bad(status: str) -> str:
    """SQL: the status of a row says that it is an error row."""
    return f"(starts_with({status}, '{CAST_ERROR}') OR starts_with({status}, '{NULL_ERROR}'))"


def from_status(status: str, alias: str) -> tuple[str, str]:
    """SQL for class and message of an error row found before scoring."""
    column = f"{alias}.{quote(status)}"
    argument = f"substr({column}, strpos({column}, ':') + 1)"  # a name may hold a colon itself
    said = (
        f"'argument ''' || {argument} || CASE WHEN starts_with({column}, '{CAST_ERROR}') "
        "THEN ''' does not fit its declared type' ELSE ''' is NULL' END"
    )
    return f"split_part({column}, ':', 1)", said


def from_error(column: str) -> tuple[str, str]:
    """SQL for class and message of a session's error text, ``class: message`` or a class alone."""
    return f"split_part({column}, ': ', 1)", column


def from_either(status: str | None, error: str, alias: str) -> tuple[str, str]:
    """SQL for class and message of a row of a stream, which failed before scoring or in it."""
    found, said = from_error(error)
    if status is None:
        return found, said
    early, (before, told) = is_bad(f"{alias}.{quote(status)}"), from_status(status, alias)
    return f"CASE WHEN {early} THEN {before} ELSE {found} END", f"CASE WHEN {early} THEN {told} ELSE {said} END"


def records(
    owner: Owner, call: Call, stage: Stage, run_id: str, key: str, shown: str, said: tuple[str, str], source: str
) -> str:
    """A SELECT in the order of ``spec.records.ERRORS``.

    Args:
        key: SQL over ``source`` for the input key, as text.
        shown: SQL for the key columns, as JSON text.
        said: SQL of class and message.
    """
    error_class, message = said
    return (
        f"SELECT {literal(owner.name)}, {literal(call.function)}, {literal(call.digest)}, {key}, {shown}, "
        f"{literal(stage.name)}, {error_class}, {message}, {literal(run_id)}, now(), {literal(owner.unique_id)} "
        f"FROM {source}"
    )


def classes(relation: str, function: str) -> str:
    """The most frequent error classes of a function, with their number."""
    return (
        f"SELECT error_class, count(*) FROM {relation} WHERE function = {literal(function)} GROUP BY error_class "
        f"ORDER BY 2 DESC, 1 LIMIT {MOST_CLASSES}"
    )


def reasons(relation: str) -> str:
    """Function, class and message of the most frequent errors, with their number."""
    return (
        f"SELECT function, error_class, message, count(*) FROM {relation} GROUP BY function, error_class, message "
        f"ORDER BY 4 DESC, 1, 2, 3 LIMIT {MOST_REASONS}"
    )
