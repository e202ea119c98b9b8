"""The entry point: a click group that imports a command only when it is called. In: argv. Out: an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any, NoReturn

import click

from sqlinfer.cli import imported
from sqlinfer.cli.options import ENV_PREFIXES, GLOBAL_OPTIONS, add_options, join_selectors
from sqlinfer.errors import SqlinferError, SystemRefused
from sqlinfer.scrub import ScrubbedStream, learn

COMMANDS = {
    "build": "Seed, run and test the selected nodes in the order of the graph.",
    "clean": "Remove what sqlinfer wrote into the target folder; databases stay.",
    "compile": "Show the plan of each selected node; write compiled SQL and manifest.json.",
    "dbt": "Build, preview and set up predictions inside a dbt project.",
    "debug": "Check the profile, the connection, each function's artifact and the device.",
    "deps": "Fetch the dbt packages of packages.yml, whose macros can be called.",
    "freshness": "Tell how old and how stale the predictions are, and with --impact whether it matters.",
    "functions": "List and describe the declared functions.",
    "init": "Write a small project that runs.",
    "ls": "List the selected nodes.",
    "lookup": "Show one published prediction by its key, when it was made and whether it still holds.",
    "preview": "Show the first rows of a node or of inline SQL, without publishing anything.",
    "report": "Write what the nights did as one HTML file, or serve it on this machine.",
    "retry": "Continue the last run: what failed, was skipped, or was scored and not published.",
    "run": "Score and publish the selected models.",
    "schedule": "Print a unit for cron, systemd, Airflow and others that runs the project every night.",
    "schema": "Print a JSON Schema of the project's yml files, for editors.",
    "seed": "Load the seeds into the warehouse.",
    "source": "Compare the newest rows of the sources with their freshness.",
    "test": "Run the data tests of the selected nodes on the published tables.",
    "verify": "Compare prepared functions with their original libraries, on your own rows.",
}
"""Command → its line in ``--help``. The module of the same name under ``commands`` holds it."""
ALIASES = {"list": "ls", "show": "preview"}
"""dbt's names for the same."""


DBT_ONLY = {
    "clone": "", "docs": ": `sqlinfer dbt docs` writes a yml for it",
    "parse": ": `sqlinfer compile` checks a project", "run-operation": "",
    "snapshot": "",
}  # fmt: skip
"""Commands of dbt's that sqlinfer does not have, and what comes nearest."""


class LazyGroup(click.Group):
    """Commands are modules of ``sqlinfer.cli.commands``, imported when first needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"sqlinfer.cli.commands.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            same = {name: f" Alias: {alias}." for alias, name in ALIASES.items()}
            formatter.write_dl([(name, text + same.get(name, "")) for name, text in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_selectors(args, {*COMMANDS, *ALIASES}))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        from sqlinfer.errors import did_you_mean

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0] in DBT_ONLY:
                text = f"'{args[0]}' is a command of dbt's that sqlinfer does not have{DBT_ONLY[args[0]]}"
                raise click.UsageError(text, ctx) from error
            hint = did_you_mean(args[0], [*COMMANDS, *ALIASES])
            raise click.UsageError(f"{error.message} {hint or ''}".strip(), ctx) from error


def version_callback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from sqlinfer import __version__

        click.echo(f"sqlinfer {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=version_callback)
@add_options(GLOBAL_OPTIONS)
def cli(**_: Any) -> None:
    """Prediction as a nightly SQL job: predict() in a SELECT, predictions in a table."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with dbt's exit codes: 0 fine, 1 a node or test failed, 2 usage or internal."""
    argv = list(sys.argv[1:] if args is None else args)
    imported()
    _tune()
    _leave(invoke(argv))


def _tune() -> None:
    """The process is ours: no collection while imports fill the heap, no numpy threads that spin for a core."""
    gc.set_threshold(200_000, 20, 50)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # they are looked for in every installed package


def _leave(code: int) -> NoReturn:
    """Without taking the heap apart, which goes with the process anyway: that takes a quarter of a short command."""
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        quiet_pipe()
    except OSError:
        sys.exit(code or 1)
    os._exit(code)


def invoke(argv: list[str]) -> int:
    """Run one command; its exit code. Nothing that it prints, tracebacks included, holds a known secret."""
    learn(value for name, value in os.environ.items() if name.startswith("DBT_ENV_SECRET"))
    with redirect_stdout(ScrubbedStream(sys.stdout)), redirect_stderr(ScrubbedStream(sys.stderr)):
        return _invoke(argv)


def _invoke(argv: list[str]) -> int:
    try:
        code = cli.main(argv, prog_name="sqlinfer", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        return 1
    except SqlinferError as error:
        return report(error, debug=wants_debug(argv))
    except BrokenPipeError:
        return quiet_pipe()
    except OSError as error:
        return report(SystemRefused.of(error), debug=wants_debug(argv), cause=error)
    except Exception:
        import traceback

        click.echo(traceback.format_exc(), err=True)
        click.echo("This is a bug in sqlinfer: please report it with the lines above.", err=True)
        return 2


def wants_debug(argv: Sequence[str]) -> bool:
    named = (os.environ.get(f"{prefix}DEBUG", "").lower() for prefix in ENV_PREFIXES)
    return "--debug" in argv or "-d" in argv or next(filter(None, named), "") in ("1", "true", "t", "yes", "y", "on")


def report(error: SqlinferError, *, debug: bool, cause: BaseException | None = None) -> int:
    """The message, the place and the hint on stderr; the traceback only where it was asked for."""
    if debug:
        import traceback

        click.echo("".join(traceback.format_exception(cause or error)), err=True)
    click.echo(f"{click.style('Error:', fg='red')} {error}", err=True, color=None if use_color() else False)
    return error.exit_code


def use_color() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def quiet_pipe() -> int:
    """The reader of our output left (``| head``): that is no error, but the flush at exit must not raise either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
