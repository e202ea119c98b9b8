"""A file or an entrypoint → the fitted estimator. What could run code is read under ``trust:`` alone."""

from __future__ import annotations

import importlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlinfer.functions.sources.original import Refused

_MOST_FILES: Final = 200_000
_MOST_BYTES: Final = 16 << 30
_SCHEMA: Final = "schema.json"
_SHOWN: Final = 8
_HARMLESS: Final = ("numpy.dtype", "functools.partial", "sklearn.utils.validation.check_array")
"""What pipelines over texts and categories hold; what a partial calls is listed by itself."""
_NOT_DATA: Final = (".tests.", ".externals.", "._testing", "._mocking", ".datasets.")


def load(request: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The estimator, and the versions that made it, where the file says so."""
    if request["entrypoint"]:
        return _called(*request["entrypoint"]), {}
    path, name = Path(request["path"]), str(request["name"] or request["path"])
    if name.lower().endswith(".skops"):
        return _skops(path, name, trusted=bool(request.get("trusted")))
    return _unpickled(path, name)


def _called(module: str, name: str) -> Any:
    try:
        made = getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise Refused(
            f"the entrypoint {module}:{name} is not there: {error}", "name a callable of the module"
        ) from error
    return made() if callable(made) and not hasattr(made, "fit") else made


def _skops(path: Path, name: str, *, trusted: bool) -> tuple[Any, dict[str, str]]:
    from skops import io

    schema = _schema(path, name)
    try:
        unknown = io.get_untrusted_types(file=path)
    except MemoryError:
        raise
    except Exception as error:  # every way in which a file can be wrong
        raise _damaged(name, error) from error
    foreign = [] if trusted else sorted(one for one in unknown if not _is_data(one))
    if foreign:
        shown = ", ".join(foreign[:_SHOWN]) + (", …" if len(foreign) > _SHOWN else "")
        raise Refused(f"{name} holds types that are not trusted: {shown}",
                      "build it in an entrypoint, or, if you made this file, add 'trust: sha256:…'")  # fmt: skip
    try:
        return io.load(path, trusted=unknown), schema
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(name, error) from error


def _is_data(name: str) -> bool:
    """Whether a type is one of scikit-learn's own classes, of which skops trusts the estimators alone: the nodes of
    trees, losses, bunches. Functions are not: an estimator might call them."""
    if name in _HARMLESS:
        return True
    module, _, kind = name.rpartition(".")
    if not module.startswith("sklearn.") or any(one in f"{module}." for one in _NOT_DATA):
        return False
    try:
        found = getattr(importlib.import_module(module), kind, None)
    except ImportError:
        return False
    return isinstance(found, type)


def _schema(path: Path, name: str) -> dict[str, str]:
    """Checks the archive, and answers the versions that its schema has.

    Raises:
        Refused: it is none, or its members are not where they belong, or too many or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, name)
            text = archive.read(_SCHEMA)
        schema = json.loads(text)
    except KeyError:
        raise Refused(f"{name} is no skops file: it has no {_SCHEMA}", "save it with skops.io.dump") from None
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, RecursionError) as error:
        raise _damaged(name, error) from error
    return {"scikit-learn": version} if (version := _found_version(schema)) else {}


def _check_members(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > _MOST_FILES:
        raise Refused(f"{name} has {len(members)} members, more than any estimator", "it is made to do harm")
    if sum(one.file_size for one in members) > _MOST_BYTES:
        raise Refused(f"{name} unpacks to more than {_MOST_BYTES >> 30} GB", "it is made to do harm")
    for one in members:
        parts = one.filename.replace("\\", "/").split("/")
        if one.filename.startswith(("/", "\\")) or ".." in parts or ":" in one.filename:
            raise Refused(f"{name} has a member outside of itself: {one.filename[:80]}", "it is made to do harm")


def _found_version(schema: Any) -> str | None:
    """The first ``_sklearn_version`` that the schema holds."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            held = node.get("_sklearn_version")
            if isinstance(held, dict) and isinstance(held.get("content"), str):
                return str(held["content"]).strip('"')
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return None


def _unpickled(path: Path, name: str) -> tuple[Any, dict[str, str]]:
    """Its sha256 was declared: the parent has checked it."""
    import joblib
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            model = joblib.load(path)
        except MemoryError:
            raise
        except Exception as error:
            raise _damaged(name, error) from error
    for one in said:
        if isinstance(one.message, InconsistentVersionWarning):
            return model, {"scikit-learn": str(one.message.original_sklearn_version)}
    return model, {}


def _damaged(name: str, error: BaseException) -> Refused:
    lines = str(error).strip().splitlines() or [""]
    return Refused(f"{name} cannot be read: {type(error).__name__}: {lines[0][:200]}",
                   "save it again with the installed versions of scikit-learn and skops")  # fmt: skip
