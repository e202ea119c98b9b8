"""A library's own prediction behind the kernel seam. In: rows as a record batch. Out: one Arrow array per output.

It runs in a worker process only (``native_session``): a library may crash, hang or grow, and costs a row then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from importlib import import_module
from traceback import clear_frames
from typing import Any

import pyarrow as pa

from sqlinfer import arrays
from sqlinfer.errors import InferenceError, KernelError, KernelOutOfMemory, ProjectError, SqlinferError
from sqlinfer.inference.assembly import column_of
from sqlinfer.inference.block import Block, Scratch, select
from sqlinfer.inference.kernel import Feeds, safe_message
from sqlinfer.inference.layout import Layout
from sqlinfer.inference.native_values import ArrowCollector, declared_array
from sqlinfer.inference.session import Session
from sqlinfer.inference.sharing import Shared
from sqlinfer.inference.tensors import Array
from sqlinfer.spec.function import NativeModel, PreparedFunction
from sqlinfer.types import array_width, arrow_type

Score = Callable[[pa.RecordBatch], Sequence[Any]]
_ROWS = "rows"
WHOLE = 1 << 30
"""A task is one call of the library."""


def open_native(prepared: PreparedFunction) -> Session:
    """The session of a worker process: the model is loaded here and now.

    Raises:
        InferenceError: it does not load.
    """
    assert prepared.native is not None
    outputs = prepared.contract.outputs
    kernel = NativeKernel(load(prepared.contract.name, prepared.native), prepared)
    layout = Layout(prepared.contract.batch_size or WHOLE, 1, 1, source="declared")
    return Session(
        prepared,
        [kernel],
        layout,
        assembler=NativeAssembler(prepared),
        collect=partial(ArrowCollector, outputs=outputs),
    )


def load(name: str, native: NativeModel) -> Score:
    try:
        score: Score = import_module(native.module).load_scorer(native.request)
    except SqlinferError:
        raise
    except MemoryError as error:
        raise InferenceError(f"function '{name}': its model takes more memory than there is") from error
    except Exception as error:  # whatever the library, or the project's code, raises while it loads
        raise InferenceError(f"function '{name}' does not load: {type(error).__name__}: {error}") from error
    return score


class NativeKernel:
    """One process, one model, one call at a time. There is nothing to rebuild."""

    generation = 0

    def __init__(self, score: Score, prepared: PreparedFunction) -> None:
        self._score = score
        self._name = prepared.contract.name
        self._outputs = prepared.contract.outputs
        assert prepared.native is not None
        several = len(self._outputs) > 1
        self._given = [f"{prepared.native.origin} returned {{}}" + (f" as '{one}'" if several else "")
                       for one in prepared.origins]  # fmt: skip

    def run(self, feeds: Feeds) -> Sequence[pa.Array]:
        rows: Any = feeds[_ROWS]
        try:
            found = self._score(rows)
            return [
                declared_array(self._name, given, values, output, rows.num_rows)
                for given, values, output in zip(self._given, found, self._outputs, strict=True)
            ]
        except (SqlinferError, KernelError):
            raise
        except MemoryError as error:
            clear_frames(error.__traceback__)
            raise KernelOutOfMemory("the library got no memory") from error
        except Exception as error:  # a library raises what it likes
            clear_frames(error.__traceback__)
            raise KernelError(f"{type(error).__name__}: {safe_message(str(error) or 'no message')}") from error

    def rebuild(self, generation: int) -> None: ...

    def close(self) -> None: ...


class RowsFeeder:
    """Rows of the arguments, in their declared types."""

    name = _ROWS

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._rows = rows

    def feed(self, start: int, stop: int, scratch: Scratch) -> Array:
        piece: Any = self._rows.slice(start, stop - start)
        return piece  # type: ignore[no-any-return]


class NativeAssembler:
    """Feeds record batches. A missing value of an argument with ``on_null: nan`` reaches the library as it is."""

    has_text = has_images = False
    categories: dict[int, list[str]] = {}  # noqa: RUF012  (nothing is fed as a code)

    def __init__(self, prepared: PreparedFunction) -> None:
        self._arguments = prepared.contract.arguments
        self._widths = [array_width(argument.data_type) for argument in self._arguments]
        self._types = [_arrow_type(argument.data_type) for argument in self._arguments]

    def makes(self, arguments: Sequence[str]) -> Sequence[Hashable]:
        return ()

    def block(self, batch: pa.RecordBatch, arguments: Sequence[str], shared: Shared | None = None) -> Block:
        columns = [column_of(batch, name) for name in arguments]
        strict = [place for place, argument in enumerate(self._arguments) if argument.on_null != "nan"]
        chosen = select([columns[place] for place in strict], [self._widths[place] for place in strict])
        places = chosen.positions
        rows = batch.num_rows if places is None else len(places)
        block = Block(batch.num_rows, rows, places, (), chosen.rejected, chosen.null_inputs)
        if rows:
            dense = columns if places is None else [column.take(arrays.from_numpy(places)) for column in columns]
            typed = [_typed(column, kind) for column, kind in zip(dense, self._types, strict=True)]
            named = pa.RecordBatch.from_arrays(typed, names=[argument.name for argument in self._arguments])
            block.feeders = (RowsFeeder(named),)
        return block


def _arrow_type(data_type: str) -> pa.DataType | None:
    """None: as the warehouse gives it, such as a decimal."""
    try:
        return arrow_type(data_type)
    except ProjectError:
        return None


def _typed(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    """The warehouse may give texts as dictionaries or views, and booleans as bytes."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind is None or column.type == kind:
        return column
    return column.cast(kind)
