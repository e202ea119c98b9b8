"""Error records of one node's run, gathered in the side file and published with the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlinfer.adapters.base import ERRORS, SIDE, Workspace
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, Call, Owner, Stage

COLUMNS = (
    "node VARCHAR, function VARCHAR, digest VARCHAR, input_key UHUGEINT, key_columns VARCHAR, stage VARCHAR, "
    'error_class VARCHAR, message VARCHAR, run_id VARCHAR, "at" TIMESTAMPTZ, unique_id VARCHAR'
)
PUBLISHED = "sqlinfer_errors"


def relation(side: str) -> Relation:
    return Relation(side, ERRORS, SIDE)


def start(work: Workspace, owner: Owner) -> None:
    work.execute(f"CREATE OR REPLACE TABLE {relation(owner.side).sql()} ({COLUMNS})")


def summary(work: Workspace, owner: Owner, function: str) -> str:
    """The most frequent classes of a function: ``12 runtime, 3 cast_error``."""
    found = work.rows(
        f"SELECT error_class, count(*) FROM {relation(owner.side).sql()} WHERE function = ? GROUP BY error_class "
        "ORDER BY 2 DESC, 1 LIMIT 3",
        (function,),
    )
    return ", ".join(f"{count} {name}" for name, count in found)


def is_bad(status: str) -> str:
    """SQL: the status of a row says that it is an error row."""
    return f"(starts_with({status}, '{CAST_ERROR}') OR starts_with({status}, '{NULL_ERROR}'))"


def keys_json(columns: Iterable[str], unique_key: Sequence[str], alias: str) -> str:
    """SQL for the key columns of a row as JSON text, as far as the stage has them."""
    wanted = {key.casefold() for key in unique_key}
    fields = [f"{quote(name)} := {alias}.{quote(name)}" for name in columns if name.casefold() in wanted]
    return f"CAST(to_json(struct_pack({', '.join(fields)})) AS VARCHAR)" if fields else "CAST(NULL AS VARCHAR)"


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
        f"INSERT INTO {relation(owner.side).sql()} SELECT {fixed}, {key}, {keys}, {literal(stage.name)}, "
        f"{error_class}, {message}, {literal(run_id)}, now(), {literal(owner.unique_id)} FROM {source}"
    )
