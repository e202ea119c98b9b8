"""The command line as a process and in-process, without a warehouse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sqlinfer import __version__
from sqlinfer.cli.main import COMMANDS, invoke

HEAVY = ("onnxruntime", "onnx", "torch", "duckdb", "pyarrow", "sqlglot", "pydantic", "rich", "numpy")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert invoke(["init", "shop", "--project-dir", str(tmp_path)]) == 0
    return tmp_path / "shop"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([command, "--help"]) == 0
    assert "--help" in capsys.readouterr().out


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sqlinfer", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"sqlinfer {__version__}\n")
    done = subprocess.run([sys.executable, "-m", "sqlinfer", "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sqlinfer.cli.main import invoke; code = invoke(['--help']);"
        f"sys.exit(code or ','.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    )
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_package_imports_nothing_heavy() -> None:
    done = python(f"import sys, sqlinfer; sys.exit(','.join(n for n in {HEAVY!r} if n in sys.modules) or 0)")
    assert (done.returncode, done.stderr) == (0, "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--version"]) == 0
    assert capsys.readouterr().out == f"sqlinfer {__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runn"]) == 2
    assert "did you mean 'run'?" in capsys.readouterr().err


def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "--selct", "a"]) == 2
    assert "--select" in capsys.readouterr().err


def test_outside_a_project_one_message_and_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["ls", "--project-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "no sqlinfer_project.yml" in err
    assert "hint:" in err
    assert "Traceback" not in err


def test_debug_flag_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--debug", "ls", "--project-dir", str(tmp_path)]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_flags_before_the_command_count(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--project-dir", str(project), "ls", "--resource-type", "model"]) == 0
    assert capsys.readouterr().out == "shop.churn_scores\n"


def test_a_flag_after_the_command_wins(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = ["--target", "nowhere"], ["--project-dir", str(project), "--target", "dev"]
    assert invoke([*before, "ls", *after]) == 0
    assert "shop.churn_scores" in capsys.readouterr().out


def test_ls_as_json_is_one_object_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["ls", "--project-dir", str(project), "-s", "+churn_scores", "--output", "json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = {row["resource_type"] for row in rows}
    assert {"model", "seed"} <= kinds


def test_functions_list_opens_no_artifact(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "functions" / "churn.onnx").unlink()
    assert invoke(["functions", "list", "--project-dir", str(project)]) == 0
    assert "churn_score(tenure_months INT" in capsys.readouterr().out


def test_functions_describe_shows_the_binding(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["functions", "describe", "churn_score", "--project-dir", str(project)]) == 0
    assert "features[:, 1] float[N,3]" in capsys.readouterr().out


def test_describing_an_unknown_function_suggests_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["functions", "describe", "churn_scor", "--project-dir", str(project)]) == 2
    assert "did you mean 'churn_score'?" in capsys.readouterr().err


def test_debug_finds_a_broken_artifact(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "functions" / "churn.onnx").write_bytes(b"not a model")
    assert invoke(["debug", "--project-dir", str(project)]) == 1
    out = capsys.readouterr().out
    assert "1 check failed" in out
    assert "function churn_score" in out


def test_debug_passes_on_a_fresh_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["debug", "--project-dir", str(project)]) == 0
    assert "All checks passed!" in capsys.readouterr().out


def test_init_refuses_a_folder_that_is_not_empty(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "shop", "--project-dir", str(project.parent)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_init_refuses_a_name_that_is_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "../shop", "--project-dir", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "cannot name a project" in capsys.readouterr().err


def test_clean_keeps_databases(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = project / "target"
    (target / "compiled").mkdir(parents=True)
    for name in ("shop.duckdb", "shop.sqlinfer.duckdb", "manifest.json"):
        (target / name).touch()
    assert invoke(["clean", "--project-dir", str(project)]) == 0
    assert sorted(path.name for path in target.iterdir()) == ["shop.duckdb", "shop.sqlinfer.duckdb"]


def test_clean_refuses_to_leave_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (project / "sqlinfer_project.yml").open("a") as file:
        file.write("clean-targets: ['..']\n")
    assert invoke(["clean", "--project-dir", str(project)]) == 2
    assert project.is_dir()
    assert "clean-targets" in capsys.readouterr().err


NOTHING = "the selection 'nosuch' does not match any enabled nodes"


@pytest.mark.parametrize(
    ("command", "code"),
    [("ls", 0), ("compile", 0), ("run", 0), ("test", 0), ("build", 0), ("seed", 0), ("preview", 2)],
)  # fmt: skip
def test_a_selector_that_matches_nothing_warns_everywhere(
    project: Path, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    assert invoke([command, "-s", "nosuch", "--project-dir", str(project)]) == code
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(NOTHING) == 1
    if command in ("ls", "compile"):
        assert captured.out == ""


@pytest.mark.parametrize("flags", [("-s", "churn_scores", "nosuch"), ("--exclude", "nosuch")])
def test_ls_warns_on_stderr_and_lists_the_rest(
    project: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    assert invoke(["ls", *flags, "--resource-type", "model", "--project-dir", str(project)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "shop.churn_scores\n"
    assert captured.err.count("[WARNING]") == 1


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("dbt", "functions")])
def test_an_unknown_flag_is_found_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert invoke([command, "--nosuch", "--project-dir", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "--nosuch" in captured.err
    assert (captured.out, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize("moment", ["click", "sqlinfer.cli.commands.run"])
def test_ctrl_c_while_the_command_is_imported_leaves_with_a_word(moment: str) -> None:
    code = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        os.kill(os.getpid(), signal.SIGINT) if name == {moment!r} else None\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['bin/sqlinfer', 'run']\n"
        "from sqlinfer.cli.main import main\n"
        "main()"
    )
    done = python(code)
    assert (done.returncode, done.stderr.strip()) == (1, "Interrupted")
