"""ONNX graphs that are well-formed and wrong: refused when the function is prepared, or the night ends and says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx as onnx_api
import pytest
from house import FILES, FUNCTIONS, House
from onnx import TensorProto, helper

from sqlinfer.testing import onnx_builder as onnx

X, Y = onnx.value("x", "float", ["N", 1]), onnx.value("y", "float", ["N", 1])
OUT = onnx.value("z", "float", ["N", 1])
ADD = helper.make_node("Add", ["x", "y"], ["z"])


def graph(
    nodes: list[object], outputs: list[object] | None = None, consts: list[object] | None = None, **more: object
) -> bytes:
    return onnx.build(nodes, [X, Y], outputs or [OUT], consts or [], **more)


def unchecked(change: Callable[[onnx_api.ModelProto], object]) -> bytes:
    """A good model, changed behind the checker's back."""
    model = onnx_api.load_model_from_string(graph([ADD]))
    change(model)
    return bytes(model.SerializeToString())


def loop_forever() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["a"], ["b"])], "body",
        [onnx.value("i", "int64", []), onnx.value("go", "bool", []), onnx.value("a", "float", ["N", 1])],
        [onnx.value("again", "bool", []), onnx.value("b", "float", ["N", 1])],
    )  # fmt: skip
    top = [helper.make_node("Add", ["x", "y"], ["s"]), helper.make_node("Loop", ["", "yes", "s"], ["z"], body=body)]
    return graph(top, consts=[onnx.constant("yes", True, "bool", [])])


def nested_ifs(depth: int) -> bytes:
    inner = helper.make_graph([helper.make_node("Add", ["x", "y"], ["r"])], "g", [], [onnx.value("r", "float", None)])
    for _ in range(depth):
        node = helper.make_node("If", ["yes"], ["r"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], "g", [], [onnx.value("r", "float", None)])
    top = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
    return graph([top], consts=[onnx.constant("yes", True, "bool", [])])


def rename(model: onnx_api.ModelProto, old: str, new: str) -> None:
    model.graph.node[0].output[0] = new


def external(location: str, **entries: str) -> TensorProto:
    tensor = TensorProto(name="w", dims=[1], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


BIG = 1 << 40
REFUSED = [
    ("an operator that nobody knows", unchecked(lambda m: setattr(m.graph.node[0], "op_type", "Frobnicate"))),
    ("a domain that nobody knows", unchecked(lambda m: setattr(m.graph.node[0], "domain", "evil.ops"))),
    ("an opset of the future", unchecked(lambda m: setattr(m.opset_import[0], "version", 999))),
    ("no opset", unchecked(lambda m: m.ClearField("opset_import"))),
    ("an IR of the future", unchecked(lambda m: setattr(m, "ir_version", 999))),
    ("no IR", unchecked(lambda m: m.ClearField("ir_version"))),
    ("no graph", unchecked(lambda m: m.ClearField("graph"))),
    ("no output", unchecked(lambda m: m.graph.ClearField("output"))),
    ("no input", unchecked(lambda m: m.graph.ClearField("input"))),
    ("an input twice", unchecked(lambda m: m.graph.input.append(m.graph.input[0]))),
    ("an output twice", unchecked(lambda m: m.graph.output.append(m.graph.output[0]))),
    ("a node twice", unchecked(lambda m: m.graph.node.append(m.graph.node[0]))),
    ("a cycle", unchecked(lambda m: m.graph.node[0].input.__setitem__(0, "z"))),
    ("an input that nobody makes", unchecked(lambda m: m.graph.node[0].input.__setitem__(0, "nothing"))),
    ("an output that nobody makes", unchecked(lambda m: rename(m, "z", "w"))),
    ("an attribute that is not the operator's", unchecked(lambda m: m.graph.node[0].attribute.append(helper.make_attribute("evil", 1)))),
    ("a constant shorter than its shape", graph([helper.make_node("Add", ["x", "w"], ["z"])], consts=[onnx.constant("w", [1.0])]).replace(b"\x08\x01\x10\x01", b"\x08\x7f\x10\x01")),
    ("a shape of a trillion", unchecked(lambda m: m.graph.initializer.append(TensorProto(name="w", dims=[BIG, BIG], data_type=1, raw_data=b"1234")))),
    ("a negative shape", unchecked(lambda m: m.graph.initializer.append(TensorProto(name="w", dims=[-1], data_type=1)))),
    ("a type that nobody knows", unchecked(lambda m: m.graph.initializer.append(TensorProto(name="w", dims=[1], data_type=99)))),
    ("an input of no type", unchecked(lambda m: m.graph.input[0].ClearField("type"))),
    ("an input of another type", graph([helper.make_node("Add", ["x", "y"], ["z"])]).replace(b"\x12", b"\x13", 0) and unchecked(
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.COMPLEX64))),
    ("types that do not add", unchecked(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64))),
    ("three inputs", onnx.linear([1.0] * 3, inputs=["x", "y", "v"], packed=False)),
    ("one input", onnx.identity()),
    ("a sequence", graph([ADD, helper.make_node("SequenceConstruct", ["z"], ["q"])],
                         [helper.make_value_info("q", helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)))])),
    ("a matrix for a number", graph([helper.make_node("Concat", ["x", "y"], ["z"], axis=1)], [onnx.value("z", "float", ["N", 2])])),
    ("text for a number", graph([ADD, helper.make_node("Cast", ["z"], ["t"], to=TensorProto.STRING)], [onnx.value("t", "string", ["N", 1])])),
    ("the mean of all rows", graph([ADD, helper.make_node("ReduceMean", ["z"], ["m"], axes=[0], keepdims=1)], [onnx.value("m", "float", [1, 1])])),
    ("a softmax over rows", graph([helper.make_node("Add", ["x", "y"], ["s"]), helper.make_node("Softmax", ["s"], ["z"], axis=0)])),
    ("random numbers", graph([helper.make_node("RandomNormalLike", ["x"], ["z"])])),
    ("a sum so far", graph([helper.make_node("CumSum", ["x", "axis"], ["z"])], consts=[onnx.constant("axis", 0, "int64")])),
    ("external data by path", unchecked(lambda m: m.graph.initializer.append(external("/etc/passwd")))),
    ("external data above", unchecked(lambda m: m.graph.initializer.append(external("../../wh.duckdb")))),
    ("external data in memory", unchecked(lambda m: m.graph.initializer.append(external("*/_ORT_MEM_ADDR_/*")))),
    ("external data by drive", unchecked(lambda m: m.graph.initializer.append(external("C:\\x")))),
    ("external data of no name", unchecked(lambda m: m.graph.initializer.append(external("")))),
    ("external data by URL", unchecked(lambda m: m.graph.initializer.append(external("http://127.0.0.1/x")))),
    ("external data in itself", unchecked(lambda m: m.graph.initializer.append(external("score.onnx", offset="99999999")))),
]  # fmt: skip


@pytest.mark.parametrize("data", [data for _, data in REFUSED], ids=[name for name, _ in REFUSED])
def test_a_wrong_graph_is_refused_at_its_declaration(data: bytes, house: Callable[..., House]) -> None:
    shop = house({"functions/score.onnx": data})
    before = shop.published()
    done = shop.sqlinfer("compile")
    assert done.code == 2, done.text
    assert "Traceback" not in done.text
    assert f"--> {shop.root / FUNCTIONS}:" in done.text, done.text
    assert "root:" not in done.text
    assert shop.published() == before
    assert shop.litter() == []


LATE = [
    ("fewer rows than came", graph([ADD, helper.make_node("Compress", ["z", "mask"], ["c"], axis=0)], [onnx.value("c", "float", ["M", 1])],
                                   [onnx.constant("mask", [True, False, True], "bool")])),
    ("more rows than came", graph([helper.make_node("Concat", ["x", "y"], ["z"], axis=0)])),
    ("rows that are only some", graph([ADD, helper.make_node("Slice", ["z", "a", "b"], ["c"])], [onnx.value("c", "float", ["M", 1])],
                                      [onnx.constant("a", [0], "int64"), onnx.constant("b", [2], "int64")])),
    ("a result too large for any memory", graph([helper.make_node("Expand", ["x", "shape"], ["w"]), helper.make_node("ReduceSum", ["w", "axes"], ["z"], keepdims=0)],
                                                consts=[onnx.constant("shape", [BIG, 1, 1], "int64"), onnx.constant("axes", [0], "int64")])),
    ("a reshape that does not fit", graph([ADD, helper.make_node("Reshape", ["z", "s"], ["r"])], [onnx.value("r", "float", ["M", 1])],
                                          [onnx.constant("s", [7, 1], "int64")])),
    ("ifs inside ifs", nested_ifs(7)),
]  # fmt: skip


@pytest.mark.parametrize("data", [data for _, data in LATE], ids=[name for name, _ in LATE])
def test_a_graph_that_lies_publishes_nothing_wrong(data: bytes, house: Callable[..., House]) -> None:
    """Refused when it is prepared, or failed while it runs; where it does run, each row has its own result."""
    shop = house({"functions/score.onnx": data})
    before = shop.published()
    done = shop.sqlinfer("run")
    assert "Traceback" not in done.text
    if done.code == 0:
        assert shop.sql("select id, s from scores order by id") == [(1, 2.0), (2, 2.5), (3, 3.0)]
    else:
        assert done.code == 1, done.text
        assert shop.published() == before
    assert shop.litter() == []


def test_a_file_replaced_by_another_is_another_function(house: Callable[..., House]) -> None:
    shop = house({"functions/score.onnx": onnx.linear([10.0, 0.0], inputs=["x", "y"], packed=False)})
    assert shop.sqlinfer("run").code == 0
    assert shop.sql("select s from scores order by id") == [(10.0,), (20.0,), (0.0,)]


def test_a_damaged_cache_is_made_again(house: Callable[..., House]) -> None:
    shop = house()
    for path in (shop.root / "target" / "functions").rglob("*.json"):
        path.write_bytes(b"{not json")
    done = shop.sqlinfer("run")
    assert done.code == 0, done.text


def test_a_link_out_of_the_project_in_place_of_the_artifact_is_refused(
    house: Callable[..., House], tmp_path: Path
) -> None:
    shop = house({"functions/score.onnx": None})
    (shop.root / "functions" / "score.onnx").symlink_to("/etc/passwd")
    done = shop.sqlinfer("run")
    assert done.code == 2
    assert "leaves the project" in done.text
    assert "root:" not in done.text
    assert FILES
