"""Declared functions → prepared functions. A warm cache answers without importing onnx."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import SqlinferError
from sqlinfer.files import write_atomic
from sqlinfer.functions import device as devices
from sqlinfer.functions.cache import CONTRACT, Pins, dump, hash_of, read_json
from sqlinfer.functions.check.quality import check_quality, is_near
from sqlinfer.functions.check.tolerance import check_verified, is_close
from sqlinfer.functions.digest import declaration_key, source_key
from sqlinfer.functions.fetching import remembered
from sqlinfer.functions.fuse.precision import check_precision
from sqlinfer.functions.limits import Limits
from sqlinfer.functions.record import Record
from sqlinfer.functions.sources import Artifact, Source, Workspace, ignore, source_named
from sqlinfer.functions.tokenizer import tokenizer_file
from sqlinfer.project.values import FunctionConfig
from sqlinfer.spec.function import PreparedFunction

if TYPE_CHECKING:
    from sqlinfer.functions import native


def prepare(
    config: FunctionConfig,
    *,
    cache_dir: Path,
    device: str = "auto",
    resolve_family: Callable[[], str] = devices.cheap_probe,
    root: Path | None = None,
    tell: Callable[[str], None] = ignore,
    places: dict[Any, Any] | None = None,
) -> PreparedFunction:
    """The prepared artifact of a declared function, from the cache or made now.

    Args:
        device: ``auto``, or what overrides the declaration and the pin (``cpu``, ``cuda``, ``cuda:0``).
        resolve_family: asked once per function, where neither flag, declaration nor pin says the provider family.
        root: the project's folder, from which entrypoints are imported; default: found above ``config.folder``.
        tell: told what takes time, in a sentence.
        places: what names of a registry stood for when they were asked for first; None: they are asked for now.

    Raises:
        FunctionError: the declaration and the artifact do not fit.
        ArtifactError: the artifact is missing, damaged or not allowed.
    """
    check_precision(config)
    workspace = Workspace(cache_dir, root or project_root(config.folder), tell, {} if places is None else places)
    if config.source == "mlflow":
        inner = partial(
            prepare, cache_dir=cache_dir, device=device, resolve_family=resolve_family, root=root, tell=tell
        )
        return _registered(config, workspace, inner)
    if config.runtime == "native":
        return _native(config, workspace)
    chosen = devices.resolve(config.name, device, config.device, Pins(cache_dir), resolve_family)
    try:
        record = _find_or_build(config, workspace, devices.family_of(chosen))
    except SqlinferError as error:
        raise error.at(config.location) from error.__cause__
    return record.prepared(config, cache_dir, chosen, workspace.root)


def _registered(
    config: FunctionConfig, workspace: Workspace, prepare_inner: Callable[[FunctionConfig], PreparedFunction]
) -> PreparedFunction:
    """A model of a registry, by the source that reads its flavour; code of its own by MLflow."""
    source: Any = source_named(config.source, config.location)
    try:
        found = source.resolved(config, workspace)
    except SqlinferError as error:
        raise error.at(config.location) from error.__cause__
    runs_code = found.config.source == "mlflow"
    prepared = _native(found.config, workspace) if runs_code else prepare_inner(found.config)
    workspace.tell(f"{found.said}, digest {prepared.contract.short_digest}")
    warnings = tuple(dict.fromkeys((*prepared.warnings, *found.warnings)))
    return replace(prepared, source="mlflow", resolved=found.said, warnings=warnings)


def _native(config: FunctionConfig, workspace: Workspace) -> PreparedFunction:
    """Whatever device there is: a library predicts on the one that it likes."""
    from sqlinfer.functions import native

    try:
        native.check(config)
        source = native.native_source(config, source_named(config.source, config.location))
        fingerprint = dict(source.fingerprint(config, workspace))
        record = _found_or(config, workspace, native.FAMILY, fingerprint, lambda: _build_native(
            config, source, workspace, fingerprint))  # fmt: skip
        folder = workspace.cache_dir / record.digest
        loaded = source.loaded(record.completed(config), workspace, folder, fingerprint)
    except SqlinferError as error:
        raise error.at(config.location) from error.__cause__
    prepared = record.prepared(config, workspace.cache_dir, native.FAMILY, workspace.root)
    return replace(prepared, graph=loaded.path, native=loaded.model)


def _build_native(
    config: FunctionConfig, source: native.NativeSource, workspace: Workspace, fingerprint: Mapping[str, str]
) -> Record:
    from sqlinfer.functions import native

    workspace.cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.cache_dir, prefix=".tmp-") as scratch:
        made = source.native(config, workspace, Path(scratch), fingerprint)
        return native.build(config, made, workspace.cache_dir)


def prepare_all(
    configs: Iterable[FunctionConfig],
    *,
    cache_dir: Path,
    device: str = "auto",
    resolve_family: Callable[[], str] = devices.cheap_probe,
    root: Path | None = None,
) -> dict[str, PreparedFunction]:
    """Every enabled function, by name. The first one that does not fit raises."""
    return {
        config.name: prepare(config, cache_dir=cache_dir, device=device, resolve_family=resolve_family, root=root)
        for config in configs
        if config.enabled
    }


def checksum(config: FunctionConfig, *, cache_dir: Path, root: Path) -> str:
    """Of the declaration and of the bytes of its files, wherever the project lies; what cannot be read counts as such.

    Unlike a digest it is found without preparing anything, and is the same on every device.
    """
    workspace, config = Workspace(cache_dir, root), remembered(config, cache_dir)
    try:
        source = source_named(config.source, config.location)
        fingerprint = dict(source.fingerprint(config, workspace))
        if config.tokenizer is not None:
            fingerprint["tokenizer"] = hash_of(tokenizer_file(config.tokenizer.path))
    except SqlinferError as error:
        fingerprint = {"unreadable": type(error).__name__}
    return declaration_key(config, fingerprint)


def project_root(folder: Path) -> Path:
    """The nearest folder at or above ``folder`` with a project file; ``folder`` itself where there is none."""
    for candidate in (folder, *folder.parents):
        if (candidate / "sqlinfer_project.yml").is_file():
            return candidate
    return folder


def _find_or_build(config: FunctionConfig, workspace: Workspace, family: str) -> Record:
    source = source_named(config.source, config.location)
    fingerprint = dict(source.fingerprint(config, workspace))
    if config.tokenizer is not None:
        fingerprint["tokenizer"] = hash_of(tokenizer_file(config.tokenizer.path))
    if config.precision == "int8" and isinstance(config.sample_inputs, Path):
        fingerprint["samples"] = hash_of(config.sample_inputs)
    return _found_or(config, workspace, family, fingerprint, lambda: _build(
        config, source, workspace, family, fingerprint))  # fmt: skip


def _found_or(config: FunctionConfig, workspace: Workspace, family: str, fingerprint: Mapping[str, str],
              build: Callable[[], Record]) -> Record:  # fmt: skip
    entry = workspace.cache_dir / "keys" / f"{source_key(config, fingerprint, family)}.json"
    found = _recall(entry, workspace.cache_dir, config, family)
    if found is not None and is_close(config, found.verified) and is_near(config, found.quality):
        return found
    made = build()
    write_atomic(entry, dump(made.to_json()))
    return made


def _recall(entry: Path, cache_dir: Path, config: FunctionConfig, family: str) -> Record | None:
    """What was prepared before, if its folder is still there. The files in it are hashed when they are loaded."""
    try:
        record = Record.from_json(read_json(entry))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    folder = cache_dir / record.digest
    there = (folder / CONTRACT).is_file() and all((folder / name).is_file() for name in record.files)
    return record if there and record.is_whole(config, family) else None


def _build(
    config: FunctionConfig, source: Source, workspace: Workspace, family: str, fingerprint: Mapping[str, str]
) -> Record:
    workspace.cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.cache_dir, prefix=".tmp-") as scratch:
        made = source.artifact(config, workspace, Path(scratch), fingerprint)
        config = made.completed or config
        limits = Limits.of_size(sum(path.stat().st_size for path in _files(config, made, fingerprint)))
        from sqlinfer.functions import contained  # what is found prepared asks nobody

        found = contained.ask(
            "prepare", f"function '{config.name}'", limits,
            config, made, family, workspace.cache_dir, dict(fingerprint), Path(scratch),
        )  # fmt: skip
    record = replace(Record.from_json(found), made_with=made.made_with)
    check_verified(config, record.verified)
    check_quality(config, record.quality)
    return record


def _files(config: FunctionConfig, made: Artifact, fingerprint: Mapping[str, str]) -> list[Path]:
    """What preparing reads."""
    external = [name.removeprefix("data:") for name in fingerprint if name.startswith("data:")]
    named = [made.path, *(made.path.parent / location for location in external)]
    if "model" not in fingerprint:  # made by us, with whatever lies beside it
        named = [path for path in made.path.parent.iterdir() if path.is_file()]
    named += [] if made.compared is None else [made.compared.rows]
    return [*named, *([tokenizer_file(config.tokenizer.path)] if config.tokenizer else [])]
