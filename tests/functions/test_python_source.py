"""``source: python``: code of the project as a function, its digest, and what it may give back."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError, SqlinferError
from sqlinfer.functions.sources import modules
from sqlinfer.inference import open_session
from sqlinfer.project.values import FunctionConfig, ReturnField
from sqlinfer.spec.function import Argument, PreparedFunction
from sqlinfer.testing.workshop import Workshop

RULES = """
    import numpy as np
    import pyarrow as pa
    from scoring import helpers

    not_callable = 3

    def score(rows):
        return rows["x"].to_numpy() * helpers.factor()

    def arrow(rows):
        return rows["x"]

    def columns(rows):
        return pa.record_batch({"twice": rows["x"], "name": pa.array(["a"] * len(rows))})

    def mapping(rows):
        return {"value": np.asarray(rows["x"]), "other": np.asarray(rows["x"])}

    def table(rows):
        return pa.Table.from_batches([rows])

    def struct(rows):
        return rows.to_struct_array()

    def listed(rows):
        return [float(x) for x in rows["x"].to_pylist()]

    def vectors(rows):
        return np.ones((len(rows), 3), dtype=np.float32)

    def nulls(rows):
        return pa.array([None if x == 2 else x for x in rows["x"].to_pylist()])

    def nothing(rows):
        return None

    def text(rows):
        return np.array(["yes"] * len(rows))

    def short(rows):
        return np.asarray(rows["x"])[1:]

    def raising(rows):
        if 2.0 in rows["x"].to_pylist():
            raise KeyError("a secret name")
        return rows["x"]

    def leaving(rows):
        raise SystemExit(0)

    def where(rows):
        import os
        return [os.getcwd()] * len(rows)

    def seen(rows):
        return [repr((str(rows.schema.field(0).type), rows[0].to_pylist()))] * len(rows)
"""


@pytest.fixture
def code(shop: Workshop) -> Workshop:
    write(shop, "scoring/rules.py", RULES)
    write(shop, "scoring/helpers.py", "def factor():\n    return 2.0\n")
    return shop


def write(shop: Workshop, name: str, text: str) -> Path:
    path = shop.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def declare(
    shop: Workshop, name: str = "score", returns: Any = "DOUBLE", arguments: Any = (("x", "DOUBLE"),), **options: Any
) -> FunctionConfig:
    spelled = name if ":" in name else f"scoring.rules:{name}"
    given: dict[str, Any] = {"source": "python", "runtime": "native", "entrypoint": spelled, **options}
    return shop.declare(None, arguments, returns, **given)


def make(shop: Workshop, name: str = "score", *args: Any, **options: Any) -> PreparedFunction:
    return shop.prepare(declare(shop, name, *args, **options))


def values(prepared: PreparedFunction, **columns: Any) -> dict[str, list[Any]]:
    with open_session(prepared, threads=1) as session:
        table = pa.table(columns or {"x": [1.0, 2.0, 3.0]})
        return session.score_table(table, keep=()).to_pydict()


@pytest.mark.parametrize(
    ("name", "returns", "expected"),
    [
        ("score", "DOUBLE", [2.0, 4.0, 6.0]),
        ("arrow", "DOUBLE", [1.0, 2.0, 3.0]),
        ("arrow", "BIGINT", [1, 2, 3]),
        ("columns", ReturnField("value", "DOUBLE", output="twice"), [1.0, 2.0, 3.0]),
        ("columns", ReturnField("value", "TEXT", output="NAME"), ["a", "a", "a"]),
        ("mapping", "DOUBLE", [1.0, 2.0, 3.0]),
        ("table", "DOUBLE", [1.0, 2.0, 3.0]),
        ("struct", "DOUBLE", [1.0, 2.0, 3.0]),
        ("listed", "DOUBLE", [1.0, 2.0, 3.0]),
        ("vectors", "REAL[3]", [[1.0, 1.0, 1.0]] * 3),
        ("text", "TEXT", ["yes"] * 3),
    ],
)
def test_an_array_or_columns_of_any_kind_are_the_result(code: Workshop, name: str, returns: Any, expected: Any) -> None:
    found = values(make(code, name, returns))
    assert found == {"value": expected, "error": [None, None, None]}


def test_fields_of_a_struct_are_columns_by_name(code: Workshop) -> None:
    fields = [ReturnField("name", "TEXT"), ReturnField("score", "DOUBLE", output="twice")]
    found = values(make(code, "columns", fields, is_struct=True))
    assert found["score"] == [1.0, 2.0, 3.0]
    assert found["name"] == ["a", "a", "a"]


def test_a_value_that_is_null_is_no_result(code: Workshop) -> None:
    assert values(make(code, "nulls")) == {"value": [1.0, None, 3.0], "error": [None, "invalid_output:null", None]}
    assert values(make(code, "nulls", on_invalid="allow"))["error"] == [None, None, None]


def test_a_row_that_raises_costs_only_itself_and_its_values_are_not_told(code: Workshop) -> None:
    found = values(make(code, "raising"))
    assert found == {"value": [1.0, None, 3.0], "error": [None, "runtime: KeyError: …", None]}


def test_code_that_leaves_the_process_costs_the_rows_that_it_was_called_with(code: Workshop) -> None:
    errors = values(make(code, "leaving"), x=[1.0])["error"]
    assert errors == ["crashed: the process that scored the row left with code 0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "function 'f' declares double, and scoring.rules:nothing returned a Python NoneType"),
        ("text", "function 'f' declares double, and scoring.rules:text returned varchar"),
        ("vectors", "function 'f' declares double, and scoring.rules:vectors returned float[3]"),
        ("short", "function 'f': scoring.rules:short returned 2 values for 3 rows"),
    ],
)
def test_a_result_that_is_not_as_declared_fails_and_names_both_sides(code: Workshop, name: str, message: str) -> None:
    with pytest.raises(InferenceError) as caught:
        values(make(code, name))
    assert caught.value.message == message


def test_a_column_that_is_not_there_fails_and_names_both_sides(code: Workshop) -> None:
    with pytest.raises(InferenceError) as caught:
        values(make(code, "columns", ReturnField("value", "DOUBLE", output="score")))
    assert caught.value.message == (
        "function 'f' declares 'score', and scoring.rules:columns returned the columns 'twice', 'name'"
    )
    with pytest.raises(InferenceError, match=r"declares 'a', 'b', and .* returned a ndarray, which is one column"):
        values(make(code, "score", [ReturnField("a", "DOUBLE"), ReturnField("b", "DOUBLE")], is_struct=True))


def test_arguments_have_their_declared_names_and_types_and_missing_texts_are_null(code: Workshop) -> None:
    arguments = [Argument("city name", "TEXT", on_null="nan")]
    found = values(make(code, "seen", "TEXT", arguments), **{"city name": pa.array(["Ulm", "\ufdd0"])})
    assert found["value"] == ["('string', ['Ulm', None])"] * 2
    assert values(make(code, "seen", "TEXT", [("n", "TINYINT")]), n=[7])["value"] == ["('int8', [7])"]


def test_code_runs_in_the_folder_of_the_project(code: Workshop) -> None:
    assert values(make(code, "where", "TEXT"))["value"] == [str(code.folder)] * 3


def test_one_row_a_call_where_code_mixes_rows(code: Workshop) -> None:
    assert make(code, row_wise="force").contract.batch_size == 1


# what the digest counts


def test_the_digest_follows_the_modules_that_are_imported_and_no_others(code: Workshop) -> None:
    write(code, "scoring/unrelated.py", "a = 1\n")
    before = make(code).contract.digest
    write(code, "scoring/unrelated.py", "a = 2\n")
    assert make(code).contract.digest == before
    write(code, "scoring/helpers.py", "def factor():\n    return 3.0\n")
    after = make(code)
    assert after.contract.digest != before
    assert values(after)["value"] == [3.0, 6.0, 9.0]


def test_the_digest_follows_declared_files_and_folders(code: Workshop) -> None:
    limits, table = write(code, "limits.json", "1"), write(code, "tables/rates/eu.csv", "1")
    options = {"files": (limits, table.parents[1])}
    before = make(code, **options).contract.digest
    table.write_text("2")
    second = make(code, **options).contract.digest
    limits.write_text("2")
    assert len({before, second, make(code, **options).contract.digest}) == 3


def test_the_digest_follows_versions_of_declared_packages(code: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlinfer.functions.sources import entrypoint

    before = make(code, packages=("numpy",)).contract.digest
    monkeypatch.setattr(entrypoint, "version", lambda package: "99.0")
    assert make(code, packages=("numpy",)).contract.digest != before


def test_the_digest_is_the_same_wherever_the_project_lies(code: Workshop, tmp_path: Path) -> None:
    other = Workshop(tmp_path / "elsewhere")
    write(other, "scoring/rules.py", RULES)
    write(other, "scoring/helpers.py", "def factor():\n    return 2.0\n")
    assert make(other).contract.digest == make(code).contract.digest


def test_code_that_changed_after_it_was_prepared_is_not_run(code: Workshop) -> None:
    prepared = make(code)
    write(code, "scoring/helpers.py", "def factor():\n    return 3.0\n")
    with pytest.raises(InferenceError, match=r"helpers\.py changed since the function was prepared"):
        values(prepared)


def test_compiled_code_of_an_older_text_is_not_run(code: Workshop) -> None:
    import os
    import py_compile

    path = code.folder / "scoring" / "helpers.py"
    stamp = path.stat().st_mtime
    py_compile.compile(str(path))
    path.write_text("def factor():\n    return 7.0\n")
    os.utime(path, (stamp, stamp))
    assert values(make(code))["value"] == [7.0, 14.0, 21.0]


def test_packages_that_are_imported_and_not_declared_are_named(code: Workshop) -> None:
    assert make(code).warnings == (
        "its code imports numpy: under 'packages:', another version scores everything again",
    )  # fmt: skip
    assert make(code, packages=("NumPy",)).warnings == ()


# what imports are followed


@pytest.mark.parametrize(
    "text",
    [
        "import pkg.deep",
        "from pkg import deep",
        "from pkg.deep import *",
        "from .deep import x",
        "from . import deep",
        "def f():\n    from pkg import deep",
        "import importlib\nimportlib.import_module('pkg.deep')",
        "try:\n    import pkg.deep\nexcept ImportError:\n    pass",
    ],
)
def test_imports_are_followed_however_they_are_spelled(tmp_path: Path, text: str) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "deep.py").write_text("import json")
    (tmp_path / "pkg" / "main.py").write_text(text)
    found = modules.reach("pkg.main", [tmp_path])
    assert set(found.modules) == {"pkg", "pkg.main", "pkg.deep"}
    assert "json" in found.elsewhere


def test_modules_that_import_each_other_are_found_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import b")
    (tmp_path / "b.py").write_text("import a\nfrom a import b")
    assert set(modules.reach("a", [tmp_path]).modules) == {"a", "b"}


# what is refused when it is prepared


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "scoring.rules:scor"}, "scoring.rules (rules.py) has no 'scor'"),
        ({"name": "scoring.rules:not_callable"}, "scoring.rules:not_callable is of type int and cannot be called"),
        ({"name": "nowhere.rules:score"}, "there is no module 'nowhere'"),
        ({"arguments": ()}, "source python needs 'arguments:'"),
        ({"returns": ()}, "source python needs 'returns:'"),
        ({"returns": ReturnField("value", None)}, "source python needs 'returns:'"),
        ({"returns": ReturnField("value", "DOUBLE", index=1)}, "'index' is for the outputs of a graph"),
        ({"packages": ("no-such-package-here",)}, "the package 'no-such-package-here' under 'packages:' is not"),
        ({"files": (Path("/nonexistent/limits.json"),)}, "limits.json does not exist"),
        ({"inputs": {"x": ("x",)}}, "source python takes no 'inputs:'"),
        ({"precision": "fp16"}, "'precision: fp16' is for graphs"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_when_it_is_prepared(
    code: Workshop, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SqlinferError) as caught:
        make(code, **options)
    assert message in caught.value.message
    assert caught.value.location is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_module_here",
            "ModuleNotFoundError: No module named 'no_such_module_here' (broken.py, line 1)",
        ),
        ("x = 1\nraise ValueError('no licence')", "ValueError: no licence (broken.py, line 2)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (broken.py, line 2)"),
        ("def score(rows:", "broken.py is no Python: '(' was never closed"),
        ("score = (\0", "broken.py is no Python"),
        ("from scoring import nothing", "ImportError: cannot import name 'nothing'"),
    ],
)
def test_code_that_does_not_load_says_where(code: Workshop, text: str, message: str) -> None:
    write(code, "broken.py", text + "\nscore = len\n")
    with pytest.raises(SqlinferError) as caught:
        make(code, "broken:score")
    assert message in caught.value.message


def test_a_module_that_is_loaded_behind_the_digest_is_refused_with_the_way_out(code: Workshop) -> None:
    write(code, "dynamic.py", "name = 'scor' + 'ing.helpers'\n__import__(name)\nscore = len\n")
    with pytest.raises(SqlinferError) as caught:
        make(code, "dynamic:score")
    assert "dynamic loads scoring.helpers of this project, which its imports do not name" in caught.value.message
    assert "add helpers.py to 'files:'" in str(caught.value.hint)
    make(code, "dynamic:score", files=(code.folder / "scoring" / "helpers.py",))


def test_code_of_the_project_may_read_its_secrets(code: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_LICENCE", "enigma")
    text = "import os\nKEY = os.environ['DBT_ENV_SECRET_LICENCE']\nscore = lambda rows: [len(KEY)] * len(rows)\n"
    write(code, "licensed.py", text)
    assert values(make(code, "licensed:score", "BIGINT"))["value"] == [6, 6, 6]
