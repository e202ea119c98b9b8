"""A library's model without a graph: what ``Library`` answers where ``runtime: native`` is declared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlinfer.functions.native import Loaded, NativeArtifact
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.spec.function import NativeModel, Output, OutputBinding

if TYPE_CHECKING:
    from sqlinfer.functions.sources.library import Told

SCORER: Final = "sqlinfer.functions.sources.library_scorer"
_KINDS: Final = {
    "f8": "DOUBLE",
    "f4": "REAL",
    "f2": "REAL",
    "i8": "BIGINT",
    "i4": "INT",
    "i2": "SMALLINT",
    "b1": "BOOLEAN",
}


def artifact(
    config: FunctionConfig, told: Told, complete: FunctionConfig, scratch: Path,
    fingerprint: Mapping[str, str], warnings: tuple[str, ...],
) -> NativeArtifact:  # fmt: skip
    """Types that the declaration leaves open are those of the library's answers."""
    fields = typed(complete.returns, told, scratch / "original" / "answers.arrow")
    kept = {} if config.path is None else {kept_name(config.path): _copied(config.path, scratch, fingerprint)}
    return NativeArtifact(
        config=replace(complete, returns=fields),
        content=fingerprint,
        outputs=tuple(Output(field.name, str(field.data_type)) for field in fields),
        bindings=tuple(OutputBinding(field.name, field.output or field.name) for field in fields),
        files=kept,
        warnings=warnings,
        made_with=told.made_with,
    )


def kept_name(path: Path) -> str:
    """With its ending, by which libraries tell formats."""
    return f"original{path.suffix}"


def _copied(path: Path, scratch: Path, fingerprint: Mapping[str, str]) -> Path:
    """The copy that the library was asked with."""
    return scratch / "original" / f"{fingerprint['original']}{path.suffix}"


def typed(fields: tuple[ReturnField, ...], told: Told, answers: Path) -> tuple[ReturnField, ...]:
    from sqlinfer.functions.fuse.selection import select
    from sqlinfer.functions.sources import raw

    outputs, _ = raw.of_batch(raw.read(answers))
    return tuple(
        field if field.data_type else replace(field, data_type=_type(select(field, outputs, told.results.classes)))
        for field in fields
    )


def _type(values: Any) -> str:
    kind = _KINDS.get(values.dtype.str[1:], "TEXT")
    return f"{kind}[{values.shape[1]}]" if values.ndim == 2 else kind


def loaded(request: dict[str, Any], config: FunctionConfig, folder: Path, fingerprint: Mapping[str, str]) -> Loaded:
    """``request``: what the library's own module is asked; ``folder``: where the model is kept."""
    kept = None if config.path is None else folder / kept_name(config.path)
    asked = request | {
        "path": None if kept is None else str(kept),
        "folder": str(folder),
        "hashes": {} if kept is None else {str(kept): fingerprint["original"]},
        "missing": [one.name for one in config.arguments if one.on_null == "nan"],
        "fields": [asdict(replace(field, location=None)) for field in config.returns],
    }
    origin = config.path.name if config.path is not None else str(config.entrypoint)
    return Loaded(
        NativeModel(SCORER, json.dumps(asked), origin, config.entrypoint is not None), kept or folder / "native.json"
    )
