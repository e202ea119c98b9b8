"""The rows of a table in slices, each read by a short statement: one that takes hours would keep the server from
vacuuming what others delete meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlinfer.adapters.postgres.session import PostgresSession
from sqlinfer.relation import Relation, literal, quote

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 8192


def sliced(
    session: PostgresSession,
    relation: Relation,
    columns: Sequence[str],
    rows: int,
    *,
    batch_rows: int,
    batch_bytes: int,
) -> pa.RecordBatchReader:
    """``rows``: those that the table has, as far as is known."""
    import pyarrow as pa

    listed = ", ".join(map(quote, columns))
    blocks = _blocks(session, relation)
    each = max(1, batch_rows * blocks // max(rows, 1))
    each = max(1, min(each, batch_bytes // BLOCK))
    schema = session.schema(f"SELECT {listed} FROM {relation.sql()}")

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, max(blocks, 1), each):
            upper = f" AND ctid < '({start + each},0)'::tid" if start + each < blocks else ""
            sql = f"SELECT {listed} FROM {relation.sql()} WHERE ctid >= '({start},0)'::tid{upper}"
            for batch in session.table(sql).to_batches(max_chunksize=batch_rows):
                if batch.num_rows:
                    yield batch

    return pa.RecordBatchReader.from_batches(schema, batches())


def _blocks(session: PostgresSession, relation: Relation) -> int:
    return int(session.value(f"SELECT pg_relation_size({literal(session.there(relation).sql())}::regclass) / {BLOCK}"))
