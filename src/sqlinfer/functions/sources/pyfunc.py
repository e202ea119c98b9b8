"""An MLflow model that is code (``python_function``): ``trust:`` and ``runtime: native``. ``uri`` is its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlinfer.functions.native import Loaded, NativeArtifact
from sqlinfer.functions.sources import mlmodel
from sqlinfer.functions.sources.base import Workspace
from sqlinfer.functions.sources.library import Library
from sqlinfer.project.values import FunctionConfig

_LIBRARY: Final = Library(
    name="mlflow",
    module="sqlinfer.functions.sources.pyfunc_model",
    packages=(("mlflow-skinny", "mlflow"), ("pandas",)),
)  # fmt: skip


class Pyfunc:
    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        hashes, _ = mlmodel.content(_folder(config))
        return {**_LIBRARY.fingerprint(config, workspace), **{f"file:{name}": sha for name, sha in hashes.items()}}

    def native(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> NativeArtifact:
        return _LIBRARY.native(config, workspace, scratch, fingerprint)

    def loaded(
        self, config: FunctionConfig, workspace: Workspace, folder: Path, fingerprint: Mapping[str, str]
    ) -> Loaded:
        found, home = _LIBRARY.loaded(config, workspace, folder, fingerprint), _folder(config)
        files = {name.removeprefix("file:"): sha for name, sha in fingerprint.items() if name.startswith("file:")}
        asked = json.loads(found.model.request) | {"hashes": {str(home / name): sha for name, sha in files.items()}}
        return Loaded(replace(found.model, request=json.dumps(asked), origin=config.name), home / mlmodel.MLMODEL)


def _folder(config: FunctionConfig) -> Path:
    return Path(str(config.uri))


SOURCE = Pyfunc()
