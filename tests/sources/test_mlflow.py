"""``source: mlflow`` with a registry on sqlite: aliases that move, versions, runs, and a registry that is away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from sqlinfer import api
from sqlinfer.errors import SqlinferError
from sqlinfer.functions.sources import mlmodel
from sqlinfer.inference import open_session
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.testing.workshop import Workshop

pytest.importorskip("mlflow")
tracking = pytest.importorskip("mlflow.tracking")
skops = pytest.importorskip("skops.io")
linear_model = pytest.importorskip("sklearn.linear_model")

ROWS = np.random.default_rng(0).normal(0, 1, (100, 2))
COLUMNS = json.dumps([{"type": "double", "name": "tenure"}, {"type": "double", "name": "monthly charges"}])
FLAVOR = "sklearn: {pickled_model: model.skops, serialization_format: skops, sklearn_version: 1.0.0}"


def logged(folder: Path, weights: tuple[float, float], flavor: str = FLAVOR) -> Path:
    """As ``log_model`` writes it, without the minute that it takes."""
    folder.mkdir(parents=True)
    model = linear_model.LinearRegression().fit(ROWS, ROWS @ np.array(weights))
    skops.dump(model, folder / "model.skops")
    (folder / "MLmodel").write_text(
        f"flavors:\n  python_function: {{loader_module: evil, code: code}}\n  {flavor}\n"
        f"signature: {{inputs: '{COLUMNS}'}}\n"
    )
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text("raise SystemExit('code of the model ran')")
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that MLflow has made its tables in, which takes long."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    with _quiet():
        tracking.MlflowClient(f"sqlite:///{path}", f"sqlite:///{path}").search_registered_models()
    return path


def _quiet() -> Any:
    import warnings

    return warnings.catch_warnings(action="ignore")


class Registry:
    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.folder = folder
        self.client = tracking.MlflowClient(self.uri, self.uri)

    def add(self, weights: tuple[float, float], name: str = "churn") -> str:
        source = logged(self.folder / f"{name}-{weights[0]}", weights)
        with _quiet():
            if not any(one.name == name for one in self.client.search_registered_models()):
                self.client.create_registered_model(name)
            return str(self.client.create_model_version(name, str(source)).version)

    def alias(self, version: str, alias: str = "champion", name: str = "churn") -> None:
        with _quiet():
            self.client.set_registered_model_alias(name, alias, version)


@pytest.fixture
def registry(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    made = Registry(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    made.alias(made.add((1.0, 2.0)))
    made.add((3.0, 4.0))
    return made


def make(shop: Workshop, uri: str, **options: Any) -> PreparedFunction:
    return shop.make(None, (), (), source="mlflow", uri=uri, **options)


def value(prepared: PreparedFunction) -> Any:
    names = [argument.name for argument in prepared.contract.arguments]
    with open_session(prepared, threads=1) as session:
        found = session.score_table(pa.table([[10.0], [1.0]], names=names), keep=())
    return round(found["value"].to_pylist()[0], 4)


def test_an_alias_a_version_the_latest_and_a_folder_are_models(shop: Workshop, registry: Registry) -> None:
    found = {
        uri: make(shop, uri)
        for uri in ("models:/churn@champion", "models:/churn/2", "models:/churn/latest", "registry/churn-1.0")
    }
    assert [value(one) for one in found.values()] == [12.0, 34.0, 34.0, 12.0]
    assert [a.name for a in found["models:/churn/2"].contract.arguments] == ["tenure", "monthly charges"]
    assert found["models:/churn@champion"].resolved == "models:/churn@champion is version 1 (sklearn)"
    assert found["models:/churn@champion"].contract.digest == found["registry/churn-1.0"].contract.digest
    assert any("scikit-learn 1.0.0" in warning for warning in found["models:/churn/2"].warnings)


def test_the_registry_may_be_named_in_the_declaration(
    shop: Workshop, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    assert value(make(shop, "models:/churn/1", tracking_uri="sqlite:///registry/mlflow.db")) == 12.0
    with pytest.raises(SqlinferError, match="there is no registry sqlite:////nowhere"):
        make(shop, "models:/churn/1")


def test_what_is_not_in_the_registry_is_said(shop: Workshop, registry: Registry) -> None:
    for uri in ("models:/churn@challenger", "models:/churn/7", "models:/other/1", "models:/other/latest"):
        with pytest.raises(SqlinferError) as caught:
            make(shop, uri)
        assert uri in caught.value.message
        assert "cannot be reached" not in caught.value.message


def test_without_the_registry_a_version_is_found_again_and_an_alias_is_not(
    shop: Workshop, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = {"tracking_uri": registry.uri}
    before = make(shop, "models:/churn/2", **fixed)
    make(shop, "models:/churn@champion", **fixed)
    (registry.folder / "mlflow.db").write_bytes(b"no database at all" * 1000)
    assert make(shop, "models:/churn/2", **fixed).contract.digest == before.contract.digest
    with pytest.raises(SqlinferError, match="cannot be reached, so which version it is tonight cannot be told"):
        make(shop, "models:/churn@champion", **fixed)
    with pytest.raises(SqlinferError, match="cannot be reached, and it was not prepared before"):
        make(shop, "models:/churn/1", **fixed)


def test_a_password_in_the_uri_of_a_registry_is_not_told(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SqlinferError, match="cannot be reached") as caught:
        make(shop, "models:/churn@champion", tracking_uri="http://ada:enigma@127.0.0.1:9")
    assert "enigma" not in str(caught.value)


def test_a_version_whose_folder_has_links_is_not_copied(shop: Workshop, registry: Registry) -> None:
    (registry.folder / "churn-3.0" / "secrets").symlink_to("/etc")
    with pytest.raises(SqlinferError, match="is a link"):
        make(shop, "models:/churn/2")


def test_runtime_native_goes_through_to_the_library(shop: Workshop, registry: Registry) -> None:
    prepared = make(shop, "models:/churn@champion", runtime="native")
    assert prepared.native is not None
    assert value(prepared) == 12.0


CODE = """
import pandas as pd
class Model:
    def predict(self, frame):
        return frame["tenure"] * 2 + frame["monthly charges"]
def _load_pyfunc(path):
    return Model()
"""


def test_code_of_a_model_runs_where_it_is_trusted_and_nowhere_else(shop: Workshop) -> None:
    folder = logged(shop.folder / "model", (1.0, 1.0))
    (folder / "code" / "evil.py").write_text(CODE)
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: evil, code: code, data: model.skops}\n"
        f"signature: {{inputs: '{COLUMNS}'}}\n"
    )
    with pytest.raises(SqlinferError, match="only the flavour python_function"):
        make(shop, "model")
    prepared = make(shop, "model", trust=mlmodel.content(folder)[1], runtime="native")
    assert value(prepared) == 21.0


PROFILES = "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}\n"
DECLARED = 'functions: [{name: champion, model: {source: mlflow, uri: "models:/churn@champion"}}]\n'
SQL = "select predict('champion', 10.0, 1.0) as score\n"


def test_after_an_alias_moved_the_next_night_scores_with_the_new_version(tmp_path: Path, registry: Registry) -> None:
    for name, text in {
        "sqlinfer_project.yml": "name: shop\nprofile: shop\n", "profiles.yml": PROFILES, "functions/f.yml": DECLARED,
        "models/scores.sql": SQL,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    told: list[Any] = []

    def night() -> float:
        result = api.run(api.RunOptions(project_dir=tmp_path), on_event=told.append)
        assert result.ok
        with duckdb.connect(str(tmp_path / "shop.duckdb"), read_only=True) as connection:
            return round(connection.execute("select score from scores").fetchall()[0][0], 4)

    assert night() == 12.0
    registry.alias("2")
    assert night() == 34.0
    lines = [event.message for event in told if hasattr(event, "message")]
    assert any("models:/churn@champion is version 1 (sklearn), digest" in line for line in lines)
    assert any("models:/churn@champion is version 2 (sklearn), digest" in line for line in lines)
