"""A DuckDB of our own: an in-memory database, its statements and readers. Files are attached to it by others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.duckdb import file_stamp
from sqlinfer.adapters.duckdb.damage import looks_damaged
from sqlinfer.adapters.duckdb.errors import is_streamed, streamed, translated
from sqlinfer.adapters.duckdb.filed import FiledRelations
from sqlinfer.adapters.duckdb.kinds import Changes, is_harmless, is_question, listed, probed
from sqlinfer.adapters.duckdb.records import RecordTables
from sqlinfer.adapters.duckdb.settings import DuckDBSettings, default_memory, open_memory, thread_count
from sqlinfer.errors import AdapterError
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

SCAN_MEMORY, COLUMN_MEMORY = 128 << 20, 512 << 10
"""For a scan whose rows are read once: all of it, and each column of each thread (a block of 256 KiB, and what is read
ahead). Measured on 420 MB: a tenth faster than with room for all of it."""


ROW_GROUP = 122_880
"""Rows that DuckDB writes, and compresses, as one."""


class DuckDBConnection:
    """Statements run on one writer connection; each reader has its own, which another thread may drain."""

    def __init__(self, settings: DuckDBSettings, place: str) -> None:
        """``place``: what may be damaged, for people; empty for what lives in memory."""
        self.settings = settings
        self.suspect = False
        """Whether something did not read back."""
        self.depth = 0
        """How often the warehouse is attached."""
        self.in_transaction = False
        self._damaged = place
        self._stamps: DuckDBPyConnection | None = None
        self._prober: DuckDBPyConnection | None = None
        self._filed = FiledRelations(settings)
        self._changes = Changes()
        self._has_references: bool | None = None
        """Whether a table refers to another; None: not known."""
        self._records = RecordTables()
        self._explained: dict[str, list[dict[str, Any]]] = {}
        default = settings.database(settings.catalog)
        self._is_file = default is not None and default.file is not None
        self._schemas: set[Relation] = set()
        """Schemas of what is attached that are known to be there: asked for at every visit otherwise."""

    def open(self) -> None:
        self._memory = open_memory(self.settings)
        self._writer = self._memory.cursor()

    def close(self) -> None:
        for name in ("_stamps", "_prober", "_writer", "_memory"):
            connection = getattr(self, name, None)
            if connection is not None:
                with suppress(Exception):
                    connection.close()

    def hand_over(self) -> DuckDBPyConnection:
        """The connection that keeps this DuckDB, for the caller to close: it lives on when the workspace is closed."""
        kept, self._memory = self._memory, self._memory.cursor()
        return kept

    @contextmanager
    def _statement(self, sql: str) -> Iterator[None]:
        self._provide(sql)
        self._hear(sql)
        try:
            try:
                yield
            except BaseException:  # only then: three contexts for each of thousands of statements are felt
                with self._watched(), translated(sql), self._scanning(sql):
                    raise
        except BaseException:
            if not self.in_transaction:  # an error may leave one that DuckDB began by itself, aborted
                with suppress(Exception):
                    self._writer.execute("ROLLBACK")
            raise

    @contextmanager
    def _scanning(self, sql: str) -> Iterator[None]:
        """Raises StorageError where files that the statement reads failed it: the driver's error does not name them."""
        try:
            yield
        except Exception as error:
            found = self._filed.failure(error, sql)
            if found is None:
                raise
            raise found from None  # the driver's text may quote rows

    def _hear(self, sql: str) -> None:
        if self._explained and not is_question(sql):
            self._explained.clear()
        if is_harmless(sql):
            return
        if self.in_transaction:
            self._changes.hear(sql)
        folded = sql.casefold()
        self._records.hear(folded)
        if "references" in folded:
            self._has_references = None
        if "drop schema" in folded:
            self._schemas.clear()

    def _undone(self) -> None:
        """A transaction was rolled back."""
        self._forget()

    def _forget(self) -> None:
        """What was known of what is attached may be so no longer."""
        self._has_references = None
        self._schemas.clear()
        self._records.forget()

    def _provide(self, sql: str) -> None:
        """What SQL needs of ours is made when it is first needed: a function imports numpy, a fifth of a second."""
        self._filed.provide(self._memory, sql)
        if self._stamps is None and file_stamp.is_asked_for(sql):
            self._stamps = self._memory.cursor()  # the others may be in the middle of a result
            file_stamp.register(self._stamps, self.settings.root)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remember that something did not read back: the side file is looked at when the workspace closes."""
        try:
            yield
        except Exception as error:
            if looks_damaged(error):
                self.suspect = True
                if isinstance(error, AdapterError) and self._damaged:
                    error.hint = f"if it is {self._damaged} that is damaged, it is now moved aside: run again"
            raise

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        with self._statement(sql):
            self._writer.execute(sql, list(parameters)) if parameters else self._writer.execute(sql)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._statement(sql):
            done = self._writer.execute(sql, list(parameters)) if parameters else self._writer.execute(sql)
            return done.fetchall()

    def insert(self, sql: str, chunk: pa.Table) -> int:
        """The rows that were written, as DuckDB counts them."""
        with self._statement(sql):
            self._writer.register("chunk", chunk)
            try:
                written = self._writer.execute(sql).fetchall()
            except BaseException:
                with suppress(Exception):  # in an aborted transaction it fails, too, and would hide why
                    self._writer.unregister("chunk")
                raise
            self._writer.unregister("chunk")
        return int(written[0][0])

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS, *, plain: bool = False) -> Iterator[pa.RecordBatchReader]:
        self._provide(sql)
        cursor = self._memory.cursor()
        reader = None
        try:
            with translated(sql), self._scanning(sql):
                if plain:
                    cursor.execute("SET SESSION arrow_lossless_conversion = false")
                if self.depth:
                    cursor.execute(self.use_warehouse())
                reader = cursor.sql(sql).to_arrow_reader(rows)
            with self._watched():
                yield from self._streaming(reader, sql)
        finally:
            if reader is not None:
                with suppress(Exception):
                    reader.close()
            del reader
            cursor.close()

    def _streaming(self, reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatchReader]:
        import pyarrow as pa

        try:
            yield reader
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and not is_streamed(error):
                raise
            raise self._filed.failure(error, sql) or streamed(error, sql) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.in_transaction = True
        try:
            self.execute("BEGIN")
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(Exception):
                self._writer.execute("ROLLBACK")
            self._undone()
            raise
        finally:
            self.in_transaction = False
            self._changes.settle()

    @contextmanager
    def uncompressed(self, rows: int | None = None) -> Iterator[None]:
        """Tables written inside are dropped soon: analysing and compressing floats takes a third of the time of writing
        them.

        ``rows``: no more than so many come; less than a row group is written by a checkpoint alone.
        """
        if rows is not None and rows < ROW_GROUP:
            yield
            return
        with suppress(AdapterError):
            self.execute("SET force_compression = 'uncompressed'")
        try:
            yield
        finally:
            with suppress(AdapterError):
                self.execute("RESET force_compression")

    @contextmanager
    def low_memory_scan(self, columns: int, keep: int = 0) -> Iterator[None]:
        """Lower the memory limit during a scan that reads rows of so many columns once: blocks are evicted early, so
        that their pages are used again. ``keep``: bytes that what is made of them takes.
        """
        threads = thread_count(self._writer)
        usual, room = default_memory(threads), SCAN_MEMORY + keep + columns * threads * COLUMN_MEMORY
        if self.settings.memory_limit is not None or room >= usual:
            yield
            return
        with suppress(AdapterError):
            self.execute(f"SET memory_limit = '{room}B'")
        try:
            yield
        finally:
            with suppress(AdapterError):
                self.execute(f"SET memory_limit = '{usual}B'")

    def describe(self, sql: str) -> tuple[Column, ...]:
        return tuple(Column(row[0], row[1]) for row in self.rows(f"DESCRIBE {sql}"))

    def header(self, sql: str) -> tuple[str, ...]:
        with self._statement(sql):
            return tuple(
                column[0] for column in self._writer.execute(f"SELECT * FROM ({sql}) AS q LIMIT 0").description
            )

    def has(self, relation: Relation) -> bool:
        schema, catalog = relation.schema or self.settings.schema, relation.catalog or self.settings.catalog
        return self.kind(Relation(relation.name, schema, catalog)) is not None

    def kind(self, relation: Relation) -> str | None:
        catalog = relation.catalog or str(self.rows("SELECT current_database()")[0][0])
        return self._records.kind(self, Relation(relation.name, relation.schema or "main", catalog), self._kind)

    def _kind(self, full: Relation) -> str | None:
        catalog = str(full.catalog)
        if catalog.casefold() == "temp" or self._changes.touch(full):  # a connection's own
            return listed(self, full)
        self._filed.provide(self._memory, full.sql())
        if self._prober is None:
            self._prober = self._memory.cursor()
        found = probed(self._prober, full)
        return listed(self, full) if found is None else None if found == "none" else found

    def has_references(self) -> bool:
        if self._has_references is None:
            found = self.rows("SELECT count(*) FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'")
            self._has_references = bool(found[0][0])
        return self._has_references

    def stands_still(self, relation: Relation) -> bool:
        """The target's own file does; another database may change while it is read."""
        catalog = (relation.catalog or self.settings.catalog).casefold()
        return self._is_file and catalog == self.settings.catalog.casefold()

    def has_row_ids(self, relation: Relation) -> bool:
        if not self.stands_still(relation):
            return False
        names = {column.name.casefold() for column in self.describe(f"SELECT * FROM {relation.sql()}")}
        whole = replace(relation, schema=relation.schema or self.settings.schema)
        return self.kind(whole) == "table" and "rowid" not in names

    def explain(self, sql: str) -> list[dict[str, Any]]:
        """DuckDB's plan. It is known as long as nothing else is done: several ask about one query.

        Raises:
            AdapterError: the query is not one.
        """
        if sql not in self._explained:
            plan = json.loads(self.rows(f"EXPLAIN (FORMAT json) {sql}")[0][1])
            self._explained[sql] = plan if isinstance(plan, list) else [plan]
        return self._explained[sql]

    def estimate(self, sql: str) -> int | None:
        with suppress(AdapterError, ValueError, KeyError, IndexError, TypeError):
            node = self.explain(sql)[0]
            while True:
                guess = node.get("extra_info", {}).get("Estimated Cardinality")
                if guess is not None:
                    return int(str(guess).lstrip("~"))
                node = node["children"][0]
        return None

    def use_warehouse(self) -> str:
        """SQL: unqualified names are those of the profile's schema, or of main before a publication first makes it."""
        place = Relation(self.settings.schema, self.settings.catalog)
        if place.folded() not in self._schemas:
            known = self.rows(
                "SELECT count(*) FROM duckdb_schemas() "
                "WHERE lower(database_name) = lower(?) AND lower(schema_name) = lower(?)",
                (self.settings.catalog, self.settings.schema),
            )
            if not known[0][0]:
                return f"USE {quote(self.settings.catalog)}.main"
            self._schemas.add(place.folded())
        return f"USE {place.sql()}"
