"""A library's own prediction in worker processes: what one row does there, and what becomes of the processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sqlinfer.errors import InferenceError
from sqlinfer.inference import open_isolated, open_session
from sqlinfer.inference.native_session import FIRST_ROWS, NativeSession, Sizes
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import Argument, FunctionContract, NativeModel, Output, OutputBinding, PreparedFunction
from sqlinfer.testing import children
from sqlinfer.testing.patience import patience

HERE = str(Path(__file__).parent)
Make = Callable[..., PreparedFunction]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("PYTHONPATH", HERE)

    def native(
        does: str = "", at: float | None = None, returns: str = "DOUBLE", data_type: str = "DOUBLE", **contract: Any
    ) -> PreparedFunction:
        request = json.dumps({"does": does, "at": at, "note": str(tmp_path / "calls.txt")})
        on_null = contract.pop("on_null", "null")
        arguments = (Argument("x", data_type, on_null),)
        made = FunctionContract("f", "ab" * 32, arguments, (Output("value", returns),), **contract)
        return PreparedFunction(
            made, tmp_path, tmp_path / "model", (), (OutputBinding("value", "value"),),
            origins=("value",), native=NativeModel("native_models", request, "model.bin"),
        )  # fmt: skip

    return native


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLINFER_WORKER_TIMEOUT", str(patience(3)))
    monkeypatch.setenv("SQLINFER_WORKER_MEMORY", str(512 << 20))


def table(rows: int, at_null: int = 50) -> pa.Table:
    return pa.table({"x": pa.array([None if i % 100 == at_null else float(i) for i in range(rows)], pa.float64())})


def calls(folder: Path) -> list[list[str]]:
    return [line.split(maxsplit=2) for line in (folder / "calls.txt").read_text().splitlines()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(*pids: int) -> bool:
    end = time.monotonic() + patience(10)
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_rows_come_back_in_order_with_nulls_where_an_argument_is_null(make: Make) -> None:
    with open_session(make(), threads=2) as session:
        found = session.score_table(table(3000))
    assert found["value"].to_pylist() == [None if i % 100 == 50 else 2.0 * i for i in range(3000)]
    assert found["error"].null_count == 3000


def test_several_workers_are_several_processes_and_are_kept_between_passes(make: Make, tmp_path: Path) -> None:
    with open_session(make(batch_size=64), threads=2) as session:
        for _ in range(3):
            session.score_table(table(2000))
    pids = {pid for pid, *_ in calls(tmp_path)}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids
    assert gone(*map(int, pids))


def test_nothing_is_started_before_the_first_row(make: Make, tmp_path: Path) -> None:
    with open_session(make("no model")) as session:
        assert session.score_table(table(0)).num_rows == 0
    assert not (tmp_path / "calls.txt").exists()


def test_a_declared_batch_size_is_the_size_of_each_call(make: Make, tmp_path: Path) -> None:
    with open_session(make(batch_size=7), threads=1) as session:
        session.score_table(table(40, at_null=-1))
    assert {int(rows) for _, rows, _ in calls(tmp_path)} == {7, 5}


def test_tasks_grow_while_they_are_short_and_shrink_when_they_are_long() -> None:
    sizes = Sizes()
    sizes.learn(FIRST_ROWS, 0.01)
    assert sizes.rows == 2 * FIRST_ROWS
    sizes.learn(100, 0.01)  # the end of a table says nothing
    assert sizes.rows == 2 * FIRST_ROWS
    sizes.learn(2 * FIRST_ROWS, 60.0)
    assert sizes.rows == FIRST_ROWS


@pytest.mark.parametrize(
    ("does", "error"),
    [
        ("crash", "crashed: the process that scored the row was ended by signal 11"),
        ("kill", "crashed: the process that scored the row was ended by signal 9"),
        ("exit", "crashed: the process that scored the row left with code 3"),
        ("hang", "timeout: "),
        ("memory", "out_of_memory: "),
        ("fail", "runtime: ValueError: could not convert string to float: …"),
        ("nan", "invalid_output:nan"),
        ("null", "invalid_output:null"),
        ("odd", "runtime: declares double, and model.bin returned varchar"),
    ],
)
def test_a_bad_row_costs_only_itself(make: Make, bounded: None, does: str, error: str) -> None:
    with open_session(make(does, at=61.0), threads=2) as session:
        found = session.score_table(table(90))
    errors = found["error"].to_pylist()
    assert [row for row, said in enumerate(errors) if said] == [61]
    assert errors[61].startswith(error)
    assert found["value"].to_pylist() == [None if i in (50, 61) else 2.0 * i for i in range(90)]


@pytest.mark.parametrize(
    ("does", "returns", "message"),
    [
        ("short", "DOUBLE", "function 'f': model.bin returned 9 values for 10 rows"),
        ("text", "DOUBLE", "function 'f' declares double, and model.bin returned varchar"),
        ("wide", "DOUBLE", "function 'f' declares double, and model.bin returned double[3]"),
        ("wide", "REAL[4]", "function 'f' declares real[4], and model.bin returned double[3]"),
        ("word", "DOUBLE", "function 'f' declares double, and model.bin returned a Python float"),
        ("no model", "DOUBLE", "function 'f' does not load: FileNotFoundError: model.bin is gone"),
        ("nan", "TEXT", "function 'f' declares text, and model.bin returned double"),
    ],
)
def test_what_is_wrong_for_every_row_fails_the_function_and_names_both_sides(
    make: Make, does: str, returns: str, message: str
) -> None:
    with (
        open_session(make(does, at=1.0, returns=returns), threads=1) as session,
        pytest.raises(InferenceError) as caught,
    ):
        session.score_table(table(10))
    assert caught.value.message == message


def test_a_library_that_returns_too_few_outputs_is_no_crash(make: Make) -> None:
    with open_session(make("few", at=1.0), threads=1) as session:
        errors = session.score_table(table(3))["error"].to_pylist()
    assert [error is not None for error in errors] == [False, True, False]


def test_the_error_policy_ends_the_pass(make: Make) -> None:
    policy = ErrorPolicy(max_rate=0.0)
    with open_session(make("fail", at=5.0), threads=1) as session:
        reader = session.score(table(600).to_reader(), ["x"], [], policy=policy)
        with reader, pytest.raises(InferenceError, match="max_error_rate"):
            list(reader)


def test_vectors_and_integers_have_the_declared_type(make: Make) -> None:
    with open_session(make("wide", at=1.0, returns="REAL[3]"), threads=1) as session:
        assert session.score_table(table(2))["value"].to_pylist() == [[1.0, 1.0, 1.0]] * 2
    with open_session(make(returns="BIGINT"), threads=1) as session:
        found = session.score_table(pa.table({"x": [1.0, 2.25]}))
    assert found["value"].to_pylist() == [2, None]
    assert found["error"].to_pylist() == [None, "runtime: the value returned does not fit bigint"]


def test_missing_values_reach_the_library_where_the_argument_says_nan(make: Make) -> None:
    with open_session(make(on_null="nan", on_invalid="allow"), threads=1) as session:
        found = session.score_table(pa.table({"x": pa.array([1.0, None], pa.float64())}))
    assert [str(value) for value in found["value"].to_pylist()] == ["2.0", "nan"]


def test_arguments_come_in_their_declared_types(make: Make, tmp_path: Path) -> None:
    given = pa.table({"x": pa.array([1, 2], pa.int8())})
    with open_session(make(data_type="REAL"), threads=1) as session:
        session.score_table(given)
    assert calls(tmp_path)[0][2] == "float"


def test_single_batches_from_several_threads_share_the_processes(make: Make, tmp_path: Path) -> None:
    results: dict[int, list[float]] = {}
    with open_session(make(), threads=2) as session:

        def one(number: int) -> None:
            batch = pa.record_batch({"x": [float(number)]})
            results[number] = session.run_batch(batch, ["x"]).arrays[0].to_pylist()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: [2.0 * number] for number in range(12)}
    assert len({pid for pid, *_ in calls(tmp_path)}) <= 2


def test_isolation_changes_nothing_for_a_function_that_is_always_apart(make: Make) -> None:
    with open_isolated(make(), threads=1) as session:
        assert isinstance(session, NativeSession)


def test_a_pass_that_is_cancelled_ends_a_call_that_hangs(make: Make, tmp_path: Path) -> None:
    cancel = threading.Event()
    with open_session(make("hang", at=3.0), threads=1) as session:
        threading.Timer(patience(1.5), cancel.set).start()
        began = time.monotonic()
        with session.score(table(10).to_reader(), ["x"], [], cancel=cancel) as scored:
            assert list(scored) == []
        assert time.monotonic() - began < patience(15)
    assert gone(*(int(pid) for pid, *_ in calls(tmp_path)))


SCORING = """
    import pickle, sys
    import pyarrow as pa
    from pathlib import Path
    from sqlinfer.inference import open_session

    with open_session(pickle.loads(Path(sys.argv[1]).read_bytes()), threads=1) as session:
        session.score_table(pa.table({"x": [1.0, 2.0, 3.0]}))
"""


@pytest.mark.parametrize("does", ["hang", "hold"])
def test_a_parent_that_is_killed_leaves_no_process_behind(make: Make, tmp_path: Path, does: str) -> None:
    import pickle

    (tmp_path / "prepared").write_bytes(pickle.dumps(make(does, at=2.0)))
    script = tmp_path / "scoring.py"
    script.write_text(textwrap.dedent(SCORING))
    parent = children.start([sys.executable, script, tmp_path / "prepared"])
    try:
        wanted = 2 if does == "hold" else 1
        end = time.monotonic() + patience(20)
        while time.monotonic() < end and not (tmp_path / "calls.txt").exists():
            time.sleep(0.05)
        while time.monotonic() < end and len(calls(tmp_path)) < wanted:
            time.sleep(0.05)
        pids = [int(line[1] if line[0] == "child" else line[0]) for line in calls(tmp_path)]
        assert len(pids) == wanted
        assert all(map(alive, pids))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert gone(*pids)
    finally:
        children.reap()


def test_a_library_gets_no_secret_of_the_environment_and_code_of_the_project_does(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_TOKEN", "enigma")
    model = make("secret", at=1.0, returns="TEXT")
    assert model.native is not None
    found = []
    for is_project_code in (False, True):
        native = replace(model.native, is_project_code=is_project_code)
        with open_session(replace(model, native=native), threads=1) as session:
            found += session.score_table(pa.table({"x": [1.0]}))["value"].to_pylist()
    assert found == ["", "enigma"]
