"""The function digest (everything that can change a result) and the source key (everything that finds it again)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from sqlinfer.functions.cache import sha256_of
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import Argument, ImageSpec, InputBinding, Output, OutputBinding

SEMANTICS_VERSION: Final = 2
"""Raise it when our own code starts to compute other results from the same declaration and artifact."""


def function_digest(
    config: FunctionConfig,
    files: Mapping[str, str],
    inputs: tuple[InputBinding, ...],
    outputs: tuple[Output, ...],
    bindings: tuple[OutputBinding, ...],
    family: str,
    *,
    image: ImageSpec | None,
    row_wise: bool,
    is_struct: bool,
) -> str:
    """64 hex digits. Names of arguments, batch size, threads, description and tags do not count."""
    order = {a.name: i for i, a in enumerate(config.arguments)}
    return sha256_of(
        {
            "semantics": SEMANTICS_VERSION,
            "files": dict(files),
            "arguments": [_argument(a) for a in config.arguments],
            "inputs": [
                [b.name, b.layout, b.element_type, b.width, b.token_field, [order[a] for a in b.arguments]]
                for b in inputs
            ],
            "outputs": [[o.name, o.data_type] for o in outputs],
            "bindings": [asdict(b) for b in bindings],
            "struct": is_struct,
            "tokenizer": [2, config.tokenizer.max_length, config.tokenizer.padding] if config.tokenizer else None,
            "image": _image(image),
            "on_invalid": config.on_invalid,
            "precision": config.precision if config.runtime == "onnx" else config.runtime,
            "provider": family,
            "row_wise": row_wise,
        }
    )


def _argument(argument: Argument) -> list[object]:
    return [argument.data_type, argument.on_null, repr(argument.default), argument.on_cast_error]


def _image(image: ImageSpec | None) -> object:
    """``2``: decoded in full and turned as EXIF says."""
    if image is None:
        return None
    found = {**asdict(image), "argument": None, "root": None}
    if image.rounding == "nearest":
        del found["rounding"]
    return [2, found]


_NOT_PREPARED = frozenset(
    {
        "location",
        "folder",
        "description",
        "batch_size",
        "device",
        "isolation",
        "max_error_rate",
        "tolerance",
        "min_cosine",
        "tags",
        "enabled",
        "meta",
        "challenger",
        "challenged_at",
    }
)
"""Parts of a declaration that preparation does not read; they come fresh from the project each time."""


def source_key(config: FunctionConfig, fingerprint: Mapping[str, str], family: str) -> str:
    """Finds a prepared function again: the declaration, the bytes of its files, versions of exporters, our own."""
    return sha256_of(
        {
            "semantics": SEMANTICS_VERSION,
            "format": 9,
            "declaration": {k: v for k, v in _plain(config).items() if k not in _NOT_PREPARED},
            "fingerprint": dict(fingerprint),
            "family": family,
        }
    )


_PLACES = ("location", "folder", "path", "remote", "sha256", "weights", "files", "tokenizer", "description",
           "tags", "meta", "challenger", "challenged_at")  # fmt: skip
"""Where things lie, and what is said about them: not what a function does. Their files count by their bytes."""


def declaration_key(config: FunctionConfig, fingerprint: Mapping[str, str]) -> str:
    """The same for equal functions of two checkouts."""
    declared = {name: value for name, value in _plain(config).items() if name not in _PLACES}
    if config.tokenizer is not None:
        declared["tokenizer"] = {**asdict(config.tokenizer), "path": None}
    return sha256_of({"declaration": declared, "fingerprint": dict(fingerprint)})


def _plain(config: FunctionConfig) -> dict[str, Any]:
    found = {name: getattr(config, name) for name in config.__slots__}
    found["arguments"] = [asdict(a) for a in config.arguments]
    found["returns"] = [{k: v for k, v in asdict(r).items() if k != "location"} for r in config.returns]
    found["files"] = [str(path) for path in config.files]
    found["packages"] = list(config.packages)
    found["inputs"] = {k: list(v) for k, v in config.inputs.items()}
    for name in ("tokenizer", "image"):
        found[name] = asdict(found[name]) if found[name] is not None else None
    return found
