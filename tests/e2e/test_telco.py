"""Real data: a scikit-learn pipeline over the telco churn file, from CSV to a published table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from sqlinfer.cli.main import invoke

DATA = Path(__file__).parents[3] / "shared" / "data" / "telco_customer_churn.csv"
TEXT = ["gender", "Partner", "Dependents", "PhoneService", "MultipleLines", "InternetService", "OnlineSecurity",
        "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies", "Contract",
        "PaperlessBilling", "PaymentMethod"]  # fmt: skip
NUMBERS = ["SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges"]

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the telco file lies in ../shared/data")


@pytest.fixture(params=["small", "large"], autouse=True)
def table_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "large":
        monkeypatch.setenv("SQLINFER_LARGE_ROWS", "1")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with DATA.open(newline="") as file:
        return list(csv.DictReader(file))


def frame(rows: list[dict[str, str]]) -> dict[str, np.ndarray[Any, Any]]:
    """Columns as the model sees them; a blank TotalCharges is 0 (the customer has not paid yet)."""
    columns: dict[str, np.ndarray[Any, Any]] = {n: np.array([r[n] for r in rows], dtype=object) for n in TEXT}
    for name in NUMBERS:
        columns[name] = np.array([float(r[name].strip() or 0) for r in rows], dtype=np.float32)
    return columns


@pytest.fixture(scope="module")
def pipeline(rows: list[dict[str, str]]) -> Any:
    pytest.importorskip("skl2onnx")
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    matrix, labels = stacked(frame(rows)), np.array([r["Churn"] for r in rows])
    positions = {name: i for i, name in enumerate([*TEXT, *NUMBERS])}
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), [positions[n] for n in TEXT]),
            ("numbers", StandardScaler(), [positions[n] for n in NUMBERS]),
        ]
    )
    model = Pipeline([("encode", encode), ("trees", GradientBoostingClassifier(n_estimators=40, random_state=0))])
    return model.fit(matrix, labels)


def stacked(columns: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.column_stack([columns[n].astype(object) for n in (*TEXT, *NUMBERS)])


@pytest.fixture(scope="module")
def onnx_bytes(pipeline: Any) -> bytes:
    """One input per column: strings as string tensors, numbers as floats; ZipMap left in."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    named = _by_name(pipeline.named_steps["encode"])
    whole = Pipeline([("encode", named), ("trees", pipeline.named_steps["trees"])])
    inputs = [(n, StringTensorType([None, 1])) for n in TEXT] + [(n, FloatTensorType([None, 1])) for n in NUMBERS]
    return convert_sklearn(whole, initial_types=inputs, target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()


def _by_name(fitted: Any) -> Any:
    """The fitted ColumnTransformer with columns by name instead of position."""
    import copy

    named = copy.deepcopy(fitted)
    by_position = dict(enumerate([*TEXT, *NUMBERS]))
    swap = [(n, t, [by_position[c] for c in cols] if n != "remainder" else cols) for n, t, cols in named.transformers_]
    named.transformers_ = swap
    named.transformers = [(n, t, cols) for n, t, cols in swap if n != "remainder"]
    named._columns = [cols for _, _, cols in named.transformers]
    named.feature_names_in_ = np.array([*TEXT, *NUMBERS], dtype=object)
    return named


def write_project(root: Path, onnx: bytes, total_policy: str = "", casts: str = "") -> None:
    (root / "functions").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "functions" / "churn.onnx").write_bytes(onnx)
    arguments = [f"      - {{name: {n}, data_type: varchar}}" for n in TEXT]
    arguments += [f"      - {{name: {n}, data_type: real}}" for n in NUMBERS if n != "TotalCharges"]
    arguments.append(f"      - {{name: TotalCharges, data_type: real{total_policy}}}")
    (root / "functions" / "churn.yml").write_text(
        "functions:\n  - name: churn\n    model: {path: churn.onnx}\n    arguments:\n" + "\n".join(arguments)
        + "\n    returns: {data_type: real, output: output_probability, index: 1}\n    config: {reuse: true}\n"
    )  # fmt: skip
    (root / "sqlinfer_project.yml").write_text("name: telco\nversion: '1.0'\nprofile: telco\n")
    (root / "profiles.yml").write_text(
        "telco:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: telco.duckdb}\n"
    )
    (root / "models" / "scores.sql").write_text(
        "select \"customerID\", predict('churn', *) as probability from {{ source('raw', 'customers') }}\n"
    )
    (root / "models" / "sources.yml").write_text("sources: [{name: raw, schema: main, tables: [{name: customers}]}]\n")
    with duckdb.connect(str(root / "telco.duckdb")) as con:
        # DuckDB reads Yes/No columns as booleans; the model was trained on the words
        words = ", ".join(f"'{name}': 'VARCHAR'" for name in (*TEXT, "TotalCharges"))
        con.execute(f"create table customers as from read_csv('{DATA}', types={{{words}}})")


def run(root: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the ``adapter_response`` of the one node."""
    code = invoke(["run", "--project-dir", str(root), "--profiles-dir", str(root)])
    results = json.loads((root / "target" / "run_results.json").read_text())["results"]
    return code, results[0]["adapter_response"]


def probabilities(root: Path) -> dict[str, float | None]:
    with duckdb.connect(str(root / "telco.duckdb"), read_only=True) as con:
        return dict(con.execute('select "customerID", probability from scores').fetchall())


def test_probabilities_equal_those_of_scikit_learn(tmp_path: Path, rows: Any, pipeline: Any, onnx_bytes: bytes) -> None:
    write_project(tmp_path, onnx_bytes, ", on_cast_error: 'null', on_null: {default: 0}")
    code, answer = run(tmp_path)
    assert code == 0
    assert (answer["rows"], answer["errors"], answer["null_inputs"]) == (7043, 0, 0)
    got = probabilities(tmp_path)
    wanted = pipeline.predict_proba(stacked(frame(rows)))[:, 1]
    assert len(got) == 7043
    worst = max(abs(got[r["customerID"]] - w) for r, w in zip(rows, wanted, strict=True))
    assert worst < 1e-5


def test_blank_charges_are_error_rows_by_default(tmp_path: Path, rows: Any, onnx_bytes: bytes) -> None:
    write_project(tmp_path, onnx_bytes)
    code, answer = run(tmp_path)
    assert code == 0
    assert (answer["rows"], answer["errors"]) == (7043, 11)
    blank = {r["customerID"] for r in rows if not r["TotalCharges"].strip()}
    assert {c for c, p in probabilities(tmp_path).items() if p is None} == blank
    with duckdb.connect(str(tmp_path / "telco.duckdb"), read_only=True) as con:
        found = con.execute("select count(*), any_value(error_class) from sqlinfer_errors").fetchone()
    assert found == (11, "cast_error")


@pytest.mark.thorough("large")
def test_nights_after_the_first_score_what_changed(tmp_path: Path, onnx_bytes: bytes) -> None:
    write_project(tmp_path, onnx_bytes, ", on_cast_error: 'null', on_null: {default: 0}")
    database = str(tmp_path / "telco.duckdb")
    code, first = run(tmp_path)
    assert code == 0
    distinct = first["scored"]
    assert first["scored"] + first["reused"] == 7043

    assert run(tmp_path)[1]["scored"] == 0

    with duckdb.connect(database) as con:
        con.execute('update customers set "MonthlyCharges" = "MonthlyCharges" + 1000 + rowid where rowid < 70')
    answer = run(tmp_path)[1]
    assert (answer["rows"], answer["scored"]) == (7043, 70)

    with duckdb.connect(database) as con:
        con.execute("delete from customers where rowid >= 6943")
    answer = run(tmp_path)[1]
    assert (answer["rows"], answer["scored"]) == (6943, 0)
    assert len(probabilities(tmp_path)) == 6943

    artifact = tmp_path / "functions" / "churn.onnx"
    import onnx

    model = onnx.load(artifact)
    model.graph.doc_string = "retrained"
    trees = next(n for n in model.graph.node if n.op_type == "TreeEnsembleClassifier")
    weights = next(a for a in trees.attribute if a.name == "class_weights")
    weights.floats[0] += 0.5
    onnx.save(model, artifact)
    answer = run(tmp_path)[1]
    assert answer["rows"] == 6943
    assert answer["scored"] >= min(distinct, 6943) - 200

    with duckdb.connect(database) as con:
        con.execute("insert into customers select * from customers limit 500")
    answer = run(tmp_path)[1]
    assert (answer["rows"], answer["scored"]) == (7443, 0)
