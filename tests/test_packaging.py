"""What a wheel holds, and how the repository is put together."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_the_init_template_and_its_model(wheel: zipfile.ZipFile) -> None:
    assert {
        "sqlinfer/templates/project/sqlinfer_project.yml",
        "sqlinfer/templates/project/functions/churn.onnx",
        "sqlinfer/templates/project/gitignore",
    } <= set(wheel.namelist())


def test_wheel_holds_the_dbt_macros(wheel: zipfile.ZipFile) -> None:
    assert {"sqlinfer/_macros/dbt_project.yml", "sqlinfer/_macros/macros/predict.sql"} <= set(wheel.namelist())


def test_wheel_is_typed_and_licensed(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "sqlinfer/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_no_tests_and_no_example(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if not name.startswith(("sqlinfer/", "sqlinfer-"))]


def test_every_promised_extra_exists() -> None:
    promised = {"torch", "sklearn", "text", "images", "postgres", "spark", "dbt", "mlflow", "cuda", "test"}
    assert promised <= PROJECT["optional-dependencies"].keys()


def test_version_is_stated_once_in_effect() -> None:
    import sqlinfer

    assert PROJECT["version"] == sqlinfer.__version__
    assert f"## {sqlinfer.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_pin_every_base_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    wanted = {text.split(";")[0].split(">=")[0].strip() for text in PROJECT["dependencies"]} - {"onnxruntime"}
    assert wanted <= pinned
