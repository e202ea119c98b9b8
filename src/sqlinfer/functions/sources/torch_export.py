"""The child process of ``source: torch``: ``python -m … request.json answer.json``.

Loads the module, exports it with a dynamic batch axis, and compares ONNX Runtime with eager at several batch sizes.
Whatever fails raises; the parent shows the last lines.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

TOLERANCE: Final = 1e-4
"""Largest difference between eager and ONNX, relative to values above one, absolute below."""
BATCHES: Final = (1, 2, 7)
_SAMPLES: Final = 4
_DTYPES: Final = {
    "TINYINT": torch.int8, "SMALLINT": torch.int16, "INT": torch.int32, "INTEGER": torch.int32, "BIGINT": torch.int64,
    "BOOLEAN": torch.bool, "DOUBLE": torch.float64,
}  # fmt: skip


class ExportError(Exception):
    """Shown to the user by the parent: the last line of stderr."""


def main(asked: str, answered: str) -> None:
    request = json.loads(Path(asked).read_text())
    sys.path[:0] = request["path"]
    torch.manual_seed(0)
    model = load_model(request)
    samples = sample_inputs(model, request)
    names = output_names(model, samples)
    export(model, samples, names, Path(request["target"]))
    worst = compare(model, samples, Path(request["target"]))
    Path(answered).write_text(json.dumps({"difference": worst, "outputs": names}))


def load_model(request: Mapping[str, Any]) -> torch.nn.Module:
    """The entrypoint's module with its weights, in inference mode."""
    made = getattr(importlib.import_module(request["module"]), request["name"])
    model = made if isinstance(made, torch.nn.Module) else made()
    if not isinstance(model, torch.nn.Module):
        raise ExportError(f"{request['module']}:{request['name']} returned {type(model).__name__}, not an nn.Module")
    if request["weights"]:
        model.load_state_dict(load_weights(Path(request["weights"])))
    return model.eval().cpu()


def load_weights(path: Path) -> Mapping[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    found: Mapping[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return found


def sample_inputs(model: torch.nn.Module, request: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """By parameter of ``forward``: from ``sample_inputs:``, or made from the declared arguments."""
    parameters = forward_parameters(model)
    if request["samples"]:
        return named(load_samples(request), parameters)
    arguments = dict(request["arguments"])
    folded = {name.casefold(): name for name in arguments}
    if request["inputs"]:
        return {p: packed([arguments[a] for a in request["inputs"][p]]) for p in parameters if p in request["inputs"]}
    if len(parameters) == 1 and parameters[0].casefold() not in folded:
        return {parameters[0]: packed(list(arguments.values()))}
    wanted = [p for p in parameters if p.casefold() in folded]
    if len(wanted) != len(arguments):
        raise ExportError(
            f"forward({', '.join(parameters)}) does not match the arguments {', '.join(arguments)}: "
            "name them alike, take one matrix, or give 'sample_inputs:'"
        )
    return {p: packed([arguments[folded[p.casefold()]]]) for p in wanted}


def forward_parameters(model: torch.nn.Module) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, item in inspect.signature(model.forward).parameters.items() if item.kind in kinds]


def load_samples(request: Mapping[str, Any]) -> Any:
    if not request["samples_are_a_file"]:
        module, _, name = request["samples"].partition(":")
        return getattr(importlib.import_module(module), name)()
    path = Path(request["samples"])
    if path.suffix == ".safetensors":
        return load_weights(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return {name: torch.tensor(value) for name, value in json.loads(path.read_text()).items()}


def named(samples: Any, parameters: list[str]) -> dict[str, torch.Tensor]:
    if isinstance(samples, torch.Tensor):
        samples = (samples,)
    if not isinstance(samples, Mapping):
        samples = dict(zip(parameters, samples, strict=False))
    unknown = sorted(set(samples) - set(parameters))
    if unknown:
        raise ExportError(f"sample_inputs has '{unknown[0]}', but forward takes {', '.join(parameters)}")
    if any(tensor.ndim == 0 or len(tensor) < 2 for tensor in samples.values()):
        raise ExportError("sample_inputs needs at least two rows in every tensor (the first axis is the batch)")
    return dict(samples)


def packed(data_types: list[str]) -> torch.Tensor:
    """Random rows for these SQL types: a list gives [n,K], several numbers [n,F] of floats, one number [n,1]."""
    if len(data_types) == 1 and data_types[0].endswith("]"):
        element, _, width = data_types[0][:-1].rpartition("[")
        return rows(_DTYPES.get(element, torch.float32), int(width))
    if len(data_types) == 1:
        kind = _DTYPES.get(data_types[0], torch.float32)
        return rows(torch.float32 if kind == torch.float64 else kind, 1)
    return rows(torch.float32, len(data_types))


def rows(kind: torch.dtype, width: int) -> torch.Tensor:
    values = torch.rand(_SAMPLES, width)
    return (values * 2).to(kind) if not kind.is_floating_point else values.to(kind)


def output_names(model: torch.nn.Module, samples: Mapping[str, torch.Tensor]) -> list[str]:
    """Keys of a dict, fields of a named tuple, else ``output`` or ``output_0`` …"""
    with torch.no_grad():
        result = model(**samples)
    if isinstance(result, torch.Tensor):
        return ["output"]
    if isinstance(result, Mapping):
        return [str(key) for key in result]
    fields = getattr(result, "_fields", None)
    return [str(f) for f in fields] if fields else [f"output_{i}" for i in range(len(result))]


def export(model: torch.nn.Module, samples: Mapping[str, torch.Tensor], names: list[str], target: Path) -> None:
    big = sum(p.numel() * p.element_size() for p in model.parameters()) > 1_500_000_000
    torch.onnx.export(
        model, (), str(target), kwargs=dict(samples), dynamo=True, verbose=False, external_data=big,
        dynamic_shapes={name: {0: torch.export.Dim.DYNAMIC} for name in samples},
        input_names=list(samples), output_names=names,
    )  # fmt: skip


def compare(model: torch.nn.Module, samples: Mapping[str, torch.Tensor], target: Path) -> float:
    """The largest difference from eager over several batch sizes.

    Raises:
        ExportError: it is above the tolerance.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    fed = [item.name for item in session.get_inputs()]
    worst = 0.0
    for size in BATCHES:
        batch = {name: resize(tensor, size) for name, tensor in samples.items()}
        with torch.no_grad():
            eager = flat(model(**batch))
        got = session.run(None, {name: batch[name].numpy() for name in fed})
        for expected, actual in zip(eager, got, strict=True):
            worst = max(worst, difference(expected, actual, size))
    return worst


def resize(tensor: torch.Tensor, size: int) -> torch.Tensor:
    return tensor[torch.arange(size) % len(tensor)]


def flat(result: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(result, torch.Tensor):
        return [result.numpy()]
    parts = result.values() if isinstance(result, Mapping) else result
    return [tensor.numpy() for tensor in parts]


def difference(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any], size: int) -> float:
    if expected.shape != actual.shape:
        raise ExportError(
            f"a batch of {size} gives shape {actual.shape} in ONNX but {expected.shape} in torch: "
            "the exported graph does not follow the batch axis"
        )
    expected, actual = expected.astype(np.float64), actual.astype(np.float64)
    gap = np.abs(expected - actual) / np.maximum(1.0, np.abs(expected))
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    worst = float(np.where(same, 0.0, gap).max(initial=0.0))
    if not worst <= TOLERANCE:
        raise ExportError(f"ONNX differs from torch by {worst:.2g} at a batch of {size} (allowed {TOLERANCE:g})")
    return worst


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
