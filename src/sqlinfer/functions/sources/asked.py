"""The child process of every library source: ``python -m … request.json answer.json``.

Loads the model in its own library, says what it knows of its arguments and results, converts it, and answers rows:
those made from the model when it is prepared, those of a file where ``verify`` asks.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sqlinfer import types
from sqlinfer.errors import SqlinferError
from sqlinfer.functions.limits import Limits
from sqlinfer.functions.sources import matching, raw
from sqlinfer.functions.sources.original import NotExact, Original, Refused, Suggested
from sqlinfer.spec.function import Argument

BOUNDARY_ROWS: Final = 1000
SEED: Final = 20_250_101
_SHOWN: Final = 300


def main(asked: str, answered: str) -> None:
    request = json.loads(Path(asked).read_text())
    sys.path[:0] = request["search"]
    warnings.simplefilter("ignore")
    module = importlib.import_module(request["module"])
    Limits(request["memory"], request["seconds"]).apply()
    try:
        answer = _answer(_loaded(module, request), request)
    except Refused as error:
        answer = {"refused": str(error), "hint": error.hint}
    except SqlinferError as error:
        answer = {"refused": error.message, "hint": error.hint}
    except MemoryError:
        Limits.lift_memory()
        answer = {"refused": f"loading it takes more than {request['memory'] / (1 << 30):.1f} GB of memory",
                  "hint": "the file is damaged, or made to do harm"}  # fmt: skip
    Path(answered).write_text(json.dumps(answer))


def _loaded(module: Any, request: Mapping[str, Any]) -> Original:
    """What a library raises for a file that it cannot read is said of the file; code of the project shows its own."""
    try:
        original: Original = module.load(request)
    except (Refused, SqlinferError, MemoryError):
        raise
    except Exception as error:
        if request["entrypoint"]:
            raise
        raise Refused(f"its model cannot be read ({_said(error)})", "is the file whole, and of this source?") from error
    return original


def _said(error: Exception) -> str:
    lines = f"{type(error).__name__}: {error}".strip().splitlines()
    return lines[0][:_SHOWN]


def _answer(original: Original, request: Mapping[str, Any]) -> dict[str, Any]:
    folder = Path(request["folder"])
    known = matching.named(original.arguments, request["known"])
    answer: dict[str, Any] = {
        "arguments": [asdict(one) for one in known],
        "results": asdict(original.results),
        "made_with": dict(original.made_with),
        "used": {name: version for name in request["packages"] if (version := _version(name))},
    }
    written = [Argument(**one) for one in request["arguments"]]
    order = matching.matched(request["function"], written, known) if written else list(range(len(known)))
    arguments = matching.completed(request["function"], written, request["open_nulls"], known)
    if request["convert"]:
        answer |= _converted(original, folder)
    if "inexact" not in answer:
        rows = _rows(original, request["rows"], arguments, order)
        raw.write(folder / "rows.arrow", rows)
        outputs, refused = answers(original, _as_known(rows, original.arguments, order))
        raw.write(folder / "answers.arrow", raw.to_batch(outputs, refused))
        answer["outputs"] = list(outputs)
    return answer


def _converted(original: Original, folder: Path) -> dict[str, Any]:
    """The graph's inputs in the order of the arguments, or why there is no graph."""
    import onnx

    target = folder / "model.onnx"
    try:
        original.convert(target)
    except NotExact as error:
        return {"inexact": str(error)}
    except MemoryError:
        raise
    except Exception as error:  # a converter's own, of whatever kind
        return {"inexact": f"its converter fails ({_said(error)})"}
    graph = onnx.load(str(target), load_external_data=False).graph
    constants = {one.name for one in graph.initializer}
    return {"inputs": [one.name for one in graph.input if one.name not in constants]}


def _rows(original: Original, file: str | None, arguments: Sequence[Argument], order: list[int]) -> pa.RecordBatch:
    """Named and typed as declared: those of a file, then those made from the model."""
    made = _made(original, arguments, order)
    if file is None:
        return made
    given = raw.read(Path(file))
    whole = pa.Table.from_batches([given.select(made.schema.names), made.cast(given.select(made.schema.names).schema)])
    found: pa.RecordBatch = whole.combine_chunks().to_batches(max_chunksize=whole.num_rows or None)[0]
    return found


def _made(original: Original, arguments: Sequence[Argument], order: list[int]) -> pa.RecordBatch:
    """Without rows that ``on_null`` keeps from being scored."""
    made = original.boundary(BOUNDARY_ROWS, SEED)
    columns, kept = [], np.ones(made.num_rows, dtype=bool)
    for place, argument in enumerate(arguments):
        column = _declared(made.column(order.index(place)), argument.data_type)
        if argument.on_null == "default":
            column = column.fill_null(pa.scalar(argument.default).cast(column.type))
        elif argument.on_null != "nan":
            kept &= np.asarray(column.is_valid())
        columns.append(column)
    rows = pa.RecordBatch.from_arrays(columns, names=[argument.name for argument in arguments])
    return rows.filter(pa.array(kept))


def _declared(column: pa.Array, data_type: str) -> pa.Array:
    """Made values as a declared type can hold them: rounded, cut to its range; what has no place there is NULL."""
    wanted = types.arrow_type(data_type)
    if pa.types.is_integer(wanted) and pa.types.is_floating(column.type):
        info = np.iinfo(wanted.to_pandas_dtype())
        values = np.floor(column.to_numpy(zero_copy_only=False).astype(np.float64))
        fits = np.isfinite(values) & (values >= float(info.min)) & (values < float(info.max))
        return pa.array(np.where(fits, values, 0).astype(wanted.to_pandas_dtype()), wanted)
    try:
        return column.cast(wanted, safe=False)
    except pa.ArrowInvalid:
        return pa.nulls(len(column), wanted)


def _as_known(rows: pa.RecordBatch, known: tuple[Suggested, ...], order: list[int]) -> pa.RecordBatch:
    """As the model knows them. The warehouse's own casts are these: exact, or rounded to a shorter float."""
    columns = [rows.column(place).cast(types.arrow_type(one.data_type), safe=False)
               for one, place in zip(known, order, strict=True)]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=[one.name for one in known])


def answers(original: Original, rows: pa.RecordBatch) -> tuple[dict[str, raw.Array], list[str | None]]:
    """Raw outputs for all rows; a row that the library refuses is found by halving, and has what it said."""
    if not rows.num_rows:
        return {name: np.asarray(values) for name, values in original.predict(rows).items()}, []
    parts = _halved(original, rows)
    whole = next((outputs for outputs, _ in parts if outputs is not None), None)
    if whole is None:
        raise Refused(f"its library refuses every row: {parts[0][1][0]}")
    filled = [_filled(outputs, len(refused), whole) for outputs, refused in parts]
    joined = {name: np.concatenate([outputs[name] for outputs in filled]) for name in whole}
    return joined, [said for _, refused in parts for said in refused]


_Part = tuple[dict[str, raw.Array] | None, list[str | None]]


def _halved(original: Original, rows: pa.RecordBatch) -> list[_Part]:
    try:
        outputs = {name: np.asarray(values) for name, values in original.predict(rows).items()}
        return [(outputs, [None] * rows.num_rows)]
    except MemoryError:
        raise
    except Exception as error:  # whatever a library raises for a row that it does not take
        if rows.num_rows == 1:
            return [(None, [_said(error)])]
    middle = rows.num_rows // 2
    return [*_halved(original, rows.slice(0, middle)), *_halved(original, rows.slice(middle))]


def _filled(outputs: dict[str, raw.Array] | None, count: int, like: Mapping[str, raw.Array]) -> dict[str, raw.Array]:
    if outputs is not None:
        return outputs
    return {name: np.zeros((count, *values.shape[1:]), values.dtype) for name, values in like.items()}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
