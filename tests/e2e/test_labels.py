"""NaN in the scores, through the command: the label is NULL, the record says why, every road agrees."""

from __future__ import annotations

import pytest

from sqlinfer.testing import onnx_builder as onnx

FUNCTION = """functions:
  - name: kind
    model: {{path: kind.onnx}}
    arguments: [{{name: a, data_type: double, on_null: nan}}, {{name: b, data_type: double}}]
    returns: {returns}
    config: {{reuse: {reuse}, {more}}}
"""
LABEL = "{data_type: varchar, output: label}"
STRUCT = (
    "{data_type: struct, fields: [{name: label, data_type: varchar, output: label}, "
    "{name: p, data_type: double, output: probabilities, index: 1}]}"
)


@pytest.mark.parametrize("reuse", ["true", "false"])
@pytest.mark.parametrize("more", ["", "isolation: process"])
@pytest.mark.parametrize(("returns", "column"), [(LABEL, "k"), (STRUCT, "k.label")])
def test_a_label_out_of_nan_is_null_with_a_record(shop, reuse: str, more: str, returns: str, column: str) -> None:
    onnx.classifier_zipmap(path=shop.root / "functions/kind.onnx")
    shop.put("functions/f.yml", FUNCTION.format(returns=returns, reuse=reuse, more=more))
    shop.db("create or replace table t as select i as id, if(i = 7, null, i - 10.0) as a, 1.0 as b from range(20) r(i)")
    shop.model("{{ config(unique_key='id') }} select id, kind(a, b) as k from t")
    code, out = shop("run")
    assert code == 0, out
    assert shop.db(f"select id from m where {column} is null") == [(7,)]
    assert shop.db("select error_class from sqlinfer_errors") == [("invalid_output:nan",)]
    assert shop.db("select key_columns from sqlinfer_errors") == [('{"id":7}',)]
