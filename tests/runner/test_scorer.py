"""Sessions of one pass in a chain."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
from kit import FakeSession, prepared

from sqlinfer.runner.scorer import FunctionScorer, OpenChain
from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.plan import Call
from sqlinfer.spec.session import Session


def call(argument: str, output: str) -> Call:
    return Call("twice", "a" * 64, "stream", (argument,), output, None, None, f"twice({argument})")


@contextmanager
def fake(function: object) -> Iterator[Session]:
    yield FakeSession(function)  # type: ignore[arg-type, misc]


def scorer(*calls: Call) -> FunctionScorer:
    return FunctionScorer(calls, (prepared(),) * len(calls), (ErrorPolicy(),) * len(calls), fake)


def rows() -> pa.RecordBatchReader:
    return pa.table({"id": [1, 2, 3], "x": [1.0, -1.0, None], "unused": [0, 0, 0]}).to_reader()


def test_a_call_reads_what_the_one_before_it_gives_and_the_last_hands_on_everything() -> None:
    with scorer(call("x", "y"), call("y", "z")).opened() as opened, opened.score(rows(), ["id"]) as scored:
        found = pa.Table.from_batches(scored, scored.schema).to_pydict()
    assert found == {
        "id": [1, 2, 3],
        "y": [2.0, None, None],
        "__sqlinfer_error_0": [None, "runtime: negative", None],
        "z": [4.0, None, None],
        "__sqlinfer_error_1": [None, None, None],
    }


def test_one_call_hands_on_what_is_kept_alone() -> None:
    with scorer(call("x", "y")).opened() as opened, opened.score(rows(), ["id"]) as scored:
        assert scored.schema.names == ["id", "y", "__sqlinfer_error_0"]
        assert len(scored.parts) == 1


def test_a_text_that_feeds_as_a_code_is_one_call_and_one_argument_alone() -> None:
    session = FakeSession(prepared(), categories={0: ["a"], 1: ["b"]})
    one = replace(call("s", "y"), arguments=("s", "t"))
    twice = replace(one, arguments=("s", "s"))
    policy = ErrorPolicy()
    assert OpenChain((one,), (session,), (policy,)).categories == {"s": ["a"], "t": ["b"]}
    assert OpenChain((twice,), (session,), (policy,)).categories == {}
    assert OpenChain((one, one), (session, session), (policy, policy)).categories == {}


def test_a_scorer_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(scorer(call("x", "y"))))
    with sent.opened() as opened, opened.score(rows(), ["id"]) as scored:
        assert pa.Table.from_batches(scored)["y"].to_pylist() == [2.0, None, None]
