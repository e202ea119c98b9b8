"""``sqlinfer dbt``: predictions inside a dbt project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sqlinfer.cli.options import EXECUTION, Flags, Whole, from_env, shared

if TYPE_CHECKING:
    from sqlinfer.api import RunOptions
    from sqlinfer.cli.console import Console
    from sqlinfer.dbt.build import Mixed
    from sqlinfer.dbt.flags import DbtFlags


@click.group("dbt")
def command() -> None:
    """Build, preview and set up predictions inside a dbt project."""


def dbt_options(flags: Flags) -> RunOptions:
    """The options of a command that works in a dbt project: the nearest one above, as dbt has it."""
    from sqlinfer.dbt.home import find_home

    return replace(flags.options(), project_dir=flags.project_dir or find_home(Path.cwd()))


_PASSED_ON: dict[str, Any] = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@command.command("build", context_settings=_PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[DBT FLAGS]…")
def build(words: tuple[str, ...]) -> int:
    """Build the whole graph: dbt its SQL nodes and tests, sqlinfer the predictions between them.

    Takes the flags of `dbt build` (--select, --exclude, --target, --vars, --full-refresh, --threads, …) and --device.
    """
    return _mixed(words, retry=False)


@command.command("retry", context_settings=_PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[DBT FLAGS]…")
def retry(words: tuple[str, ...]) -> int:
    """Continue the last `sqlinfer dbt build` or `sqlinfer run --dbt`: what failed, was skipped or never started.

    What was scored and could not be published is published without scoring again.
    """
    return _mixed(words, retry=True)


def _mixed(words: tuple[str, ...], *, retry: bool) -> int:
    from sqlinfer.cli.console import job
    from sqlinfer.dbt.flags import split

    before = _words_before()
    given = split((*before, *words))
    folder = given.value("--project-dir")
    root = Path(folder) if folder else _home_above()
    with job(_shown(given, root), "dbt build") as console:
        from sqlinfer import __version__

        console.way_on = "sqlinfer dbt retry"
        console.line(f"Running with sqlinfer={__version__}: dbt reads the project")
        return (_retry if retry else _build)(before, words, root, console)


def _build(before: Sequence[str], words: Sequence[str], root: Path, console: Console,
           only: Sequence[str] | None = None) -> int:  # fmt: skip
    from sqlinfer.dbt import build as builds

    return _summary(
        builds.build((*before, *words), root, on_event=console.on_event, cancel=console.cancel,
                     say=console.paragraph, only=only), console
    )  # fmt: skip


def _retry(before: Sequence[str], words: Sequence[str], root: Path, console: Console) -> int:
    from sqlinfer.dbt import build as builds
    from sqlinfer.dbt import executor
    from sqlinfer.dbt.flags import split
    from sqlinfer.dbt.home import read_home

    home = read_home(root, None, os.environ)
    last = builds.newer_run(home)
    if last is not None:
        options = split((*before, *words)).options(root)
        return console.finish(executor.retry(options, last, on_event=console.on_event, cancel=console.cancel))
    earlier, only = builds.remaining(home)
    return _build((*earlier, *before), words, root, console, only)


_PASSED: Mapping[str, str] = {
    "project_dir": "--project-dir", "profiles_dir": "--profiles-dir", "profile": "--profile", "target": "--target",
    "variables": "--vars", "threads": "--threads", "log_format": "--log-format", "log_level": "--log-level",
    "quiet": "--quiet", "debug": "--debug", "use_colors": "--use-colors",
}  # fmt: skip
"""Our flag that may stand before `dbt build`, or in a variable → dbt's."""


def _words_before() -> list[str]:
    """What was said before `dbt build` or by a variable, as dbt's flags."""
    root = click.get_current_context().find_root()
    words: list[str] = []
    for name, flag in _PASSED.items():
        value = root.params.get(name)
        value = from_env(name, root) if value is None else value
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif value is not None:
            words += [flag, str(value)]
    return words


def _home_above() -> Path:
    """The nearest folder with a dbt_project.yml; here `home` itself is too dear to import."""
    here = Path.cwd()
    return next((one for one in (here, *here.parents) if (one / "dbt_project.yml").is_file()), here)


def _shown(given: DbtFlags, root: Path) -> Flags:
    """How our own lines look, by the flags that rule dbt's."""
    from sqlinfer.dbt.flags import project_flags

    own = project_flags(root)
    quiet = given.on("--quiet") if given.said("--quiet") else bool(own.get("quiet"))
    colors = given.on("--use-colors") if given.said("--use-colors") else own.get("use_colors")
    level = given.value("--log-level") or own.get("log_level")
    form = given.value("--log-format") or own.get("log_format")
    folder = given.value("--project-dir")
    return Flags(
        project_dir=Path(folder) if folder else None, debug=given.on("--debug") or None,
        log_format="json" if str(form).lower() == "json" else "text",
        log_level="error" if quiet and level != "none" else str(level).lower() if level else None, use_colors=colors,
    )  # fmt: skip


def _summary(mixed: Mixed, console: Console) -> int:
    failures = [result for result in mixed.results.values() if result["status"] not in ("success", "pass", "no-op")]
    told: set[str] = set()  # what keeps a test from running is what is wrong with its node, too
    for result in failures:
        same = result["unique_id"].startswith("test.") and result["message"] in told
        told.add(str(result["message"]))
        if result["status"] != "skipped" and not same:
            level = "warn" if result["status"] == "warn" else "error"
            console.paragraph(
                f"{str(result['status']).upper()} {result['unique_id']}: {result['message']}", level=level
            )
    if not mixed.plan.ids and not mixed.results:
        console.line("[WARNING] Nothing to do. Try checking your model configs and model specification args",
                     level="warn")  # fmt: skip
    counts = mixed.counts()
    console.line("Done. " + " ".join(f"{name}={count}" for name, count in counts.items()), data=dict(counts))
    if console.cancel.is_set():
        console.interrupted()
    elif mixed.exit_code:
        console.line("Continue with: sqlinfer dbt retry")
    return mixed.exit_code


@command.command("preview")
@click.argument("node")
@click.option("--manifest", type=click.Path(dir_okay=False, path_type=Path), help="Use this manifest.json of dbt.")
@click.option("--limit", type=Whole(), default=5, show_default=True, help="Rows to show; -1 for all.")
@click.option(
    "--output", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True,
)  # fmt: skip
@shared(EXECUTION)
def preview(flags: Flags, node: str, manifest: Path | None, limit: int, output: str) -> int:
    """Show the first rows of the prediction node NODE, as `dbt show` does for others. Nothing is published."""
    from sqlinfer.cli.console import job
    from sqlinfer.cli.tables import write_table
    from sqlinfer.dbt import executor

    with job(flags, "preview", results_on_stdout=True) as console:
        rows = executor.preview(
            dbt_options(flags), node, manifest=manifest, limit=limit, on_event=console.on_event
        )  # fmt: skip
    write_table(rows, output)
    return 0


@command.command("init")
@click.option("--git", metavar="URL", help="Take the package from this repository instead of copying it.")
@click.option("--revision", help="Tag or commit of --git (default: the tag of this version).")
@click.option("--model", metavar="NAME", help="The model that the starter scores (default: one that looks like it).")
@shared()
def init(flags: Flags, git: str | None, revision: str | None, model: str | None) -> int:
    """Add sqlinfer to the dbt project here: its package, a function in ml/, and a node that calls it.

    The columns of a model decide the arguments of the function. Nothing is built, trained or fitted.
    """
    from functools import partial

    from sqlinfer.dbt.scaffold import add_to_project
    from sqlinfer.dbt.starter import find_subject

    options = dbt_options(flags)
    find = partial(find_subject, options, model)
    done = add_to_project(options.project_dir, find=find, required=model is not None, git=git, revision=revision)
    for line in done:
        click.echo(line)
    click.echo("\nNext:\n\n  dbt deps\n  sqlinfer dbt build\n")
    return 0


@command.command("sources")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write this file instead of printing.")
@click.option("--name", default="sqlinfer", show_default=True, help="Name of the source.")
@shared()
def sources(flags: Flags, out: Path | None, name: str) -> int:
    """Print a sources.yml with freshness for a dbt project that reads what this sqlinfer project publishes."""
    from sqlinfer import api
    from sqlinfer.dbt.sources import sources_yml

    text = sources_yml(api.load(flags.options()), name)
    if out is None:
        click.echo(text, nl=False)
        return 0
    out.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {out}", err=True)
    return 0


@command.command("docs")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write this file instead of printing.")
@click.option("--manifest", type=click.Path(dir_okay=False, path_type=Path), help="Use this manifest.json of dbt.")
@shared()
def docs(flags: Flags, out: Path | None, manifest: Path | None) -> int:
    """Print a yml with one exposure per function and the column types of prediction nodes, for `dbt docs`."""
    from sqlinfer.dbt.docs import docs_yml

    text = docs_yml(dbt_options(flags), manifest)
    if out is None:
        click.echo(text, nl=False)
        return 0
    out.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {out}", err=True)
    return 0


@command.command("checksums")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write this file instead of printing.")
@shared()
def checksums(flags: Flags, out: Path | None) -> int:
    """Print a dbt macro with the checksums of all functions' files: `state:modified` sees a new model through it.

    Keep it as macros/sqlinfer_functions.sql.
    """
    from sqlinfer.dbt.checksums import checksums_sql, write

    root = dbt_options(flags).project_dir
    if out is None:
        click.echo(checksums_sql(root), nl=False)
        return 0
    click.echo(f"Wrote {out}" if write(out, root) else f"{out} is up to date", err=True)
    return 0
