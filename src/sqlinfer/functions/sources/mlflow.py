"""``source: mlflow``: a model of a registry, a run or a folder, handed to the source that reads its flavour.

An alias is resolved once a run, to a version whose files are kept beside the prepared functions.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from sqlinfer.errors import ArtifactError, FunctionError
from sqlinfer.files import write_atomic
from sqlinfer.functions.cache import FileHashes, dump, hash_of, read_json
from sqlinfer.functions.native import Loaded, NativeArtifact
from sqlinfer.functions.sources import child, entrypoint, matching, mlmodel
from sqlinfer.functions.sources.base import Workspace
from sqlinfer.functions.sources.pyfunc import SOURCE as PYFUNC
from sqlinfer.project.values import FunctionConfig

_CHILD: Final = "sqlinfer.functions.sources.mlflow_registry"
_SECONDS: Final = 1800.0
_MODELS = re.compile(r"models:/(m-[0-9a-f]{32}|[^/@\s][^/@]*(@[^/@\s]+|/([1-9][0-9]{0,17}|latest)))")
_RUNS = re.compile(r"runs:/[0-9A-Za-z_-]+(/[^/\s][^/]*)+")
_ENDINGS: Final[Mapping[str, tuple[str, str]]] = {
    "xgboost": (".json .ubj", ".ubj"), "lightgbm": (".txt", ".txt"), "catboost": (".cbm", ".cbm"),
}  # fmt: skip
"""Source → the endings that it reads, and the one of a file that MLflow named otherwise."""
_VERSIONS: Final = {"sklearn": "sklearn_version", "xgboost": "xgb_version", "lightgbm": "lgb_version",
                    "catboost": "catboost_version", "transformers": "transformers_version"}  # fmt: skip
_PACKAGES: Final = {"sklearn": ("scikit-learn",), "xgboost": ("xgboost", "xgboost-cpu")}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an ``uri:`` stands for now."""

    config: FunctionConfig
    """Of the source that reads it."""
    said: str
    """For people: ``models:/churn@champion is version 2 (sklearn)``."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    folder: Path
    said: str


Places = dict[tuple[str | None, ...], Place]
"""What was resolved in this run."""


def resolved(config: FunctionConfig, workspace: Workspace) -> Resolved:
    """The declaration as that of another source.

    Raises:
        FunctionError: the registry is unreachable, or has no such model. ArtifactError: its folder is refused.
    """
    places: Places = workspace.places
    key = (config.uri, config.tracking_uri, config.registry_uri)
    if key not in places:
        places[key] = _place(config, workspace)
    place = places[key]
    model = mlmodel.read(place.folder)
    inner, warnings = _delegated(config, model, workspace)
    named = "python_function" if inner.source == "mlflow" else inner.source
    return Resolved(inner, f"{place.said} ({named})", warnings)


class Mlflow:
    """As ``prepare`` and ``verify`` ask a source; what ``resolved`` left to MLflow is a ``python_function``."""

    def resolved(self, config: FunctionConfig, workspace: Workspace) -> Resolved:
        return resolved(config, workspace)

    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        inner, source = _inner(config, workspace)
        return {**source.fingerprint(inner, workspace), "delegated": inner.source}

    def native(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> NativeArtifact:
        return PYFUNC.native(config, workspace, scratch, fingerprint)

    def loaded(
        self, config: FunctionConfig, workspace: Workspace, folder: Path, fingerprint: Mapping[str, str]
    ) -> Loaded:
        return PYFUNC.loaded(config, workspace, folder, fingerprint)

    def ask(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str], **how: Any
    ) -> Any:
        """The original's own answers, of a library that has some."""
        inner, source = _inner(config, workspace)
        if not hasattr(source, "ask"):
            raise FunctionError(f"function '{config.name}': a graph is all there is; nothing to compare it with")
        return source.ask(inner, workspace, scratch, source.fingerprint(inner, workspace), **how)


def _inner(config: FunctionConfig, workspace: Workspace) -> tuple[FunctionConfig, Any]:
    from sqlinfer.functions.sources import source_named

    inner = resolved(config, workspace).config
    return inner, PYFUNC if inner.source == "mlflow" else source_named(inner.source)


def _place(config: FunctionConfig, workspace: Workspace) -> Place:
    uri = config.uri or ""
    if not uri.startswith(("models:", "runs:")):
        folder = _folder(config, uri)
        return Place(folder, f"{uri} is a folder")
    if not (_MODELS.fullmatch(uri) or _RUNS.fullmatch(uri)):
        raise FunctionError(
            f"function '{config.name}': uri '{uri}' is not one that MLflow knows",
            hint="models:/name@alias, models:/name/3, runs:/<run>/<path>, or the path of a folder",
        )
    return _registered(config, workspace, uri)


def _folder(config: FunctionConfig, uri: str) -> Path:
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    if "://" in uri or (parsed.scheme and len(parsed.scheme) > 1):
        raise FunctionError(
            f"function '{config.name}': uri '{uri}' is neither a model of a registry nor a folder",
            hint="register it, and name models:/name@alias; or copy its folder into the project",
        )
    if not uri.strip() or "\0" in uri:
        raise FunctionError(f"function '{config.name}': uri is not the name of a folder")
    return (config.folder / Path(uri).expanduser()).absolute()


def _registered(config: FunctionConfig, workspace: Workspace, uri: str) -> Place:
    """Asked of the registry. A fixed version that was asked for before needs no registry to be found again."""
    folder = workspace.cache_dir / "mlflow"
    memory = folder / "versions.json"
    key = sha256("\0".join([uri, *_spelled(config)]).encode()).hexdigest()
    moves = "@" in uri or uri.endswith("/latest")
    answer = _ask(config, workspace, folder, uri)
    if "folder" in answer:
        found = Place(Path(answer["folder"]), f"{uri} is {answer['said']}")
        if not moves:
            write_atomic(memory, dump(read_json(memory) | {key: [found.folder.name, found.said]}))
        return found
    if "refused" in answer:
        raise FunctionError(f"function '{config.name}': {uri}: {answer['refused']}", hint=answer["hint"])
    known = read_json(memory).get(key)
    if not moves and isinstance(known, list) and (folder / str(known[0])).is_dir():
        return Place(folder / str(known[0]), str(known[1]))
    raise _unreachable(config, uri, answer, moves)


def _spelled(config: FunctionConfig) -> tuple[str, str]:
    tracking = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    return tracking, config.registry_uri or os.environ.get("MLFLOW_REGISTRY_URI") or tracking


def _unreachable(config: FunctionConfig, uri: str, answer: Mapping[str, Any], moves: bool) -> FunctionError:
    where = re.sub(r"//[^/@\s]*@", "//…@", _spelled(config)[1]) or "MLflow's default"
    which = "so which version it is tonight cannot be told" if moves else "and it was not prepared before"
    return FunctionError(
        f"function '{config.name}': {uri}: the registry ({where}) cannot be reached, {which}: {answer['unreachable']}",
        hint=answer["hint"] or "put the registry right, or name a version that was prepared: models:/name/<version>",
    )


def _ask(config: FunctionConfig, workspace: Workspace, folder: Path, uri: str) -> Mapping[str, Any]:
    import tempfile

    if entrypoint.version("mlflow-skinny") is None and entrypoint.version("mlflow") is None:
        return {"unreachable": "mlflow-skinny is not installed", "hint": "pip install 'sqlinfer[mlflow]'"}
    folder.mkdir(parents=True, exist_ok=True)
    request = {
        "uri": uri, "tracking": config.tracking_uri, "registry": config.registry_uri, "folder": str(folder),
        "cwd": str(workspace.root) if config.tracking_uri or config.registry_uri else os.getcwd(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tmp-") as scratch:
        return child.export(config, _CHILD, request, Path(scratch), timeout=_SECONDS)


def _delegated(
    config: FunctionConfig, model: mlmodel.MlModel, workspace: Workspace
) -> tuple[FunctionConfig, tuple[str, ...]]:
    config = _signed(config, model)
    flavour = model.flavour
    if flavour is None:
        return _pyfunc(config, model), ()
    source, path = mlmodel.FLAVOURS[flavour][0], model.path(flavour)
    if flavour == "transformers":
        path = _together(path, model, workspace)
    elif path.is_dir() != (source == "huggingface"):
        raise ArtifactError(f"{path} is {'a folder' if path.is_dir() else 'a file'}, and not what {flavour} writes")
    elif path.suffix in (".pkl", ".pickle", ".joblib"):
        source = "sklearn"  # also estimators of other libraries; needs trust
    elif source in _ENDINGS:
        path = _renamed(path, model, flavour, workspace)
    inner = replace(config, source=source, path=path, uri=None)  # type: ignore[arg-type]
    return inner, _older(model, flavour)


def _signed(config: FunctionConfig, model: mlmodel.MlModel) -> FunctionConfig:
    """Arguments of the signature, where none are written; else its names, for models that have none."""
    signature = model.signature
    if signature is None:
        return config
    names = tuple(one.name for one in signature)
    if not config.arguments:
        arguments = matching.completed(config.name, (), (), signature)
        return replace(config, arguments=arguments, open_nulls=names, known=names)
    order = matching.matched(config.name, config.arguments, signature)
    if model.flavour == "onnx" and order != sorted(order) and not config.inputs:
        raise FunctionError(
            f"function '{config.name}': the arguments are in another order than the model's signature, and its graph "
            f"may take them by place\n  arguments declared: {', '.join(a.name for a in config.arguments)}\n"
            f"  the model's own: {', '.join(names)}",
            hint="write them in that order, or say 'inputs:'",
        )
    return replace(config, known=names)


def _pyfunc(config: FunctionConfig, model: mlmodel.MlModel) -> FunctionConfig:
    """Code of whoever made the model: run only where somebody says so, and apart."""
    known = ", ".join(model.flavours)
    if mlmodel.PYFUNC not in model.flavours:
        raise FunctionError(
            f"function '{config.name}': the model has the flavours {known}, and none that can be read",
            hint=f"log it with one of {', '.join(mlmodel.FLAVOURS)}",
        )
    _, sha = mlmodel.content(model.folder)
    if config.trust is None or config.runtime != "native":
        raise ArtifactError(
            f"function '{config.name}': the model has only the flavour python_function ({known}), which runs its own "
            "code; it is not loaded",
            hint=f"log it with one of {', '.join(mlmodel.FLAVOURS)}; or, if you trust it, add 'trust: sha256:{sha}' "
            "and 'runtime: native'",
        )
    if config.trust.removeprefix("sha256:").strip().casefold() != sha:
        raise ArtifactError(
            f"function '{config.name}': the model is not the one that 'trust:' names: its sha256 is {sha}",
            hint="another version was registered; look at it before you change 'trust:'",
        )
    return replace(config, uri=str(model.folder))


def _renamed(path: Path, model: mlmodel.MlModel, flavour: str, workspace: Workspace) -> Path:
    """With an ending that the library's source knows; MLflow has its own."""
    known, ending = _ENDINGS[flavour]
    if flavour == "xgboost" and model.said(flavour, "model_format") == "json":
        ending = ".json"
    if path.suffix in known.split():
        return path
    sha = hash_of(path)
    target = workspace.cache_dir / "mlflow" / "named" / f"{sha}{ending}"
    if not target.is_file() or hash_of(target) != sha:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(FileHashes(target.parent).copy(path, sha), target)
    return target


def _together(path: Path, model: mlmodel.MlModel, workspace: Workspace) -> Path:
    """Weights and tokenizer, which MLflow puts into two folders, as ``save_pretrained`` puts them into one."""
    parts = [path, *(one for one in sorted((model.folder / "components").glob("*")) if one.is_dir())]
    if len(parts) == 1:
        return path
    digest = sha256("".join(mlmodel.content(part)[1] for part in parts).encode()).hexdigest()
    target = workspace.cache_dir / "mlflow" / "named" / digest
    if not target.is_dir():
        scratch = target.with_name(f".tmp-{digest}-{os.getpid()}")
        for part in parts:
            shutil.copytree(part, scratch, dirs_exist_ok=True)
        os.rename(scratch, target)
    return target


def _older(model: mlmodel.MlModel, flavour: str) -> tuple[str, ...]:
    key = _VERSIONS.get(flavour)
    made = model.said(flavour, key) if key else None
    names = _PACKAGES.get(flavour, (flavour,))
    installed = next((version for name in names if (version := entrypoint.version(name))), None)
    if made is None or installed is None or made == installed:
        return ()
    return (f"the model was made with {names[0]} {made}; {names[0]} {installed} read it",)


SOURCE = Mlflow()
