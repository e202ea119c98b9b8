"""What a wheel holds, and how the repository is put together."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def built(folder: Path, **environment: str) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, **environment})
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(tmp_path_factory.mktemp("wheel"))


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


LIBRARY = "sqlinfer/inference/trees/_forest.so"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_wheel_holds_the_forest_kernel_and_says_for_which_machine(wheel: zipfile.ZipFile) -> None:
    assert LIBRARY in wheel.namelist()
    assert not [name for name in wheel.namelist() if name.endswith((".c", ".h"))]
    assert not str(wheel.filename).endswith("-none-any.whl")
    (facts,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/WHEEL"))
    assert "Root-Is-Purelib: false" in facts
    assert "Tag: py3-none-any" not in facts


@pytest.mark.parametrize("compiler", [{"CC": "no-such-compiler"}, {"CC": "false"}, {"SQLINFER_NO_KERNEL": "1"}])
def test_a_wheel_without_a_compiler_is_a_pure_one(compiler: dict[str, str], tmp_path: Path) -> None:
    pure = built(tmp_path, **compiler)
    assert LIBRARY not in pure.namelist()
    assert str(pure.filename).endswith("-py3-none-any.whl")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_an_editable_install_has_the_kernel_in_its_sources(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("src", "macros"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel:editable", "--directory", "dist"]
    library = tmp_path / "src" / LIBRARY
    for compiler, there in ((os.environ.get("CC", "cc"), True), ("no-such-compiler", False)):
        # The hook alone is looked at: whether the wheel comes off depends on the package editables.
        subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, env={**os.environ, "CC": compiler})
        assert library.exists() is there


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
