from __future__ import annotations

from datetime import UTC, datetime

from sqlinfer.cli.lines import Lines, closing, status
from sqlinfer.errors import CompileError
from sqlinfer.jobs.events import JobStarted
from sqlinfer.runner.results import RunResult
from sqlinfer.spec.events import NodeFinished, NodeStarted
from sqlinfer.spec.plan import Counts
from sqlinfer.spec.results import NodeResult

SCORES = "model.churn.churn_scores"


def result(*items: NodeResult) -> RunResult:
    done = RunResult("run", datetime(2026, 1, 1, tzinfo=UTC))
    for item in items:
        done = done.with_result(item, 1.0)
    return done


def test_lines_read_like_dbt() -> None:
    lines = Lines()
    done = NodeResult(
        SCORES, "success", relation="main.churn_scores", rows=7043, counts=Counts(7043, 212, 6831),
        execution_time=0.41, functions=("churn_score@1",),
    )  # fmt: skip
    events = [
        JobStarted("0.1.0", (("model", 3), ("seed", 1)), total=3, target="dev"),
        NodeStarted(SCORES, "main.churn_scores", "prediction model"),
        NodeFinished(done),
    ]
    assert [line.text for event in events for line in lines.describe(event)] == [
        "Running with sqlinfer=0.1.0",
        "Found 3 models, 1 seed",
        "",
        "1 of 3 START prediction model main.churn_scores ................................ [RUN]",
        "1 of 3 OK created prediction model main.churn_scores ........................... "
        "[7,043 rows, 212 scored in 0.41s]",
    ]


def test_a_scored_but_unpublished_node_says_so() -> None:
    assert status(NodeResult(SCORES, "error", pending=True)).startswith("SCORED, NOT PUBLISHED")


def test_error_rows_are_counted_in_the_line() -> None:
    assert "11 errors" in status(NodeResult(SCORES, "success", rows=20, counts=Counts(20, 9, 0, 0, 11)))


def test_closing_counts_every_status() -> None:
    skipped = NodeResult("model.churn.campaign_list", "skipped")
    failed = NodeResult(SCORES, "error", error=CompileError("unknown column 'x'", hint="did you mean 'y'?"))
    lines = [line.text for line in closing(result(NodeResult("seed.churn.s", "success"), failed, skipped))]
    assert lines[-1] == "Done. PASS=1 WARN=0 ERROR=1 SKIP=1 TOTAL=3"
    assert "Error in churn_scores: unknown column 'x'" in lines
    assert "  hint: did you mean 'y'?" in lines


def test_a_node_that_never_started_is_named_by_its_type() -> None:
    lines = Lines()
    results = (
        NodeResult(SCORES, "error"), NodeResult("seed.churn.customers", "error"),
        NodeResult("test.churn.unique_id.1", "skipped"), NodeResult("model.churn.calls", "skipped"),
    )  # fmt: skip
    said = [line.text.rstrip("]").partition(" ..")[0] for r in results for line in lines.describe(NodeFinished(r))]
    assert said == [
        "1 of 1 ERROR creating model churn_scores", "2 of 2 ERROR loading seed customers",
        "3 of 3 SKIP test unique_id", "4 of 4 SKIP model calls",
    ]  # fmt: skip


def test_success_closes_as_dbt_does() -> None:
    assert [line.text for line in closing(result(NodeResult(SCORES, "success")))] == [
        "",
        "Completed successfully",
        "Done. PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1",
    ]


def test_a_stream_chosen_by_cost_says_why_everything_was_scored_and_what_to_set() -> None:
    done = NodeResult(SCORES, "success", rows=20, counts=Counts(20, 20), functions=("f@1",), streamed=("f",))
    assert status(done) == ("20 rows, 20 scored in 0.00s; streamed: cheaper than looking up, reuse: true to remember")
