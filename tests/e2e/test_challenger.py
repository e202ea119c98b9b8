"""A challenger is scored beside its champion on the same rows, compared row by row, and never in its way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sqlinfer.testing.onnx_builder import linear

from ..conftest import Shop

MODEL = (
    "{{ config(materialized='table', unique_key='id', decision='score > 4') }}\n"
    "select id, x, predict('f', x) as score from {{ source_table }}"
).replace("{{ source_table }}", "t")

TWO = """functions:
  # the one that is published
  - name: f
    model: {path: f.onnx}   # trained in spring
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config:
      reuse: true
      challenger: g
  # the one that would like to be
  - name: g
    model: {path: g.onnx}   # trained in autumn
    arguments: [{name: x, data_type: double}]
    returns: {data_type: double}
    config: {reuse: true}
"""


@pytest.fixture
def rivals(shop: Shop) -> Shop:
    """f(x) = 2x + 1, g(x) = 3x; decided by score > 4."""
    linear([3.0], 0.0, element_type="double", path=shop.root / "functions/g.onnx")
    shop.put("functions/f.yml", TWO)
    shop.model(MODEL)
    return shop


def _ran(shop: Shop, *words: str, code: int = 0) -> str:
    found, out = shop(*(words or ("run",)))
    assert found == code, out
    return out


def _record(shop: Shop, columns: str) -> tuple[Any, ...]:
    return shop.db(f"select {columns} from sqlinfer_challenges order by compared_at desc limit 1")[0]


def test_both_are_scored_and_the_champion_is_published(rivals: Shop) -> None:
    out = _ran(rivals)
    assert rivals.db("select id, x, score from m order by id") == [(0, 0.0, 1.0), (1, 1.0, 3.0), (2, 2.0, 5.0)]
    assert rivals.db("select id, champion, challenger, shift, flipped from m__challenger order by id") == [
        (0, 1.0, 0.0, -1.0, False), (1, 3.0, 3.0, 0.0, False), (2, 5.0, 6.0, 1.0, False),
    ]  # fmt: skip
    assert "g against f in m, score: 3 rows, mean shift +0, 0 flips (0.00%), PSI" in out


def test_what_a_challenger_costs_is_in_the_receipt(rivals: Shop) -> None:
    rivals.put("sqlinfer_project.yml", "name: shop\nprofile: shop\nprices: {currency: USD, device_hour: 3600}\n")
    out = _ran(rivals)
    assert "challenge " in next(line for line in out.splitlines() if "rows/s" in line)
    results = json.loads((rivals.root / "target" / "run_results.json").read_text())
    (node,) = results["results"]
    spent = node["sqlinfer"]["receipt"] if "sqlinfer" in node else node["adapter_response"]["receipt"]
    assert spent["seconds"]["challenge"] > 0
    (champion,) = rivals.db("select elapsed_seconds from sqlinfer_runs")[0]
    assert spent["elapsed_seconds"] >= champion + spent["seconds"]["challenge"] * 0.9
    assert spent["cost"]["on_demand"] == pytest.approx(spent["elapsed_seconds"])


def test_a_night_s_record_equals_what_the_table_says(rivals: Shop) -> None:
    rivals.db("insert into t values (3, 1.4), (4, 1.6)")
    _ran(rivals)
    flips, rows, mean, largest = rivals.db(
        "select count(*) filter (where (champion > 4) <> (challenger > 4)), count(*), avg(challenger - champion), "
        "max(abs(challenger - champion)) from m__challenger"
    )[0]
    assert flips == 1
    assert _record(rivals, "rows, flips, flip_share, status, prediction, errors, scored") == (
        rows, flips, flips / rows, "success", "score", 0, 5,
    )  # fmt: skip
    assert _record(rivals, "mean_shift, largest_shift") == pytest.approx((mean, largest))
    assert _record(rivals, "psi")[0] > 0


def test_rows_without_a_key_are_no_flips(rivals: Shop) -> None:
    rivals.model("{{ config(materialized='table', decision='score > 4') }} select id, predict('f', x) as score from t",
                 "    columns: [{name: id, data_tests: [unique]}]\n")  # fmt: skip
    rivals.db("insert into t values (null, 7), (null, 8)")
    _ran(rivals)
    assert rivals.db("select count(*) from m") == [(5,)]
    assert rivals.db("select id from m__challenger order by id") == [(0,), (1,), (2,)]
    assert _record(rivals, "rows, flips, flip_share") == (3, 0, 0.0)


@pytest.mark.parametrize("lax", ["severity: warn", "where: id < 2", "error_if: '> 100'"])
def test_a_test_that_lets_duplicates_pass_makes_no_key(rivals: Shop, lax: str) -> None:
    rivals.model("{{ config(materialized='table') }} select id, x, predict('f', x) as score from t",
                 f"    columns: [{{name: id, data_tests: [{{unique: {{config: {{{lax}}}}}}}]}}]\n")  # fmt: skip
    rivals.db("insert into t values (2, 7), (2, 8)")
    assert "no unique_key" in _ran(rivals)
    assert "has no unique_key" in rivals("freshness", "m")[1]


def test_the_second_night_scores_nothing(rivals: Shop) -> None:
    _ran(rivals)
    _ran(rivals)
    assert _record(rivals, "scored, reused") == (0, 3)


def test_an_equal_challenger_neither_shifts_nor_flips(rivals: Shop) -> None:
    linear([2.0], 1.0, element_type="double", path=rivals.root / "functions/g.onnx")
    _ran(rivals)
    assert _record(rivals, "mean_absolute_shift, flips, psi") == (0.0, 0, 0.0)


def test_a_challenger_without_its_file_does_not_stop_the_night(rivals: Shop) -> None:
    (rivals.root / "functions/g.onnx").unlink()
    out = _ran(rivals)
    assert rivals.db("select count(*) from m") == [(3,)]
    assert "g against f in m: not compared" in out
    assert _record(rivals, "status, prediction")[0] == "error"


def test_errors_of_the_challenger_are_counted_and_are_not_the_champion_s(rivals: Shop) -> None:
    linear([1e308], 0.0, element_type="double", path=rivals.root / "functions/g.onnx")
    rivals.db("update t set x = 10 where id = 2")
    _ran(rivals)
    assert rivals.db("select count(*) from m where score is null") == [(0,)]
    assert _record(rivals, "errors, rows") == (1, 2)
    assert rivals.db("select sum(errors) from sqlinfer_runs") == [(0,)]


def test_a_slice_is_compared_though_its_champion_is_published_first(rivals: Shop) -> None:
    rivals.model(
        "{{ config(materialized='incremental', unique_key='id') }} select id, predict('f', x) as score from t "
        "{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}"
    )
    _ran(rivals)
    rivals.db("insert into t values (3, 9)")
    _ran(rivals)
    assert _record(rivals, "rows") == (1,)
    assert rivals.db("select id, challenger from m__challenger order by id")[-1] == (3, 27.0)
    assert rivals.db("select count(*) from m__challenger") == [(4,)]


def test_a_prediction_that_filters_rows_shows_who_is_in_and_who_is_out(rivals: Shop) -> None:
    rivals.db("insert into t values (3, 1.4)")
    rivals.model(
        "{{ config(unique_key='id', decision='true') }} select id, predict('f', x) as score from t "
        "where predict('f', x) < 2 or predict('f', x) > 4.5"
    )
    _ran(rivals)
    assert rivals.db("select id, champion, challenger, flipped from m__challenger order by id") == [
        (0, 1.0, 0.0, False), (2, 5.0, 6.0, False),
    ]  # fmt: skip
    rivals.model(
        "{{ config(unique_key='id', decision='true') }} select id, predict('f', x) as score from t "
        "where predict('f', x) > 4"
    )
    _ran(rivals)
    assert rivals.db("select id, champion, challenger, flipped from m__challenger order by id") == [
        (2, 5.0, 6.0, False), (3, None, pytest.approx(4.2), True),
    ]  # fmt: skip


def test_two_predictions_have_columns_of_their_own(rivals: Shop) -> None:
    rivals.model("{{ config(unique_key='id') }} select id, f(x) as one, f(x + 1) as two from t")
    _ran(rivals)
    assert rivals.db("select one__champion, one__challenger, two__champion, two__challenger, two__shift "
                     "from m__challenger where id = 0") == [(1.0, 0.0, 3.0, 3.0, 0.0)]  # fmt: skip
    assert rivals.db("select prediction from sqlinfer_challenges order by all") == [("one",), ("two",)]


def test_without_a_key_nothing_is_compared(rivals: Shop) -> None:
    rivals.model("select id, predict('f', x) as score from t")
    assert "m has no unique_key" in _ran(rivals)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("challenger: g", "challenger: gg", "the challenger of 'f' is 'gg', which is no enabled function"),
        ("challenger: g", "challenger: f", "'f' cannot be its own challenger"),
    ],
)
def test_a_challenger_that_is_none_is_refused(rivals: Shop, before: str, after: str, said: str) -> None:
    rivals.put("functions/f.yml", TWO.replace(before, after))
    out = _ran(rivals, code=2)
    assert said in out
    assert "f.yml:9" in out


def test_a_challenger_of_other_arguments_is_refused(rivals: Shop) -> None:
    head, tail = TWO.split("- name: g")
    rivals.put("functions/f.yml", head + "- name: g" + tail.replace("name: x", "name: y"))
    for command in ("run", "compile"):
        code, out = rivals(command)
        assert code
        assert "challenger 'g' takes (y double), 'f' takes (x double)" in out
        assert "f.yml:9" in out


def test_a_table_of_somebody_else_is_not_replaced(rivals: Shop) -> None:
    rivals.db("create table m__challenger as select 42 as mine")
    assert "is no comparison of ours" in _ran(rivals)
    assert rivals.db("from m__challenger") == [(42,)]


def test_a_decision_that_does_not_parse_leaves_the_night_alone(rivals: Shop) -> None:
    rivals.model(MODEL.replace("score > 4", "score >"))
    assert "does not parse" in _ran(rivals)
    assert rivals.db("select count(*) from m") == [(3,)]


def test_a_promotion_swaps_names_keeps_comments_and_scores_nothing_again(rivals: Shop) -> None:
    _ran(rivals)
    out = _ran(rivals, "functions", "promote", "f")
    assert "functions/f.yml" in out
    assert (rivals.root / "functions/f.yml").read_text() == (
        TWO.replace("name: f\n", "name: ?\n").replace("name: g\n", "name: f\n").replace("name: ?\n", "name: g\n")
        .replace("      challenger: g\n", "").replace("config: {reuse: true}", "config: {reuse: true, challenger: g}")
    )  # fmt: skip
    _ran(rivals)
    assert rivals.db("select score from m order by id") == [(0.0,), (3.0,), (6.0,)]
    assert rivals.db("select challenger from m__challenger order by id") == [(1.0,), (3.0,), (5.0,)]
    assert rivals.db("select scored, reused from sqlinfer_runs order by started_at") == [(3, 0), (0, 3)]
    assert _record(rivals, "scored, reused") == (0, 3)


def test_a_promotion_of_a_promotion_is_where_it_began(rivals: Shop) -> None:
    _ran(rivals, "functions", "promote", "f")
    _ran(rivals, "functions", "promote", "f")
    _ran(rivals)
    assert rivals.db("select score from m order by id") == [(1.0,), (3.0,), (5.0,)]


def test_declarations_in_two_files_are_swapped_in_both(rivals: Shop) -> None:
    head, tail = TWO.split("  # the one that would like to be\n")
    rivals.put("functions/f.yml", head.replace("    config:\n      reuse: true\n      challenger: g\n",
                                               "    challenger: g\n"))  # fmt: skip
    rivals.put("functions/sub/g.yml", "functions:\n" + tail.replace("path: g.onnx", "path: ../g.onnx"))
    _ran(rivals, "functions", "promote", "f")
    assert "challenger" not in (rivals.root / "functions/f.yml").read_text()
    assert "challenger: g" in (rivals.root / "functions/sub/g.yml").read_text()
    _ran(rivals)
    assert rivals.db("select score from m order by id") == [(0.0,), (3.0,), (6.0,)]


def test_only_what_has_a_challenger_is_promoted(rivals: Shop) -> None:
    assert "'g' has no challenger" in _ran(rivals, "functions", "promote", "g", code=2)
    assert "unknown function 'ff'" in _ran(rivals, "functions", "promote", "ff", code=2)
