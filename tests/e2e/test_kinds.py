"""Structs, vectors, labels, nested functions and every materialisation in one project, through the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sqlinfer.cli.main import invoke

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
FUNCTIONS = """
functions:
  - name: cls
    model: {path: cls.onnx}
    arguments: [{name: a, data_type: double}, {name: b, data_type: double, on_null: nan}]
    returns:
      data_type: struct
      fields:
        - {name: label, data_type: varchar, output: lab, labels: ['no', 'yes']}
        - {name: p_yes, data_type: double, output: probs, index: 1}
    config: {reuse: true}
  - name: emb
    model: {path: emb.onnx}
    arguments: [{name: a, data_type: double}, {name: b, data_type: double}]
    returns: {data_type: "float[8]"}
    config: {reuse: true}
  - name: total
    model: {path: total.onnx}
    arguments: [{name: e, data_type: "float[8]"}]
    returns: {data_type: float}
    config: {reuse: false}
  - name: code
    model: {path: code.onnx}
    arguments: [{name: t, data_type: varchar}]
    returns: {data_type: float}
    config: {reuse: true}
"""
MODELS = {
    "structs": 'select id, predict(\'cls\', a, b).label as label, cls(a, b).p_yes as p, "odd ""name" as odd '
    "from {{ ref('pts') }}",
    "vectors": "{{ config(lineage=true) }} select id, predict('emb', a, b) as e, total(emb(a, b)) as d, "
    "predict('code', t) as l from {{ ref('pts') }}",
    "coded": "{{ config(materialized='ephemeral') }} select *, predict('code', t) as l from {{ ref('pts') }}",
    "counts": "select l, count(*) as n from {{ ref('coded') }} where id > 1 group by l",
    "table_form": "select * from predict('cls', (select id, a, b from {{ ref('pts') }} where id < 4))",
    "slices": "{{ config(materialized='incremental', unique_key='id', incremental_strategy='delete+insert') }} "
    "select id, predict('code', t) as l from {{ ref('pts') }} "
    "{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}",
    "exported": "{{ config(materialized='external', location='out/codes.parquet') }} "
    "select id, predict('code', t) as l from {{ ref('pts') }}",
    "after_export": "select id, predict('code', t) - l as difference from {{ ref('exported') }} "
    "join {{ ref('pts') }} using (id)",
}


def save(
    path: Path, nodes: list[onnx.NodeProto], inputs: list[object], outputs: list[object], **constants: object
) -> None:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info(*i) for i in inputs], [info(*o) for o in outputs], tensors  # type: ignore[misc]
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


@pytest.fixture(scope="module", params=["small", "large"])
def project(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "large":
            patch.setenv("SQLINFER_LARGE_ROWS", "1")
        yield build(tmp_path_factory)


def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kinds")
    for folder in ("functions", "models", "seeds"):
        (root / folder).mkdir()
    node = helper.make_node
    save(
        root / "functions/cls.onnx",
        [node("MatMul", ["x", "W"], ["z"]), node("Softmax", ["z"], ["probs"], axis=1),
         node("ArgMax", ["probs"], ["lab"], axis=1, keepdims=0)],
        [("x", FLOAT, ["N", 2])], [("lab", INT64, ["N"]), ("probs", FLOAT, ["N", 2])],
        W=np.array([[1.0, -1.0], [0.5, 0.25]], dtype=np.float32),
    )  # fmt: skip
    save(
        root / "functions/emb.onnx", [node("MatMul", ["x", "V"], ["emb"])], [("x", FLOAT, ["N", 2])],
        [("emb", FLOAT, ["N", 8])], V=np.arange(16, dtype=np.float32).reshape(2, 8),
    )  # fmt: skip
    save(
        root / "functions/total.onnx", [node("ReduceSum", ["e", "axes"], ["s"], keepdims=0)],
        [("e", FLOAT, ["N", 8])], [("s", FLOAT, ["N"])], axes=np.array([1]),
    )  # fmt: skip
    encoder = node(
        "LabelEncoder", ["t"], ["n"], domain="ai.onnx.ml", keys_strings=["a", "b", "ü"],
        values_floats=[1.0, 2.0, 3.0], default_float=-1.0,
    )  # fmt: skip
    save(root / "functions/code.onnx", [encoder], [("t", STRING, ["N", 1])], [("n", FLOAT, ["N", 1])])
    (root / "functions" / "all.yml").write_text(FUNCTIONS)
    for name, sql in MODELS.items():
        (root / "models" / f"{name}.sql").write_text(sql)
    (root / "seeds" / "pts.csv").write_text(
        'id,a,b,t,"odd ""name"\n1,1.5,2,a,x\n2,,3,b,y\n3,2,,ü,z\n4,-1,5,,q\n5,1.5,2,zzz,x\n', encoding="utf-8"
    )
    (root / "sqlinfer_project.yml").write_text("name: kinds\nversion: '1'\nprofile: kinds\n")
    (root / "profiles.yml").write_text("kinds: {target: d, outputs: {d: {type: duckdb, path: kinds.duckdb}}}\n")
    assert invoke(["build", "--project-dir", str(root), "--profiles-dir", str(root)]) == 0
    return root


def rows(project: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(project / "kinds.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_struct_fields_are_columns_and_invalid_outputs_are_null(project: Path) -> None:
    found = rows(project, "select id, label, round(p, 4), odd from structs order by id")
    assert [r[1] for r in found] == ["no", None, None, "yes", "no"]
    assert found[0][2] == found[4][2] == pytest.approx(0.0293)
    assert [r[3] for r in found] == ["x", "y", "z", "q", "x"]


def test_vectors_keep_their_type_and_feed_other_functions(project: Path) -> None:
    found = rows(project, "select e[2], d, l, typeof(e), _sqlinfer_functions from vectors order by id")
    assert found[0][0] == pytest.approx(1.5 * 1 + 2 * 9)
    assert found[0][1] == pytest.approx(1.5 * 28 + 2 * 92)
    assert [r[2] for r in found] == [1.0, 2.0, 3.0, None, -1.0]
    assert found[1][:2] == (None, None)
    assert found[0][3] == "FLOAT[8]"
    assert "emb@" in str(found[0][4])


def test_ephemeral_and_table_forms_score_inside_the_query_that_reads_them(project: Path) -> None:
    assert sorted(rows(project, "select l, n from counts"), key=repr) == [(-1.0, 1), (2.0, 1), (3.0, 1), (None, 1)]
    assert [c for (c,) in rows(project, "select column_name from (describe table_form)")] == [
        "id", "a", "b", "label", "p_yes",
    ]  # fmt: skip


def test_a_node_reads_the_file_that_another_node_exported(project: Path) -> None:
    assert (project / "out/codes.parquet").exists()
    assert rows(project, "select difference from after_export order by id") == [(0.0,)] * 3 + [(None,), (0.0,)]


def test_a_slice_removes_nothing_and_scores_nothing_where_nothing_is_new(project: Path) -> None:
    args = ["--project-dir", str(project), "--profiles-dir", str(project)]
    assert invoke(["run", "--select", "slices", *args]) == 0
    (result,) = json.loads((project / "target/run_results.json").read_text())["results"]
    assert result["adapter_response"]["inputs"] == 0
    assert rows(project, "select count(*) from slices") == [(5,)]
