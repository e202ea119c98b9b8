"""What a name stands for, without a scan of all tables: a project of a thousand models asks some thousand times."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlinfer.adapters.duckdb.statements import Statements
from sqlinfer.relation import Relation, literal, quote

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NO_TABLE = re.compile(r"Catalog Error: .* is not an? table")
_UNKNOWN = re.compile(r"Catalog Error: Table with name .* does not exist\b.*", re.DOTALL)
_HARMLESS = re.compile(
    r"\s*(SELECT|FROM|WITH|INSERT|UPDATE|DELETE|MERGE|DESCRIBE|EXPLAIN|USE|SET|RESET|COMMENT|BEGIN|COMMIT)\b",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\s*(EXPLAIN|DESCRIBE)\b", re.IGNORECASE)


def probed(cursor: DuckDBPyConnection, relation: Relation) -> str | None:
    """``table``, ``view`` or ``none``, as they are committed; None where DuckDB answers in other words.

    It is asked for something that tables alone have. ``cursor`` has no transaction: an answer may be an error. All of
    the answer is fetched: a result that is left open keeps the database open.
    """
    from duckdb import CatalogException, Error

    try:
        cursor.execute(f"DESCRIBE SELECT * FROM pragma_storage_info({literal(relation.sql())})").fetchall()
    except CatalogException as error:
        said = str(error).split("\n", 1)[0]
        return "view" if _NO_TABLE.fullmatch(said) else "none" if _UNKNOWN.fullmatch(said) else None
    except Error:
        return None
    return "table"


def listed(work: Statements, relation: Relation) -> str | None:
    """``table``, ``view`` or None, found among all; what the open transaction has made counts."""
    names = (relation.name, relation.schema, relation.catalog)
    found = work.rows(
        "SELECT 'table' FROM duckdb_tables() WHERE lower(table_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(database_name) = lower(?) "
        "UNION ALL SELECT 'view' FROM duckdb_views() WHERE lower(view_name) = lower(?) "
        "AND lower(schema_name) = lower(?) AND lower(database_name) = lower(?)",
        names * 2,
    )
    return str(found[0][0]) if found else None


def is_harmless(sql: str) -> bool:
    """Whether the statement leaves alone which names there are, and what they stand for."""
    return _HARMLESS.match(sql) is not None


def is_question(sql: str) -> bool:
    """Whether the statement leaves alone all that is there."""
    return _QUESTION.match(sql) is not None


class Changes:
    """What an open transaction may have made of names: nobody else sees that."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._any = False

    def hear(self, sql: str) -> None:
        """Of a statement that is not harmless."""
        self._made.append(sql.casefold())

    def hear_foreign(self) -> None:
        """A statement of the user's own may do anything."""
        self._any = True

    def settle(self) -> None:
        """The transaction has ended."""
        self._made.clear()
        self._any = False

    def touch(self, relation: Relation) -> bool:
        name = quote(relation.name)[1:-1].casefold()
        return self._any or any(name in sql or sql.lstrip().startswith("drop schema") for sql in self._made)
