"""The folder of an MLflow model → which of its flavours is used, its files, and its signature.

Safe YAML; every path that it names must stay in the folder. ``loader_module`` and ``code`` are read by nobody.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from sqlinfer.errors import ArtifactError, ProjectError
from sqlinfer.functions.cache import hash_of, sha256_of
from sqlinfer.functions.sources.original import Refused, Suggested

MLMODEL: Final = "MLmodel"
_LARGEST: Final = 1_000_000
_MOST_FILES: Final = 10_000
_MOST_COLUMNS: Final = 20_000
_TYPES: Final = {
    "boolean": "BOOLEAN", "integer": "INT", "long": "BIGINT", "float": "REAL", "double": "DOUBLE", "string": "TEXT",
    "binary": "BLOB",
}  # fmt: skip
_DTYPES: Final = {
    "float64": "DOUBLE", "float32": "REAL", "int64": "BIGINT", "int32": "INT", "bool": "BOOLEAN", "object": "TEXT",
    "str": "TEXT",
}  # fmt: skip
FLAVOURS: Final[Mapping[str, tuple[str, str]]] = {
    "onnx": ("onnx", "data"),
    "sklearn": ("sklearn", "pickled_model"),
    "xgboost": ("xgboost", "data"),
    "lightgbm": ("lightgbm", "data"),
    "catboost": ("catboost", "data"),
    "sentence_transformers": ("huggingface", "data"),
    "transformers": ("huggingface", "model_binary"),
}
"""Flavour → the source that reads it, and the key that names its file or folder; in the order of preference."""
_DEFAULTS: Final = {"transformers": "model", "sentence_transformers": "model.sentence_transformer"}
PYFUNC: Final = "python_function"


@dataclass(frozen=True, slots=True)
class MlModel:
    folder: Path
    flavours: Mapping[str, Mapping[str, Any]]
    signature: tuple[Suggested, ...] | None
    """Arguments as MLflow knows them; None: it says nothing of them."""

    @property
    def flavour(self) -> str | None:
        """The one that a source of ours reads without running code."""
        return next((name for name in FLAVOURS if name in self.flavours), None)

    def path(self, flavour: str) -> Path:
        """What the flavour's own key names."""
        key = FLAVOURS[flavour][1]
        text = self.flavours[flavour].get(key, _DEFAULTS.get(flavour))
        if text is None:
            raise ArtifactError(f"{self.folder / MLMODEL}: the flavour {flavour} has no '{key}'")
        return contained(self.folder, text, f"flavors.{flavour}.{key}")

    def said(self, flavour: str, key: str) -> str | None:
        """A text of a flavour, such as a version."""
        value = self.flavours[flavour].get(key)
        return value if isinstance(value, str) else None


def read(folder: Path) -> MlModel:
    """Raises ArtifactError."""
    from sqlinfer.project import yamlfile

    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}", hint="a path is relative to the folder of the yml")
    try:
        refuse_links(folder)
    except Refused as error:
        raise ArtifactError(str(error), hint=error.hint) from error
    path = folder / MLMODEL
    if not path.is_file():
        raise ArtifactError(f"{folder} has no file {MLMODEL}", hint="name the folder that log_model wrote")
    try:
        data = yamlfile.parse_yaml(yamlfile.read_text(path, limit=_LARGEST), path).data
    except ProjectError as error:
        raise ArtifactError(f"{path}: {error.message}", hint=error.hint, location=error.location) from error
    if not isinstance(data, dict) or not isinstance(data.get("flavors"), dict) or not data["flavors"]:
        raise ArtifactError(f"{path} names no flavors", hint="it is not the MLmodel of an MLflow model")
    for name, flavour in data["flavors"].items():
        if not isinstance(flavour, dict):
            raise ArtifactError(f"{path}: flavors.{name} is no mapping")
    return MlModel(folder, data["flavors"], _signature(data.get("signature"), path))


def contained(folder: Path, text: object, key: str) -> Path:
    """A file or folder that MLmodel names.

    Raises:
        ArtifactError: it is not inside of the model's folder.
    """
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise ArtifactError(f"{folder / MLMODEL}: {key} is not the name of a file")
    posix, windows = PurePosixPath(text), PureWindowsPath(text)
    if posix.is_absolute() or windows.is_absolute() or windows.drive or ".." in posix.parts or ".." in windows.parts:
        raise ArtifactError(
            f"{folder / MLMODEL}: {key} is {text!r}, which leads out of the model's folder",
            hint="nothing outside of it is read",
        )
    path = folder / text
    if not path.exists():
        raise ArtifactError(f"{folder / MLMODEL}: {key} is {text!r}, which is not there")
    if path == folder:
        raise ArtifactError(f"{folder / MLMODEL}: {key} is {text!r}, the model's folder itself")
    return path


def refuse_links(folder: Path) -> None:
    """Raises Refused for what is neither a file nor a folder, is a link, or has another name elsewhere."""
    for count, path in enumerate(_walk(folder)):
        if count > _MOST_FILES:
            raise Refused(f"{folder} has more than {_MOST_FILES:,} files", "it is not the folder of a model")
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            raise Refused(f"{path} is a link", "copy what it leads to into the model's folder")
        if not (stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode)):
            raise Refused(f"{path} is neither a file nor a folder")
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
            raise Refused(f"{path} is a hard link to another file", "copy it")


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    waiting = [folder]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            yield path
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)


def files(folder: Path) -> list[Path]:
    return [path for path in _walk(folder) if path.is_file()]


def content(folder: Path) -> tuple[dict[str, str], str]:
    """Name → sha256 of all files, and one over them."""
    found = {path.relative_to(folder).as_posix(): hash_of(path) for path in files(folder)}
    return found, sha256_of(found)


def _signature(given: object, path: Path) -> tuple[Suggested, ...] | None:
    """Raises ArtifactError where it is not what MLflow writes."""
    text = given.get("inputs") if isinstance(given, dict) else None
    if text is None:
        return None
    try:
        columns = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        columns = None
    if not isinstance(columns, list) or not all(isinstance(one, dict) for one in columns):
        raise ArtifactError(f"{path}: signature.inputs is no list of columns")
    if len(columns) > _MOST_COLUMNS:
        raise ArtifactError(f"{path}: signature.inputs has {len(columns):,} columns")
    found: list[Suggested] = []
    for place, column in enumerate(columns):
        if column.get("type") == "tensor":
            found += _tensor(column, len(columns) > 1)
        else:
            found.append(_column(column, place, path))
    if len({one.name.casefold() for one in found}) < len(found):
        raise ArtifactError(f"{path}: signature.inputs has a column twice")
    return tuple(found) or None


def _column(column: Mapping[str, Any], place: int, path: Path) -> Suggested:
    name, kind = column.get("name"), column.get("type")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ArtifactError(f"{path}: signature.inputs: column {place} has no name")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ArtifactError(
            f"{path}: signature.inputs: '{name}' has the type {json.dumps(kind)[:40]}, which no argument can have",
            hint="write 'arguments:' in the declaration",
        )
    may_miss = column.get("required") is False and _TYPES[kind] in ("REAL", "DOUBLE", "TEXT")
    return Suggested(name or f"f{place}", _TYPES[kind], "nan" if may_miss else "null")


def _tensor(column: Mapping[str, Any], several: bool) -> Sequence[Suggested]:
    """[N], [N,1]: one argument; [N,K] without a name: K of them. Others say nothing of arguments."""
    spec = column.get("tensor-spec")
    shape = spec.get("shape") if isinstance(spec, dict) else None
    kind = _DTYPES.get(str(spec.get("dtype")) if isinstance(spec, dict) else "")
    if kind is None or not isinstance(shape, list) or not all(isinstance(one, int) for one in shape):
        return ()
    name, widths = column.get("name"), [one for one in shape[1:] if one != 1]
    if not widths and isinstance(name, str) and name.strip():
        return (Suggested(name, kind),)
    if len(widths) == 1 and 0 < widths[0] <= _MOST_COLUMNS:
        if isinstance(name, str) and name.strip() and several:
            return (Suggested(name, f"{kind}[{widths[0]}]"),)
        return tuple(Suggested(f"f{place}", kind) for place in range(widths[0]))
    return ()
