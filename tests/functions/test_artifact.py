"""An artifact is not trusted: whatever is wrong with it is one clear error, and nothing outside its folder is read."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sqlinfer.errors import ArtifactError
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop, score

MODEL = ob.mlp([4, 8, 1])
FOUR = [(f"x{i}", "REAL") for i in range(4)]


def artifact_error(shop: Workshop, data: bytes | Path) -> ArtifactError:
    error = shop.refused(data, FOUR)
    assert isinstance(error, ArtifactError), error
    return error


@pytest.mark.parametrize("share", [i / 24 for i in range(1, 24)])
def test_a_truncated_file_is_refused(shop: Workshop, share: float) -> None:
    error = artifact_error(shop, MODEL[: max(1, int(len(MODEL) * share))])
    assert "is not an ONNX model, or it is truncated" in error.message
    assert "check that the whole file was copied" in (error.hint or "")


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_file_cut_near_its_end_is_refused(shop: Workshop, cut: int) -> None:
    assert "is not an ONNX model, or it is truncated" in artifact_error(shop, MODEL[:-cut]).message


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(shop: Workshop, seed: int) -> None:
    rng = random.Random(seed)
    error = artifact_error(shop, b"\x01" + rng.randbytes(rng.choice([3, 50, 4000])))
    assert "is not an ONNX model" in error.message


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_never_escape_as_another_exception(shop: Workshop, seed: int) -> None:
    rng, data = random.Random(seed), bytearray(MODEL)
    for _ in range(3):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    config = shop.declare(bytes(data), FOUR)
    try:
        shop.prepare(config)
    except Exception as error:
        assert type(error).__module__ == "sqlinfer.errors", repr(error)  # noqa: PT017


def test_an_empty_file_is_refused(shop: Workshop) -> None:
    assert "is empty" in artifact_error(shop, b"").message


def test_a_missing_file_names_its_neighbours(shop: Workshop) -> None:
    (shop.folder / "churn.onnx").write_bytes(MODEL)
    error = artifact_error(shop, shop.folder / "chrun.onnx")
    assert "chrun.onnx does not exist" in error.message
    assert error.hint == "in that folder: churn.onnx"


def test_a_graph_without_nodes_is_refused(shop: Workshop) -> None:
    data = ob.build([], [ob.value("x", "float", ["N"])], [ob.value("x", "float", ["N"])])
    assert "no nodes" in artifact_error(shop, data).message


def test_text_and_html_are_refused(shop: Workshop) -> None:
    assert "is not an ONNX model" in artifact_error(shop, b"<!DOCTYPE html><html>404</html>").message
    assert "Git LFS" in artifact_error(shop, b"version https://git-lfs.github.com/spec/v1\n").message


class Boom:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("pwned",))


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Boom()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pickle.dumps(Boom(), protocol=2), "a Python pickle"),
        (pickle.dumps(Boom(), protocol=5), "a Python pickle"),
        (zipped(), "a zip archive"),
        (gzip.compress(pickle.dumps(Boom()), mtime=0), "a gzip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    ],
)
def test_the_pickle_family_is_refused_by_content(shop: Workshop, data: bytes, what: str) -> None:
    error = artifact_error(shop, data)
    assert what in error.message
    assert "it is not loaded" in error.message
    assert "trust:" in (error.hint or "")
    assert not Path("pwned").exists()


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".joblib", ".pt", ".pth", ".pt2", ".npz"])
def test_the_pickle_family_is_refused_by_extension(shop: Workshop, suffix: str) -> None:
    path = shop.folder / f"f{suffix}"
    path.write_bytes(pickle.dumps(Boom(), protocol=0))
    assert "not ONNX; it is not loaded" in artifact_error(shop, path).message


def test_a_folder_a_pipe_and_a_device_are_refused(shop: Workshop) -> None:
    pipe = shop.folder / "pipe.onnx"
    os.mkfifo(pipe)
    for path in (shop.folder, pipe, Path("/dev/zero")):
        assert "is not a regular file" in artifact_error(shop, path).message


def test_custom_operators_are_refused(shop: Workshop) -> None:
    node = helper.make_node("Evil", ["x"], ["y"], domain="my.ops")
    data = ob.build([node], [ob.value("x", "float", ["N"])], [ob.value("y", "float", ["N"])], opsets={"my.ops": 1})
    assert "custom operators of domain 'my.ops' (Evil)" in shop.refused(data, [("x", "REAL")]).message


@pytest.mark.parametrize(("field", "name"), [("opset", "opset 999"), ("ir", "IR version 999")])
def test_a_model_from_the_future_says_so(shop: Workshop, field: str, name: str) -> None:
    model = onnx.load_model_from_string(MODEL)
    if field == "opset":
        model.opset_import[0].version = 999
    else:
        model.ir_version = 999
    error = artifact_error(shop, model.SerializeToString())
    assert name in error.message
    assert "newer than the installed onnx knows" in error.message


# -- external data ---------------------------------------------------------------------------------------------------


def external(location: str, offset: object = None, length: object = None) -> bytes:
    """A linear model over four features whose weights lie in ``location``."""
    model = onnx.load_model_from_string(ob.linear([1.0, 2.0, 3.0, 4.0]))
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, item in (("location", location), ("offset", offset), ("length", length)):
        if item is not None:
            tensor.external_data.add(key=key, value=str(item))
    return bytes(model.SerializeToString())


def write_weights(path: Path) -> None:
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.float32([1, 2, 3, 4]).tobytes())


@pytest.mark.parametrize("location", ["f.data", "sub/f.data"])
def test_external_data_beside_the_model_is_taken_in(shop: Workshop, location: str) -> None:
    import numpy as np

    write_weights(shop.folder / location)
    prepared = shop.make(external(location), FOUR)
    (shop.folder / location).unlink()
    got = score(prepared, {"features": np.float32([[1, 1, 1, 1]])})["value"]
    assert got.tolist() == [10.0]


def test_changed_external_data_is_another_function(shop: Workshop) -> None:
    write_weights(shop.folder / "f.data")
    before = shop.make(external("f.data"), FOUR).contract.digest
    (shop.folder / "f.data").write_bytes(bytes(16))
    assert shop.make(external("f.data"), FOUR).contract.digest != before


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("../secret", "leads out of"), ("a/../../secret", "leads out of"), ("..\\secret", "leads out of"),
        ("/etc/passwd", "absolute path"), ("C:\\secret", "absolute path"), ("\\\\host\\share", "absolute path"),
        ("", "not a file name"), ("a\0b", "not a file name"), ("*/_ORT_MEM_ADDR_/*", "does not exist"),
        ("gone.data", "does not exist"), (".", "not a regular file"),
    ],
)  # fmt: skip
def test_external_data_outside_the_folder_is_refused(shop: Workshop, location: str, why: str) -> None:
    (shop.folder.parent / "secret").write_bytes(bytes(16))
    assert why in artifact_error(shop, external(location)).message


def test_external_data_through_links_is_refused(shop: Workshop) -> None:
    secret = shop.folder / "elsewhere" / "secret"
    write_weights(secret)
    (shop.folder / "soft").symlink_to(secret)
    (shop.folder / "folder").symlink_to(secret.parent)
    os.link(secret, shop.folder / "hard")
    os.mkfifo(shop.folder / "pipe")
    for location, why in [
        ("soft", "symbolic link"), ("folder/secret", "symbolic link"), ("hard", "hard link"), ("pipe", "regular file"),
    ]:  # fmt: skip
        assert why in artifact_error(shop, external(location)).message


@pytest.mark.parametrize(
    ("offset", "length"), [(8, 16), (-1, 16), (0, 17), (17, 0), (0, -1), ("x", 4), (2**63, 2**63), (0, 12)]
)
def test_external_data_out_of_bounds_is_refused(shop: Workshop, offset: object, length: object) -> None:
    write_weights(shop.folder / "f.data")
    error = artifact_error(shop, external("f.data", offset, length))
    assert "external data of tensor 'w' is damaged" in error.message or "truncated" in error.message


def test_a_link_put_in_place_later_is_found_on_a_warm_cache(shop: Workshop) -> None:
    write_weights(shop.folder / "f.data")
    shop.make(external("f.data"), FOUR)
    os.link(shop.folder / "f.data", shop.folder / "g.data")
    assert "hard link" in artifact_error(shop, external("f.data")).message


def _local(name: str, nodes: list[onnx.NodeProto], opset: int = 17) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, imports)


def _calls(functions: list[onnx.FunctionProto], opset: int = 17) -> bytes:
    """x [N,1] → y [N,1], through the local function ``first``."""
    ports = [ob.value(name, "float", ["N", 1]) for name in "xy"]
    call = helper.make_node("first", ["x"], ["y"], domain="own")
    graph = helper.make_graph([call], "g", ports[:1], ports[1:])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, functions=functions, ir_version=8, opset_imports=imports).SerializeToString()


def _call(name: str, a: str = "a", b: str = "b") -> onnx.NodeProto:
    return helper.make_node(name, [a], [b], domain="own")


def test_local_functions_are_taken_into_the_graph(shop: Workshop) -> None:
    twice = [_call("inner", "a", "t"), helper.make_node("Add", ["a", "t"], ["b"])]
    functions = [_local("first", twice), _local("inner", [helper.make_node("Mul", ["a", "a"], ["b"])])]
    prepared = shop.make(_calls(functions), [("x", "REAL")], "REAL")
    assert score(prepared, {"x": np.float32([[1], [3]])})["value"].tolist() == [2, 12]


def test_a_local_function_of_another_opset_is_converted(shop: Workshop) -> None:
    function = _local("first", [helper.make_node("Add", ["a", "a"], ["b"])], opset=17)
    prepared = shop.make(_calls([function], opset=21), [("x", "REAL")], "REAL")
    assert score(prepared, {"x": np.float32([[1], [3]])})["value"].tolist() == [2, 6]


def test_local_functions_without_end_are_refused(shop: Workshop) -> None:
    assert "calls itself" in shop.refused(_calls([_local("first", [_call("first")])])).message
    chain = [_call("next", "a" if i == 0 else f"t{i}", "b" if i == 9 else f"t{i + 1}") for i in range(10)]
    names = ["first", *(f"f{i}" for i in range(8))]
    functions = []
    for name, below in zip(names, [*names[1:], None], strict=True):
        nodes = [helper.make_node("Identity", ["a"], ["b"])]
        if below is not None:
            nodes = [_call(below, node.input[0], node.output[0]) for node in chain]
        functions.append(_local(name, nodes))
    assert "more than 1,000,000 nodes" in shop.refused(_calls(functions)).message


def test_local_functions_nested_very_deeply_are_refused(shop: Workshop) -> None:
    names = ["first", *(f"f{i}" for i in range(3000))]
    functions = [_local(name, [_call(below)]) for name, below in itertools.pairwise(names)]
    functions.append(_local(names[-1], [helper.make_node("Identity", ["a"], ["b"])]))
    assert "nested too deeply" in shop.refused(_calls(functions)).message


def test_a_local_function_that_is_not_there_is_a_custom_operator(shop: Workshop) -> None:
    error = shop.refused(_calls([_local("first", [_call("missing")])]))
    assert "needs custom operators of domain 'own' (missing)" in error.message


@pytest.mark.parametrize("typed", [True, False])
def test_ports_need_no_shape(shop: Workshop, typed: bool) -> None:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None) if typed else onnx.ValueInfoProto(name="y")
    data = ob.build([helper.make_node("Add", ["x", "x"], ["y"])], [ob.value("x", "float", None)], [output])
    prepared = shop.make(data, [("x", "REAL")], "REAL")
    assert score(prepared, {"x": np.float32([1, 2])})["value"].tolist() == [2, 4]


@pytest.mark.parametrize("arguments", [1, 3])
def test_an_input_without_shape_gets_the_columns_that_its_operator_needs(shop: Workshop, arguments: int) -> None:
    weights = ob.constant("w", np.arange(1.0, arguments + 1).reshape(arguments, 1).tolist())
    node = helper.make_node("MatMul", ["features", "w"], ["y"])
    data = ob.build([node], [ob.value("features", "float", None)], [ob.value("y", "float", None)], [weights])
    prepared = shop.make(data, [(f"a{i}", "REAL") for i in range(arguments)], "REAL")
    assert prepared.inputs[0].width == arguments
    got = score(prepared, {"features": np.ones((2, arguments), np.float32)})["value"]
    assert got.tolist() == [arguments * (arguments + 1) / 2] * 2


def test_an_attribute_without_its_type_is_read_by_the_value_that_it_holds(shop: Workshop) -> None:
    node = helper.make_node("ReduceSum", ["features"], ["y"], axes=[1], keepdims=0)
    for item in node.attribute:
        item.ClearField("type")
    inputs, outputs = [ob.value("features", "float", ["N", 2])], [ob.value("y", "float", ["N"])]
    graph = helper.make_graph([node], "g", inputs, outputs)
    data = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 11)]).SerializeToString()
    prepared = shop.make(data, [("a", "REAL"), ("b", "REAL")], "REAL")
    assert score(prepared, {"features": np.float32([[1, 2], [3, 4]])})["value"].tolist() == [3, 7]
