"""Parts of a run's journal as bytes: a header as JSON and the rows of a chunk, in Arrow's stream format; and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.duckdb import notes
from sqlinfer.adapters.duckdb.connection import DuckDBConnection
from sqlinfer.adapters.duckdb.names import SIDE, STORE
from sqlinfer.errors import ProjectError, StoreError
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.types import canonical

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER = b"sqlinfer"


def part_of(header: Mapping[str, Any], rows: pa.Table | None) -> bytes:
    import pyarrow as pa

    table = rows if rows is not None else pa.table({})
    told = {**(table.schema.metadata or {}), _HEADER: json.dumps(header).encode()}
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema.with_metadata(told), options=options) as writer:
        writer.write_table(table.replace_schema_metadata(told))
    return bytes(sink.getvalue())


def replay(connection: DuckDBConnection, name: str, data: bytes, newest: int) -> None:
    """One part into the side file.

    Raises:
        StoreError: it is none of ours, or a newer version wrote it.
    """
    import pyarrow as pa

    try:
        rows = pa.ipc.open_stream(data).read_all()
        header = json.loads(rows.schema.metadata[_HEADER])
        kind, version = header["kind"], int(header["format"])
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"part {name} of the state is not one of sqlinfer's", hint="remove it") from error
    if version > newest:
        raise StoreError(f"a newer version of sqlinfer has written part {name} of the state", hint="upgrade sqlinfer")
    with connection.transaction():
        match kind:
            case "append":
                _append(connection, name, header, rows)
            case "forget":
                _forget(connection, header)
            case "note":
                notes.write(connection, header["note"], header["name"], header["payload"])
            case _:
                raise StoreError(f"part {name} of the state is of a kind that this version does not know")


def _append(connection: DuckDBConnection, name: str, header: Mapping[str, Any], rows: pa.Table) -> None:
    table = Relation(str(header["store"]), STORE, SIDE).sql()
    try:
        columns = {str(column): canonical(str(kind)) for column, kind in header["columns"]}
    except ProjectError as error:
        raise StoreError(f"part {name} of the state holds a type that is none: {error.message}") from error
    listed = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} (input_key UHUGEINT, {listed}, error VARCHAR, scored_at TIMESTAMPTZ, "
        "run_id VARCHAR)"
    )
    names = ", ".join(map(quote, columns))
    run_id, at = literal(str(header["run_id"])), literal(str(header["at"]))
    connection.insert(
        f"INSERT INTO {table} (input_key, {names}, error, scored_at, run_id) "
        f"SELECT input_key, {names}, error, CAST({at} AS TIMESTAMPTZ), {run_id} FROM chunk AS c "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table} AS s WHERE s.input_key = c.input_key)",
        rows,
    )


def _forget(connection: DuckDBConnection, header: Mapping[str, Any]) -> None:
    table = Relation(str(header["store"]), STORE, SIDE)
    if connection.has(table):
        bad = f"error IS NOT NULL AND starts_with(error, {literal(str(header['class']))})"
        connection.execute(f"DELETE FROM {table.sql()} WHERE {bad}")
