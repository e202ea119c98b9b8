"""dbt_project.yml, profiles.yml and the folder of functions → DbtHome. No manifest is needed for this much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProfileError, ProjectError, UsageError, did_you_mean
from sqlinfer.project import FunctionConfig, Profile
from sqlinfer.project.basics import Environment, plain_context
from sqlinfer.project.functions import load_functions
from sqlinfer.project.jinja import engine
from sqlinfer.project.profile import load_profile
from sqlinfer.project.secret import Concealed
from sqlinfer.project.strings import render_values
from sqlinfer.project.yamlfile import YamlFile, parse_yaml, read_yaml

PROJECT_FILE = "dbt_project.yml"
FUNCTION_FOLDERS = ("ml", "functions")
"""Where functions are looked for. dbt itself reads ``functions/`` from 1.11 on, hence ``ml/`` first."""
SETTINGS = ("function-paths", "function_paths", "prices", "record_builds")
"""Keys of ``vars: {sqlinfer: {…}}``; the last one is the package's."""
_DBT_ONLY = (
    "plugins", "module_paths", "keep_open", "disable_transactions", "retries", "filesystems",
    "use_credential_provider", "root_path", "config_options", "remote", "secrets", "is_ducklake",
)  # fmt: skip
"""Keys of a dbt-duckdb profile that the executor does without."""


@dataclass(frozen=True, slots=True)
class DbtHome:
    """A dbt project as far as its own files tell."""

    name: str
    root: Path
    file: YamlFile
    variables: Mapping[str, Any]
    settings: Mapping[str, Any]
    """``vars: {sqlinfer: {…}}`` of dbt_project.yml."""
    env: Mapping[str, str] = field(repr=False)
    target_path: Path = Path("target")
    packages_path: Path = Path("dbt_packages")
    profile_name: str | None = None

    @property
    def private(self) -> Path:
        """Where our files lie inside of dbt's target folder, which ``dbt clean`` removes."""
        return self.target_path / "sqlinfer"

    @property
    def function_folders(self) -> tuple[Path, ...]:
        named = self.settings.get("function-paths") or self.settings.get("function_paths")
        if named:
            return tuple(self.root / str(one) for one in ([named] if isinstance(named, str) else named))
        found = next((self.root / one for one in FUNCTION_FOLDERS if (self.root / one).is_dir()), None)
        return (found,) if found else ()


def read_home(root: Path, given: Mapping[str, Any] | str | None, env: Mapping[str, str]) -> DbtHome:
    """Raises ProjectError where there is no readable dbt_project.yml."""
    root = root.absolute()
    path = root / PROJECT_FILE
    if not path.is_file():
        hint = "run this inside a dbt project, or give --project-dir"
        raise ProjectError(f"no {PROJECT_FILE} in {root}", hint=hint, location=Location(path))
    file = read_yaml(path)
    if not isinstance(file.data, dict) or not file.data.get("name"):
        raise ProjectError(f"{PROJECT_FILE} has no 'name'", location=Location(path, 1))
    passed = given_variables(given)
    context = plain_context(passed, Environment(env))

    def read(key: str, default: Any = None) -> Any:
        return render_values(file.data.get(key, default), (key,), file, engine(), context)

    name = str(read("name"))
    everywhere = dict(read("vars") or {})
    own = everywhere.pop(name, None)
    settings = everywhere.get("sqlinfer") or {}
    _refuse_unknown(settings, file)
    variables = {**everywhere, **(own if isinstance(own, dict) else {}), **passed}
    target = env.get("DBT_TARGET_PATH") or read("target-path", "target")
    return DbtHome(
        name, root, file, variables, settings if isinstance(settings, dict) else {}, dict(env),
        target_path=root / str(target), packages_path=root / str(read("packages-install-path", "dbt_packages")),
        profile_name=read("profile"),
    )  # fmt: skip


def _refuse_unknown(settings: Any, file: YamlFile) -> None:
    """Raises ProjectError for a key of ``vars: {sqlinfer: {…}}`` that means nothing."""
    for key in settings if isinstance(settings, dict) else (settings,):
        if key not in SETTINGS:
            hint = did_you_mean(str(key), SETTINGS) or f"known: {', '.join(SETTINGS)}"
            raise file.error(f"unknown key '{key}' in vars.sqlinfer", ("vars", "sqlinfer", str(key)), hint=hint)


def given_variables(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    try:
        data = parse_yaml(given).data
    except ProjectError as error:
        raise UsageError(f"--vars: {error.message}") from error
    if data is not None and not isinstance(data, dict):
        raise UsageError("--vars is not a mapping", hint="""for example --vars '{"day": "2026-01-31"}'""")
    return {str(key): value for key, value in (data or {}).items()}


def find_home(start: Path) -> Path:
    """The nearest folder with a dbt_project.yml, ``start`` itself where there is none."""
    return next((one for one in (start, *start.parents) if (one / PROJECT_FILE).is_file()), start)


def read_profile(home: DbtHome, *, profiles_dir: Path | None, profile: str | None, target: str | None) -> Profile:
    """The target that dbt would use, less what only dbt-duckdb itself understands."""
    found = load_profile(
        home.root, profile or home.env.get("DBT_PROFILE") or home.profile_name, profiles_dir=profiles_dir,
        target=target or home.env.get("DBT_TARGET"), env=home.env, variables=home.variables, engine=engine(),
        project_file=home.file.locate(("profile",)),
    )  # fmt: skip
    if found.type != "duckdb":
        return found
    assert isinstance(found.config, Concealed)
    return replace(found, config=found.config.changed(_DBT_ONLY, **_database_file(found, home)))


def _database_file(profile: Profile, home: DbtHome) -> dict[str, str]:
    """dbt works from the project's folder, so a relative path is relative to it wherever the profile lies."""
    given = str(profile.config.get("path") or ":memory:")
    if given.startswith((":memory:", "md:", "motherduck:")) or "://" in given or profile.path is None:
        if given.startswith(":memory:"):
            raise ProfileError("an in-memory database cannot be published to", hint="path: warehouse.duckdb")
        return {}
    file = read_yaml(profile.path, ProfileError)
    keys = (profile.name, "outputs", profile.target, "path")
    raw = file.data[profile.name]["outputs"][profile.target].get("path")
    context = plain_context(home.variables, Environment(home.env))
    text = Path(str(render_values(raw, keys, file, engine(), context, ProfileError))).expanduser()
    return {"path": given if text.is_absolute() else str(home.root / text)}


def read_functions(home: DbtHome, dialect: str) -> dict[str, FunctionConfig]:
    """The functions declared in ``ml/``."""
    context = plain_context(home.variables, Environment(home.env))
    return load_functions(home.function_folders, home.root, engine(), context, dialect)
