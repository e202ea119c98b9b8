"""``source: torch``: an entrypoint that returns an nn.Module, plus a state dict, exported to ONNX once.

The export runs in a child process (``torch_export``); this module never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlinfer import types
from sqlinfer.errors import FunctionError
from sqlinfer.functions.cache import FileHashes, hash_of
from sqlinfer.functions.sources import child, entrypoint
from sqlinfer.functions.sources.base import Artifact, Workspace
from sqlinfer.functions.sources.trust import require_trust
from sqlinfer.project.values import FunctionConfig


class Torch:
    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        """Code of the entrypoint, weights, samples, and the versions that write the graph."""
        _refuse_open_lists(config)
        found = entrypoint.require(config, "torch", "torch", "onnxscript")
        found["entrypoint"] = entrypoint.fingerprint(config, workspace)
        if config.weights is not None:
            found["weights"] = hash_of(config.weights)
            if config.weights.suffix != ".safetensors":
                require_trust(config, config.weights, found["weights"])
        if isinstance(config.sample_inputs, Path):
            found["samples"] = hash_of(config.sample_inputs)
        elif config.sample_inputs:
            found["samples"] = entrypoint.fingerprint(config, workspace, config.sample_inputs)
        return found

    def artifact(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> Artifact:
        if config.path is not None:
            raise FunctionError(
                f"function '{config.name}': source torch takes 'entrypoint:' and 'weights:', not 'path:'",
                hint="name the state dict as 'weights:'",
            )
        target = scratch / "exported" / "model.onnx"
        target.parent.mkdir()
        request = _request(config, workspace, target) | _copies(config, scratch, fingerprint)
        answer = child.export(config, "sqlinfer.functions.sources.torch_export", request, scratch, tell=workspace.tell)
        return Artifact(target, warnings=tuple(answer.get("warnings", ())))


def _refuse_open_lists(config: FunctionConfig) -> None:
    """The export fixes the width of a list; without samples only the declared type can say it."""
    if config.sample_inputs:
        return
    for argument in config.arguments:
        if types.is_array(argument.data_type) and types.array_width(argument.data_type) is None:
            element = types.element_type(argument.data_type).lower()
            raise FunctionError(
                f"function '{config.name}': argument '{argument.name}' is {element}[] of any length, and the graph of "
                "a torch module takes one width",
                hint=f"declare its width, for example {element}[384], or give 'sample_inputs:'",
            )


def _copies(config: FunctionConfig, scratch: Path, fingerprint: Mapping[str, str]) -> dict[str, str]:
    """The files that were hashed, and trusted, as copies that nobody else can change."""
    found = {}
    for name, path in (("weights", config.weights), ("samples", config.sample_inputs)):
        if isinstance(path, Path):
            found[name] = str(FileHashes(scratch).copy(path, fingerprint[name]))
    return found


def _request(config: FunctionConfig, workspace: Workspace, target: Path) -> dict[str, object]:
    module, name = entrypoint.split(config)
    samples = config.sample_inputs
    return {
        "module": module,
        "name": name,
        "weights": str(config.weights) if config.weights else None,
        "samples": str(samples) if samples else None,
        "samples_are_a_file": isinstance(samples, Path),
        "arguments": [[a.name, a.data_type] for a in config.arguments],
        "inputs": {key: list(value) for key, value in config.inputs.items()},
        "path": [str(folder) for folder in entrypoint.search_path(config, workspace)],
        "target": str(target),
    }


SOURCE = Torch()
