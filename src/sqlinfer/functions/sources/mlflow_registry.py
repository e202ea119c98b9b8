"""The child that asks an MLflow registry: ``python -m … request.json answer.json``.

``models:/name@alias`` and ``runs:/…`` → a version and a folder with its files. No model is loaded, no code of one runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from sqlinfer.functions.sources.mlmodel import MLMODEL, refuse_links
from sqlinfer.functions.sources.original import Refused

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}  # fmt: skip
_GONE: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")
_USER: Final = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Found:
    said: str
    """For people: ``version 3 of churn``."""
    identity: str
    """The same for the same files, in this registry."""
    place: str
    """Where its files are, as MLflow spells it."""


def main(asked: str, answered: str) -> None:
    request = json.loads(Path(asked).read_text())
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    os.chdir(request["cwd"])
    try:
        answer = _answer(request)
    except Refused as error:
        answer = {"refused": str(error), "hint": error.hint}
    except ModuleNotFoundError as error:
        answer = {"unreachable": f"it needs the package '{error.name}'", "hint": f"pip install {error.name}"}
    except Exception as error:  # MLflow, its stores and its clients raise what they like
        kind = "refused" if getattr(error, "error_code", "") in _GONE else "unreachable"
        answer = {kind: _plain(error), "hint": None}
    Path(answered).write_text(json.dumps(answer))


def _plain(error: Exception) -> str:
    """The first line, without the user and password that a URI may hold."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return _USER.sub("//…@", first)[:300]


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    tracking, registry = _uris(request)
    for one in (tracking, registry):
        _refuse_new_database(one)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking, registry_uri=registry)
    found = _found(client, request["uri"])
    identity = hashlib.sha256(f"{registry}\0{found.identity}".encode()).hexdigest()
    folder = Path(request["folder"]) / identity
    if not folder.is_dir():
        _fetch(found.place, folder, tracking, registry)
    return {"said": found.said, "folder": str(folder)}


def _uris(request: Mapping[str, Any]) -> tuple[str, str]:
    import mlflow

    tracking = request["tracking"] or mlflow.get_tracking_uri()
    named = request["registry"] or os.environ.get("MLFLOW_REGISTRY_URI")
    return tracking, named or (tracking if request["tracking"] else mlflow.get_registry_uri())


def _refuse_new_database(uri: str) -> None:
    """MLflow makes a database where there is none, and then no model is in it."""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///").partition("?")[0]).is_file():
        raise Refused(f"there is no registry {uri}", "set MLFLOW_TRACKING_URI, or 'tracking_uri:' under 'model:'")


def _found(client: Any, uri: str) -> Found:
    if uri.startswith("runs:/"):
        return Found(f"of run {uri.split('/')[1]}", uri, uri)
    rest = uri.removeprefix("models:/")
    if re.fullmatch(r"m-[0-9a-f]{32}", rest):
        return Found(f"logged model {rest}", rest, client.get_logged_model(rest).artifact_location)
    name, version = _version(client, rest)
    place = client.get_model_version_download_uri(name, version.version)
    identity = json.dumps([name, str(version.version), version.source, version.creation_timestamp])
    return Found(f"version {version.version}", identity, place)


def _version(client: Any, rest: str) -> tuple[str, Any]:
    if "@" in rest:
        name, _, alias = rest.rpartition("@")
        return name, client.get_model_version_by_alias(name, alias)
    name, _, wanted = rest.rpartition("/")
    if wanted != "latest":
        return name, client.get_model_version(name, wanted)
    versions = client.search_model_versions("name='" + name.replace("'", "''") + "'")
    if not versions:
        raise Refused(f"the registry has no version of '{name}'")
    return name, max(versions, key=lambda one: int(one.version))


def _fetch(place: str, folder: Path, tracking: str, registry: str) -> None:
    """Complete or absent. What is on this machine is copied here, links refused, and what is not by MLflow."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
        target = Path(scratch) / "model"
        local = _local(place)
        if local is not None:
            refuse_links(local)
            if not (local / MLMODEL).is_file():
                raise Refused(f"{local} has no file {MLMODEL}", "it is not the folder of an MLflow model")
            shutil.copytree(local, target, symlinks=True)
        else:
            from mlflow import artifacts

            got = artifacts.download_artifacts(
                artifact_uri=place, dst_path=str(target), tracking_uri=tracking, registry_uri=registry
            )
            refuse_links(target)
            target = Path(got)
        try:
            os.rename(target, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise


def _local(place: str) -> Path | None:
    parsed = urlparse(place)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(place) if not parsed.scheme else None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
