"""The nightly churn job of example_project, night one and night two."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from sqlinfer.cli.main import invoke

FEATURES = "tenure_months, monthly_charges, support_tickets, late_payments, days_since_login, is_monthly, autopay"


def sqlinfer(project: Path, *arguments: str) -> None:
    chosen = [] if "--select" in arguments else ["--select", "+path:models/churn"]
    assert invoke([*arguments, *chosen, "--quiet", "--project-dir", str(project)]) == 0


def response(project: Path, node: str = "churn_scores") -> dict[str, Any]:
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    (found,) = (r["adapter_response"] for r in results if r["unique_id"] == f"model.churn.{node}")
    return found


def query(project: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project / "target" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_scores_are_those_of_the_model(churn: Path) -> None:
    sqlinfer(churn, "build")
    filled = FEATURES.replace("monthly_charges", "coalesce(monthly_charges, 68.0)").replace(
        "days_since_login", "coalesce(days_since_login, 14)"
    )
    rows = query(churn, f"SELECT churn_probability, {filled} FROM churn_scores JOIN stg_customers USING (customer_id)")
    table = np.array(rows, dtype=np.float64)
    session = ort.InferenceSession(churn / "functions" / "churn.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"features": table[:, 1:].astype(np.float32)})
    assert len(table) > 11_000
    np.testing.assert_allclose(table[:, 0], expected, atol=1e-6)


def test_the_second_night_scores_only_what_changed(churn: Path) -> None:
    sqlinfer(churn, "build")
    first = response(churn)
    assert first["rows"] == first["inputs"] > first["scored"] > 11_000
    sqlinfer(churn, "run")
    assert response(churn)["scored"] == 0

    before = set(query(churn, f"SELECT {FEATURES} FROM stg_customers"))
    sqlinfer(churn, "run", "--vars", "night: 2")
    after = set(query(churn, f"SELECT {FEATURES} FROM stg_customers"))
    second = response(churn)
    assert second["rows"] == query(churn, "SELECT count(*) FROM churn_scores")[0][0]
    assert second["scored"] <= len(after - before)
    assert 300 < second["scored"] < 400
    assert second["scored"] + second["reused"] == second["inputs"]


def test_customers_who_left_leave_the_table(churn: Path) -> None:
    sqlinfer(churn, "build")
    sqlinfer(churn, "run", "--vars", "night: 2")
    with (churn / "seeds" / "customer_changes.csv").open() as file:
        gone = [row["customer_id"] for row in csv.DictReader(file) if row["operation"] == "delete"]
    published = {customer for (customer,) in query(churn, "SELECT customer_id FROM churn_scores")}
    assert not published & set(gone)


def test_a_new_model_file_scores_everyone_again(churn: Path) -> None:
    sqlinfer(churn, "build")
    first = response(churn)["scored"]
    path = churn / "functions" / "churn.onnx"
    model = onnx.load(path)
    bias = next(t for t in model.graph.initializer if t.name == "layers.4.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.5, bias.name))
    onnx.save(model, path)
    sqlinfer(churn, "run")
    assert response(churn)["scored"] == first > 11_000


def test_campaign_takes_a_hundred_customers_a_region(churn: Path) -> None:
    sqlinfer(churn, "build")
    assert query(churn, "SELECT max(n) FROM (SELECT count(*) AS n FROM campaign_list GROUP BY region)") == [(100,)]


def test_lineage_names_the_run_and_the_function(churn: Path) -> None:
    sqlinfer(churn, "build")
    rows = query(churn, "SELECT DISTINCT _sqlinfer_run_id, _sqlinfer_functions FROM churn_scores")
    assert len(rows) == 1
    assert "churn_score@" in str(rows[0][1])


@pytest.mark.torch
def test_the_torch_function_agrees_with_the_onnx_file(churn: Path) -> None:
    pytest.importorskip("torch")
    sqlinfer(churn, "build", "--exclude", "torch_comparison")
    sqlinfer(churn, "run", "--vars", "use_torch: true", "--select", "torch_comparison")
    ((customers, difference),) = query(churn, "SELECT customers, largest_difference FROM torch_comparison")
    assert customers > 11_000
    assert difference < 1e-6


def test_seeds_are_what_their_generator_writes(churn: Path) -> None:
    kept = {path.name: path.read_bytes() for path in (churn / "seeds").iterdir()}
    subprocess.run([sys.executable, "generate_customers.py"], cwd=churn, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (churn / "seeds").iterdir()} == kept


def test_demo_prints_predictions_and_the_run_line(churn: Path) -> None:
    script = Path(sys.executable).parent / "sqlinfer"
    done = subprocess.run(
        ["bash", str(churn / "demo.sh")], env={"PATH": "/usr/bin:/bin", "SQLINFER": str(script), "HOME": str(churn)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "OK created prediction model main.churn_scores" in done.stdout
    assert "| customer_id | region |" in done.stdout
    assert "credit" in done.stdout.splitlines()[-1]
