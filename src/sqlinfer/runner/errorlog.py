"""Error records of one node's run, gathered in the side file and published with the table."""

from __future__ import annotations

from sqlinfer.adapters.base import Workspace
from sqlinfer.adapters.duckdb.key_columns import NO_KEY as NO_KEY
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.names import ERRORS, SIDE
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, Call, Owner, Stage
from sqlinfer.spec.records import ERRORS as RECORDS

MOST_REASONS = 5


def relation(side: str) -> Relation:
    return Relation(side, ERRORS, SIDE)


def start(work: Workspace, owner: Owner) -> None:
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in RECORDS.columns.items())
    work.execute(f"CREATE OR REPLACE TABLE {relation(owner.side).sql()} ({columns})")


def summary(work: Workspace, owner: Owner, function: str) -> str:
    """The most frequent classes of a function: ``12 runtime, 3 cast_error``."""
    found = work.rows(
        f"SELECT error_class, count(*) FROM {relation(owner.side).sql()} WHERE function = ? GROUP BY error_class "
        "ORDER BY 2 DESC, 1 LIMIT 3",
        (function,),
    )
    return ", ".join(f"{count} {name}" for name, count in found)


def reasons(work: Workspace, owner: Owner) -> tuple[Reason, ...]:
    """Function, class and message of the errors, the most frequent ones."""
    found = work.rows(
        f"SELECT function, error_class, message, count(*) FROM {relation(owner.side).sql()} GROUP BY ALL "
        f"ORDER BY 4 DESC, 1, 2, 3 LIMIT {MOST_REASONS}"
    )
    return tuple(Reason(*row) for row in found)


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


def insert(owner: Owner, call: Call, stage: Stage, run_id: str, parts: tuple[str, str, str, str], source: str) -> str:
    """``parts``: SQL of input key, key columns, class, message over ``source``."""
    key, keys, error_class, message = parts
    fixed = f"{literal(owner.name)}, {literal(call.function)}, {literal(call.digest)}"
    return (
        f"INSERT INTO {relation(owner.side).sql()} SELECT {fixed}, CAST({key} AS VARCHAR), {keys}, "
        f"{literal(stage.name)}, {error_class}, {message}, {literal(run_id)}, now(), "
        f"{literal(owner.unique_id)} FROM {source}"
    )
