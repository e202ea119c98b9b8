"""One connection to the server. Each statement commits by itself unless a transaction is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.postgres.arrow import plain_batches, plain_schema, readable, values
from sqlinfer.adapters.postgres.errors import streamed, translated
from sqlinfer.adapters.postgres.renaming import renamed
from sqlinfer.adapters.postgres.settings import PostgresSettings
from sqlinfer.errors import AdapterError, ConnectionLost
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column

if TYPE_CHECKING:
    import pyarrow as pa

TEMP = "pg_temp"
RUN_ID = "sqlinfer.run_id"
"""A setting of our sessions: rows of a store have it by default, so that it does not travel with each of them."""
_PAUSE = 1.0
BATCH_BYTES = 4 << 20
_SETTINGS = {
    "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
    "lock_timeout": "0", "standard_conforming_strings": "on", "datestyle": "ISO", "bytea_output": "hex",
    "extra_float_digits": "1", "client_connection_check_interval": "2s",
}  # fmt: skip
"""Of our sessions, whatever the server's or the role's own are. The last one frees the lock of a dead client."""
_HEAVY = {"work_mem": "128MB", "parallel_tuple_cost": "0"}
"""For statements over whole tables. The server's own cost of a row that comes from a worker keeps it from joining in
parallel what it then writes: half the speed."""
_STATISTICS = 10
_MULTIPLE = "cannot insert multiple commands"


class PostgresSession:
    def __init__(self, settings: PostgresSettings, *, run_id: str = "", scratch: bool = False) -> None:
        """``run_id``: rows of stores have it by default. ``scratch``: what lies in the schema of ours is temporary."""
        self._settings, self._run_id = settings, run_id
        self._scratch = scratch
        self._connection = _connect(settings)
        self._busy = threading.RLock()
        """One statement at a time: the second one on a connection ends the first one's reader."""
        self.in_transaction = False
        self._lost = False
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(Exception):  # the server may be gone
            self._connection.close()

    @property
    def is_lost(self) -> bool:
        """Whether the server has ended the connection, as far as is known without asking it."""
        return self._lost

    def _prepare(self) -> None:
        wanted = ", ".join(f"({literal(name)}, {literal(value)})" for name, value in _SETTINGS.items())
        # Older servers lack some; a system without the needed call refuses the check interval.
        self.rows(
            f"SELECT set_config(s.name, v.value, false) FROM (VALUES {wanted}) AS v(name, value) JOIN pg_settings AS s "
            "ON s.name = lower(v.name) OR s.name = v.name WHERE s.name <> 'client_connection_check_interval'"
        )
        self.rows(f"SELECT set_config('{RUN_ID}', {literal(self._run_id)}, false)")
        with suppress(AdapterError):
            self.execute("SET client_connection_check_interval = '2s'")
        if self._settings.role:
            self.execute(f"SET ROLE {quote(self._settings.role)}")
        if self._settings.search_path:
            self.execute(f"SET search_path TO {self._settings.search_path}")
        else:
            schema = literal(quote(self._settings.schema))
            self.rows(f"SELECT set_config('search_path', concat_ws(', ', {schema}, nullif("
                      "current_setting('search_path'), '')), false)")  # fmt: skip

    # statements

    @contextmanager
    def _translated(self, sql: str | None = None, lead: str = "") -> Iterator[None]:
        try:
            with translated(sql, lead):
                yield
        except ConnectionLost:
            self._lost = True
            raise

    def there(self, relation: Relation) -> Relation:
        """Where the relation is for this session."""
        if self._scratch and relation.schema == self._settings.side_schema:
            return replace(relation, schema=TEMP, catalog=None)
        return relation

    def _text(self, sql: str) -> str:
        """Relations of ours by the place where they are."""
        if not self._scratch:
            return sql
        side = self._settings.side_schema

        def moved(found: Relation) -> Relation | None:
            return self.there(found) if found.schema == side else None

        return renamed(sql, self._settings.database, moved, statements=True).sql

    @contextmanager
    def durable(self) -> Iterator[None]:
        """What lies in the schema of ours is the durable one."""
        before, self._scratch = self._scratch, False
        try:
            yield
        finally:
            self._scratch = before

    def execute(self, sql: str, lead: str = "") -> int:
        """One statement; the number of rows that it wrote, -1 where that is not known."""
        sql = self._text(sql)
        with self._busy, self._translated(sql, lead), closing(self._connection.cursor()) as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(sql)
            return int(cursor.rowcount)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Few of them, as Python values. Any statement that gives rows, also SHOW, EXPLAIN and RETURNING."""
        sql = self._text(sql)
        with self._busy, self._translated(sql), closing(self._connection.cursor()) as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(sql)
            if not cursor.description:
                return []
            table = cursor.fetch_arrow_table()
        columns = [values(column) for column in table.columns]
        return list(zip(*columns, strict=True)) if columns else [() for _ in range(table.num_rows)]

    def analyze(self, relation: Relation) -> None:
        """Enough for the choice of a join: the server's own sample of 30,000 rows reads nearly all pages."""
        with self.transaction():
            self.execute(f"SET LOCAL default_statistics_target = {_STATISTICS}")
            self.execute(f"ANALYZE {relation.sql()}")

    def value(self, sql: str) -> Any:
        """The first column of the first row, None where there is none."""
        found = self.rows(sql)
        return found[0][0] if found else None

    def schema(self, sql: str) -> pa.Schema:
        """Arrow names and types of a query, which is not run."""
        sql = self._text(sql)
        with self._busy, self._translated(sql), closing(self._connection.cursor()) as cursor:
            return cursor.adbc_execute_schema(sql)

    def table(self, sql: str, *, plain: bool = False) -> pa.Table:
        """All rows of a query."""
        with self.reader(sql, plain=plain) as reader:
            return reader.read_all()

    @contextmanager
    def reader(
        self, sql: str, *, plain: bool = False, batch_bytes: int = BATCH_BYTES
    ) -> Iterator[pa.RecordBatchReader]:
        """Stream a query. Nothing else may be asked of this session until it ends.

        ``plain``: in ordinary Arrow types.
        """
        import pyarrow as pa

        with self._busy, closing(self._connection.cursor()) as cursor:
            asked = self._text(readable(sql, self.schema(sql)) if plain else sql)
            with self._translated(asked):
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(batch_bytes)})
                cursor.execute(asked)
                reader = cursor.fetch_record_batch()
            schema = plain_schema(reader.schema) if plain else reader.schema
            batches = self._batches(reader, asked, schema if plain else None)
            try:
                yield pa.RecordBatchReader.from_batches(schema, batches)
            finally:
                batches.close()

    def _batches(self, reader: Any, sql: str, plain: pa.Schema | None) -> Generator[pa.RecordBatch, None, None]:
        import pyarrow as pa

        try:
            yield from reader if plain is None else plain_batches(iter(reader), plain)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise
            found = streamed(str(error), sql)
            self._lost = self._lost or isinstance(found, ConnectionLost)
            raise found from None  # its text may hold a value of a row

    def append(self, relation: Relation, rows: pa.Table) -> int:
        """Rows into an existing table, by the names of their columns."""
        relation = self.there(relation)
        with self._busy, self._translated(), closing(self._connection.cursor()) as cursor:
            return int(cursor.adbc_ingest(relation.name, rows, mode="append", db_schema_name=relation.schema))

    def create(self, relation: Relation, rows: pa.Table) -> None:
        """A new table of rows."""
        relation = self.there(relation)
        with self._busy, self._translated(), closing(self._connection.cursor()) as cursor:
            cursor.adbc_ingest(relation.name, rows, mode="create", db_schema_name=relation.schema)

    # transactions

    def prepare_heavy(self) -> None:
        """For the rest of the transaction: room and workers for statements over whole tables."""
        for name, value in _HEAVY.items():
            self.execute(f"SET LOCAL {name} = '{value}'")

    @contextmanager
    def transaction(self, mode: str = "") -> Iterator[None]:
        """Committed on a clean exit, else rolled back. Inside another one: a part of that."""
        if self.in_transaction:
            yield
            return
        self.execute(f"BEGIN {mode}".rstrip())
        self.in_transaction = True
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(Exception):
                self.execute("ROLLBACK")
            raise
        finally:
            self.in_transaction = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part that may fail without ending the transaction around it."""
        if not self.in_transaction:
            yield
            return
        self.execute("SAVEPOINT sqlinfer_attempt")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK TO SAVEPOINT sqlinfer_attempt")
            raise
        finally:
            with suppress(AdapterError):
                self.execute("RELEASE SAVEPOINT sqlinfer_attempt")

    # columns

    def describe(self, sql: str) -> tuple[Column, ...]:
        """Columns of one SELECT in PostgreSQL's own spelling. The query is not run.

        Raises:
            AdapterError: it is no SELECT, or not one.
        """
        names = self._names(sql)
        listed = ", ".join(f"c{number}" for number in range(len(names)))
        create = f"CREATE TEMP VIEW sqlinfer_described {f'({listed})' if names else ''} AS "
        with self.transaction(), self.attempt():
            self.execute(f"{create}{sql}", create)
            types = self.rows(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 "
                "AND attrelid = 'pg_temp.sqlinfer_described'::regclass ORDER BY attnum"
            )
            self.execute("DROP VIEW pg_temp.sqlinfer_described")
        return tuple(Column(name, kind) for name, (kind,) in zip(names, types, strict=True))

    def _names(self, sql: str) -> tuple[str, ...]:
        try:
            return tuple(self.schema(sql).names)
        except AdapterError as error:
            if _MULTIPLE in error.message:
                raise AdapterError("the SQL holds several statements", hint="a model is one SELECT") from error
            raise


def _connect(settings: PostgresSettings) -> Any:
    """Raises AdapterError once every try has failed."""
    import adbc_driver_postgresql.dbapi as driver

    for left in range(settings.retries, -1, -1):
        try:
            with translated():
                return driver.connect(settings.conninfo, autocommit=True)
        except AdapterError:
            if not left:
                raise
            time.sleep(_PAUSE)
    raise AssertionError("unreachable")
