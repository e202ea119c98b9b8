"""``sqlinfer schedule``: what is printed is what the schedulers themselves take."""

from __future__ import annotations

import json
import py_compile
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sqlinfer import api
from sqlinfer.api import RunOptions
from sqlinfer.cli.main import invoke
from sqlinfer.errors import ProjectError, UsageError
from sqlinfer.jobs.schedules import SCHEDULERS

NASTY = "{city: '50% $x $(HOME) ${{ a }} {{ b }}'}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my shop"
    (folder / "models").mkdir(parents=True)
    (folder / "sqlinfer_project.yml").write_text(
        "name: my_shop\nprofile: p\nvars: {city: \"{{ env_var('CITY', 'x') }}\"}\n"
    )
    (folder / "profiles.yml").write_text(
        "p:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: \"{{ env_var('SHOP_DB', 'shop.duckdb') }}\"}\n"
    )
    (folder / "models" / "a.sql").write_text('select \'{{ env_var("DAY", "1") }}\' as day')
    return folder


def files(root: Path, scheduler: str, **given: object) -> Mapping[str, str]:
    options = {name: given.pop(name) for name in ("select", "vars", "target") if name in given}
    return api.schedule(RunOptions(project_dir=root, **options), scheduler, **given)  # type: ignore[arg-type]


def text_of(root: Path, scheduler: str, **given: object) -> str:
    (text,) = files(root, scheduler, **given).values()
    return text


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_unit_continues_what_failed_and_names_the_variables(root: Path, scheduler: str) -> None:
    text = "".join(files(root, scheduler, select=("tag:nightly",), vars=NASTY, at="03:07").values())
    assert "run" in text
    assert "retry" in text
    assert "tag:nightly" in text
    assert "Exit codes: 0" in text
    if scheduler != "systemd":
        assert "7 3 * * *" in text
    for name in ("CITY", "SHOP_DB", "DAY"):
        assert name in text


@pytest.mark.extra
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_service_and_timer(root: Path, tmp_path: Path) -> None:
    found = files(root, "systemd", vars=NASTY, timezone="Europe/Berlin")
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in found)], capture_output=True, text=True
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "my-shop" in line]) == (0, [])
    assert sorted(found) == ["sqlinfer-my-shop.service", "sqlinfer-my-shop.timer"]


@pytest.mark.extra
@pytest.mark.skipif(shutil.which("crontab") is None, reason="no cron here")
def test_cron_takes_the_table(root: Path, tmp_path: Path) -> None:
    (tmp_path / "tab").write_text(text_of(root, "cron", vars=NASTY, timezone="Europe/Berlin"))
    done = subprocess.run(["crontab", "-n", str(tmp_path / "tab")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_line_of_cron_runs_what_was_typed(root: Path) -> None:
    (line,) = (line for line in text_of(root, "cron", vars=NASTY).splitlines() if line.startswith("0 2 * * * "))
    command = line.removeprefix("0 2 * * * ").replace(r"\%", "%")
    assert "%" not in line.replace(r"\%", "")
    words = shlex.split(command)
    assert words[words.index("--vars") + 1] == NASTY
    assert words[words.index("--project-dir") + 1] == str(root)


def test_the_shell_of_systemd_stops_without_a_retry(root: Path, tmp_path: Path) -> None:
    """Run by a shell with a stand-in for the program: a stop is no failure to be tried again."""
    program = tmp_path / "sqlinfer"
    program.write_text(
        f'#!/bin/sh\necho "$1" >> "{tmp_path}/calls"\n[ "$1" = run ] && kill -TERM $PPID && exit 1\nexit 0\n'
    )
    program.chmod(0o755)
    service = files(root, "systemd")["sqlinfer-my-shop.service"]
    (line,) = (line for line in service.splitlines() if line.startswith("ExecStart="))
    script = json.loads(line.removeprefix("ExecStart=/bin/sh -c ")).replace("$$", "$").replace("%%", "%")
    real = shlex.split(script)[shlex.split(script).index("run") - 1]
    subprocess.run(["/bin/sh", "-c", script.replace(real, str(program))], check=False)
    assert (tmp_path / "calls").read_text().split() == ["run"]


@pytest.mark.parametrize("scheduler", ["airflow", "dagster", "prefect"])
def test_python_units_compile(root: Path, tmp_path: Path, scheduler: str) -> None:
    (tmp_path / "unit.py").write_text(text_of(root, scheduler, vars=NASTY))
    py_compile.compile(str(tmp_path / "unit.py"), doraise=True)


def test_kubernetes_hands_signals_on_and_keeps_the_text(root: Path) -> None:
    job = YAML(typ="safe").load(text_of(root, "kubernetes", vars=NASTY, timezone="Europe/Berlin"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert (job["spec"]["schedule"], job["spec"]["timeZone"]) == ("0 2 * * *", "Europe/Berlin")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (script,) = container["args"]
    assert "trap" in script
    assert "$$(HOME)" in script
    assert {one["name"] for one in container["env"]} == {"CITY", "DAY", "SHOP_DB"}
    subprocess.run(["/bin/sh", "-n", "-c", script], check=True)


def test_github_actions_never_cancels_a_night(root: Path) -> None:
    workflow = YAML(typ="safe").load(text_of(root, "github-actions", vars=NASTY))
    assert workflow["on"]["schedule"] == [{"cron": "0 2 * * *"}]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    job = workflow["jobs"]["predictions"]
    assert job["env"]["SHOP_DB"] == "${{ secrets.SHOP_DB }}"
    (step,) = (step for step in job["steps"] if "retry" in step.get("run", ""))
    assert "${{ '${{' }} a }}" in step["run"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"at": "25:00"}, "no time of day"), ({"at": "2"}, "no time of day"), ({"at": "１:00"}, "no time of day"),
        ({"timezone": "Europe/Berln"}, "unknown time zone"), ({"vars": "a: 1\nb: 2"}, "no place in one line"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(root: Path, given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        files(root, "cron", **given)


def test_an_unknown_scheduler_and_a_missing_project_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown scheduler 'crom'") as caught:
        files(root, "crom")
    assert "cron" in str(caught.value.hint)
    with pytest.raises(ProjectError):
        files(tmp_path / "nothing", "cron")


def test_github_actions_has_no_other_zone_than_utc(root: Path) -> None:
    with pytest.raises(UsageError, match="UTC alone"):
        files(root, "github-actions", timezone="Europe/Berlin")


def test_bounds_go_into_the_command(root: Path) -> None:
    from click.testing import CliRunner

    from sqlinfer.cli.main import cli

    words = ["schedule", "cron", "--project-dir", str(root), "--max-seconds", "600", "--max-rows", "1000"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "--max-rows 1000 --max-seconds 600" in done.output


def test_the_night_of_a_dbt_project_is_a_mixed_build(root: Path) -> None:
    from click.testing import CliRunner

    from sqlinfer.cli.main import cli

    (root / "dbt_project.yml").write_text("name: my_shop\nprofile: p\nmodel-paths: [models]\n")
    words = ["schedule", "cron", "--project-dir", str(root), "--dbt", "--select", "tag:nightly"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    where = f"--project-dir {shlex.quote(str(root))} --log-format json"
    assert f"sqlinfer dbt build {where} --select tag:nightly" in done.output
    assert f"sqlinfer dbt retry {where}" in done.output
    assert "# DAY=" in done.output
    assert CliRunner().invoke(cli, [*words, "--max-rows", "3"]).exit_code == 2


def test_a_night_of_dbts_is_a_build(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schedule", "cron", "--dbt", "--command", "run", "--project-dir", str(root)]) == 2
    assert "the night there is `sqlinfer dbt build`" in capfd.readouterr().err


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_bounds_stand_as_numbers_in_the_night_and_in_what_continues_it(root: Path, scheduler: str) -> None:
    given = RunOptions(project_dir=root, max_rows=12_345_678, max_seconds=0.1, max_cost=1_000_000.5)
    text = "".join(api.schedule(given, scheduler).values())
    for flag, number in (("--max-rows", "12345678"), ("--max-seconds", "0.1"), ("--max-cost", "1000000.5")):
        assert len(re.findall(rf"{flag}[', ]+{re.escape(number)}(?![0-9.])", text)) >= 2, text


def test_a_selection_by_state_and_variables_of_python_are_spelled_for_the_night(root: Path) -> None:
    options = RunOptions(project_dir=root, select=("state:modified",), state=Path("prod"), vars={"a": None, "b": True})
    text = "".join(api.schedule(options, "cron").values())
    assert f"--state {Path('prod').absolute()}" in text
    assert """--vars '{"a": null, "b": true}'""" in text
