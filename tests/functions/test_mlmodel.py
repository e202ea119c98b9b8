"""Folders of MLflow models that somebody else made: each that is not what it should be gets one clear error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sqlinfer.errors import SqlinferError
from sqlinfer.functions.sources import mlmodel
from sqlinfer.functions.sources.base import Workspace
from sqlinfer.functions.sources.mlflow import Resolved, resolved
from sqlinfer.spec.function import Argument
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.workshop import Workshop

COLUMNS = [
    {"type": "double", "name": "tenure", "required": True},
    {"type": "long", "name": "monthly charges", "required": False},
    {"type": "string", "name": "plan", "required": False},
]


def text(columns: Any = COLUMNS, flavor: str = "onnx", key: str = "data", value: str = "model.onnx") -> str:
    return f"""
flavors:
  python_function: {{loader_module: os, code: code, data: model.onnx}}
  {flavor}: {{{key}: {json.dumps(value)}, code: null}}
signature:
  inputs: {json.dumps(json.dumps(columns))}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "MLmodel").write_text(text())
    (made / "model.onnx").write_bytes(onnx_builder.linear([2.0, 3.0, 4.0]))
    return made


def resolve(folder: Path, uri: str = "model", **options: Any) -> Resolved:
    shop = Workshop(folder.parent)
    arguments = options.pop("arguments", ())
    config = replace(shop.declare(None, arguments, ()), source="mlflow", uri=uri, **options)
    return resolved(config, Workspace(shop.cache, shop.folder))


def refused(folder: Path, uri: str = "model", **options: Any) -> SqlinferError:
    with pytest.raises(SqlinferError) as caught:
        resolve(folder, uri, **options)
    return caught.value


def test_the_signature_gives_names_order_and_types(folder: Path) -> None:
    config = resolve(folder).config
    assert (config.source, config.path) == ("onnx", folder / "model.onnx")
    assert [(a.name, a.data_type, a.on_null) for a in config.arguments] == [
        ("tenure", "DOUBLE", "null"), ("monthly charges", "BIGINT", "null"), ("plan", "TEXT", "nan"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}], ["f0 REAL", "f1 REAL"]),
        ([{"type": "tensor", "name": "a", "tensor-spec": {"dtype": "int64", "shape": [-1, 1]}}], ["a BIGINT"]),
        ([{"type": "double"}, {"type": "string"}], ["f0 DOUBLE", "f1 TEXT"]),
    ],
)
def test_tensors_and_columns_without_names_are_arguments_too(folder: Path, columns: Any, expected: list[str]) -> None:
    (folder / "MLmodel").write_text(text(columns))
    assert [f"{a.name} {a.data_type}" for a in resolve(folder).config.arguments] == expected


def test_nothing_of_the_model_is_imported_or_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text("raise SystemExit('ran')")
    (folder / "MLmodel").write_text(text().replace("loader_module: os", "loader_module: evil"))
    assert resolve(folder).config.source == "onnx"


@pytest.mark.parametrize(
    ("flavor", "key", "value", "source", "suffix"),
    [
        ("sklearn", "pickled_model", "model.skops", "sklearn", ".skops"),
        ("sklearn", "pickled_model", "model.pkl", "sklearn", ".pkl"),
        ("xgboost", "data", "model.ubj", "xgboost", ".ubj"),
        ("xgboost", "data", "model.xgb", "xgboost", ".ubj"),
        ("lightgbm", "data", "model.lgb", "lightgbm", ".txt"),
        ("lightgbm", "data", "model.pkl", "sklearn", ".pkl"),
        ("catboost", "data", "model.cb", "catboost", ".cbm"),
    ],
)
def test_each_flavour_goes_to_the_source_that_reads_it(
    folder: Path, flavor: str, key: str, value: str, source: str, suffix: str
) -> None:
    (folder / "MLmodel").write_text(text(flavor=flavor, key=key, value=value))
    (folder / value).write_bytes(b"a model")
    config = resolve(folder).config
    assert config.path is not None
    assert (config.source, config.path.suffix, config.path.read_bytes()) == (source, suffix, b"a model")


def test_weights_and_tokenizer_of_transformers_are_put_together(folder: Path) -> None:
    (folder / "MLmodel").write_text(text([{"type": "string"}], "transformers", "task", "text-classification"))
    for name in ("model/config.json", "components/tokenizer/tokenizer.json"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("{}")
    config = resolve(folder).config
    assert config.path is not None
    assert config.source == "huggingface"
    assert {path.name for path in config.path.iterdir()} == {"config.json", "tokenizer.json"}


def test_an_older_library_is_warned_about(folder: Path) -> None:
    (folder / "MLmodel").write_text(text(flavor="sklearn", key="pickled_model", value="model.skops").replace(
        "code: null", "sklearn_version: 0.1.2"))  # fmt: skip
    (folder / "model.skops").write_bytes(b"")
    assert all("scikit-learn 0.1.2" in warning for warning in resolve(folder).warnings)


def test_arguments_in_another_order_than_a_graph_may_take_them_are_refused(folder: Path) -> None:
    columns = [{"type": "double", "name": "a"}, {"type": "double", "name": "b"}]
    (folder / "MLmodel").write_text(text(columns))
    arguments = (Argument("b", "DOUBLE"), Argument("a", "DOUBLE"))
    error = refused(folder, arguments=arguments)
    assert "arguments declared: b, a" in error.message
    assert "the model's own: a, b" in error.message
    assert [a.name for a in resolve(folder, arguments=arguments[::-1]).config.arguments] == ["a", "b"]


# python_function


def test_a_model_that_is_only_code_is_refused_with_the_way_out(folder: Path) -> None:
    (folder / "MLmodel").write_text("flavors: {python_function: {loader_module: evil, code: code}}")
    error = refused(folder)
    sha = mlmodel.content(folder)[1]
    assert "only the flavour python_function" in error.message
    assert f"'trust: sha256:{sha}' and 'runtime: native'" in str(error.hint)
    assert "only the flavour" in refused(folder, trust=f"sha256:{sha}").message
    assert "its sha256 is" in refused(folder, trust="0" * 64, runtime="native").message
    assert resolve(folder, trust=f"sha256:{sha}", runtime="native").config.uri == str(folder)
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text("changed")
    assert "its sha256 is" in refused(folder, trust=f"sha256:{sha}", runtime="native").message


# hostile and damaged folders


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines)


HOSTILE: list[tuple[str, Callable[[Path], object], str]] = [
    ("no file", lambda f: (f / "MLmodel").unlink(), "has no file MLmodel"),
    ("empty", lambda f: (f / "MLmodel").write_text(""), "names no flavors"),
    ("not yaml", lambda f: (f / "MLmodel").write_text("flavors: ["), "not valid YAML"),
    ("binary", lambda f: (f / "MLmodel").write_bytes(b"\xff\xfe\x00\x01"), "MLmodel"),
    ("a list", lambda f: (f / "MLmodel").write_text("[1, 2]"), "names no flavors"),
    ("a tag", lambda f: (f / "MLmodel").write_text("flavors: !!python/name:os.system x"), "is not allowed"),
    ("a bomb", lambda f: (f / "MLmodel").write_text(bomb()), "too many values"),
    ("deep", lambda f: (f / "MLmodel").write_text("flavors: " + "[" * 5000), "MLmodel"),
    ("huge", lambda f: (f / "MLmodel").write_text("# " + "x" * 2_000_000), "is larger than 1 MB"),
    ("flavors a list", lambda f: (f / "MLmodel").write_text("flavors: [onnx]"), "names no flavors"),
    ("flavor a text", lambda f: (f / "MLmodel").write_text("flavors: {onnx: model.onnx}"), "is no mapping"),
    ("unknown", lambda f: (f / "MLmodel").write_text("flavors: {spark: {}}"), "none that can be read"),
    ("no key", lambda f: (f / "MLmodel").write_text("flavors: {onnx: {}}"), "the flavour onnx has no 'data'"),
    ("up", lambda f: (f / "MLmodel").write_text(text(value="../model.onnx")), "leads out of the model's folder"),
    ("absolute", lambda f: (f / "MLmodel").write_text(text(value="/etc/passwd")), "leads out of the model's folder"),
    ("windows", lambda f: (f / "MLmodel").write_text(text(value="C:\\x")), "leads out of the model's folder"),
    ("windows up", lambda f: (f / "MLmodel").write_text(text(value="..\\..\\x")), "leads out of the model's folder"),
    ("a url", lambda f: (f / "MLmodel").write_text(text(value="https://example.com/m")), "is not there"),
    ("missing", lambda f: (f / "MLmodel").write_text(text(value="other.onnx")), "is not there"),
    ("a number", lambda f: (f / "MLmodel").write_text("flavors: {onnx: {data: 7}}"), "is not the name of a file"),
    ("blank", lambda f: (f / "MLmodel").write_text(text(value=" ")), "is not the name of a file"),
    ("itself", lambda f: (f / "MLmodel").write_text(text(value=".")), "the model's folder itself"),
    ("a folder", lambda f: ((f / "d").mkdir(), (f / "MLmodel").write_text(text(value="d"))), "is a folder"),
    ("a link", lambda f: ((f / "model.onnx").unlink(), (f / "model.onnx").symlink_to("/etc/passwd")), "is a link"),
    ("a linked folder", lambda f: (f / "more").symlink_to("/etc"), "is a link"),
    ("a hard link", lambda f: os.link(f / "model.onnx", f / "twin.onnx"), "is a hard link"),
    ("a pipe", lambda f: os.mkfifo(f / "pipe"), "neither a file nor a folder"),
    ("a folder as MLmodel", lambda f: ((f / "MLmodel").unlink(), (f / "MLmodel").mkdir()), "has no file MLmodel"),
    ("signature no list", lambda f: (f / "MLmodel").write_text(text({"a": 1})), "is no list of columns"),
    ("signature no json", lambda f: (f / "MLmodel").write_text(
        text().partition("signature")[0] + "signature: {inputs: '[{'}"), "signature.inputs is no list of columns"),
    ("signature of numbers", lambda f: (f / "MLmodel").write_text(text([1, 2])), "signature.inputs is no list"),
    ("an odd type", lambda f: (f / "MLmodel").write_text(text([{"type": "datetime", "name": "d"}])), "no argument"),
    ("no type", lambda f: (f / "MLmodel").write_text(text([{"name": "d"}])), "no argument can have"),
    ("a name twice", lambda f: (f / "MLmodel").write_text(
        text([{"type": "double", "name": "a"}, {"type": "double", "name": "A"}])), "has a column twice"),
    ("an empty name", lambda f: (f / "MLmodel").write_text(text([{"type": "double", "name": " "}])), "has no name"),
    ("a wide tensor", lambda f: (f / "MLmodel").write_text(
        text([{"type": "double", "name": f"c{i}"} for i in range(20_001)])), "MLmodel"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [item[1:] for item in HOSTILE], ids=[item[0] for item in HOSTILE])
def test_a_folder_that_is_no_model_is_refused(folder: Path, make: Callable[[Path], object], message: str) -> None:
    make(folder)
    assert message in str(refused(folder))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nowhere", "there is no folder"),
        ("models:/churn", "is not one that MLflow knows"),
        ("models:/churn@", "is not one that MLflow knows"),
        ("models:/churn/0", "is not one that MLflow knows"),
        ("models:/churn/three", "is not one that MLflow knows"),
        ("models:/../secret/1/2", "is not one that MLflow knows"),
        ("runs:/abc", "is not one that MLflow knows"),
        ("s3://bucket/model", "is neither a model of a registry nor a folder"),
        ("https://example.com/model", "is neither a model of a registry nor a folder"),
    ],
)
def test_a_uri_that_names_no_model_is_refused(folder: Path, uri: str, message: str) -> None:
    assert message in refused(folder, uri).message
