"""Files and entrypoints of ``source: sklearn``: what is read, what is refused and how, and a night from three lines."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("skops")
pytest.importorskip("pandas")

import joblib
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sqlinfer.errors import ArtifactError, FunctionError, SqlinferError
from sqlinfer.functions.sources import sklearn_file, sklearn_model
from sqlinfer.functions.sources.original import Refused
from sqlinfer.testing.workshop import Workshop
from tests.sources.telco import CHURNED, CUSTOMERS, NUMBERS, TEXTS

ROWS = np.random.default_rng(0).normal(size=(60, 3))


def request(path: Path | None, **more: Any) -> dict[str, Any]:
    return {"path": path, "name": path and path.name, "entrypoint": None, "trusted": False, **more}


def regression() -> Any:
    return LinearRegression().fit(ROWS, ROWS @ [1.0, 2.0, 3.0])


def saved(path: Path, model: Any = None) -> Path:
    skops.io.dump(regression() if model is None else model, path)
    return path


class Own(LinearRegression):
    """Code of somebody's own."""


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def cut(path: Path) -> None:
    data = saved(path).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def with_member(name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        saved(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, "x")

    return write


def with_schema(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("schema.json", text)

    return write


def without_schema(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.json", "{}")


def in_a_circle(path: Path) -> None:
    """A tree whose nodes lead back to the root."""
    model = DecisionTreeClassifier(max_depth=3).fit(ROWS, ROWS[:, 0] > 0)
    state = model.tree_.__getstate__()
    state["nodes"]["left_child"][state["nodes"]["left_child"] >= 0] = 0
    model.tree_.__setstate__(state)
    saved(path, model)


def beyond_its_features(path: Path) -> None:
    model = DecisionTreeClassifier(max_depth=3).fit(ROWS, ROWS[:, 0] > 0)
    state = model.tree_.__getstate__()
    state["nodes"]["feature"][state["nodes"]["left_child"] >= 0] = 1_000_000
    model.tree_.__setstate__(state)
    saved(path, model)


DEEP = '{"a":' * 200_000 + "1" + "}" * 200_000
HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no archive": (lambda path: path.write_bytes(b"\x00" * 500), "cannot be read"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be read"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(regression())), "cannot be read"),
    "the first part": (cut, "cannot be read"),
    "no schema": (without_schema, "no skops file"),
    "a schema that is no JSON": (with_schema("{"), "cannot be read"),
    "a schema without an estimator": (with_schema("[]"), "cannot be read"),
    "a schema of many levels": (with_schema(DEEP), "cannot be read"),
    "a schema of another protocol": (with_schema(json.dumps({"protocol": 10**9})), "cannot be read"),
    "a way out": (with_member("../../evil.npy"), "outside of itself"),
    "a way out on windows": (with_member("..\\evil.npy"), "outside of itself"),
    "an absolute way": (with_member("/etc/evil.npy"), "outside of itself"),
    "a class of its own": (lambda path: saved(path, Own().fit(ROWS, ROWS[:, 0])), r"not trusted: .*Own"),
    "a function": (lambda path: saved(path, FunctionTransformer(os.system).fit(ROWS)), "not trusted: .*system"),
    "no estimator": (lambda path: saved(path, {"a": 1}), "no fitted estimator"),
    "not fitted": (lambda path: saved(path, Pipeline([("a", LinearRegression())])), "not fitted"),
    "a tree in a circle": (in_a_circle, "reached twice"),
    "a tree beyond its features": (beyond_its_features, "asks for feature 1000000"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    make, said = HOSTILE[name]
    make(path)
    with pytest.raises((Refused, SqlinferError), match=said):
        sklearn_model.load(request(path))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    members = [zipfile.ZipInfo(f"{i}.npy") for i in range(3)]
    for one in members:
        one.file_size = 8 << 30
    with pytest.raises(Refused, match="unpacks to more"):
        sklearn_file._check_members(members, "model.skops")


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_a_pickle_is_not_touched_without_its_hash(shop: Workshop, name: str) -> None:
    made = shop.folder / "made"
    path = shop.folder / name
    path.write_bytes(pickle.dumps(Payload(made)))
    for trust in (None, "0" * 64, "sha256:" + "1" * 64):
        with pytest.raises(ArtifactError, match=r"sha256|can run code"):
            shop.make(path, (), (), source="sklearn", trust=trust)
    assert not made.exists()


def test_another_hash_is_refused_for_skops_too(shop: Workshop) -> None:
    with pytest.raises(ArtifactError, match="not the file that 'trust:' names"):
        shop.make(saved(shop.folder / "model.skops"), (), (), source="sklearn", trust="0" * 64)


def test_another_kind_of_file_names_what_is_read(shop: Workshop) -> None:
    path = shop.folder / "model.zip"
    path.write_bytes(b"x")
    assert ".skops, .joblib" in shop.refused(path, (), (), source="sklearn").message


@pytest.mark.parametrize("content", [b"", b"\x80\x05", pickle.dumps([1])[:-1]])
def test_a_damaged_pickle_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(Refused, match="cannot be read"):
        sklearn_file.load(request(path, trusted=True))


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3).fit(ROWS, ROWS[:, 0] > 0),
        HistGradientBoostingClassifier(max_iter=2).fit(ROWS, ROWS[:, 0] > 0),
        make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a"], ["b"]] * 4, [0, 1] * 4),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_librarys_own_parts_of_estimators_are_trusted(tmp_path: Path, model: Any) -> None:
    assert sklearn_model.load(request(saved(tmp_path / "model.skops", model))).made_with["scikit-learn"]


def test_a_pickle_is_read_with_its_hash(shop: Workshop) -> None:
    path = shop.folder / "model.joblib"
    joblib.dump(regression(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    prepared = shop.make(path, (), (), source="sklearn", trust=f"sha256:{sha256}")
    assert prepared.verified is not None
    assert prepared.verified.over == 0


def test_an_entrypoint_returns_the_estimator(shop: Workshop) -> None:
    (shop.folder / "scoring.py").write_text(
        "from sklearn.linear_model import Ridge\n\ndef model():\n    return Ridge().fit([[0.0], [1.0]], [0, 1])\n"
    )
    prepared = shop.make(None, (), (), source="sklearn", entrypoint="scoring:model")
    assert [one.name for one in prepared.contract.arguments] == ["f0"]


def test_an_entrypoint_that_is_not_there_says_so(shop: Workshop) -> None:
    (shop.folder / "scoring.py").write_text("x = 1\n")
    with pytest.raises(FunctionError, match="scoring:model is not there"):
        shop.make(None, (), (), source="sklearn", entrypoint="scoring:model")


def pipeline(encoder: Any) -> Any:
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    columns = ColumnTransformer([("n", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS), ("t", texts, TEXTS)])
    return make_pipeline(columns, LogisticRegression(max_iter=500)).fit(CUSTOMERS, CHURNED)


def test_three_lines_make_a_table_every_night(tmp_path: Path) -> None:
    import duckdb

    from sqlinfer.cli.main import invoke

    model = pipeline(OneHotEncoder(handle_unknown="error"))
    for folder in ("functions", "models"):
        (tmp_path / folder).mkdir()
    saved(tmp_path / "functions" / "churn.skops", model)
    (tmp_path / "functions" / "churn.yml").write_text(
        "functions:\n  - name: churn\n    model: {source: sklearn, path: churn.skops}\n"
    )
    (tmp_path / "models" / "scores.sql").write_text("select id, predict('churn', t.*) as p from customers as t")
    (tmp_path / "sqlinfer_project.yml").write_text("name: demo\nprofile: demo\n")
    (tmp_path / "profiles.yml").write_text("demo: {target: dev, outputs: {dev: {type: duckdb, path: demo.duckdb}}}\n")
    customers = CUSTOMERS.assign(id=range(len(CUSTOMERS)))
    customers.loc[3, "contract"] = "never seen"
    with duckdb.connect(str(tmp_path / "demo.duckdb")) as connection:
        connection.register("given", customers)
        connection.execute("create table customers as select * from given")
    assert invoke(["run", "--project-dir", str(tmp_path), "--profiles-dir", str(tmp_path)]) == 0
    with duckdb.connect(str(tmp_path / "demo.duckdb")) as connection:
        found = [one for (one,) in connection.execute("select p from scores order by id").fetchall()]
    assert found[3] is None
    known = [i for i in range(len(found)) if i != 3]
    expected = model.predict_proba(customers.iloc[known][[*NUMBERS, *TEXTS]])[:, 1]
    np.testing.assert_allclose([found[i] for i in known], expected, rtol=1e-9)
