"""Relations whose rows are Parquet at a path or in a bucket: views over datasets of pyarrow, made when SQL names them.

pyarrow reads the files, with columns and filters pushed down, so that DuckDB's access to files stays switched off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlinfer.adapters.base import Filed
from sqlinfer.adapters.duckdb.errors import translated
from sqlinfer.adapters.duckdb.settings import DuckDBSettings
from sqlinfer.errors import StorageError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import FILES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from sqlinfer.storage.scanning import Scanned


def _named(one: Filed) -> re.Pattern[str]:
    """Where SQL names the relation, quoted or not."""
    parts = (FILES, one.relation.schema or "main", one.relation.name)
    spelled = (rf"(?:{re.escape(quote(part))}|{re.escape(part)})" for part in parts)
    return re.compile(r"\s*\.\s*".join(spelled) + r"(?!\w)", re.IGNORECASE)


class FiledRelations:
    """Of one DuckDB. What a manifest says is asked once a visit to the warehouse."""

    def __init__(self, settings: DuckDBSettings) -> None:
        self._access = settings.storage
        self._places = tuple((number, one, _named(one)) for number, one in enumerate(settings.reads.places))
        self._fresh: set[int] = set()
        self._scanned: dict[int, Scanned] = {}

    def provide(self, memory: DuckDBPyConnection, sql: str) -> None:
        """Raises StorageError where a file that the SQL reads is not there."""
        if FILES not in sql:
            return
        for number, one, named in self._places:
            if number not in self._fresh and named.search(sql):
                self._make(memory, number, one)
                self._fresh.add(number)

    def failure(self, error: BaseException, sql: str) -> StorageError | None:
        """What reading the files of a statement died of, where it was that."""
        if not self._scanned:
            return None
        from sqlinfer.storage.scanning import failure

        read = [self._scanned[n] for n, _, named in self._places if n in self._scanned and named.search(sql)]
        return failure(str(error), read or list(self._scanned.values()))

    def forget(self) -> None:
        self._fresh.clear()

    def _make(self, memory: DuckDBPyConnection, number: int, one: Filed) -> None:
        from sqlinfer.storage.reading import dataset
        from sqlinfer.storage.scanning import Scanned

        rows = dataset(one.place, self._access, of_model=one.of_model)
        self._scanned[number] = Scanned(one.place.rstrip("/"), rows.files, rows.filesystem, self._access)
        place, view = Relation(one.relation.schema or "main", FILES), f"dataset_{number}"
        cursor = memory.cursor()
        try:
            with translated(rows=False):
                cursor.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quote(FILES)}")
                cursor.execute(f"USE {quote(FILES)}.main")
                cursor.from_arrow(rows).create_view(view, replace=True)
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {place.sql()}")
                full = Relation(one.relation.name, one.relation.schema or "main", FILES)
                cursor.execute(f"CREATE OR REPLACE VIEW {full.sql()} AS SELECT * FROM {quote(FILES)}.main.{view}")
        finally:
            cursor.close()
