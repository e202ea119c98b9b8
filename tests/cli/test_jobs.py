"""Jobs on a small project that ``init`` wrote, through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

import sqlinfer
from sqlinfer.cli.main import invoke
from sqlinfer.testing.patience import patience


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert invoke(["init", "shop", "--project-dir", str(tmp_path)]) == 0
    assert invoke(["seed", "--project-dir", str(tmp_path / "shop")]) == 0
    capsys.readouterr()
    return tmp_path / "shop"


def run(project: Path, *arguments: str) -> int:
    return invoke([*arguments, "--project-dir", str(project)])


def results(project: Path) -> dict[str, Any]:
    content = json.loads((project / "target" / "run_results.json").read_text())
    return {item["unique_id"]: item for item in content["results"]}


def published(project: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project / "target" / "shop.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT * FROM churn_scores ORDER BY ALL").fetchall()


def test_run_prints_dbt_like_lines_on_stdout(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run") == 0
    captured = capsys.readouterr()
    assert "1 of 1 START prediction model main.churn_scores" in captured.out
    assert "[8 rows, 8 scored in " in captured.out
    assert "Completed successfully" in captured.out
    assert captured.err == ""


def test_quiet_prints_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_json_log_lines_are_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--log-format", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finished = next(line for line in lines if line["info"]["name"] == "NodeFinished")
    assert finished["data"]["node"]["adapter_response"]["scored"] == 8


def test_results_hold_the_numbers(shop: Path) -> None:
    run(shop, "run")
    response = results(shop)["model.shop.churn_scores"]["adapter_response"]
    assert {name: response[name] for name in ("rows", "scored", "reused", "null_inputs", "errors")} == {
        "rows": 8, "scored": 8, "reused": 0, "null_inputs": 0, "errors": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("reuse", "streamed"), [("auto", ["churn_score"]), ("false", None), ("true", None)])
def test_the_run_line_says_where_auto_chose_to_stream(
    shop: Path, reuse: str, streamed: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shop / "functions" / "churn.yml"
    path.write_text(path.read_text().replace("reuse: true", f"reuse: {reuse}"))
    assert run(shop, "run") == 0
    said = "; streamed: cheaper than looking up, reuse: true to remember]" in capsys.readouterr().out
    assert said == (streamed is not None)
    assert results(shop)["model.shop.churn_scores"]["adapter_response"].get("streamed") == streamed


def test_manifest_connects_functions_nodes_and_tests(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "compile") == 0
    manifest = json.loads((shop / "target" / "manifest.json").read_text())
    node = manifest["nodes"]["model.shop.churn_scores"]
    assert node["compiled"]
    assert set(manifest["parent_map"]["model.shop.churn_scores"]) == {
        "seed.shop.customers",
        "function.shop.churn_score",
    }
    assert "model.shop.churn_scores" in manifest["child_map"]["function.shop.churn_score"]
    assert len(manifest["functions"]["function.shop.churn_score"]["config"]["meta"]["sqlinfer"]["digest"]) == 64
    assert (shop / "target" / "compiled" / "shop" / "models" / "churn_scores.sql").is_file()


def test_compile_imports_neither_onnxruntime_nor_torch(shop: Path) -> None:
    run(shop, "compile")
    code = (
        "import sys; from sqlinfer.cli.main import invoke; code = invoke(sys.argv[1:]);"
        "sys.exit(code or ','.join(n for n in ('onnxruntime', 'torch', 'onnx') if n in sys.modules) or 0)"
    )
    command = [sys.executable, "-c", code, "compile", "--project-dir", str(shop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_compile_as_json_says_what_will_be_scored(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "compile", "churn_scores", "--output", "json", "--estimate") == 0
    (plan,) = json.loads(capsys.readouterr().out)
    (call,) = plan["stages"][0]["calls"]
    assert call["strategy"] == "store"
    assert call["estimate"]["to_score"] == 8


def test_an_estimate_agrees_with_the_run_that_follows(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, "run")
    path = shop / "seeds" / "customers.csv"
    path.write_text(path.read_text().replace("3,11,70.10,1", "3,11,70.10,4"))
    run(shop, "seed")
    capsys.readouterr()
    run(shop, "compile", "--output", "json", "--estimate")
    (plan,) = json.loads(capsys.readouterr().out)
    estimate = plan["stages"][0]["calls"][0]["estimate"]
    run(shop, "run")
    response = results(shop)["model.shop.churn_scores"]["adapter_response"]
    assert (estimate["to_score"], estimate["reused"]) == (response["scored"], response["reused"]) == (1, 7)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_preview_writes_results_only_to_stdout(shop: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "preview", "churn_scores", "--limit", "2", "--output", form) == 0
    out = capsys.readouterr().out
    assert len(json.loads(out) if form == "json" else out.splitlines()[1:]) == 2


def test_preview_publishes_nothing(shop: Path) -> None:
    before = (shop / "target" / "shop.duckdb").read_bytes()
    assert run(shop, "preview", "churn_scores") == 0
    assert (shop / "target" / "shop.duckdb").read_bytes() == before


def test_inline_preview_knows_ref_and_predict(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select predict('churn_score', *) > 0.5 as leaves from {{ ref('customers') }} where customer_id = 1"
    assert run(shop, "preview", "--inline", sql, "--output", "json") == 0
    assert json.loads(capsys.readouterr().out) == [{"leaves": True}]


def test_preview_refuses_to_score_more_than_max_rows(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "preview", "churn_scores", "--limit", "-1", "--max-rows", "3") == 2
    assert "8 inputs would be scored" in capsys.readouterr().err


def test_a_bad_query_fails_its_node_and_keeps_the_table(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, "run")
    before = published(shop)
    model = shop / "models" / "churn_scores.sql"
    model.write_text(model.read_text().replace("'churn_score'", "'churn_scor'"))
    (shop / "models" / "after.sql").write_text("select * from {{ ref('churn_scores') }}")
    capsys.readouterr()
    assert run(shop, "run") == 1
    out = capsys.readouterr().out
    assert "did you mean 'churn_score'?" in out
    assert "churn_scores.sql:5" in out
    assert "SKIP" in out
    assert "PASS=0 WARN=0 ERROR=1 SKIP=1" in out
    assert published(shop) == before


def test_secrets_are_starred_out_of_errors(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_NAME", "canary_column_4711")
    assert run(shop, "preview", "--inline", "select canary_column_4711 from {{ ref('customers') }}") != 0
    captured = capsys.readouterr()
    assert "canary" not in captured.out + captured.err
    assert "*****" in captured.err


def test_another_run_is_refused_and_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sqlinfer.api import RunOptions, load
    from sqlinfer.jobs.night import Night

    options = RunOptions(project_dir=shop)
    with Night(load(options), options, lambda _: None, threading.Event()).adapter.workspace("other"):
        began = time.monotonic()
        assert run(shop, "run") == 1
    assert time.monotonic() - began < patience(5)
    assert str(os.getpid()) in capsys.readouterr().err


def test_a_seed_that_is_no_csv_fails_alone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "seeds" / "broken.csv").write_text("a,b\n1\n")
    assert run(shop, "seed") == 1
    assert "PASS=1 WARN=0 ERROR=1" in capsys.readouterr().out


def test_selecting_nothing_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--select", "tag:nightly") == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_fail_fast_skips_what_comes_after(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "models" / "a_bad.sql").write_text("select * from nowhere")
    assert run(shop, "run", "--fail-fast") == 1
    assert "PASS=0 WARN=0 ERROR=1 SKIP=1 TOTAL=2" in capsys.readouterr().out


def test_retry_does_only_what_is_left(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = shop / "models" / "good.sql"
    good.write_text("select 1 as one")
    bad = shop / "models" / "bad.sql"
    bad.write_text("select nothing from nowhere")
    assert run(shop, "run") == 1
    bad.write_text("select 2 as two")
    assert run(shop, "retry") == 0
    assert set(results(shop)) == {"model.shop.bad"}


def test_retry_after_success_has_nothing_to_do(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, "run")
    capsys.readouterr()
    assert run(shop, "retry") == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert results(shop)["model.shop.churn_scores"]["status"] == "success"


def test_a_failing_test_keeps_the_published_table(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, "run")
    before = published(shop)
    tests = shop / "models" / "churn_scores.yml"
    tests.write_text(tests.read_text().replace("max_value: 1", "max_value: 0.1"))
    seeds = shop / "seeds" / "customers.csv"
    seeds.write_text(seeds.read_text() + "9,1,99.0,7\n")
    assert run(shop, "build") == 1
    assert "accepted_range" in capsys.readouterr().out
    assert published(shop) == before


def test_test_command_checks_what_is_published(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(shop, "run")
    capsys.readouterr()
    assert run(shop, "test") == 0
    assert "Done. PASS=4 WARN=0 ERROR=0 SKIP=0 TOTAL=4" in capsys.readouterr().out


def test_connect_answers_with_arrow(shop: Path) -> None:
    rows = sqlinfer.connect(shop).sql(
        "select customer_id, predict('churn_score', *) as p from {{ ref('customers') }} order by p desc limit 2"
    )
    assert rows.column("customer_id").to_pylist() == [4, 1]


def test_registered_functions_agree_with_a_run(shop: Path) -> None:
    run(shop, "run")
    with duckdb.connect() as connection:
        assert sqlinfer.register(connection, shop) == ("churn_score",)
        path = shop / "seeds" / "customers.csv"
        rows = connection.execute(
            f"SELECT customer_id, churn_score(tenure_months, monthly_charges, support_tickets) FROM '{path}' ORDER BY 1"
        ).fetchall()
    assert rows == published(shop)


def test_registering_twice_replaces(shop: Path) -> None:
    with duckdb.connect() as connection:
        sqlinfer.register(connection, shop)
        sqlinfer.register(connection, shop)
        assert connection.execute("SELECT churn_score(NULL, 1, 1) IS NULL").fetchone() == (True,)


def test_a_registered_function_casts_like_a_run(shop: Path) -> None:
    with duckdb.connect() as connection:
        sqlinfer.register(connection, shop)
        (row,) = connection.execute(
            "SELECT churn_score('x', 1, 1) IS NULL, churn_score('2', 1, 1) = churn_score(2, 1, 1)"
        ).fetchall()
    assert row == (True, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.thorough("15")
def test_an_interrupted_run_leaves_quickly_and_says_how_to_go_on(shop: Path, number: signal.Signals) -> None:
    (shop / "models" / "slow.sql").write_text(
        "select sum(predict('churn_score', (i % 70)::int, i * 1.0, 1)) as s from range(80000000) as r(i)"
    )
    command = [Path(sys.executable).parent / "sqlinfer", "run", "-s", "slow", "--project-dir", str(shop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "START" not in (line := process.stdout.readline()):
            assert line, "the run ended before it began"
        time.sleep(1)  # it is scoring, or about to
        os.kill(process.pid, number)
        sent = time.monotonic()
        _, err = process.communicate(timeout=patience(30))
    assert time.monotonic() - sent < patience(12)
    assert process.returncode == 1
    assert "sqlinfer retry" in err
    assert "Traceback" not in err


def columns(project: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project / "target" / "shop.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT column_name, column_type FROM (DESCRIBE churn_scores)").fetchall()


def test_empty_publishes_the_columns_and_scores_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--empty") == 0
    assert "[0 rows, 0 scored in " in capsys.readouterr().out
    assert published(shop) == []
    before = columns(shop)
    assert run(shop, "run") == 0
    assert len(published(shop)) == 8
    assert columns(shop) == before


def test_empty_takes_nothing_from_a_table_that_merges(shop: Path) -> None:
    config = "{{ config(materialized='incremental', unique_key='customer_id', on_missing='delete') }}"
    model = shop / "models" / "churn_scores.sql"
    model.write_text(config + model.read_text().partition("}}")[2])
    assert run(shop, "run") == 0
    before = published(shop)
    assert run(shop, "run", "--empty") == 0
    assert published(shop) == before
    assert run(shop, "run") == 0
    assert results(shop)["model.shop.churn_scores"]["adapter_response"]["scored"] == 0


def test_a_view_of_an_empty_run_is_the_view(shop: Path) -> None:
    (shop / "models" / "everyone.sql").write_text(
        "{{ config(materialized='view') }} select * from {{ ref('customers') }}"
    )
    assert run(shop, "run", "--empty", "-s", "everyone") == 0
    with duckdb.connect(str(shop / "target" / "shop.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM everyone").fetchone() == (8,)


def test_the_log_level_rules_our_lines(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--log-level", "warn", "-s", "churn_scores", "nope") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "The selection" in line or "the selection" in line
    assert run(shop, "run", "--log-level", "none", "-s", "nope") == 0
    assert capsys.readouterr().out == ""


def test_a_sample_is_for_dbt_projects(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "run", "--sample", "3 days") == 2
    assert "--dbt" in capsys.readouterr().err
