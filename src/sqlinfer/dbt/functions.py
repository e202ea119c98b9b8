"""Functions for SQL and Python that run inside dbt's own process: found, prepared, loaded once, when first called."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlinfer.dbt import home as homes
from sqlinfer.dbt.project import functions_only
from sqlinfer.errors import UnknownFunction, UsageError
from sqlinfer.jobs.functions import Functions, cache_dir
from sqlinfer.project import Profile, Project
from sqlinfer.project import load as load_project
from sqlinfer.spec.function import PreparedFunction


class Loaded:
    """The functions of one project folder. Sessions live as long as the process."""

    def __init__(self, folder: Path, device: str | None = None) -> None:
        self.project = open_project(folder)
        self.functions = Functions(self.project, device or "auto")
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[PreparedFunction]:
        return iter(self.functions.values())

    def prepared(self, name: str) -> PreparedFunction:
        if name not in self.functions:
            raise UnknownFunction.for_call(name, self.functions)
        return self.functions[name]

    def session(self, name: str) -> Any:
        """The session of a function, opened at the first call."""
        with self._lock:
            if name not in self._sessions:
                from sqlinfer.inference import open_session

                self._sessions[name] = open_session(self.prepared(name), cache_dir=cache_dir(self.project))
            return self._sessions[name]


class LazySession:
    """What a UDF needs of a session; the real one is opened when the first row comes."""

    __slots__ = ("_loaded", "_name")

    def __init__(self, functions: Loaded, name: str) -> None:
        self._loaded, self._name = functions, name

    def run_batch(self, batch: Any, arguments: Any) -> Any:
        return self._loaded.session(self._name).run_batch(batch, arguments)

    def output_fields(self, as_column: str | None) -> Any:
        return self._loaded.session(self._name).output_fields(as_column)


def open_project(folder: Path) -> Project:
    """A sqlinfer project or a dbt project, as far as its functions need it.

    Raises:
        UsageError: the folder is neither.
    """
    folder = folder.absolute()
    if (folder / "sqlinfer_project.yml").is_file():
        return load_project(folder, env=os.environ)
    if (folder / homes.PROJECT_FILE).is_file():
        # Functions need no connection: the types of their arguments are DuckDB's here.
        home = homes.read_home(folder, None, os.environ)
        return functions_only(home, Profile("dbt", "dbt", "duckdb", {}))
    hint = "set project_dir in the plugin's config to the folder of dbt_project.yml or sqlinfer_project.yml"
    raise UsageError(f"{folder} is neither a dbt project nor a sqlinfer project", hint=hint)


@lru_cache(maxsize=8)
def loaded(folder: Path, device: str | None = None) -> Loaded:
    """One per folder and process."""
    return Loaded(folder, device)
