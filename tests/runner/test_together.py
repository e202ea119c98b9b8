"""Functions that score a batch together give what each gives alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_session
from sqlinfer.inference.layout import Layout
from sqlinfer.inference.session import Session
from sqlinfer.runner.scorer import OpenChain
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import Argument, FunctionContract, InputBinding, Output, OutputBinding, PreparedFunction
from sqlinfer.spec.plan import Call
from sqlinfer.testing import onnx_builder
from sqlinfer.testing.fake_kernel import FakeKernel, refuse_values

ROWS = 20_000
NUMBERS = {"a": "REAL", "b": "DOUBLE", "c": "INT", "d": "REAL", "e": "BIGINT"}


@pytest.fixture(autouse=True)
def table_size() -> None:
    """Nothing here asks for it."""


class Apart:
    """A session that joins no other."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def joins(self, _: object) -> bool:
        return False


def table(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    kinds = {"REAL": np.float32, "DOUBLE": np.float64, "INT": np.int32, "BIGINT": np.int64}
    columns: dict[str, pa.Array] = {"id": pa.array(np.arange(ROWS))}
    for name, kind in NUMBERS.items():
        values = (rng.random(ROWS) * 3).astype(kinds[kind])
        if kind in ("REAL", "DOUBLE"):
            values[rng.random(ROWS) < 0.001] = np.nan
        nulls = rng.random(ROWS) < (0.01 if name in "bc" else 0.0)
        columns[name] = pa.array(values, mask=nulls)
    words = rng.choice(["red", "green", "blue", "other"], ROWS)
    columns["s"] = pa.array([None if i % 97 == 0 else word for i, word in enumerate(words.tolist())])
    columns["v"] = pa.array([[float(i), 1.0] if i % 500 else [1.0] for i in range(ROWS)], pa.list_(pa.float32()))
    return pa.table(columns)


def function(
    folder: Path, name: str, graph: bytes, inputs: tuple[InputBinding, ...], kinds: dict[str, str], output: str
) -> PreparedFunction:
    path = folder / f"{name}.onnx"
    path.write_bytes(graph)
    arguments = tuple(Argument(argument, kind) for argument, kind in kinds.items())
    digest = name.encode().hex().ljust(64, "0")
    contract = FunctionContract(name, digest, arguments, (Output("value", "DOUBLE"),), strategy="stream")
    return PreparedFunction(contract, folder, path, inputs, (OutputBinding("value", output),))


def numeric(folder: Path, number: int, rng: random.Random) -> PreparedFunction:
    names = rng.sample(list(NUMBERS), rng.randint(1, len(NUMBERS)))
    if rng.random() < 0.5:
        names = list(NUMBERS)[: len(names)]  # the same columns as others
    kind = rng.choice(["mlp", "trees", "linear", "double"])
    element = "double" if kind == "double" else "float"
    graph = {
        "mlp": lambda: onnx_builder.mlp([len(names), 8, 1], number),
        "trees": lambda: onnx_builder.tree_ensemble(5, 3, len(names), number),
        "linear": lambda: onnx_builder.linear([rng.random() for _ in names]),
        "double": lambda: onnx_builder.linear([rng.random() for _ in names], element_type="double"),
    }[kind]()
    inputs = (InputBinding("features", "packed", element, tuple(names), len(names)),)
    return function(folder, f"f{number}", graph, inputs, {name: NUMBERS[name] for name in names}, "score")


def texts(folder: Path, number: int) -> PreparedFunction:
    graph = onnx_builder.string_lookup({"red": float(number), "green": 2.0} if number % 2 else {"blue": 1.5}, name="s")
    inputs = (InputBinding("s", "column", "string", ("s",)),)
    return function(folder, f"t{number}", graph, inputs, {"s": "TEXT"}, "score")


def lists(folder: Path) -> PreparedFunction:
    inputs = (InputBinding("v", "array", "float", ("v",), 2),)
    return function(folder, "lists", onnx_builder.array_sum(2), inputs, {"v": "REAL[2]"}, "total")


def _has_nulls(one: PreparedFunction) -> bool:
    return bool({"b", "c", "s"} & {argument.name for argument in one.contract.arguments})


def calls(functions: Sequence[PreparedFunction]) -> tuple[Call, ...]:
    return tuple(
        Call(one.contract.name, one.contract.digest, "stream", tuple(a.name for a in one.contract.arguments),
             f"out{number}", None, None, one.contract.name)
        for number, one in enumerate(functions)
    )  # fmt: skip


@contextmanager
def chain(functions: Sequence[PreparedFunction], apart: bool = False, rate: float = 1.0) -> Iterator[OpenChain]:
    with ExitStack() as stack:
        opened = [stack.enter_context(open_session(one, device="cpu", threads=2)) for one in functions]
        sessions = tuple(Apart(one) if apart else one for one in opened)
        yield OpenChain(calls(functions), sessions, (ErrorPolicy(rate),) * len(functions))  # type: ignore[arg-type]


def scored(one: OpenChain, rows: pa.Table) -> tuple[pa.Table, list[tuple[int, int, int, int]]]:
    with one.score(rows.to_reader(3000), ["id", "a"]) as done:
        found = pa.Table.from_batches(done, done.schema)
        counts = [(p.counts.rows, p.counts.scored, p.counts.null_inputs, p.counts.errors) for p in done.parts]
    return found, counts


@pytest.mark.parametrize("seed", range(6))
def test_random_functions_give_the_same_bits_together_and_apart(tmp_path: Path, seed: int) -> None:
    rng, rows = random.Random(seed), table(seed)
    functions = [numeric(tmp_path, number, rng) for number in range(6)]
    functions += [texts(tmp_path, 1), texts(tmp_path, 2), lists(tmp_path)]
    rng.shuffle(functions)
    with chain(functions) as one:
        assert one._legs() == [list(range(9))]
        together, counts = scored(one, rows)
    with chain(functions, apart=True) as other:
        assert len(other._legs()) == 9
        apart, expected = scored(other, rows)
    assert counts == expected
    assert all(nulls > 0 for (_, _, nulls, _), one in zip(counts, functions, strict=True) if _has_nulls(one))
    assert any(errors > 0 for _, _, _, errors in counts)
    assert together.schema == apart.schema
    assert together["id"].equals(rows["id"])
    for name in together.schema.names:
        assert same_bits(together[name].combine_chunks(), apart[name].combine_chunks()), name


def test_texts_come_as_categories_that_all_functions_know(tmp_path: Path) -> None:
    rows = table(1)
    functions = [texts(tmp_path, 1), texts(tmp_path, 2)]
    with chain(functions) as one:
        assert {name: sorted(words) for name, words in one.categories.items()} == {"s": ["blue", "green", "red"]}
        plain, _ = scored(one, rows)
        codes = rows.set_column(rows.schema.get_field_index("s"), "s", rows["s"].combine_chunks().dictionary_encode())
        assert scored(one, codes)[0].drop_columns("a").equals(plain.drop_columns("a"))
    with chain([*functions, numeric(tmp_path, 9, random.Random(1))]) as mixed:
        assert set(mixed.categories) == {"s"}
    with chain(functions, apart=True) as apart:
        assert apart.categories == {}


def same_bits(one: pa.Array, other: pa.Array) -> bool:
    bits = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    kind = bits.get(one.type, one.type)
    return bool(one.view(kind).equals(other.view(kind)))


def doubling(folder: Path, name: str, bad: set[float]) -> Session:
    graph = onnx_builder.identity("double", output="y")
    made = function(folder, name, graph, (InputBinding("x", "vector", "double", ("x",)),), {"x": "DOUBLE"}, "y")
    kernels = [FakeKernel(refuse_values(bad)) for _ in range(2)]
    return Session(made, kernels, Layout(64, 2, 1, source="declared"))


def open_doubling(folder: Path, *bad: set[float], rate: float = 1.0) -> OpenChain:
    sessions = [doubling(folder, f"g{number}", one) for number, one in enumerate(bad)]
    found = tuple(
        Call(f"g{n}", f"{n}" * 64, "stream", ("x",), f"out{n}", None, None, f"g{n}(x)") for n in range(len(bad))
    )
    return OpenChain(found, tuple(sessions), (ErrorPolicy(rate),) * len(bad))


def test_a_row_that_fails_in_one_function_is_scored_by_the_others(tmp_path: Path) -> None:
    one = open_doubling(tmp_path, set(), {5.0, 6.0, 900.0}, {7.0})
    with one.score(pa.table({"x": [float(i) for i in range(1000)]}).to_reader(), ["x"]) as done:
        found = pa.Table.from_batches(done, done.schema).to_pydict()
        counts = [(part.counts.scored, part.counts.errors) for part in done.parts]
    assert counts == [(1000, 0), (997, 3), (999, 1)]
    for number, bad in enumerate(({}, {5, 6, 900}, {7})):
        assert found[f"out{number}"] == [None if i in bad else 2.0 * i for i in range(1000)]
        errors = found[f"__sqlinfer_error_{number}"]
        assert {i for i, error in enumerate(errors) if error} == set(bad)


def test_the_policy_of_each_call_holds_and_names_its_reason(tmp_path: Path) -> None:
    one = open_doubling(tmp_path, set(), {float(i) for i in range(500)}, rate=0.01)
    rows = pa.table({"x": [float(i) for i in range(1000)]})
    with one.score(rows.to_reader(), [], total=1000) as done, pytest.raises(InferenceError, match="max_error_rate"):
        list(done)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlinfer-")]


def test_cancelling_ends_all(tmp_path: Path) -> None:
    one, cancel = open_doubling(tmp_path, set(), set()), threading.Event()
    reader = pa.table({"x": [float(i) for i in range(500_000)]}).to_reader(1000)
    with one.score(reader, [], cancel=cancel) as done:
        batches = iter(done)
        assert next(batches).num_rows
        cancel.set()
        rows = sum(batch.num_rows for batch in batches)
    assert rows < 400_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sqlinfer-")]


def test_one_function_over_other_columns_is_two_parts_of_one_pass(tmp_path: Path) -> None:
    graph = onnx_builder.linear([2.0, 3.0])
    made = function(tmp_path, "two", graph, (InputBinding("features", "packed", "float", ("p", "q"), 2),),
                    {"p": "REAL", "q": "REAL"}, "score")  # fmt: skip
    rows = pa.table({"a": pa.array([1.0, 2.0, None], pa.float32()), "b": pa.array([10.0, None, 30.0], pa.float32())})
    with open_session(made, device="cpu", threads=1) as session:
        found = tuple(
            Call("two", "0" * 64, "stream", names, output, None, None, "two()")
            for output, names in (("y", ("a", "b")), ("z", ("b", "a")), ("w", ("a", "a")))
        )
        one = OpenChain(found, (session,) * 3, (ErrorPolicy(1.0),) * 3)
        with one.score(rows.to_reader(), []) as done:
            result = pa.Table.from_batches(done, done.schema).to_pydict()
    assert (result["y"], result["z"], result["w"]) == ([32.0, None, None], [23.0, None, None], [5.0, 10.0, None])
