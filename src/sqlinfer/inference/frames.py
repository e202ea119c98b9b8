"""What goes over the socket between an isolated session and its worker: a kind, a length, Arrow or text."""

from __future__ import annotations

import socket
import struct
from time import monotonic
from typing import Final

import numpy as np
import pyarrow as pa

from sqlinfer.arrays import from_numpy, to_numpy
from sqlinfer.errors import InferenceError, SqlinferError
from sqlinfer.inference.batch_result import BatchResult

SETUP: Final = b"S"
READY: Final = b"Y"
BATCH: Final = b"B"
RESULT: Final = b"R"
ERROR: Final = b"E"
MEMORY: Final = b"M"
TIMEOUT_VARIABLE: Final = "SQLINFER_WORKER_TIMEOUT"
"""Both sides read it."""
MOST_BYTES: Final = 16 << 30
"""Of one frame."""
_HEAD = struct.Struct("<cQ")
_PIECE = 1 << 20


def send(channel: socket.socket, kind: bytes, payload: bytes | pa.Buffer = b"") -> None:
    channel.sendall(_HEAD.pack(kind, len(payload)))
    channel.sendall(payload)


def receive(channel: socket.socket, deadline: float | None = None) -> tuple[bytes, bytes]:
    """The next frame.

    Raises:
        EOFError: the other side has gone.
        TimeoutError: the deadline (of ``monotonic()``) has passed.
    """
    kind, length = _HEAD.unpack(_exactly(channel, _HEAD.size, deadline))
    if length > MOST_BYTES:  # no answer is that large: somebody else wrote to the socket
        raise EOFError
    return kind, _exactly(channel, length, deadline)


def _exactly(channel: socket.socket, length: int, deadline: float | None) -> bytes:
    found = bytearray()
    while len(found) < length:
        if deadline is not None:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError
            channel.settimeout(left)
        piece = channel.recv(min(_PIECE, length - len(found)))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


def send_error(channel: socket.socket, error: SqlinferError) -> None:
    send(channel, ERROR, "\0".join([error.message, error.hint or ""]).encode())


def told_error(payload: bytes) -> InferenceError:
    message, _, hint = payload.decode(errors="replace").partition("\0")
    return InferenceError(message, hint=hint or None)


def pack(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def unpack(payload: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(payload) as reader:
        return reader.read_next_batch()


def pack_result(result: BatchResult) -> pa.Buffer:
    missing = np.zeros(result.rows, dtype=bool) if result.missing is None else result.missing
    names = [str(position) for position in range(len(result.arrays))]
    batch = pa.RecordBatch.from_arrays(
        [*result.arrays, result.errors, from_numpy(missing)], names=[*names, "errors", "missing"]
    )
    return pack(batch.replace_schema_metadata({"null_inputs": str(result.null_inputs), "failed": str(result.failed)}))


def unpack_result(payload: bytes, outputs: pa.Schema, rows: int) -> BatchResult:
    """The answer to a batch of so many rows.

    Raises:
        EOFError: it is none: code that runs in a worker can write to the socket, too.
    """
    try:
        batch = unpack(payload)
        batch.validate(full=True)
        said = batch.schema.metadata
        missing = to_numpy(batch.column("missing")).astype(bool)
        errors, arrays = batch.column("errors"), tuple(batch.columns[:-2])
        result = BatchResult(
            arrays, errors, missing if missing.any() else None, batch.num_rows,
            int(said[b"null_inputs"]), int(said[b"failed"]),
        )  # fmt: skip
    except (pa.ArrowException, LookupError, TypeError, ValueError, StopIteration, MemoryError) as error:
        raise EOFError from error
    if result.rows != rows or [one.type for one in arrays] != outputs.types or errors.type != pa.string():
        raise EOFError
    return result
