"""No way of a row imports pandas, which pyarrow does with the first array that is made of numpy or Python values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from onnx import helper
from tokenizers import Tokenizer, models, pre_tokenizers

from sqlinfer.testing import onnx_builder as ob

ROOT = Path(__file__).parents[2]
STUB = """
import os, traceback
with open(os.environ["PANDAS_LOG"], "a") as log:
    log.write("".join(traceback.format_stack()))
raise AssertionError("pandas was imported")
"""
FUNCTIONS = """functions:
  - {name: plain, model: {path: plain.onnx}, arguments: [{name: x, data_type: double}], returns: {data_type: double}}
  - name: stored
    model: {path: plain.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true, max_error_rate: 1}
  - name: apart
    model: {path: plain.onnx}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {isolation: process}
  - {name: plan, model: {path: plan.onnx}}
  - name: twin
    model: {path: both.onnx}
    arguments: [{name: a, data_type: real}, {name: b, data_type: real}]
    returns:
      fields: [{name: label}, {name: p, output: probabilities, index: 1}, {name: all_of, output: probabilities}]
  - {name: wide, model: {path: wide.onnx}, arguments: [{name: v, data_type: "float[4]"}], returns: {data_type: real}}
  - name: topic
    model: {path: topic.onnx}
    tokenizer: {path: tokenizer.json, argument: body}
    arguments: [{name: body, data_type: varchar}]
    returns: {data_type: "float[8]", output: last_hidden_state, pooling: mean}
  - name: bright
    model: {path: bright.onnx}
    image: {size: 4}
    arguments: [{name: photo, data_type: varchar}]
    returns: {data_type: real}
    config: {max_error_rate: 1}
  - name: rules
    model: {source: python, entrypoint: "rules:score"}
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
"""
MODELS = {
    "streamed": "select id, plain(x) as y from t",
    "with_nulls": "select id, plain(case when id > 2 then x end) as y from t",
    "with_errors": "{{ config(max_error_rate=1) }} select id, stored(x_text) as y from t",
    "remembered": "{{ config(unique_key='id') }} select id, stored(x) as y from t",
    "merged": "{{ config(materialized='incremental', unique_key='id') }} select id, stored(x) as y from t",
    "isolated": "select id, apart(x) as y from t",
    "categories": "select id, plan(kind) as y from t",
    "structs": "select id, twin(x, x) as y from t",
    "fields": "select id, twin(x, 1).label as y, twin(x, 1).p as p from t",
    "lists": "select id, wide(v) as y from t",
    "texts": "select id, topic(body) as y from t",
    "images": "select id, bright(photo) as y from t",
    "code": "select id, rules(x) as y from t",
    "file": "{{ config(materialized='external', location='out.parquet') }} select id, plain(x) as y from t",
    "guarded": "select id, case when id > 1 then plain(x) end as y from t where plain(x) > 3",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    for folder in ("functions", "models", "seeds", "stub/pandas"):
        (root / folder).mkdir(parents=True)
    (root / "seeds/prices.csv").write_text("id,price\n1,2.5\n2,\n")
    (root / "stub/pandas/__init__.py").write_text(STUB)
    (root / "rules.py").write_text("def score(rows):\n    return rows.column(0)\n")
    (root / "sqlinfer_project.yml").write_text("name: p\nprofile: p\n")
    (root / "profiles.yml").write_text("p: {target: dev, outputs: {dev: {type: duckdb, path: p.duckdb}}}\n")
    (root / "functions/all.yml").write_text(FUNCTIONS)
    (root / "models/all.yml").write_text(
        "models:\n  - name: streamed\n    columns: [{name: y, data_tests: [not_null, unique]}]\n"
    )
    for name, sql in MODELS.items():
        (root / f"models/{name}.sql").write_text(sql)
    _artifacts(root / "functions")
    with duckdb.connect(str(root / "p.duckdb")) as con:
        con.execute(
            "create table t as select i as id, i::double as x, case when i = 3 then 'odd' else i::text end as x_text, "
            "['monthly', 'yearly', 'never'][1 + i % 3] as kind, [i, i, i, i]::float[4] as v, "
            "['good', 'bad news', ''][1 + i % 3] as body, 'photos/' || i || '.bmp' as photo from range(6) r(i)"
        )
    return root


def _artifacts(folder: Path) -> None:
    ob.linear([2.0], 1.0, element_type="double", path=folder / "plain.onnx")
    ob.classifier_zipmap(path=folder / "both.onnx")
    ob.array_sum(4, path=folder / "wide.onnx")
    ob.encoder(path=folder / "topic.onnx")
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)
    ob.build([node], [ob.value("x", "float", ["N", 3, 4, 4])], [ob.value("y", "float", ["N"])],
             path=folder / "bright.onnx")  # fmt: skip
    hot = helper.make_node(
        "OneHotEncoder", ["kind"], ["hot"], domain="ai.onnx.ml", cats_strings=["monthly", "yearly"], zeros=1
    )
    linear = helper.make_node("LinearClassifier", ["flat"], ["label", "p"], domain="ai.onnx.ml",
                              coefficients=[1.0, -1.0, -1.0, 1.0], intercepts=[0.0, 0.1],
                              classlabels_strings=["a", "b"])  # fmt: skip
    ob.build([hot, helper.make_node("Flatten", ["hot"], ["flat"]), linear], [ob.value("kind", "string", ["N", 1])],
             [ob.value("label", "string", ["N"])], path=folder / "plan.onnx")  # fmt: skip
    words = {"[UNK]": 0, "[PAD]": 1, "good": 2, "bad": 3, "news": 4}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))


CLI = ("-c", "from sqlinfer.cli.main import main; main()")
Command = Callable[..., str]


@pytest.fixture
def ours(project: Path, tmp_path: Path) -> Command:
    """Runs a command of ours where pandas fails on import, and fails where it was imported."""

    def run(*words: str) -> str:
        log = tmp_path / "imports.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(project / "stub"), str(ROOT / "src"), str(ROOT)]),
        }
        done = subprocess.run(
            [sys.executable, *words], cwd=project, env={**environment, "PANDAS_LOG": str(log)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not log.exists(), log.read_text()
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_two_nights_of_everything_make_arrays_without_pandas(ours: Command) -> None:
    for _ in range(2):
        ours(*CLI, "run")


@pytest.mark.parametrize("output", ["table", "json", "csv"])
@pytest.mark.parametrize("model", ["structs", "with_errors"])
def test_a_preview_too(ours: Command, model: str, output: str) -> None:
    assert "y" in ours(*CLI, "preview", model, "--output", output)


@pytest.mark.parametrize("words", [("compile",), ("build", "--select", "streamed prices"), ("ls",)], ids=str)
def test_other_commands_too(ours: Command, words: tuple[str, ...]) -> None:
    ours(*CLI, *words)


SNIPPETS = {
    "connection": "print(sqlinfer.connect('.').sql('select id, twin(x, x) as y from t').to_pylist())",
    "udf": "import duckdb\nc = duckdb.connect('p.duckdb', read_only=True)\nsqlinfer.register(c, project_dir='.')\n"
    "print(c.execute('select id, plain(x), twin(x, x), topic(body), bright(photo) from t').fetchall())",
}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python_too(ours: Command, snippet: str) -> None:
    assert "0" in ours("-c", f"import sqlinfer\n{SNIPPETS[snippet]}")


def test_what_makes_arrays_on_the_way_of_rows_goes_by_their_buffers() -> None:
    """What is left meets objects of Python from a user's code, a map of the runtime, or one key of `lookup`."""
    imports = re.compile(r"pa\.(array|scalar|repeat)\(|(?<!arrays)\.to_numpy\(|\.fill_null\(|empty_table\(|__array__\(")
    left = {
        f"{path.name}: {line.strip()}"
        for part in ("inference", "runner", "adapters/duckdb", "jobs")
        for path in (ROOT / "src/sqlinfer" / part).rglob("*.py")
        for line in path.read_text().splitlines()
        if imports.search(line)
    }
    assert left == {
        "native_values.py: return pa.array(values, mask=missing)",
        "native_values.py: return pa.array(values, from_pandas=False)",
        "outputs.py: return pa.array(found, pa.string())",
        "served.py: found = (pa.scalar(value) if own else pa.scalar(value, kind)).cast(kind).as_py()",
    }
