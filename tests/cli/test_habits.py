"""What dbt's users type without thinking: other names of commands, variables for flags, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sqlinfer.cli.main import COMMANDS, invoke


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("DBT_", "SQLINFER_")):
            monkeypatch.delenv(name)
    assert invoke(["init", "shop", "--project-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shop"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert invoke([*arguments]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_list_and_show_are_ls_and_preview(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ("--project-dir", str(shop))
    assert said(capsys, "list", "-s", "churn_scores", *here) == said(capsys, "ls", "-s", "churn_scores", *here)
    said(capsys, "seed", *here)
    sql = "select 1 as one"
    assert said(capsys, "show", "--inline", sql, *here) == said(capsys, "preview", "--inline", sql, *here)
    assert "| one |" in said(capsys, "show", "--inline", sql, *here)


def test_aliases_are_in_the_help_and_in_hints(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "--help")
    assert "Alias: show." in " ".join(out.split())
    assert "did you mean 'show'?" in said(capsys, "shwo", code=2)


@pytest.mark.parametrize("prefix", ["DBT_", "SQLINFER_"])
def test_the_project_is_found_by_its_variable(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}PROJECT_DIR", str(shop))
    assert "shop.churn_scores" in said(capsys, "ls")


def test_our_variable_wins_over_dbts_and_a_flag_over_both(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_PROJECT_DIR", "/nowhere")
    monkeypatch.setenv("SQLINFER_PROJECT_DIR", str(shop))
    assert "shop.churn_scores" in said(capsys, "ls")
    monkeypatch.setenv("SQLINFER_TARGET", "nosuch")
    assert "target 'nosuch' is not in profile" in said(capsys, "ls", code=2)
    assert "shop.churn_scores" in said(capsys, "ls", "--target", "dev")
    assert "shop.churn_scores" in said(capsys, "--target", "dev", "ls")


@pytest.mark.parametrize("name", ["DBT_PROFILES_DIR", "SQLINFER_PROFILES_DIR"])
def test_profiles_are_found_by_their_variable(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (shop.parent / "elsewhere").mkdir()
    (shop / "profiles.yml").rename(shop.parent / "elsewhere" / "profiles.yml")
    monkeypatch.setenv(name, str(shop.parent / "elsewhere"))
    assert "shop.churn_scores" in said(capsys, "ls", "--project-dir", str(shop))


def test_switches_and_forms_have_variables(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ("--project-dir", str(shop))
    monkeypatch.setenv("DBT_LOG_FORMAT", "json")
    assert json.loads(said(capsys, "seed", *here).splitlines()[0])["info"]["msg"].startswith("Running with")
    monkeypatch.setenv("DBT_LOG_FORMAT", "default")
    assert "Running with" in said(capsys, "seed", *here)
    monkeypatch.setenv("DBT_QUIET", "1")
    assert said(capsys, "seed", *here) == ""
    monkeypatch.setenv("SQLINFER_QUIET", "false")
    assert "Running with" in said(capsys, "seed", *here)
    monkeypatch.setenv("SQLINFER_TARGET_PATH", "elsewhere")
    said(capsys, "seed", *here)
    assert (shop / "elsewhere" / "run_results.json").is_file()


def test_a_variable_that_does_not_fit_is_named(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQLINFER_THREADS", "many")
    assert "SQLINFER_THREADS: 'many'" in said(capsys, "ls", "--project-dir", str(shop), code=2)


def test_debug_by_variable_shows_the_traceback(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_DEBUG", "1")
    assert "Traceback" in said(capsys, "ls", "--project-dir", "/nowhere", code=2)
    monkeypatch.setenv("SQLINFER_DEBUG", "0")
    assert "Traceback" not in said(capsys, "ls", "--project-dir", "/nowhere", code=2)


def test_python_models_and_snapshots_are_answered(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "models" / "late.py").write_text("import x\n\ndef model(dbt, session):\n    return None\n")
    (shop / "models" / "network.py").write_text("def model():\n    return None\n")
    (shop / "snapshots").mkdir()
    (shop / "snapshots" / "customers.sql").write_text("{% snapshot customers %}{% endsnapshot %}")
    for command in ("ls", "seed"):
        out = said(capsys, command, "--project-dir", str(shop))
        assert "Python models are not built (models/late.py)" in out
        assert "snapshots are not built (snapshots/customers.sql)" in out
        assert "network.py" not in out


def test_init_ignores_what_is_generated(shop: Path) -> None:
    assert "target/" in (shop / ".gitignore").read_text().splitlines()


def test_the_shell_completes_commands_and_flags() -> None:
    code = "from sqlinfer.cli.main import main; main()"
    for words, number, wanted in (("sqlinfer co", "1", "compile"), ("sqlinfer run --sel", "2", "--select")):
        env = os.environ | {"_SQLINFER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": number}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert f"plain,{wanted}" in done.stdout.splitlines(), done.stderr
    assert "ls" in COMMANDS


@pytest.mark.parametrize("command", ["docs", "snapshot", "clone", "parse", "run-operation"])
def test_a_command_of_dbts_alone_is_answered(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert f"'{command}' is a command of dbt's that sqlinfer does not have" in said(capsys, command, code=2)


def test_a_macro_of_a_package_is_named_with_a_way(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "seed", "--project-dir", str(shop))
    sql = "select {{ dbt_utils.star(ref('customers')) }} from {{ ref('customers') }}"
    out = said(capsys, "compile", "--inline", sql, "--project-dir", str(shop), code=2)
    assert "hint: no package 'dbt_utils' is there: name it in packages.yml" in out
    out = said(capsys, "compile", "--inline", "select {{ dbt_utils }}", "--project-dir", str(shop), code=2)
    assert "packages" not in out
