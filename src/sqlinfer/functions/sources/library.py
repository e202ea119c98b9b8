"""A source whose models live in a library: asked once, in a process of its own, when a function is prepared.

Once a function is prepared the library is needed no more, so that its version is not part of what finds it again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import FunctionError
from sqlinfer.functions.cache import FileHashes, hash_of
from sqlinfer.functions.limits import MEMORY_VARIABLE, SECONDS_VARIABLE, Limits
from sqlinfer.functions.native import Loaded, NativeArtifact
from sqlinfer.functions.sources import child, entrypoint, matching, natively, returns
from sqlinfer.functions.sources.base import Artifact, Compared, Workspace
from sqlinfer.functions.sources.original import PACKED, Results, Suggested
from sqlinfer.functions.sources.trust import require_trust
from sqlinfer.project.values import FunctionConfig

_CHILD: Final = "sqlinfer.functions.sources.asked"
_MEMORY: Final = 6 << 30
_SECONDS: Final = 300.0
"""Of processor time, beyond what the size of the file allows: libraries are slow to import, converters to convert."""
_CLOCK: Final = 6.0
"""Seconds on the clock for each of a processor, as in ``limits``: the machine may be busy."""
_START_SECONDS: Final = 120.0
"""For imports, which come before the limits."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the child said of a model."""

    known: tuple[Suggested, ...]
    results: Results
    made_with: Mapping[str, str]
    used: Mapping[str, str]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    inexact: str | None = None
    against: str = ""
    """The library and its version."""

    @property
    def raw(self) -> returns.Raw:
        return returns.Raw(self.results, self.outputs)


@dataclass(frozen=True, slots=True)
class Library:
    """One source; its file has one of these as ``SOURCE``."""

    name: str
    """Of the source, and of the extra that brings its library."""
    module: str
    """With ``load(request)``; imported in the child."""
    packages: tuple[tuple[str, ...], ...]
    """Distributions that it needs, each with its stand-ins: ``(("xgboost", "xgboost-cpu"), …)``."""
    suffixes: tuple[str, ...] = ()
    """Of files that are read as data."""
    trusted: tuple[str, ...] = ()
    """Of files that can run code, which need ``trust:``."""
    revision: int = 1
    """Raise it when the same file is converted to another graph."""

    def fingerprint(self, config: FunctionConfig, workspace: Workspace) -> dict[str, str]:
        found = {"source": f"{self.name} {self.revision}"}
        if config.path is not None:
            found["original"] = self.hashed(config, config.path)
            if self.suffixes:
                self._check_file(config, config.path, found["original"])
        if config.entrypoint is not None:
            found["entrypoint"] = entrypoint.fingerprint(config, workspace)
        if config.runtime == "native":
            found |= {
                f"version:{name}": version for name in self.needed(config)[0] if (version := entrypoint.version(name))
            }
        return found

    def hashed(self, config: FunctionConfig, path: Path) -> str:
        """What its content is."""
        return hash_of(path)

    def copied(self, config: FunctionConfig, path: Path, folder: Path, sha256: str) -> Path:
        """What was hashed, in ``folder``, named by the hash and the ending of ``path``."""
        return FileHashes(folder).copy(path, sha256)

    def needed(self, config: FunctionConfig) -> tuple[tuple[str, ...], ...]:
        """Distributions, each with its stand-ins. The first is what predicts."""
        return self.packages

    def completed(self, config: FunctionConfig, told: Told, scratch: Path) -> FunctionConfig:
        """``scratch``: where the child wrote what it made."""
        return complete(config, told)

    def _check_file(self, config: FunctionConfig, path: Path, sha256: str) -> None:
        if path.suffix in self.trusted or config.trust is not None:
            require_trust(config, path, sha256)
        elif path.suffix not in self.suffixes:
            known = ", ".join((*self.suffixes, *self.trusted))
            raise FunctionError(f"function '{config.name}': source {self.name} reads {known}, and not {path.name}",
                                hint=f"save it in a format of {self.name}'s own")  # fmt: skip

    def artifact(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> Artifact:
        told = self.ask(config, workspace, scratch, fingerprint, convert=True)
        if told.inexact is not None:
            raise FunctionError(f"function '{config.name}': the model has no exact conversion: {told.inexact}",
                                hint="'runtime: native' lets the library itself predict")  # fmt: skip
        folder = scratch / "original"
        completed = self.completed(config, told, scratch)
        classes = told.results.classes
        return Artifact(
            folder / "model.onnx", labels=classes, warnings=older(told, self.needed(config)), completed=completed,
            made_with=told.made_with,
            compared=Compared(folder / "rows.arrow", folder / "answers.arrow", told.against, classes),
        )  # fmt: skip

    def native(
        self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str]
    ) -> NativeArtifact:
        told = self.ask(config, workspace, scratch, fingerprint, convert=False)
        whole = self.completed(config, told, scratch)
        return natively.artifact(config, told, whole, scratch, fingerprint, older(told, self.needed(config)))

    def loaded(
        self, config: FunctionConfig, workspace: Workspace, folder: Path, fingerprint: Mapping[str, str]
    ) -> Loaded:
        return natively.loaded(self._request(config, workspace), config, folder, fingerprint)

    def ask(self, config: FunctionConfig, workspace: Workspace, scratch: Path, fingerprint: Mapping[str, str], *,
            convert: bool, rows: Path | None = None) -> Told:  # fmt: skip
        """The model's contract; with ``convert`` its graph; its answers to ``rows``, or to rows made from itself.

        They lie in ``scratch/original``: ``model.onnx``, ``rows.arrow`` and ``answers.arrow``.

        Raises:
            FunctionError: the library is not installed, or the model is refused.
        """
        self._require(config)
        folder = scratch / "original"
        folder.mkdir(exist_ok=True)
        path = None
        if config.path is not None:
            path = self.copied(config, config.path, folder, fingerprint["original"])
        limits = _limits(0 if path is None else path.stat().st_size)
        request = self._request(config, workspace) | {
            "path": None if path is None else str(path), "folder": str(folder), "convert": convert,
            "rows": None if rows is None else str(rows), "memory": limits.memory, "seconds": limits.seconds,
        }  # fmt: skip
        doing = "Preparing" if convert else "Asking the original of"
        answer = child.export(config, _CHILD, request, scratch, timeout=_START_SECONDS + _CLOCK * limits.seconds,
                              tell=workspace.tell, doing=doing)  # fmt: skip
        return _told(config, answer)

    def _request(self, config: FunctionConfig, workspace: Workspace) -> dict[str, Any]:
        spelled = entrypoint.split(config) if config.entrypoint is not None else None
        return {
            "function": config.name,
            "module": self.module,
            "entrypoint": list(spelled) if spelled else None,
            "search": [str(folder) for folder in entrypoint.search_path(config, workspace)] if spelled else [],
            "name": str(config.path.name) if config.path is not None else None,
            "trusted": config.trust is not None,
            "uri": config.uri,
            "known": list(config.known),
            "arguments": [asdict(one) for one in config.arguments],
            "open_nulls": list(config.open_nulls),
            "packages": [name for names in self.needed(config) for name in names],
        }

    def _require(self, config: FunctionConfig) -> None:
        for names in self.needed(config):
            if all(entrypoint.version(name) is None for name in names):
                raise FunctionError(
                    f"function '{config.name}': source '{self.name}' needs {names[0]}, which is not installed",
                    hint=f"pip install 'sqlinfer[{self.name}]'",
                )


def _limits(size: int) -> Limits:
    """What the environment says, else more than preparing a graph takes."""
    found = Limits.of_size(size)
    memory = 0 if MEMORY_VARIABLE in os.environ else _MEMORY
    seconds = 0 if SECONDS_VARIABLE in os.environ else _SECONDS
    return Limits(found.memory + memory, found.seconds + seconds)


def _told(config: FunctionConfig, answer: Mapping[str, Any]) -> Told:
    if "refused" in answer:
        said = str(answer["refused"])
        prefix = "" if said.startswith("function '") else f"function '{config.name}': "
        raise FunctionError(prefix + said, hint=answer.get("hint"))
    results = dict(answer["results"])
    for name in ("classes", "names"):
        results[name] = None if results[name] is None else tuple(results[name])
    return Told(
        tuple(Suggested(**one) for one in answer["arguments"]), Results(**results), answer["made_with"],
        answer["used"], tuple(answer.get("inputs", ())), tuple(answer.get("outputs", ())), answer.get("inexact"),
        next((f"{name} {version}" for name, version in answer["used"].items()), config.source),
    )  # fmt: skip


def complete(config: FunctionConfig, told: Told) -> FunctionConfig:
    """The declaration with what it leaves out; each argument feeds the input that the converter made for it."""
    arguments = matching.completed(config.name, config.arguments, config.open_nulls, told.known)
    fields, is_struct = returns.completed(config.name, config.returns, told.raw), config.is_struct
    if not config.returns:
        fields, is_struct = returns.default_returns(told.raw)
    return replace(config, arguments=arguments, returns=fields, is_struct=is_struct,
                   inputs=config.inputs or _inputs(config, told))  # fmt: skip


def _inputs(config: FunctionConfig, told: Told) -> dict[str, tuple[str, ...]]:
    written = config.arguments
    if not told.inputs:
        return {}
    order = matching.matched(config.name, written, told.known) if written else range(len(told.known))
    names = [written[place].name for place in order] if written else [one.name for one in told.known]
    if told.inputs == (PACKED,):
        return {PACKED: tuple(names)}
    return {given: (name,) for given, name in zip(told.inputs, names, strict=True)}


def older(told: Told, packages: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """A warning for each library that made the model in another version than the installed one."""
    found = []
    for name, version in told.made_with.items():
        names = next((names for names in packages if name in names), (name,))
        installed = next((there for one in names if (there := told.used.get(one) or entrypoint.version(one))), None)
        if installed is not None and installed != version:
            found.append(f"the model was made with {name} {version}; {name} {installed} read it")
    return tuple(found)
