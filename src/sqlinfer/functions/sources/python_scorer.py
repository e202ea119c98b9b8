"""The worker's side of ``source: python``: loads the project's code and calls it with batches.

``python -m … request.json answer.json`` loads it only, and says what is wrong with it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sqlinfer.errors import InferenceError
from sqlinfer.functions.sources.missing import with_missing

Called = Callable[[pa.RecordBatch], Any]


def main(asked: str, answered: str) -> None:
    answer: dict[str, str | None] = {}
    try:
        load(json.loads(Path(asked).read_text()))
    except InferenceError as error:
        answer = {"error": error.message, "hint": error.hint}
    Path(answered).write_text(json.dumps(answer))


def load_scorer(request: str) -> Callable[[pa.RecordBatch], Sequence[Any]]:
    asked = json.loads(request)
    called = load(asked)
    missing = frozenset(asked["missing"])

    def score(rows: pa.RecordBatch) -> Sequence[Any]:
        return outputs(called(with_missing(rows, missing)), asked)

    return score


def load(asked: Mapping[str, Any]) -> Called:
    """The entrypoint, imported from the files that were hashed.

    Raises:
        InferenceError: one of them is another by now, or it does not import.
    """
    for path, sha in asked["hashes"].items():
        if _sha256(Path(path)) != sha:
            raise InferenceError(f"{path} changed since the function was prepared", hint="run again")
    sys.dont_write_bytecode = True
    sys.pycache_prefix = os.devnull  # what was compiled from an older text is not read
    sys.path[:0] = asked["search"]
    os.chdir(asked["root"])
    before = frozenset(sys.modules)
    try:
        found = getattr(importlib.import_module(asked["module"]), asked["name"])
    except BaseException as error:  # SystemExit as well: importing runs the code
        raise InferenceError(f"{asked['module']}:{asked['name']}: {_said(error, asked)}") from error
    if not callable(found):
        raise InferenceError(
            f"{asked['module']}:{asked['name']} is of type {type(found).__name__} and cannot be called",
            hint="name a function that takes a RecordBatch and returns an array",
        )
    _refuse_unseen(asked, before)
    called: Called = found
    return called


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _said(error: BaseException, asked: Mapping[str, Any]) -> str:
    """The exception with the deepest place in the project's own files."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in asked["modules"].values()]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _refuse_unseen(asked: Mapping[str, Any], before: frozenset[str]) -> None:
    """Modules of the project that its text does not import by name: a change of them would not be noticed."""
    seen = {*asked["modules"].values(), *asked["hashes"]}
    for name, path in _own_modules(asked["search"], before):
        if str(path) not in seen:
            raise InferenceError(
                f"{asked['module']} loads {name} of this project, which its imports do not name",
                hint=f"add {path.name} to 'files:', so that a change of it is noticed",
            )


def _own_modules(search: Sequence[str], before: frozenset[str]) -> Iterator[tuple[str, Path]]:
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name in before or path is None:
            continue
        for folder in search:
            here = Path(folder).joinpath(*name.split("."))
            if Path(path) in (here / "__init__.py", here.with_suffix(".py")):
                yield name, Path(path)


def outputs(result: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
    """One array for each declared field, from an array or from columns.

    Raises:
        InferenceError: a column is not there; names both sides.
    """
    columns = _columns(result)
    fields = asked["outputs"]
    if columns is None:
        if len(fields) == 1:
            return [result]
        raise _differs(asked, f"returned a {type(result).__name__}, which is one column")
    return [columns[_column(field, given, columns, asked)] for field, given in fields]


def _column(field: str, given: str | None, columns: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    wanted = given or field
    if wanted in columns:
        return wanted
    folded = [name for name in columns if name.casefold() == wanted.casefold()]
    if len(folded) == 1:
        return folded[0]
    if given is None and not asked["is_struct"] and len(columns) == 1:
        return next(iter(columns))
    raise _differs(asked, f"returned the columns {', '.join(map(repr, columns))}")


def _differs(asked: Mapping[str, Any], returned: str) -> InferenceError:
    wanted = ", ".join(f"'{given or field}'" for field, given in asked["outputs"])
    return InferenceError(
        f"function '{asked['function']}' declares {wanted}, and {asked['module']}:{asked['name']} {returned}",
        hint="name the columns as the declared fields, or say 'output: <column>'",
    )


def _columns(result: Any) -> Mapping[str, Any] | None:
    """By name, where there are names; None: one array."""
    if isinstance(result, pa.StructArray):
        return {field.name: part for field, part in zip(result.type, result.flatten(), strict=True)}
    if isinstance(result, pa.RecordBatch | pa.Table):
        return dict(zip(result.schema.names, result.columns, strict=True))
    if isinstance(result, Mapping):
        return {str(name): values for name, values in result.items()}
    if hasattr(result, "columns") and hasattr(result, "to_arrow"):  # polars
        return _columns(result.to_arrow())
    if hasattr(result, "columns") and hasattr(result, "iloc"):  # pandas
        return {str(name): result.iloc[:, place] for place, name in enumerate(result.columns)}
    return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
