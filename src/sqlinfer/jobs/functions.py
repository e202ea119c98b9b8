"""The declared functions of a project, each prepared when something first asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlinfer.functions import prepare
from sqlinfer.project import FunctionConfig, Project
from sqlinfer.spec.function import FunctionContract, PreparedFunction


@dataclass(slots=True)
class Functions(Mapping[str, PreparedFunction]):
    """Name → prepared function. One that no query calls is never opened; one that is keeps its digest for the run."""

    project: Project
    device: str = "auto"
    _ready: dict[str, PreparedFunction] = field(default_factory=dict)

    def __getitem__(self, name: str) -> PreparedFunction:
        if name not in self._ready:
            config = self.configs[name]
            root = self.project.root
            self._ready[name] = prepare(config, cache_dir=cache_dir(self.project), device=self.device, root=root)
        return self._ready[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.configs)

    def __len__(self) -> int:
        return len(self.configs)

    def __contains__(self, name: object) -> bool:
        return name in self.configs

    @property
    def configs(self) -> dict[str, FunctionConfig]:
        return {name: config for name, config in self.project.functions.items() if config.enabled}

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


def cache_dir(project: Project) -> Path:
    return project.target_path / "functions"
