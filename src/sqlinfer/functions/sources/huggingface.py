"""``source: huggingface``: a folder as ``save_pretrained`` or optimum writes it. Nothing is ever downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import ArtifactError, FunctionError
from sqlinfer.functions.cache import hash_of
from sqlinfer.functions.huggingface import folder as folders
from sqlinfer.functions.sources.base import Artifact, Workspace
from sqlinfer.functions.sources.library import Library, Told
from sqlinfer.functions.sources.matching import matched
from sqlinfer.functions.sources.trust import require_trust
from sqlinfer.project.values import FunctionConfig, ImageConfig, ReturnField, TokenizerConfig

_FOREIGN: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
"""Weights that are pickles, or of other frameworks."""
_TOKENIZER, _IMAGE = "tokenizer.json", "image.json"


class HuggingFace(Library):
    """As for any library; the file is a folder, and texts and images have steps of their own before the graph."""

    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        _refuse_keys(config)
        if config.path is not None:
            folders.check_folder(config.path)
        return Library.fingerprint(self, config, workspace)

    def hashed(self, config: FunctionConfig, path: Path) -> str:
        return folders.hashed(path, pickled=_is_pickled(config, path))

    def copied(self, config: FunctionConfig, path: Path, folder: Path, sha256: str) -> Path:
        target = folder / f"{sha256}{path.suffix}"
        return folders.archived(path, target, sha256, pickled=_is_pickled(config, path))

    def needed(self, config: FunctionConfig) -> tuple[tuple[str, ...], ...]:
        """The first is what predicts."""
        names = folders.files(config.path) if config.path is not None else ()
        found = [("sentence-transformers",)] if "modules.json" in names or _is_old_cross_encoder(config, names) else []
        return (*found, *self.packages)

    def _request(self, config: FunctionConfig, workspace: Workspace) -> dict[str, Any]:
        return Library._request(self, config, workspace) | {"root": str(workspace.root)}

    def artifact(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> Artifact:
        made = Library.artifact(self, config, workspace, scratch, fingerprint)
        tokenizer = scratch / "original" / _TOKENIZER
        return replace(made, tokenizer=tokenizer) if tokenizer.is_file() else made

    def completed(self, config: FunctionConfig, told: Told, scratch: Path) -> FunctionConfig:
        found = Library.completed(self, config, replace(told, inputs=()), scratch)
        order = matched(config.name, found.arguments, told.known)
        names = [found.arguments[place].name for place in order]
        returns = tuple(_labelled(field, told.results.classes) for field in found.returns)
        return replace(found, returns=returns, **_steps(scratch / "original", names))


def _is_old_cross_encoder(config: FunctionConfig, names: tuple[str, ...]) -> bool:
    """Saved before sentence-transformers 5: without modules, with an activation in config.json."""
    if config.path is None or "config.json" not in names:
        return False
    said = (config.path / "config.json").read_bytes()[: 1 << 20]
    return b'"sbert_ce_default_activation_function"' in said or b'"sentence_transformers"' in said


def _steps(folder: Path, names: list[str]) -> dict[str, Any]:
    """How the arguments become tokens or pixels, as the child wrote it."""
    if (folder / _TOKENIZER).is_file():
        second = names[1] if len(names) > 1 else None
        return {"tokenizer": TokenizerConfig(folder / _TOKENIZER, names[0], None, second)}
    if (folder / _IMAGE).is_file():
        said = json.loads((folder / _IMAGE).read_text())
        return {"image": ImageConfig(
            names[0], tuple(said["size"]), tuple(said["mean"]), tuple(said["std"]), "nchw", said["resize"],
            said["resize_size"], "center", said["resample"], said["rounding"],
        )}  # fmt: skip
    return {}


def _labelled(field: ReturnField, classes: tuple[str, ...] | None) -> ReturnField:
    """Labels are places of classes here, and texts to whoever asked for texts."""
    if field.output != "label" or field.labels is not None or field.data_type not in (None, "TEXT"):
        return field
    return replace(field, data_type="TEXT", labels=classes)


def _refuse_keys(config: FunctionConfig) -> None:
    for key, value in (("tokenizer", config.tokenizer), ("image", config.image), ("inputs", config.inputs or None)):
        if value is not None:
            raise FunctionError(f"function '{config.name}': '{key}:' is not for source huggingface: the folder says it",
                                hint=f"leave '{key}:' out, or declare the ONNX file itself (source: onnx)")  # fmt: skip


def _is_pickled(config: FunctionConfig, path: Path) -> bool:
    """Whether the weights are a pickle, which ``trust:`` must name.

    Raises:
        ArtifactError: it does not.
    """
    names = folders.files(path)
    safe = any(folders.WEIGHTS.fullmatch(name.rpartition("/")[2]) or name in folders.GRAPHS for name in names)
    weights = path / folders.PICKLED
    if not safe and weights.is_file():
        require_trust(config, weights, hash_of(weights))
        return True
    if config.trust is not None:
        raise ArtifactError(f"'trust:' is for {folders.PICKLED}, and {path} is read without it", hint="leave it out")
    other = next((one.name for one in sorted(path.iterdir()) if one.suffix in _FOREIGN), None)
    if not safe and other is not None:
        raise ArtifactError(f"{path} has its weights in {other}, which is not read: it can run code",
                            hint="save the model with save_pretrained, which writes model.safetensors")  # fmt: skip
    return False


SOURCE: Final = HuggingFace(
    name="huggingface",
    module="sqlinfer.functions.sources.huggingface_model",
    packages=(("transformers",), ("torch",), ("onnxscript",), ("tokenizers",)),
)  # fmt: skip
