"""predict() in the terminal IDE Harlequin: ``harlequin --adapter sqlinfer shop``.

A query is planned as ``sqlinfer preview --inline`` plans it: ``ref()`` works, nothing is published, and the database is
open while a query runs alone, so that a night is not kept out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from harlequin import HarlequinAdapter, HarlequinConnection, HarlequinCursor
from harlequin.catalog import Catalog, CatalogItem
from harlequin.exception import HarlequinConnectionError, HarlequinQueryError
from harlequin.options import PathOption, TextOption

from sqlinfer import api
from sqlinfer.errors import SqlinferError

if TYPE_CHECKING:
    import pyarrow as pa

    from sqlinfer.jobs.connection import Connection

_OPTIONS = (
    PathOption(
        "profiles-dir", "Folder of profiles.yml (default: the project's, then ~/.dbt).", exists=True, file_okay=False
    ),
    TextOption("target", "Target of the profile to use instead of its default.", short_decls=["-t"]),
    TextOption("vars", "Variables, as YAML: 'day: 2026-11-01'."),
)
_COLUMNS = (
    "select table_schema, table_name, column_name, data_type from information_schema.columns "
    "where table_catalog = current_database() and table_schema not in ('information_schema', 'pg_catalog') "
    "order by table_schema, table_name, ordinal_position"
)
_SHORT = {
    "BOOL": "t/f", "INT64": "##", "UINT64": "##", "INT": "#", "UINT": "#", "TINYINT": "#", "UTINYINT": "#",
    "SMALLINT": "#", "USMALLINT": "#", "BIGINT": "##", "UBIGINT": "##", "HUGEINT": "###", "UUID": "uid",
    "FLOAT": "#.#", "HALF": "#.#", "DOUBLE": "#.#", "DECIMAL": "#.#", "REAL": "#.#", "NUMERIC": "#.#", "DATE": "d",
    "TIMESTAMP": "ts", "TIME": "t", "VARCHAR": "s", "CHAR": "s", "TEXT": "s", "STRING": "s", "LARGE_STRING": "s",
    "BLOB": "0b", "BYTEA": "0b", "BINARY": "0b", "LARGE_BINARY": "0b", "STRUCT": "{}", "MAP": "{m}", "LIST": "[]",
    "FIXED_SIZE_LIST": "[]",
}  # fmt: skip
"""Beginning of a type's name, of Arrow or of a warehouse → what Harlequin shows of it; the first that fits."""


class SqlinferCursor(HarlequinCursor):  # type: ignore[misc]
    """A result that is there already; ``set_limit`` is too late to save scoring, LIMIT in the query is not."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def columns(self) -> list[tuple[str, str]]:
        return [(field.name, short_type(str(field.type))) for field in self.rows.schema]

    def set_limit(self, limit: int) -> Self:
        self.rows = self.rows.slice(0, limit)
        return self

    def fetchall(self) -> pa.Table:
        return self.rows


class SqlinferConnection(HarlequinConnection):  # type: ignore[misc]
    def __init__(self, connection: Connection, functions: Iterable[CatalogItem], init_message: str = "") -> None:
        self.connection, self.functions = connection, list(functions)
        self.init_message = init_message

    def execute(self, query: str) -> SqlinferCursor:
        try:
            return SqlinferCursor(self.connection.sql(query))
        except SqlinferError as error:
            raise HarlequinQueryError(msg=str(error), title="sqlinfer") from error

    def get_catalog(self) -> Catalog:
        """Schemas with their tables and columns, and the functions with their arguments."""
        try:
            found = self.connection.sql(_COLUMNS).to_pylist()
        except SqlinferError:  # a night is at work, or nothing is built yet: the functions are known
            found = []
        schemas = [_schema(name, list(rows)) for name, rows in groupby(found, lambda row: row["table_schema"])]
        return Catalog(items=[_item("functions", "functions", "fn", self.functions), *schemas])


class SqlinferAdapter(HarlequinAdapter):  # type: ignore[misc]
    """``conn_str`` is the project's folder."""

    ADAPTER_OPTIONS: ClassVar = list(_OPTIONS)
    ADAPTER_DETAILS = "predict() over the warehouse of a sqlinfer project; nothing is published."

    def __init__(self, conn_str: Sequence[str], **options: Any) -> None:
        self.folder = Path(conn_str[0]) if conn_str else Path()
        given = {name.replace("-", "_"): value for name, value in options.items()}
        self.options = {name: given[name] for name in _named() if given.get(name) is not None}

    def connect(self) -> SqlinferConnection:
        try:
            connection = api.connect(self.folder, **self.options)
            items = [_function(one) for one in api.functions(api.RunOptions(project_dir=self.folder, **self.options))]
        except SqlinferError as error:
            raise HarlequinConnectionError(str(error), title="sqlinfer could not open the project") from error
        return SqlinferConnection(connection, items)


def _named() -> tuple[str, ...]:
    return tuple(option.name.replace("-", "_") for option in _OPTIONS)


def short_type(name: str) -> str:
    """
    >>> short_type("DECIMAL(4,3)"), short_type("int64"), short_type("character varying"), short_type("date32[day]")
    ('#.#', '##', 's', 'd')
    """
    upper = name.upper()
    if upper.endswith("]") and not upper.startswith(("DATE", "TIME")):  # Arrow's date32[day] is no list
        return "[]"
    return next((short for start, short in _SHORT.items() if upper.startswith(start)), "?")


def _schema(name: str, rows: Sequence[dict[str, Any]]) -> CatalogItem:
    tables = [
        _item(f"{name}.{table}", table, "t", [
            CatalogItem(f"{name}.{table}.{row['column_name']}", row["column_name"], row["column_name"],
                        short_type(row["data_type"]))
            for row in columns
        ])
        for table, columns in groupby(rows, lambda row: row["table_name"])
    ]  # fmt: skip
    return _item(name, name, "sch", tables)


def _item(identifier: str, label: str, kind: str, children: list[CatalogItem]) -> CatalogItem:
    return CatalogItem(identifier, label, label, kind, children=children)


def _function(row: dict[str, Any]) -> CatalogItem:
    return CatalogItem(f"functions.{row['name']}", row["name"], row["signature"], "f")
