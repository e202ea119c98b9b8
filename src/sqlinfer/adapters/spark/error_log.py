"""Error records of one node's run: a view of the tables that it has written, until they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlinfer.adapters.shared import error_rows
from sqlinfer.adapters.spark import side
from sqlinfer.adapters.spark.pinned import SparkPinned
from sqlinfer.adapters.spark.scored import show, spark, written
from sqlinfer.adapters.spark.session import name, table_name, text
from sqlinfer.relation import Relation, literal
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.outcome import Reason
from sqlinfer.spec.plan import Call, Owner
from sqlinfer.spec.records import ERRORS
from sqlinfer.types import of_column

if TYPE_CHECKING:
    from sqlinfer.adapters.spark.scoring import SparkScoring

NO_KEY = "CAST(NULL AS TEXT)"
_SHOWN = "sqlinfer: what is shown"
_TYPES = {"TEXT": "STRING", "TIMESTAMPTZ": "TIMESTAMP"}


def relation(work: SparkScoring, owner: Owner) -> Relation:
    return side.relation(work.settings, f"errors__{owner.side}")


def begin(work: SparkScoring, owner: Owner) -> None:
    """Nothing is gathered yet."""
    work.error_tables[owner.side] = []


def made(work: SparkScoring, owner: Owner) -> Relation:
    """The view, which is there afterwards."""
    if not work.error_tables.get(owner.side):
        _show(work, owner)
    return relation(work, owner)


def _show(work: SparkScoring, owner: Owner) -> None:
    tables = work.error_tables.get(owner.side, [])
    empty = ", ".join(f"CAST(NULL AS {_TYPES[kind]}) AS {name(column)}" for column, kind in ERRORS.columns.items())
    parts = [f"SELECT * FROM {table_name(one)}" for one in tables] or [f"SELECT {empty} WHERE false"]
    show(work, relation(work, owner), " UNION ALL ".join(parts))


def write(work: SparkScoring, pinned: SparkPinned, call: Call, key: str, said: tuple[str, str], source: str) -> None:
    """Records of the rows of ``source``, in which the stage is ``s``.

    Args:
        key: SQL for the input key, as text.
        said: SQL of class and message.
    """
    assert pinned.source is not None
    described = work.session.describe(f"SELECT * FROM {table_name(pinned.source)}")
    types = tuple(Column(column.name, of_column(column.data_type, "spark")) for column in described)
    named = pinned.options.shown.shown(pinned.stage, call, types)
    shown = _json([(label, f"s.{name(column.name)}") for label, column in named])
    select = error_rows.records(pinned.owner, call, pinned.stage, work.run_id, key, literal(_SHOWN), said, source)
    frame = work.session.frame(spark(select).replace(text(_SHOWN), shown)).toDF(*ERRORS.columns)
    frame = frame.selectExpr(
        *(f"CAST({name(column)} AS {_TYPES[kind]}) AS {name(column)}" for column, kind in ERRORS.columns.items())
    )
    table, counts = written(work, None, f"{pinned.owner.side}__errors", frame, {})
    if counts["rows"]:
        work.error_tables[pinned.owner.side].append(table)
        _show(work, pinned.owner)


def _json(values: list[tuple[str, str]]) -> str:
    """Spark's SQL for the text of what a record shows; NULL where nothing is."""
    if not values:
        return "CAST(NULL AS STRING)"
    fields = ", ".join(f"{text(name)}, {value}" for name, value in values)
    return f"to_json(named_struct({fields}), map('ignoreNullFields', 'false'))"


def classes(work: SparkScoring, owner: Owner, function: str) -> tuple[tuple[str, int], ...]:
    found = work.session.rows(spark(error_rows.classes(made(work, owner).sql(), function)))
    return tuple((name, count) for name, count in found)


def reasons(work: SparkScoring, owner: Owner) -> tuple[Reason, ...]:
    return tuple(Reason(*row) for row in work.session.rows(spark(error_rows.reasons(made(work, owner).sql()))))
