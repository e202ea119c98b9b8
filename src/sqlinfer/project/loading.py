"""Files of a project folder → Project. The environment is handed in; nothing but reading files happens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlinfer.errors import Location, ProjectError, UsageError
from sqlinfer.project import config as configs
from sqlinfer.project import discover, files, graph, properties, versions
from sqlinfer.project.basics import Environment, plain_context
from sqlinfer.project.context import Macros, target_of
from sqlinfer.project.every_time import finished, learn_secrets
from sqlinfer.project.functions import load_functions
from sqlinfer.project.hooks import read_hooks
from sqlinfer.project.jinja import engine
from sqlinfer.project.packages import read_packages
from sqlinfer.project.prices import read_prices
from sqlinfer.project.profile import load_profile
from sqlinfer.project.schema import IGNORED_PROJECT_KEYS, ProjectFile
from sqlinfer.project.secret import public
from sqlinfer.project.selectorfile import read_selectors
from sqlinfer.project.strings import render_values
from sqlinfer.project.unbuilt import unbuilt
from sqlinfer.project.validation import validate
from sqlinfer.project.values import MacroFile, Profile, Project
from sqlinfer.project.witness import seen, watching
from sqlinfer.project.yamlfile import YamlFile, parse_yaml, read_text, read_yaml
from sqlinfer.shown import is_whole, one_line
from sqlinfer.version import __version__

PROJECT_FILE = "sqlinfer_project.yml"


def load(
    project_dir: Path,
    *,
    profiles_dir: Path | None = None,
    profile: str | None = None,
    target: str | None = None,
    vars: Mapping[str, Any] | str | None = None,
    env: Mapping[str, str],
) -> Project:
    """Read and check a whole project.

    Raises:
        ProjectError, ProfileError, RenderError: with the place of the first thing that is wrong.
        UsageError: ``vars`` is text that is no YAML mapping.
    """
    root = project_dir.absolute()
    file, props = _project_file(root)
    given = given_vars(vars)
    learn_secrets(given)
    variables = {**_project_vars(props, file), **given}
    with watching(apart=True) as witness:
        used = load_profile(root, profile or props.profile, profiles_dir=profiles_dir, target=target, env=env,
                            variables=given, engine=engine(), project_file=file.locate(("profile",)))  # fmt: skip
    for outer in seen():
        outer.take_profile(witness, profile or props.profile)
    return _assemble(root, file, props, used, variables, env)


def target_path(project_dir: Path, *, env: Mapping[str, str]) -> Path:
    """Where a project's artifacts are; nothing but its project file is read."""
    root = project_dir.absolute()
    return _target_path(root, _project_file(root)[1], env)


def _target_path(root: Path, props: ProjectFile, env: Mapping[str, str]) -> Path:
    named = env.get("SQLINFER_TARGET_PATH") or env.get("DBT_TARGET_PATH")
    return (root / (named or props.target_path)).absolute()


def _project_file(root: Path) -> tuple[YamlFile, ProjectFile]:
    path = root / PROJECT_FILE
    for witness in seen():
        witness.probe("file", path)
    if not path.is_file():
        hint = "run this inside a project, or give --project-dir; 'sqlinfer init NAME' makes one"
        if (root / "dbt_project.yml").is_file():
            hint = "this is a dbt project: 'sqlinfer dbt build' builds it; run, freshness, lookup, report and schedule "
            hint += "take --dbt there, as in 'sqlinfer run --dbt'"
        raise ProjectError(f"no {PROJECT_FILE} in {root}", hint=hint, location=Location(path))
    file = read_yaml(path)
    if file.data is None:
        raise ProjectError(f"{PROJECT_FILE} is empty", hint="it needs at least 'name' and 'profile'",
                           location=Location(path, 1))  # fmt: skip
    props = validate(ProjectFile, file, file.data)
    for key in ("tests", "data_tests"):
        if getattr(props, key):
            raise file.error(f"'{key}' in {PROJECT_FILE} is not supported", (key,),
                             hint="configure each test in its own config:")  # fmt: skip
    versions.require(props.require_version, __version__, file)
    return file, props


def given_vars(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    if given is None or isinstance(given, Mapping):
        return _whole(dict(given or {}))
    try:
        data = parse_yaml(given).data
    except ProjectError as error:
        raise UsageError(f"--vars: {error.message}", hint="""for example --vars '{"day": "2026-01-31"}'""") from error
    if data is not None and not isinstance(data, dict):
        raise UsageError("--vars is not a mapping", hint="""for example --vars '{"day": "2026-01-31"}'""")
    return _whole({str(key): value for key, value in (data or {}).items()})


def _whole(given: dict[str, Any]) -> dict[str, Any]:
    """Variables whose texts are whole: half a character can neither be sent to a warehouse nor written to a file."""
    for name, value in given.items():
        if not is_whole({name: value}):
            raise UsageError(f"--vars: '{one_line(name)}' holds half a character", hint="is a text cut, or not UTF-8?")
    return given


def _project_vars(props: ProjectFile, file: YamlFile) -> dict[str, Any]:
    """``vars:``; those under the project's own name win, as in dbt."""
    everywhere = dict(props.vars or {})
    own = everywhere.pop(props.name, None)
    if own is not None and not isinstance(own, dict):
        return {**everywhere, props.name: own}
    return {**everywhere, **(own or {})}


def _assemble(root: Path, file: YamlFile, props: ProjectFile, profile: Profile, variables: Mapping[str, Any],
              env: Mapping[str, str]) -> Project:  # fmt: skip
    yaml_context = plain_context(variables, Environment(env), target_of(profile))
    paths = {name: _folders(root, props, file, name) for name in ("model", "function", "seed", "macro", "test")}
    own = _macros((*paths["macro"], *(folder / discover.GENERIC for folder in paths["test"])), root)
    macros = (*own, *read_packages(root))
    functions = load_functions(paths["function"], root, engine(), yaml_context, _dialect(profile))
    trees = {}
    for section in ("models", "seeds"):
        data = render_values(getattr(props, section) or {}, (section,), file, engine(), yaml_context)
        trees[section] = configs.Tree(file, section, data)
    base = Project(
        name=props.name, version=props.version, root=root, profile=profile, vars=dict(variables), functions=functions,
        macros=macros, env=public(env), model_paths=paths["model"], function_paths=paths["function"],
        seed_paths=paths["seed"], macro_paths=paths["macro"], test_paths=paths["test"],
        target_path=_target_path(root, props, env),
        clean_targets=tuple(root / name for name in (props.clean_targets or [props.target_path])),
        on_run_start=read_hooks(props.on_run_start, "on-run-start", file.locate(("on-run-start",))),
        on_run_end=read_hooks(props.on_run_end, "on-run-end", file.locate(("on-run-end",))),
        selectors=read_selectors(root, engine(), yaml_context),
        warnings=tuple(f"'{key}' in {file.path} is ignored" for key in IGNORED_PROJECT_KEYS if key in file.data),
        prices=read_prices(render_values(props.prices, ("prices",), file, engine(), yaml_context), file),
    )  # fmt: skip
    described = properties.read((*paths["model"], *paths["seed"]), paths["function"], root, engine(), yaml_context)
    base = replace(base, warnings=(*base.warnings, *unbuilt(base, props.snapshot_paths)))
    project = discover.nodes(base, described, trees, Macros(macros, engine()))
    project = graph.with_gates(project)
    return finished(project)


def _dialect(profile: Profile) -> str:
    return profile.type


def _folders(root: Path, props: ProjectFile, file: YamlFile, name: str) -> tuple[Path, ...]:
    key = f"{name}-paths"
    for index, text in enumerate(getattr(props, f"{name}_paths")):
        if Path(text).is_absolute() or ".." in Path(text).parts:
            keys = (key, index) if isinstance(file.data.get(key), list) else (key,)
            raise file.error(f"'{text}' leaves the project folder", keys, value=True, hint="use a path inside it")
    return tuple(root / text for text in getattr(props, f"{name}_paths"))


def _macros(folders: tuple[Path, ...], root: Path) -> tuple[MacroFile, ...]:
    found = []
    for path in files.found(folders, root, (".sql",)):
        source = read_text(path)
        macros = engine().compile(source, path).macros
        found.append(MacroFile(path, source, tuple(n for n, _ in macros), lines=tuple(line for _, line in macros)))
    return tuple(found)
