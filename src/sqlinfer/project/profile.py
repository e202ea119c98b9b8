"""profiles.yml → Profile: dbt's search order, ``env_var`` with secrets, targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlinfer import numerals, scrub
from sqlinfer.errors import Location, ProfileError, did_you_mean
from sqlinfer.project.basics import Environment, plain_context
from sqlinfer.project.jinja import Engine
from sqlinfer.project.secret import Concealed, Secrets, is_secret
from sqlinfer.project.strings import render_values
from sqlinfer.project.values import Profile
from sqlinfer.project.witness import seen
from sqlinfer.project.yamlfile import YamlFile, read_yaml
from sqlinfer.spec.duckdb_path import kind_of

_NOT_SECRET = ("type", "user", "username", "schema", "dataset", "database", "dbname", "catalog", "host", "path")
TYPES = ("duckdb", "postgres", "spark", "databricks", "snowflake", "bigquery", "redshift", "trino", "clickhouse")
"""Names of dbt's adapters that are names of sqlglot's dialects too."""
_IN_SQL = ("type", "schema", "dataset", "database", "dbname", "catalog", "threads")
"""They become parts of SQL and of names that are printed, so no secret may stand in them."""


def find_profiles(root: Path, profiles_dir: Path | None, env: Mapping[str, str]) -> Path:
    """The profiles.yml that dbt would read. Raises ProfileError naming the places that were tried."""
    named = profiles_dir or (Path(env["DBT_PROFILES_DIR"]) if env.get("DBT_PROFILES_DIR") else None)
    home = Path(env["HOME"]) if env.get("HOME") else Path("~").expanduser()
    places = [named] if named else [root, home / ".dbt"]
    for witness in seen():
        for place in places:
            witness.probe("file", place / "profiles.yml")
    for place in places:
        if (place / "profiles.yml").is_file():
            return (place / "profiles.yml").absolute()
    tried = ", ".join(str(place / "profiles.yml") for place in places)
    raise ProfileError("no profiles.yml found", hint=f"looked for {tried}")


def load_profile(
    root: Path,
    name: str | None,
    *,
    profiles_dir: Path | None = None,
    target: str | None = None,
    env: Mapping[str, str],
    variables: Mapping[str, Any],
    engine: Engine,
    project_file: Location | None = None,
) -> Profile:
    """The chosen target of the chosen profile, its strings rendered. Its secrets are masked from now on."""
    scrub.learn(value for key, value in env.items() if is_secret(key))
    path = find_profiles(root, profiles_dir, env)
    try:
        file = read_yaml(path, ProfileError)
        literals: set[str] = set()
        _collect(file.data, literals)
        scrub.learn(value for value in literals if "{{" not in value)
        if any("{{" not in value for value in literals):
            _keep_nothing()
        return _chosen(file, name, target, env, variables, engine, root, project_file)
    except ProfileError as error:
        _mask_excerpt(error)
        raise


def _keep_nothing() -> None:
    """A profile that holds a secret is read anew each time."""
    for witness in seen():
        witness.fleeting = True


def _mask_excerpt(error: ProfileError) -> None:
    """The line of profiles.yml that is shown may hold a password, which nobody has read yet."""
    if error.location is not None and error.location.text is not None:
        error.location = replace(error.location, text=scrub.scrub_pairs(error.location.text))


def _chosen(file: YamlFile, name: str | None, target: str | None, env: Mapping[str, str], variables: Mapping[str, Any],
            engine: Engine, root: Path, project_file: Location | None) -> Profile:  # fmt: skip
    if not isinstance(file.data, dict) or not file.data:
        raise ProfileError("profiles.yml is empty", location=Location(file.path, 1))
    profiles = [str(key) for key in file.data if key != "config"]
    if name is None:
        raise ProfileError("no profile is chosen", hint=f"add 'profile: {(profiles or ['name'])[0]}'",
                           location=project_file)  # fmt: skip
    if name not in profiles:
        raise ProfileError(
            f"profile '{name}' is not in {file.path}", hint=_known(name, profiles), location=project_file
        )
    return _target(file, name, target, env, variables, engine, root)


def _known(name: str, names: list[str]) -> str:
    hint = did_you_mean(name, names)
    known = "known: " + (", ".join(names) or "none")
    return hint if hint and hint.startswith("known") else f"{hint} {known}" if hint else known


def _target(file: YamlFile, name: str, target: str | None, env: Mapping[str, str], variables: Mapping[str, Any],
            engine: Engine, root: Path) -> Profile:  # fmt: skip
    body = file.data[name]
    if not isinstance(body, dict):
        raise file.error(f"profile '{name}' is empty", (name,), kind=ProfileError)
    for key in body:
        if key not in ("target", "outputs", "config"):
            hint = did_you_mean(str(key), ("target", "outputs"))
            raise file.error(f"unknown key '{key}'", (name, key), hint=hint, kind=ProfileError)
    secrets = Secrets(env)
    context = plain_context(variables, Environment(env, secrets))
    chosen = target or render_values(body.get("target"), (name, "target"), file, engine, context, ProfileError)
    chosen = "default" if chosen is None else str(chosen)
    outputs = body.get("outputs")
    if not isinstance(outputs, dict) or not outputs:
        raise file.error(f"profile '{name}' has no outputs", (name,), kind=ProfileError)
    if chosen not in outputs:
        hint = _known(chosen, [str(key) for key in outputs])
        keys = (name, "target") if target is None and "target" in body else (name, "outputs")
        raise file.error(f"target '{chosen}' is not in profile '{name}'", keys, value=target is None and len(keys) == 2
                         and keys[1] == "target", hint=hint, kind=ProfileError)  # fmt: skip
    place = (name, "outputs", chosen)
    own: set[str] = set()
    _collect(outputs[chosen], own)
    if own:
        _keep_nothing()
    if not isinstance(outputs[chosen], dict):
        raise file.error(f"target '{chosen}' is empty", place, kind=ProfileError)
    config = render_values(outputs[chosen], place, file, engine, context, ProfileError)
    return _profile(file, name, chosen, config, secrets, root)


def _profile(file: YamlFile, name: str, target: str, config: dict[str, Any], secrets: Secrets, root: Path) -> Profile:
    keys = (name, "outputs", target)
    _no_secret_in_names(file, keys, config, secrets)
    kind = config.get("type")
    if not isinstance(kind, str):
        raise file.error(f"'type' is missing in target '{target}'", keys, hint="for example 'type: duckdb'",
                         kind=ProfileError)  # fmt: skip
    if kind not in TYPES:
        raise file.error(f"type '{kind}' is not a warehouse that sqlinfer knows", (*keys, "type"), value=True,
                         hint=did_you_mean(kind, TYPES), kind=ProfileError)  # fmt: skip
    given = config.get("threads", 1)
    threads = None if isinstance(given, bool) else numerals.whole(str(given))
    if threads is None or threads < 1:
        raise file.error("threads must be a whole number from 1", (*keys, "threads"), value=True, kind=ProfileError)
    found = secrets.values()
    _collect(secrets.reveal(config), found)
    scrub.learn(found)
    if found:
        _keep_nothing()
    if kind == "duckdb":
        config = _duckdb_path(config, file, root)
    return Profile(name, target, kind, Concealed(config, secrets, found), threads, file.path)


def _no_secret_in_names(file: YamlFile, keys: tuple[str, ...], config: dict[str, Any], secrets: Secrets) -> None:
    local = config.get("type") == "duckdb" and kind_of(str(config.get("path"))) == "file"
    for key in (*_IN_SQL, *(("path",) if local else ())):
        if secrets.holds(config.get(key)):
            raise file.error(f"a secret may not stand in '{key}': it becomes a part of SQL and of messages",
                             (*keys, key), value=True, hint="use a variable that is not named DBT_ENV_SECRET…",
                             kind=ProfileError)  # fmt: skip


def _duckdb_path(config: dict[str, Any], file: YamlFile, root: Path) -> dict[str, Any]:
    """A relative path is relative to the project where the profile stands in it, else to the working directory."""
    base = root if file.path is not None and file.path.parent == root.absolute() else Path.cwd()
    found = {"path": config.get("path", ":memory:"), "state": config.get("state")}
    for key, path in found.items():
        if isinstance(path, str) and path and path != ":memory:" and kind_of(path) == "file":
            found[key] = str(base.absolute() / Path(path).expanduser())
    return config | {key: path for key, path in found.items() if path is not None}


def _collect(config: Any, secrets: set[str]) -> None:
    """Values of keys that are secrets by their name, and passwords inside connection strings, at any depth.

    A password that equals the user's name (``postgres``, ``postgres``) is none: masking it would garble every name.
    """
    if isinstance(config, dict):
        plain = {str(config[key]) for key in _NOT_SECRET if config.get(key)}
        for key, value in config.items():
            if isinstance(value, str | int) and not isinstance(value, bool) and scrub.SECRET_KEYS.search(str(key)):
                secrets.update({str(value)} - {""} - plain)
            _collect(value, secrets)
    elif isinstance(config, list):
        for item in config:
            _collect(item, secrets)
    elif isinstance(config, str):
        secrets.update(scrub.secrets_of(config))
