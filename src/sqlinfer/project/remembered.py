"""A project as it was read before, where everything that reading it looked at is as it was.

In: the arguments of ``load``. Out: the same project, from a file below the target folder, or read and then written
there. The file is sealed (``sealed``), holds no secret, and is asked for what it depends on (``witness``) each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlinfer import scrub, sealed
from sqlinfer.project import load as read_files
from sqlinfer.project.every_time import finished, learn_secrets
from sqlinfer.project.pieces import Pieces, using
from sqlinfer.project.secret import Concealed, Secrets, is_secret, public
from sqlinfer.project.values import DataTest, Profile, Project
from sqlinfer.project.witness import Witness, holds, watching
from sqlinfer.spec.plain import Coder, NotPlain

FOLDER = "cache"
FORMAT = 1
_LIBRARIES = (
    "duckdb",
    "sqlglot",
    "jinja2",
    "ruamel.yaml",
    "ruamel_yaml",
    "pydantic",
    "pydantic_core",
    "sqlinfer",
)
_TARGET = re.compile(r"^target-path:[ \t]*([\"']?)(?P<path>[\w][\w./-]*)\1[ \t]*(?:#.*)?$", re.M)
_SWITCH = ("SQLINFER_PARTIAL_PARSE", "DBT_PARTIAL_PARSE")


def load(
    project_dir: Path,
    *,
    profiles_dir: Path | None = None,
    profile: str | None = None,
    target: str | None = None,
    vars: Mapping[str, Any] | str | None = None,
    env: Mapping[str, str],
) -> Project:
    """As ``project.load``; errors are those of reading the files."""
    how = {"profiles_dir": profiles_dir, "profile": profile, "target": target, "vars": vars}
    key, base = seal_key(env), _target(project_dir.absolute(), env)
    if key is None or base is None:
        return read_files(project_dir, **how, env=env)  # type: ignore[arg-type]
    path = base / FOLDER / f"project-{_name(project_dir, how, env, key)}.json"
    found = None if path.parent.is_symlink() else sealed.read(path, key)
    known = None
    with suppress(NotPlain):
        known = _recalled(found, project_dir, how, env) if found is not None else None
    if known is not None:
        return finished(known)
    pieces = Pieces(found["pieces"] if found is not None else {})
    with watching() as witness, using(pieces):
        project = read_files(project_dir, **how, env=env)  # type: ignore[arg-type]
    if project.target_path == base:
        _keep(project, witness, pieces, base, path, key)
    return project


def seal_key(env: Mapping[str, str]) -> bytes | None:
    """None: nothing is remembered."""
    off = next((env[name].casefold() for name in _SWITCH if name in env), "")
    return None if off in ("0", "false", "f", "no", "n", "off") else sealed.key_of(env)


def _target(root: Path, env: Mapping[str, str]) -> Path | None:
    """The target folder, as far as it can be told without reading YAML."""
    named = env.get("SQLINFER_TARGET_PATH") or env.get("DBT_TARGET_PATH")
    try:
        text = (root / "sqlinfer_project.yml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    if not named and "target-path" in text:
        found = _TARGET.search(text)
        if found is None or text.count("target-path") > 1:
            return None
        named = found["path"]
    return (root / (named or "target")).absolute()


def _name(project_dir: Path, how: Mapping[str, Any], env: Mapping[str, str], key: bytes) -> str:
    """What the work is asked for, and who does it. Without the key nobody finds out what was asked for."""
    asked = [str(project_dir.absolute()), os.path.realpath(project_dir), os.getcwd(), env.get("HOME"),
             env.get("DBT_PROFILES_DIR"), repr(how), *versions()]  # fmt: skip
    return hashlib.sha256(key + json.dumps(asked).encode(errors="replace")).hexdigest()[:32]


_versions: list[str] = []


def versions() -> list[str]:
    """Of this code, of Python, and of the libraries that read and plan; files of ours by their times, too."""
    if not _versions:
        own = Path(__file__).parents[1]
        stamps = [f"{path}:{stamp}" for path, stamp in sorted(_stamps(str(own)))]
        folders = [folder for folder in sys.path if folder and os.path.isdir(folder)]
        names = sorted(
            name for folder in folders for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))
        )
        wanted = [name for name in names if name.rpartition(".")[0].partition("-")[0].casefold() in _LIBRARIES]
        code = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
        _versions.extend([str(FORMAT), sys.version, code, *wanted])
    return _versions


def _stamps(folder: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _stamps(entry.path)
            elif entry.name.endswith((".py", ".sql", ".json", ".so")):
                info = entry.stat()
                yield entry.path, f"{info.st_size}:{info.st_mtime_ns}"


# ---- in and out ----------------------------------------------------------------------------------------------------


def _coder() -> Coder:
    return Coder({DataTest: "unique_id"})


def _recalled(
    found: Mapping[str, Any], project_dir: Path, how: Mapping[str, Any], env: Mapping[str, str]
) -> Project | None:
    """None where something has changed since. Raises NotPlain."""
    if found["project"] is None or not holds(found["witness"], public(env)):
        return None
    scrub.learn(value for name, value in env.items() if is_secret(name))
    given = how["vars"]
    if isinstance(given, str):
        from sqlinfer.project.loading import given_vars

        given = given_vars(given)
    learn_secrets(given or {})
    profile = _profile(found, project_dir, how, given or {}, env)
    if _facts(profile) != found["facts"]:
        return None
    coder = _coder()
    coder.fill(found["pool"])
    project: Project = coder.decode(Project, found["project"])
    return replace(project, profile=profile, env=public(env))


def _profile(
    found: Mapping[str, Any],
    project_dir: Path,
    how: Mapping[str, Any],
    given: Mapping[str, Any],
    env: Mapping[str, str],
) -> Profile:
    told = found["profile"]
    if told is not None:
        config = Coder().decode(dict[str, Any], told["config"])
        path = Path(told["path"]) if told["path"] else None
        return Profile(
            told["name"], told["target"], told["type"], Concealed(config, Secrets({})), told["threads"], path
        )
    from sqlinfer.project.jinja import engine
    from sqlinfer.project.profile import load_profile

    return load_profile(project_dir.absolute(), found["profile_name"], profiles_dir=how["profiles_dir"],
                        target=how["target"], env=env, variables=given, engine=engine())  # fmt: skip


def _facts(profile: Profile) -> list[Any]:
    """What reading a project takes from its profile."""
    return [profile.name, profile.target, profile.type, profile.schema, profile.database, profile.threads]


def _keep(project: Project, witness: Witness, pieces: Pieces, base: Path, path: Path, key: bytes) -> None:
    """Of one that asked the clock, the pieces that did not."""
    coder = _coder()
    profile = project.profile
    try:
        whole = replace(project, env={}, profile=Profile("", "", "", {}))
        told = None if witness.fleeting else coder.encode(Project, whole)
        content = {
            "witness": witness.as_json(), "facts": _facts(profile), "profile": None, "profile_name": witness.profile,
            "project": told, "pieces": pieces.used, "pool": {name: value for name, (_, value) in coder.pool.items()},
        }  # fmt: skip
        if witness.keeps_profile and told is not None:
            content["profile"] = {
                "name": profile.name, "target": profile.target, "type": profile.type, "threads": profile.threads,
                "config": coder.encode(dict[str, Any], dict(profile.config)),
                "path": str(profile.path) if profile.path else None,
            }  # fmt: skip
        text = json.dumps(content)
    except NotPlain:
        return
    if scrub.scrub(text) == text and not path.parent.is_symlink():
        sealed.write(base, path, content, key)
