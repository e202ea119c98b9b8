"""What goes to an executor and what comes back, without a cluster."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from sqlinfer.adapters.spark import shipped
from sqlinfer.adapters.spark.shipped import Results, Shipped, told
from sqlinfer.adapters.spark.shipping import pack
from sqlinfer.errors import InferenceError
from sqlinfer.jobs.opening import Opening
from sqlinfer.spec.function import Argument, FunctionContract, Output, PreparedFunction
from sqlinfer.spec.plan import Call
from sqlinfer.testing.fake_scorer import Doubling, Heard

CONTRACT = FunctionContract("twice", "d" * 64, (Argument("x", "DOUBLE"),), (Output("value", "DOUBLE"),))
CALL = Call("twice", "d" * 64, "store", ("x",), "y", "k", None, "predict('twice', x)")
SCHEMA = pa.schema([("k", pa.string()), ("value", pa.float64()), ("error", pa.string())])


@pytest.fixture(autouse=True)
def nothing_open() -> None:
    shipped._OPEN.close()


def ship(heard: Heard, name: str = "one") -> Shipped:
    scorer = Doubling((CALL,), (PreparedFunction(CONTRACT, Path(), Path(), (), ()),), heard)
    results = (Results("y", "__sqlinfer_error_0", ("value",), "error", is_struct=False),)
    return Shipped(pickle.dumps(scorer), name, {}, ("k",), results, SCHEMA)


def rows(one: Shipped, *values: float | None) -> list[dict[str, object]]:
    batch = pa.record_batch({"k": [str(value) for value in values], "x": pa.array(values, pa.float64())})
    return [row for out in one(iter([batch])) for row in out.to_pylist()]


def test_batches_come_back_with_the_columns_that_spark_was_told_of(tmp_path: Path) -> None:
    found = rows(ship(Heard(tmp_path / "seen")), 1.0, -2.0, None)
    assert found[0] == {"k": "1.0", "value": 2.0, "error": None}
    assert found[1] == {"k": "-2.0", "value": None, "error": "runtime: negative"}
    assert found[2] == {"k": "None", "value": None, "error": None}


def test_a_task_without_rows_opens_nothing(tmp_path: Path) -> None:
    assert list(ship(Heard(tmp_path / "seen"))(iter(()))) == []
    assert shipped._OPEN.scorer is None


def test_the_next_task_of_a_worker_finds_its_sessions_open(tmp_path: Path) -> None:
    one = ship(Heard(tmp_path / "seen"))
    rows(one, 1.0)
    before = shipped._OPEN.scorer
    rows(pickle.loads(pickle.dumps(one)), 2.0)
    assert shipped._OPEN.scorer is before
    rows(replace(one, name="another"), 3.0)
    assert shipped._OPEN.scorer is not before


def test_an_error_of_ours_comes_back_through_the_words_of_spark() -> None:
    with pytest.raises(RuntimeError) as caught, shipped._telling():
        raise InferenceError("41 rows failed, {more} than 'allowed'", hint="raise it")
    text = f"Job aborted: Task 0 failed 4 times:\n  File x\nRuntimeError: {caught.value}\n\tat org.apache"
    error = told(text)
    assert isinstance(error, InferenceError)
    assert (error.message, error.hint) == ("41 rows failed, {more} than 'allowed'", "raise it")
    assert told("Job aborted") is None


@pytest.mark.parametrize(
    ("device", "addresses", "expected"),
    [("cuda", ("3",), "cuda:3"), ("auto", ("0", "1"), "cuda:0"), ("cpu", ("3",), "cpu"), ("cuda", (), "cuda"),
     ("tensorrt", ("1",), "tensorrt:1")],
)  # fmt: skip
def test_a_function_runs_on_the_gpu_that_its_task_was_given(
    device: str, addresses: tuple[str, ...], expected: str
) -> None:
    function = PreparedFunction(replace(CONTRACT, device=device), Path(), Path(), (), ())
    assert shipped._on(function, addresses).contract.device == expected


def test_the_same_artifact_is_packed_to_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "function"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "tokenizer.json").write_bytes(b"{}")
    files = (("tokenizer.json", "1"), ("model.onnx", "2"))
    function = PreparedFunction(CONTRACT, folder, folder / "model.onnx", (), (), files=files)
    pack(function, tmp_path / "a.zip")
    (folder / "model.onnx").touch()
    pack(replace(function, files=files[::-1]), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_nights_session_opener_can_be_pickled_without_what_belongs_to_its_machine(tmp_path: Path) -> None:
    opening = Opening({"f": "process"}, threads=7, cache_dir=tmp_path, devices={"d": "cpu"})
    there = pickle.loads(pickle.dumps(opening))
    assert (there.isolation, there.threads, there.cache_dir, there.devices) == ({"f": "process"}, None, None, {})
