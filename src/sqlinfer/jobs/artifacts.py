"""Files under the target path: compiled SQL, manifest.json, run_results.json."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.shared import script
from sqlinfer.compiler.compiled import CompiledNode
from sqlinfer.errors import ProjectError, SqlinferError, SystemRefused, UsageError
from sqlinfer.files import open_own, parse_json, write_below
from sqlinfer.jobs import cleaning, comparing, manifest
from sqlinfer.jobs.journal import RESULTS, Journal
from sqlinfer.jobs.told import told
from sqlinfer.project import Node, Project
from sqlinfer.project.journal import with_journal
from sqlinfer.runner.results import RunResult, write_json
from sqlinfer.scrub import scrub_sql
from sqlinfer.version import __version__

if TYPE_CHECKING:
    from sqlinfer.jobs.night import Night


def save_results(project: Project, result: RunResult) -> None:
    Journal(project).save(result)


def read_results(target: Path) -> dict[str, Any]:
    """The last run's results, also those that a kill left in the journal alone.

    Raises:
        UsageError: there are none, or they are not ours.
    """
    path = target / RESULTS
    try:
        content = parse_json(_read_own(path))
    except FileNotFoundError:
        raise UsageError("nothing to retry: there is no run_results.json", hint="start with `sqlinfer run`") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", hint="start over with `sqlinfer run`") from error
    try:
        whole = isinstance(content["args"]["nodes"], list) and all(
            {"unique_id", "status", "adapter_response"} <= item.keys() for item in content["results"]
        )
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise UsageError(f"{path} was not written by sqlinfer", hint="start over with `sqlinfer run`")
    return with_journal(content, target, _read_own)


def _read_own(path: Path) -> bytes:
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def save_compiled(night: Night, compiled: Mapping[str, CompiledNode | SqlinferError]) -> None:
    """compiled/<project>/… for each planned node, and the manifest."""
    project = night.project
    contracts = {name: prepared.contract for name, prepared in night.functions.opened.items()}
    texts = {
        uid: script.of_plan(item.plan, contracts) for uid, item in compiled.items() if isinstance(item, CompiledNode)
    }
    paths = {uid: compiled_path(project, project.nodes[uid]) for uid in texts}
    for unique_id, text in texts.items():
        path = paths[unique_id]
        try:
            write_below(project.target_path, path, (scrub_sql(text) + "\n").encode(errors="replace"))
        except OSError as error:
            raise ProjectError(
                f"compiled SQL cannot be written to {path}: {error.strerror or error}",
                hint=SystemRefused.of(error).hint,
            ) from error
    root = project.target_path / "compiled"
    names = [str(path.relative_to(root)) for path in paths.values()]
    aspects = comparing.today(project)
    lineage = {uid: item.lineage for uid, item in compiled.items() if isinstance(item, CompiledNode)}
    content = manifest.build(
        project, texts, contracts, aspects, version=__version__, invocation_id=night.run_id, lineage=lineage
    )
    with told(project):
        cleaning.remember_compiled(project.target_path, names)
        write_json(project.target_path / "manifest.json", content)


def compiled_path(project: Project, node: Node) -> Path:
    inside = node.path.relative_to(project.root) if node.path.is_relative_to(project.root) else Path(node.path.name)
    return project.target_path / "compiled" / project.name / inside
