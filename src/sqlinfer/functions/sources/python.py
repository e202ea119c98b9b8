"""``source: python``: code of the project predicts, in worker processes. Nothing is converted.

Its digest is over the entrypoint's module, the project modules it imports, ``files:`` and versions of ``packages:``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import FunctionError, did_you_mean
from sqlinfer.functions.cache import hash_of
from sqlinfer.functions.native import Loaded, NativeArtifact
from sqlinfer.functions.sources import child, entrypoint, modules
from sqlinfer.functions.sources.base import Workspace
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.spec.function import NativeModel, Output, OutputBinding

SCORER: Final = "sqlinfer.functions.sources.python_scorer"
_OWN_WORK: Final = ("index", "key", "labels", "activation", "pooling", "normalize", "argmax")
_CHECK_SECONDS: Final = 300.0


class Python:
    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        _refuse(config)
        module, name = entrypoint.split(config)
        folders = entrypoint.search_path(config, workspace)
        found = {"entrypoint": f"{module}:{name}", **modules.reach(module, folders).content()}
        if f"module:{module}" not in found:
            found["installed"] = entrypoint.installed(config, module.split(".", 1)[0])
        found |= {f"file:{_shown(path, config)}": hash_of(path) for path in declared(config)}
        return found | {f"package:{name}": _version(config, name) for name in config.packages}

    def native(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> NativeArtifact:
        """Also loads the code once, so that what it lacks is said now, and not at the first row of a night."""
        module, name = entrypoint.split(config)
        folders = entrypoint.search_path(config, workspace)
        reached = modules.reach(module, folders)
        if module in reached.modules:
            _require_name(config, reached.modules[module].path, module, name)
        request = json.loads(self.loaded(config, workspace, scratch, fingerprint).model.request)
        answer = child.export(config, SCORER, request, scratch, timeout=_CHECK_SECONDS, secrets=True)
        if "error" in answer:
            raise FunctionError(f"function '{config.name}' does not load: {answer['error']}", hint=answer["hint"])
        fields = config.returns
        return NativeArtifact(
            config=config,
            content=fingerprint,
            outputs=tuple(Output(field.name, str(field.data_type)) for field in fields),
            bindings=tuple(OutputBinding(field.name, field.output or field.name) for field in fields),
            warnings=_warnings(config, reached),
        )

    def loaded(
        self, config: FunctionConfig, workspace: Workspace, folder: Path, fingerprint: Mapping[str, str]
    ) -> Loaded:
        module, name = entrypoint.split(config)
        folders = entrypoint.search_path(config, workspace)
        reached = modules.reach(module, folders).modules
        request = {
            "function": config.name,
            "module": module,
            "name": name,
            "search": [str(path) for path in folders],
            "root": str(workspace.root),
            "modules": {one.name: str(one.path) for one in reached.values()},
            "hashes": {str(one.path): fingerprint[f"module:{one.name}"] for one in reached.values()}
            | {str(path): fingerprint[f"file:{_shown(path, config)}"] for path in declared(config)},
            "missing": [a.name for a in config.arguments if a.on_null == "nan"],
            "outputs": [[field.name, field.output] for field in config.returns],
            "is_struct": config.is_struct,
        }
        path = reached[module].path if module in reached else workspace.root
        return Loaded(NativeModel(SCORER, json.dumps(request), f"{module}:{name}", is_project_code=True), path)


def declared(config: FunctionConfig) -> Iterator[Path]:
    """The files of ``files:``; those in a folder that is named, but for hidden ones and compiled code."""
    for path in config.files:
        if not path.is_dir():
            yield path
            continue
        for one in sorted(path.rglob("*")):
            parts = one.relative_to(path).parts
            if one.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
                yield one


def _shown(path: Path, config: FunctionConfig) -> str:
    return path.relative_to(config.folder).as_posix() if path.is_relative_to(config.folder) else path.as_posix()


def _refuse(config: FunctionConfig) -> None:
    """What the library sources would find out by themselves must be written here; what a graph does, code does."""

    def error(message: str, hint: str) -> FunctionError:
        return FunctionError(f"function '{config.name}': {message}", hint=hint)

    if not config.arguments:
        raise error("source python needs 'arguments:': nothing else says what its code takes",
                    "for example 'arguments: [{name: amount, data_type: double}]'")  # fmt: skip
    if not config.returns or any(field.data_type is None for field in config.returns):
        raise error("source python needs 'returns:' with a data_type: nothing else says what its code gives",
                    "for example 'returns: {data_type: double}'")  # fmt: skip
    for field in config.returns:
        done = [key for key in _OWN_WORK if _is_set(field, key)]
        if done:
            raise error(f"'{done[0]}' is for the outputs of a graph; source python is code", "do it in the code")
    for key in ("path", "uri", "weights", "trust", "sample_inputs", "inputs", "tokenizer", "image"):
        if getattr(config, key):
            raise error(f"source python takes no '{key}:'",
                        "name what the code reads as 'files: […]', so that a change of it counts")  # fmt: skip


def _is_set(field: ReturnField, key: str) -> bool:
    value = getattr(field, key)
    return value is not None and value is not False


def _version(config: FunctionConfig, package: str) -> str:
    found = entrypoint.version(package)
    if found is None:
        raise FunctionError(
            f"function '{config.name}': the package '{package}' under 'packages:' is not installed",
            hint=f"pip install {package}; packages have the names that pip knows",
        )
    return found


def _require_name(config: FunctionConfig, path: Path, module: str, name: str) -> None:
    """Raises FunctionError where the module can be seen not to define it."""
    known = modules.names_of(path)
    if known is not None and name not in known:
        there = ", ".join(one for one in known if not one.startswith("_")) or "nothing"
        raise FunctionError(
            f"function '{config.name}': {module} ({path.name}) has no '{name}'",
            hint=did_you_mean(name, known) or f"it defines {there}",
        )


def _warnings(config: FunctionConfig, reached: modules.Reached) -> tuple[str, ...]:
    """Packages whose new version would not be noticed."""
    foreign = reached.elsewhere - sys.stdlib_module_names - {"sqlinfer", "pyarrow"}
    if not foreign:
        return ()
    homes: Mapping[str, Any] = metadata.packages_distributions()
    declared = {_normal(name) for name in config.packages}
    missing = sorted({homes[name][0] for name in foreign if name in homes
                      and not declared & {_normal(one) for one in homes[name]}})  # fmt: skip
    if not missing:
        return ()
    return (f"its code imports {', '.join(missing)}: under 'packages:', another version scores everything again",)


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").casefold()


SOURCE = Python()
