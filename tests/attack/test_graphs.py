"""Files that are graphs, more or less: each is prepared or is one error, in little time and memory."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import house as houses
import numpy as np
import onnx
import pyarrow as pa
import pytest
from child import bounded
from graphs import FEATURES, HOSTILE, SEEDS, made, mutated
from house import House
from onnx import numpy_helper

from sqlinfer.errors import ArtifactError, FunctionError, SqlinferError
from sqlinfer.functions.limits import MEMORY_VARIABLE, SECONDS_VARIABLE
from sqlinfer.inference import open_session
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.patience import patience
from sqlinfer.testing.workshop import Workshop

EXAMPLES = 10 * int(os.environ.get("SQLINFER_ATTACKS", "10"))
LEAST = 1 << 30
AB = (("a", "DOUBLE"), ("b", "DOUBLE"))
XY = (("x", "REAL"), ("y", "REAL"))


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops are given up sooner."""
    monkeypatch.setenv(SECONDS_VARIABLE, "2")


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_graph_that_asks_for_too_much_is_an_error(name: str, shop: Workshop, hasty: None) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    error = shop.refused(HOSTILE[name](), (("a", "REAL"), ("b", "REAL")) if "tree" in name else XY, "REAL")
    assert time.monotonic() - began < patience(20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "nothing of it is made in this process"
    assert "takes more than 1.0 GB" in error.message or "takes longer than 2 s" in error.message, error.message
    assert error.hint is not None
    assert "_PREPARE_" in error.hint


@pytest.mark.parametrize("name", ["range", "loop at load", "tree of 2^40 targets"])
def test_the_other_models_of_the_night_go_on(name: str, house: House, hasty: None) -> None:
    fine = houses.FILES[houses.FUNCTIONS].replace("score", "fine")  # type: ignore[union-attr, arg-type]
    houses.write(house.root, {
        "functions/score.onnx": HOSTILE[name](), "functions/fine.yml": fine,
        "functions/fine.onnx": houses.FILES["functions/score.onnx"],
        "models/a.sql": "select id, predict('fine', x, y) as s from customers",
        "models/z.sql": "select id, predict('fine', x, y) as s from customers",
    })  # fmt: skip
    done = house.sqlinfer("run")
    assert done.code == 1, done.text
    assert "PASS=2 WARN=0 ERROR=1" in done.text
    assert "function 'score': preparing it takes" in done.text
    assert f"--> {house.root / houses.FUNCTIONS}:2" in done.text
    assert house.sql("select count(s) from a") == house.sql("select count(s) from z") == [(3,)]


@pytest.mark.parametrize(("size", "held"), [(1 << 30, False), (1 << 26, False), (1 << 25, True)])
def test_many_tensors_on_one_file(size: int, held: bool, shop: Workshop) -> None:
    """A file that is nothing but a hole, and 200 tensors that each claim all of it."""
    model = onnx.load_model_from_string(ob.linear([1.0, 2.0]))
    for number in range(200):
        tensor = model.graph.initializer.add(name=f"w{number}", data_type=onnx.TensorProto.FLOAT, dims=[size // 4])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    with (shop.folder / "w.bin").open("wb") as file:
        if held:
            file.write(b"\1" * size)
        file.truncate(size)
    error = shop.refused(model.SerializeToString(), AB)
    assert isinstance(error, ArtifactError)


def test_limits_grow_with_the_file_and_can_be_raised(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    large = HOSTILE["a range that fits the machine"]()
    assert "takes more than 1.0 GB" in shop.refused(large, XY, "REAL").message
    monkeypatch.setenv(MEMORY_VARIABLE, str(64 << 20))
    wide = onnx.load_model_from_string(ob.linear([1.0] * 2))
    wide.graph.initializer.append(numpy_helper.from_array(np.ones(32 << 20, np.uint8), "unused"))
    data = wide.SerializeToString()
    assert "takes more than 0.1 GB" in shop.refused(data, AB).message
    monkeypatch.delenv(MEMORY_VARIABLE)
    assert shop.make(data, AB).graph.is_file()


def scored(prepared: PreparedFunction) -> str:
    """What a night does with it."""
    values = {"REAL": pa.float32(), "DOUBLE": pa.float64(), "TEXT": pa.string(), "REAL[4]": pa.list_(pa.float32(), 4)}
    rows = {"TEXT": ["a", "", None], "REAL[4]": [[1.0] * 4, [0.0] * 4, None]}
    table = pa.table({
        argument.name: pa.array(rows.get(argument.data_type, [0.0, -1.5, None]), values[argument.data_type])
        for argument in prepared.contract.arguments
    })  # fmt: skip
    try:
        with open_session(prepared, device="cpu", threads=1) as session:
            return f"{session.score_table(table).num_rows} rows"
    except SqlinferError as error:
        return str(error)


def test_mutated_graphs_are_prepared_or_are_one_error(shop: Workshop, hasty: None) -> None:
    """And what is prepared can be loaded and scored within the limits, too."""
    prepared = 0
    for seed in range(EXAMPLES):
        data, arguments = mutated(seed)
        try:
            function = shop.make(data, arguments, ())
        except FunctionError:
            continue
        prepared += 1
        found = bounded(scored, function, memory=4 * LEAST, seconds=patience(20))  # Arrow reserves a GB of addresses
        assert found.peak < LEAST, seed
    assert prepared > EXAMPLES // 20, "most of what is changed must not be noticed at once"


def test_an_output_wider_than_any_array_is_one_error(shop: Workshop) -> None:
    model = onnx.load_model_from_string(ob.linear([1.0, 2.0]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2**40
    assert "more elements than an array can hold" in scored(shop.make(model.SerializeToString(), AB, ()))


def test_a_list_of_texts_is_null_where_its_row_is(shop: Workshop) -> None:
    """Rows without a result are left out of a batch, and nothing takes their place."""
    names = {"keys_floats": [1.0, 2.0], "values_strings": ["one", "two"], "default_string": "many"}
    node = onnx.helper.make_node("LabelEncoder", ["f"], ["out"], domain="ai.onnx.ml", **names)
    model = made([node], [], (FEATURES,), ob.value("out", "string", ["N", 2]))
    table = pa.table({"a": [1.0, None, 2.0], "b": [2.0, 1.0, 5.0]})
    with open_session(shop.make(model, AB, "TEXT[2]"), device="cpu", threads=1) as session:
        found = session.score_table(table, keep=[])
    assert found["value"].to_pylist() == [["one", "two"], None, ["two", "many"]]


def test_the_seeds_themselves_are_prepared(shop: Workshop) -> None:
    for data, arguments in SEEDS:
        assert shop.make(data, arguments, ()).graph.is_file()
