"""One SQL session: statements in, rows as Python values or as Arrow out. Thin over PySpark, classic or Connect."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from sqlinfer.adapters.spark.errors import translated
from sqlinfer.adapters.spark.jvm import WAITS, session_of, wait_no_more
from sqlinfer.adapters.spark.known import Known
from sqlinfer.adapters.spark.settings import SparkSettings
from sqlinfer.errors import AdapterError, ConnectionLost
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.session import READ_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

LEAD = "SELECT * FROM (\n"
"""What ``describe`` puts in front of a query: Spark runs a command as soon as it sees one."""
_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
_TOLD = ("SHOW ", "DESCRIBE ")
"""How questions to the catalog begin."""


_MISSED: dict[str, tuple[float, ConnectionLost]] = {}
"""Servers that did not answer, and when that was found."""


class SparkSqlSession:
    def __init__(self, settings: SparkSettings, *, scratch: bool = False) -> None:
        """``scratch``: what lies in the schema of ours is temporary."""
        self.settings = settings
        self._scratch = scratch
        self.kept: list[Any] = []
        """Frames whose rows Spark keeps for this session."""
        self.renamed: dict[str, str] = {}
        """Inside a publication: a published relation as statements spell it → what it will show."""
        self.raw: Any = session_of(settings)
        """PySpark's own session."""
        self._lost: ConnectionLost | None = None
        self.notes: dict[str, str] | None = None
        """The notes of the target as properties, where no other session writes them."""
        self.known: Known | None = None
        """What lies in the schema of ours, where no other session writes there."""
        self.schemas: set[str] = set()
        """Those that are known to be there."""
        self.is_remote = bool(settings.remote)
        self.use_schema()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The JVM, or the connection, is shared and stays."""
        while self.kept:
            with suppress(Exception):  # Spark may be gone
                self.kept.pop().unpersist()

    def use_schema(self) -> None:
        """Unqualified names resolve to the schema, once it is there."""
        with suppress(AdapterError):
            self.execute(f"USE {name(self.settings.schema)}")

    # where relations of ours are

    @property
    def is_scratch(self) -> bool:
        return self._scratch

    def there(self, relation: Relation) -> Relation:
        """Where the relation is for this session; a temporary view has no schema."""
        if self._scratch and relation.schema == self.settings.side_schema:
            return replace(relation, schema=None)
        return relation

    @contextmanager
    def durable(self) -> Iterator[None]:
        """What lies in the schema of ours is the durable one."""
        before, self._scratch = self._scratch, False
        try:
            yield
        finally:
            self._scratch = before

    def _text(self, sql: str) -> str:
        """Relations of ours by the place where they are. Plans and adapters always quote them."""
        for relation, shown in self.renamed.items():
            sql = sql.replace(relation, shown)
        if not self._scratch:
            return sql
        return sql.replace(f"{name(self.settings.side_schema)}.", "")

    # statements

    @contextmanager
    def asking(self, sql: str | None = None, lead: str = "") -> Iterator[None]:
        """As ``translated``. Once Spark is gone, nothing more is tried: each statement would wait for it again.

        Sessions of one server share what they know for as long as a statement waits.
        """
        lost = self._lost or _missed(self.settings.remote)
        if lost is not None:
            raise lost
        try:
            with translated(sql, lead):
                yield
        except ConnectionLost as error:
            self._lost = error
            if self.settings.remote:
                _MISSED[self.settings.remote] = monotonic(), error
                wait_no_more(self.settings.remote)
            raise

    def frame(self, sql: str, lead: str = "") -> Any:
        """A DataFrame of a query. ``lead``: what ``sql`` begins with that is ours; places are counted without it."""
        sql, lead = self._text(sql), self._text(lead)
        with self.asking(sql[len(lead) :], lead):
            return self.raw.sql(sql)

    def execute(self, sql: str, lead: str = "") -> None:
        """One statement, at once."""
        sql, lead = self._text(sql), self._text(lead)
        with self._telling(sql), self.asking(sql[len(lead) :], lead):
            frame = self.raw.sql(sql)
            if self.is_remote:
                frame.schema  # noqa: B018  analysed by the server now

    def create_table(self, table: str, schema: Any) -> None:
        """An empty table of Parquet. ``schema``: Spark's."""
        with self._telling(f"CREATE TABLE {table}"), self.asking():
            self.raw.catalog.createTable(table, source="parquet", schema=schema)

    @contextmanager
    def _telling(self, sql: str) -> Iterator[None]:
        """What is known of the schema of ours follows its statements."""
        try:
            yield
        except BaseException:
            if self.known is not None:
                self.known.failed(sql)
            raise
        if self.known is not None:
            self.known.heard(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Few of them, as Python values."""
        if sql.startswith(_TOLD):
            return self._told(sql)
        table = self.table(sql)
        columns = [column.to_pylist() for column in table.columns]
        return list(zip(*columns, strict=True)) if columns else [() for _ in range(table.num_rows)]

    def _told(self, sql: str) -> list[tuple[Any, ...]]:
        """What the catalog says, which starts no job."""
        frame = self.frame(sql)
        with self.asking(sql):
            return [tuple(row) for row in frame.collect()]

    def value(self, sql: str) -> Any:
        """The first column of the first row, None where there is none."""
        found = self.rows(sql)
        return found[0][0] if found else None

    def table(self, sql: str) -> pa.Table:
        """All rows of a query: few."""
        frame = self.frame(sql)
        with self.asking(sql):
            return frame.toArrow()

    def schema(self, sql: str) -> pa.Schema:
        """Arrow names and types of a query, which is not run."""
        return self.arrow_schema(self.frame(sql))

    def arrow_schema(self, frame: Any) -> pa.Schema:
        from pyspark.sql.pandas.types import to_arrow_schema

        with self.asking():
            return to_arrow_schema(frame.schema, timezone="UTC")

    @contextmanager
    def reader(self, sql: str, rows: int = READ_ROWS) -> Iterator[pa.RecordBatchReader]:
        """Stream a query: a partition at a time, batch by batch, never all of it."""
        import pyarrow as pa

        with self.asking(sql):
            self.raw.conf.set(_BATCH, str(rows))
        frame = self.frame(sql)
        schema = self.arrow_schema(frame)
        batches = self._batches(frame, schema, sql)
        try:
            yield pa.RecordBatchReader.from_batches(schema, batches)
        finally:
            batches.close()

    def _batches(self, frame: Any, schema: pa.Schema, sql: str) -> Generator[pa.RecordBatch, None, None]:
        with self.asking(sql):
            if self.is_remote:
                yield from _streamed(frame, schema)
            else:
                yield from _by_partition(frame, schema)

    # columns

    def describe(self, sql: str) -> tuple[Column, ...]:
        """Columns of one SELECT, which is not run, in Spark's own spelling.

        Raises:
            AdapterError: it is no SELECT, or not one.
        """
        sql = self._text(sql)
        asked = f"{LEAD}{sql}\n)"
        with self.asking(sql, LEAD):
            fields = self.raw.sql(asked).schema.fields
        return tuple(Column(field.name, field.dataType.simpleString()) for field in fields)

    # data and files that come from the client

    def from_arrow(self, table: pa.Table) -> Any:
        """A DataFrame of rows that are here: few."""
        with self.asking():
            return self.raw.createDataFrame(table)

    def add_file(self, path: Path) -> None:
        """Ship a file to the executors, where ``SparkFiles.get(path.name)`` finds it."""
        with self.asking():
            self.raw.addArtifact(str(path), file=True)

    # names

    def has_temporary(self, named: str) -> bool:
        rows = self.rows("SHOW VIEWS")
        return any(row[1].casefold() == named.casefold() and row[2] for row in rows)

    def properties(self, relation: Relation) -> dict[str, str]:
        """TBLPROPERTIES; empty where there is no such relation."""
        try:
            return dict(self.rows(f"SHOW TBLPROPERTIES {table_name(relation)}"))
        except ConnectionLost:
            raise
        except AdapterError:
            return {}


def _missed(remote: str | None) -> ConnectionLost | None:
    found = _MISSED.get(remote or "")
    return found[1] if found is not None and monotonic() - found[0] < WAITS else None


def name(identifier: str) -> str:
    return quote(identifier, "spark")


def table_name(relation: Relation) -> str:
    return relation.sql("spark")


def text(value: str) -> str:
    return literal(value, "spark")


def properties_sql(given: Mapping[str, str]) -> str:
    """What stands between the parentheses of TBLPROPERTIES."""
    return ", ".join(f"{text(key)} = {text(value)}" for key, value in given.items())


def _by_partition(frame: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Record batches as the JVM writes them, one partition after the other, none of them ahead of time."""
    import pyarrow as pa
    from pyspark.serializers import NoOpSerializer
    from pyspark.util import _local_iterator_from_socket

    jvm = frame.sparkSession.sparkContext._jvm
    served = jvm.PythonRDD.toLocalIteratorAndServe(frame._jdf.toArrowBatchRdd(), False)
    for message in _local_iterator_from_socket(served, NoOpSerializer()):
        yield pa.ipc.read_record_batch(pa.py_buffer(message), schema)


def _streamed(frame: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """As the Connect server sends them."""
    import pyarrow as pa

    client = frame._session.client
    for found in client.to_table_as_iterator(frame._plan.to_proto(client), {}):
        if isinstance(found, pa.Table):
            yield from found.cast(schema).to_batches()
