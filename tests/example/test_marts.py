"""Each mart of example_project: two nights, what was scored, its decision table, its data tests, its seeds."""

from __future__ import annotations

import json
import math
import os
import re
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sqlinfer.cli.main import invoke

EXAMPLE = Path(__file__).parents[2] / "example_project"
MARTS = ["credit", "segments", "demand", "documents", "recommendations"]


class Nights:
    """One mart of a copy of the project, night by night."""

    def __init__(self, project: Path, mart: str) -> None:
        self.project, self.mart = project, mart

    def build(self, night: int, **vars: object) -> dict[str, Any]:
        """Seeds, models and data tests. Returns what adapter_response says of each node."""
        told = json.dumps({"night": night, **vars})
        words = ["build", "--select", f"+path:models/{self.mart}", "--vars", told, "--quiet"]
        assert invoke([*words, "--project-dir", str(self.project)]) == 0
        results = json.loads((self.project / "target" / "run_results.json").read_text())["results"]
        return {one["unique_id"].split(".")[2]: one["adapter_response"] for one in results}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.project / "target" / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def value(self, sql: str) -> Any:
        ((found,),) = self.rows(sql)
        return found


@pytest.mark.parametrize("mart", MARTS)
def test_seeds_are_what_their_generator_writes(churn: Path, mart: str) -> None:
    script = churn / "functions" / mart / "generate.py"
    kept = {path.name: path.read_bytes() for path in (churn / "seeds").iterdir()}
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (churn / "seeds").iterdir()} == kept


@pytest.mark.parametrize("mart", MARTS)
def test_the_page_of_a_mart_runs_as_written(churn: Path, mart: str) -> None:
    page = (churn / "models" / mart / "README.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", page, re.S)
    script = "\n".join(line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ "))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=churn, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    links = re.findall(r"\]\((?!http)([^)#]+)", page)
    assert [link for link in links if not (EXAMPLE / "models" / mart / link).exists()] == []


def test_credit_decides_an_application_once(churn: Path) -> None:
    credit = Nights(churn, "credit")
    first = credit.build(1)
    scored = credit.value("SELECT count(*) FROM stg_applications")
    assert first["credit_scores"]["scored"] == scored == 1271
    kept = credit.rows("SELECT * FROM credit_decisions ORDER BY application_id")
    assert credit.build(1)["credit_scores"]["scored"] == 0

    second = credit.build(2, credit_decline_from=0.25)
    assert second["credit_scores"]["scored"] == second["credit_decisions"]["rows"] == 97
    older = "SELECT * FROM credit_decisions WHERE application_date < '2026-03-16' ORDER BY application_id"
    assert credit.rows(older) == kept, "another threshold changes no decision that was taken"
    assert credit.value("SELECT sum(applications) FROM credit_by_day") == 1271 + 97


def test_credit_reasons_are_for_what_is_not_approved_and_only_that_is_scored_again(churn: Path) -> None:
    credit = Nights(churn, "credit")
    asked = credit.build(1)["credit_decisions"]["inputs"]
    assert asked == 6 * credit.value("SELECT count(*) FROM credit_decisions WHERE decision <> 'approve'") < 1271
    assert credit.value("SELECT count(*) FROM credit_decisions WHERE (reason IS NULL) <> (decision = 'approve')") == 0
    assert credit.value("SELECT count(DISTINCT reason) FROM credit_decisions") >= 3
    ranges = credit.rows("SELECT decision, min(p_default), max(p_default) FROM credit_decisions GROUP BY 1 ORDER BY 2")
    assert [name for name, *_ in ranges] == ["approve", "refer", "decline"]
    assert ranges[0][2] < 0.15 <= ranges[1][1] <= ranges[1][2] < 0.35 <= ranges[2][1]


def test_credit_never_pulls_the_wrong_way(churn: Path) -> None:
    import sqlinfer

    asked = (
        "select i, predict('credit_default', {}) as p from (select i from generate_series(0, 40) as t(i)) order by i"
    )
    ways = {
        "9000 + 2500 * i, 0.4, 3, 1, 60, 0.5": -1,
        "34000, i / 50.0, 3, 1, 60, 0.5": 1,
        "34000, 0.4, i, 1, 60, 0.5": -1,
        "34000, 0.4, 3, cast(i as integer), 60, 0.5": 1,
        "34000, 0.4, 3, 1, cast(10 * i as integer), 0.5": -1,
        "34000, 0.4, 3, 1, 60, i / 40.0": 1,
    }
    project = sqlinfer.connect(churn)
    for arguments, way in ways.items():
        found = project.sql(asked.format(arguments)).column("p").to_pylist()
        steps = [(after - before) * way for before, after in pairwise(found)]
        assert min(steps) >= 0, arguments
        assert max(steps) > 0, arguments


def test_the_graph_of_the_credit_model_is_the_one_of_its_own_file(churn: Path) -> None:
    import onnx

    from sqlinfer.functions.forests import xgboost_file, xgboost_graph

    model = xgboost_file.read(churn / "functions" / "credit" / "credit.ubj", "credit_default")
    assert xgboost_graph.graph_of(model) == onnx.load(churn / "functions" / "credit" / "credit.onnx")


def test_segments_move_and_who_did_not_change_is_not_scored(churn: Path) -> None:
    segments = Nights(churn, "segments")
    assert segments.build(1)["shopper_segments"]["scored"] == 2_500
    assert {one for (one,) in segments.rows("SELECT decision FROM segment_drift")} == {"leave"}
    second = segments.build(2)["shopper_segments"]
    changed = segments.value("SELECT count(*) FROM shoppers WHERE night = 2")
    assert (second["rows"], second["scored"], second["reused"]) == (2_560, changed, 2_560 - changed)
    assert segments.build(2)["shopper_segments"]["scored"] == 0

    nights = segments.rows("SELECT night, sum(shoppers), sum(share) FROM segment_sizes GROUP BY 1 ORDER BY 1")
    assert nights == [(1, 2_500, pytest.approx(1)), (2, 2_560, pytest.approx(1))]
    decided = dict(segments.rows("SELECT segment, decision FROM segment_drift"))
    assert decided["regular"] == "ask why it shrinks"
    assert decided["occasional"] == "ask why it grows"


def test_segments_find_the_habits_that_the_shoppers_have(churn: Path) -> None:
    segments = Nights(churn, "segments")
    segments.build(1)
    sql = (
        "SELECT segment, avg({}) FROM shopper_segments JOIN stg_shoppers USING (shopper_id) GROUP BY 1 ORDER BY 2 DESC"
    )
    for column, segment in (("discount_share", "bargain"), ("return_share", "fitting room"), ("orders", "regular")):
        assert segments.rows(sql.format(column))[0][0] == segment
    assert segments.rows(sql.format("orders"))[-1][0] == "occasional"


def test_documents_are_scored_once_a_text(churn: Path) -> None:
    documents = Nights(churn, "documents")
    first = documents.build(1)["document_labels"]
    texts = documents.value("SELECT count(DISTINCT body) FROM stg_documents")
    assert (first["rows"], first["scored"]) == (1_000, 2 * texts), "by two functions"
    assert texts < documents.value("SELECT count(body) FROM stg_documents") < 1_000
    second = documents.build(2)["document_labels"]
    assert second["rows"] == 1_060
    assert 0 < second["scored"] <= 2 * (60 + 8), "an answer changes no text"
    assert documents.build(2)["document_labels"]["scored"] == 0


def test_documents_go_to_the_queue_of_their_topic_with_the_answer_of_their_neighbours(churn: Path) -> None:
    documents = Nights(churn, "documents")
    documents.build(1)
    waiting = documents.value("SELECT count(*) FROM stg_documents WHERE answered_with IS NULL")
    assert documents.value("SELECT count(*) FROM document_queue") == waiting > 50
    assert documents.value("SELECT count(*) FROM document_queue WHERE topic IS NULL AND queue <> 'a person'") == 0
    sure = "SELECT count(*) FROM document_queue WHERE (queue <> 'a person') <> (coalesce(score, 0) >= 0.8)"
    assert documents.value(sure) == 0

    numbers = {"billing": 1, "delivery": 2, "returns": 3, "account": 4, "website": 5}
    answered = documents.rows("SELECT topic, answered_with FROM document_labels WHERE answered_with IS NOT NULL")
    right = [article.startswith(f"KB-{numbers[topic]}") for topic, article in answered if topic]
    assert sum(right) > 0.9 * len(right)
    shown = documents.rows("SELECT topic, suggested_article FROM document_queue WHERE suggested_article IS NOT NULL")
    assert len(shown) > waiting / 2
    assert sum(article.startswith(f"KB-{numbers[topic]}") for topic, article in shown) > 0.9 * len(shown)


def test_demand_is_forecast_for_stores_whose_day_arrived(churn: Path) -> None:
    demand = Nights(churn, "demand")
    assert demand.build(1)["demand_forecast"]["scored"] == 40
    assert demand.value("SELECT count(*) FROM forecast_days") == 7 * 40
    assert demand.value("SELECT count(*) FROM forecast_error") == 0
    second = demand.build(2)["demand_forecast"]
    assert (second["rows"], second["scored"], second["reused"]) == (40, 37, 3)
    assert demand.value("SELECT count(*) FROM demand_forecast") == 40 + 37, "last night's forecasts stay"
    assert demand.value("SELECT count(*) FROM forecast_days") == 7 * 40 + 37
    ((horizon, days, error),) = demand.rows("SELECT horizon, days, error FROM forecast_error")
    assert (horizon, days) == (1, 37)
    assert error < 0.15


def test_demand_orders_what_three_days_need(churn: Path) -> None:
    demand = Nights(churn, "demand")
    demand.build(1)
    rows = demand.rows("SELECT expected, on_hand, order_units, decision FROM replenishment")
    assert len(rows) == 40
    assert {row[3] for row in rows} == {"enough", "next round", "tomorrow morning"}
    for expected, on_hand, order, decision in rows:
        assert order == max(0, math.ceil(1.125 * expected - on_hand))
        assert (decision == "enough") == (order == 0)
    lags = "SELECT units, lag_1, lag_6, mean_7 FROM store_days WHERE store_id = 'B07' AND age = 1"
    sold = [units for (units,) in demand.rows("SELECT units FROM stg_sales WHERE store_id = 'B07' ORDER BY day DESC")]
    assert demand.rows(lags) == [(sold[0], sold[1], sold[6], pytest.approx(sum(sold[:7]) / 7))]


def test_recommendations_send_each_viewer_and_each_title_through_its_tower_once(churn: Path) -> None:
    recommendations = Nights(churn, "recommendations")
    first = recommendations.build(1)["recommendations"]
    assert (first["rows"], first["scored"]) == (10 * 600, 600 + 160)
    second = recommendations.build(2)["recommendations"]
    assert (second["rows"], second["scored"]) == (10 * 610, 40 + 10 + 5)
    assert recommendations.build(2)["recommendations"]["scored"] == 0
    assert recommendations.value("SELECT count(DISTINCT title_id) FROM recommendations WHERE title_id >= 'T160'") > 0

    liked = """SELECT avg((genre = 'crime')::int) FROM recommendations JOIN stg_viewers USING (viewer_id)
               WHERE crime {} 0.5"""
    assert recommendations.value(liked.format(">")) > 4 * recommendations.value(liked.format("<"))
    shares = recommendations.rows("SELECT decision, min(viewers), max(viewers) FROM shelf GROUP BY 1 ORDER BY 1")
    assert [name for name, *_ in shares] == ["letter", "shelf"]
    assert shares[0][2] < 610 / 5 <= shares[1][1]


def test_recommendations_are_put_in_another_order_by_the_time_of_day(churn: Path) -> None:
    recommendations = Nights(churn, "recommendations")
    recommendations.build(1)
    shelf = runpy.run_path(str(churn / "functions" / "recommendations" / "rerank.py"))["Shelf"](churn)
    places = recommendations.rows("SELECT title, minutes FROM recommendations WHERE viewer_id = 'V0007' ORDER BY place")
    night = recommendations.value("SELECT count(*) FROM sqlinfer_runs")
    morning, evening = (shelf.now("V0007", hour, shown=10) for hour in (8, 21))
    assert {row["title"] for row in morning} == {row["title"] for row in evening} == {title for title, _ in places}
    assert [row["title"] for row in morning] != [row["title"] for row in evening]
    assert sum(row["minutes"] for row in morning[:3]) < sum(row["minutes"] for row in evening[:3])
    assert max(row["played"] for row in morning) < max(row["played"] for row in evening)
    assert shelf.now("V9999", 8) == []
    assert recommendations.value("SELECT count(*) FROM sqlinfer_runs") == night, "nothing was written"
