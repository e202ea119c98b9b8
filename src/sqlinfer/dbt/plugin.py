"""The dbt-duckdb plugin: every function of the project is a function of dbt's DuckDB connection.

    plugins:
      - {module: sqlinfer.dbt.plugin, alias: sqlinfer, config: {project_dir: .}}

Plain dbt models, tests and ``dbt show`` can then call ``churn_score(tenure, …)``. A model file is loaded at the first
call, once per process; parsing and compiling load none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from sqlinfer.dbt.functions import LazySession, Loaded, loaded
from sqlinfer.errors import UsageError, did_you_mean
from sqlinfer.jobs.udf import inner_name, macro, register_function

_KEYS = ("project_dir", "device")


class Plugin(BasePlugin):  # type: ignore[misc]
    """dbt-duckdb makes one per process. ``config``: project_dir (default: here), device."""

    functions: Loaded

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        given = {key: value for key, value in plugin_config.items() if key in _own_keys(self)}
        for key in given:
            if key not in _KEYS:
                raise UsageError(f"the sqlinfer plugin does not know '{key}'", hint=did_you_mean(key, _KEYS))
        self.functions = loaded(Path(str(given.get("project_dir") or ".")).absolute(), given.get("device"))

    def configure_connection(self, conn: Any) -> None:
        """Functions belong to the database, so every cursor has them."""
        for prepared in self.functions:
            register_function(conn, prepared, LazySession(self.functions, prepared.contract.name))  # type: ignore[arg-type]

    def configure_cursor(self, cursor: Any) -> None:
        """The macro that casts the arguments is temporary, so each cursor needs its own."""
        for prepared in self.functions:
            cursor.execute(macro(prepared.contract, inner_name(prepared.contract)))


def _own_keys(plugin: BasePlugin) -> set[str]:
    """Keys of this plugin's ``config``: dbt-duckdb mixes the profile's ``settings`` into it."""
    settings = set((plugin.creds.settings or {}) if plugin.creds is not None else {})
    definitions = (plugin.creds.plugins or []) if plugin.creds is not None else []
    named = {key for one in definitions for key in (getattr(one, "config", None) or {})}
    return (named | set(_KEYS)) - (settings - named)
