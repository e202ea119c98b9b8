"""The declared functions of a project, each prepared when something first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import ProjectError
from sqlinfer.jobs.told import told
from sqlinfer.project import FunctionConfig, Project
from sqlinfer.spec.function import FunctionContract, PreparedFunction
from sqlinfer.storage import Access

if TYPE_CHECKING:
    from sqlinfer.jobs.events import Event


@dataclass(slots=True)
class Functions(Mapping[str, PreparedFunction]):
    """Name → prepared function. One that no query calls is never opened; one that is keeps its digest for the run."""

    project: Project
    device: str = "auto"
    emit: Callable[[Event], None] = lambda _: None
    """Told of what takes time."""
    _ready: dict[str, PreparedFunction] = field(default_factory=dict)
    _places: dict[Any, Any] = field(default_factory=dict)
    configs: dict[str, FunctionConfig] = field(init=False)

    def __post_init__(self) -> None:
        self.configs = {name: config for name, config in self.project.functions.items() if config.enabled}

    def __getitem__(self, name: str) -> PreparedFunction:
        return self._ready[name] if name in self._ready else self.open(self.configs[name])

    def open(self, config: FunctionConfig) -> PreparedFunction:
        """The function of that declaration, from now on the one of its name."""
        from sqlinfer.functions import prepare  # what lists names alone does without
        from sqlinfer.jobs.events import Preparing

        if config.remote is not None:
            config = self.configs[config.name] = self._fetched(config)
        with told(self.project):
            self._ready[config.name] = prepare(
                config,
                cache_dir=cache_dir(self.project),
                device=self.device,
                root=self.project.root,
                tell=lambda message: self.emit(Preparing(config.name, message)),
                places=self._places,
            )
        return self._ready[config.name]

    def _fetched(self, config: FunctionConfig) -> FunctionConfig:
        """With its file in the cache; the others of the project see it, too."""
        from sqlinfer.functions.fetching import fetched
        from sqlinfer.jobs.events import Preparing

        access = Access.of(self.project.profile.config)
        return fetched(
            config, cache_dir(self.project), access, lambda message: self.emit(Preparing(config.name, message))
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.configs)

    def __len__(self) -> int:
        return len(self.configs)

    def __contains__(self, name: object) -> bool:
        return name in self.configs

    @property
    def opened(self) -> Mapping[str, PreparedFunction]:
        return self._ready


@dataclass(frozen=True, slots=True)
class Contracts(Mapping[str, FunctionContract]):
    """The same, as compiling sees it."""

    functions: Functions

    def __getitem__(self, name: str) -> FunctionContract:
        return self.functions[name].contract

    def __iter__(self) -> Iterator[str]:
        return iter(self.functions)

    def __len__(self) -> int:
        return len(self.functions)

    def __contains__(self, name: object) -> bool:
        return name in self.functions


NATIVE_PLAN = "as many rows a call as take half a second, in processes of its own"


def rate(project: Project, contract: FunctionContract) -> float | None:
    """Rows that a function scores in a second, measured on this machine."""
    from sqlinfer.inference import read_layout

    layout = read_layout(cache_dir(project), contract.digest, contract.device.partition(":")[0])
    return layout.rows_per_second if layout is not None else None


def batch_plan(folder: Path, contract: FunctionContract) -> str:
    """What the cache in ``folder`` knows of how a function runs: batch, speed, rewrites. No session is loaded."""
    from sqlinfer.inference import read_layout, read_rewrites

    if contract.is_native:
        return NATIVE_PLAN if contract.batch_size is None else f"{contract.batch_size} rows a call (fixed)"
    family = contract.device.partition(":")[0]
    layout = read_layout(folder, contract.digest, family)
    if contract.batch_size is not None:
        plan = f"{contract.batch_size} rows (fixed)"
    elif layout is None:
        plan = "not measured yet"
    else:
        rate = f", {layout.rows_per_second:,.0f} rows/s" if layout.rows_per_second else ""
        plan = f"{layout.batch_size} rows × {layout.sessions} at a time{rate} (measured)"
    return "; ".join([plan, *read_rewrites(folder, contract.digest, family)])


def files_of(project: Project, name: str) -> dict[str, str]:
    """The files of a declared function and their sha256; read at every call."""
    from sqlinfer.functions.declared import declared_files

    config = project.functions.get(name)
    return declared_files(config, cache_dir(project), project.root) if config is not None else {}


def cache_dir(project: Project) -> Path:
    """Raises ProjectError where a link lies in the place of the cache: what it leads to is not ours."""
    folder = project.target_path / "functions"
    for path in (folder, folder / "keys"):
        if path.is_symlink():
            raise ProjectError(f"{path} is a link", hint="remove it; prepared functions are kept in a folder there")
    return folder
