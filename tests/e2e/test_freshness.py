"""``sqlinfer source freshness``: statuses, limits, sources.json and exit codes as dbt has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Shop

SOURCE = """sources:
  - name: raw
    schema: main
    {outer}
    tables:
      - name: events
        {inner}
"""
HOUR = "freshness: {{warn_after: {{count: {}, period: hour}}, error_after: {{count: {}, period: hour}}{}}}"


@pytest.fixture
def raw(shop: Shop) -> Shop:
    """The newest event is three hours old; that of kind b is a week old."""
    shop.db(
        "create table events as select i as id, (now() at time zone 'utc') - to_hours(h) as loaded_at, kind "
        "from (values (1, 3, 'a'), (2, 168, 'b')) t(i, h, kind)"
    )
    return shop


def looked_at(shop: Shop, inner: str, outer: str = "description: ''", *words: str) -> tuple[int, str, list[Any]]:
    shop.put("models/sources.yml", SOURCE.format(inner=inner, outer=outer))
    code, out = shop("source", "freshness", *words)
    path = shop.root / "target/sources.json"
    return code, out, json.loads(path.read_text())["results"] if path.is_file() else []


@pytest.mark.parametrize(
    ("warn", "error", "filter", "status", "code"),
    [
        (6, 12, "", "pass", 0),
        (2, 12, "", "warn", 0),
        (1, 2, "", "error", 1),
        (6, 12, ", filter: \"kind = 'b'\"", "error", 1),
        (6, 12, ", filter: \"kind = 'none'\"", "error", 1),
    ],
)
def test_the_age_of_the_newest_row_is_compared(
    raw: Shop, warn: int, error: int, filter: str, status: str, code: int
) -> None:
    found = looked_at(raw, HOUR.format(warn, error, filter), "loaded_at_field: loaded_at")
    assert (found[0], [one["status"] for one in found[2]]) == (code, [status]), found[1]
    word = {"error": "ERROR STALE"}.get(status, status.upper())
    assert f"1 of 1 {word} freshness of raw.events" in found[1]


def test_sources_json_has_dbts_form(raw: Shop) -> None:
    _, _, (result,) = looked_at(raw, "loaded_at_field: loaded_at\n        " + HOUR.format(6, 12, ""))
    content = json.loads((raw.root / "target/sources.json").read_text())
    assert content["metadata"]["dbt_schema_version"] == "https://schemas.getdbt.com/dbt/sources/v3.json"
    assert result["unique_id"] == "source.shop.raw.events"
    assert result["criteria"] == {
        "warn_after": {"count": 6, "period": "hour"},
        "error_after": {"count": 12, "period": "hour"},
        "filter": None,
    }
    assert 10_700 < result["max_loaded_at_time_ago_in_s"] < 11_000
    assert result["max_loaded_at"].endswith("Z")
    assert result["snapshotted_at"] > result["max_loaded_at"]


@pytest.mark.parametrize(
    "inner",
    [
        "config: {loaded_at_field: loaded_at, freshness: {error_after: {count: 1, period: minute}}}",
        "loaded_at_query: from events select loaded_at\n        freshness: {error_after: {count: 1, period: hour}}",
        "loaded_at_field: \"loaded_at at time zone 'utc'\"\n        freshness: {error_after: {count: 2, period: hour}}",
        "loaded_at_field: cast(loaded_at as timestamp_ns)\n        freshness: {error_after: {count: 2, period: hour}}",
        "freshness: {error_after: {count: 1, period: hour}}",
    ],
)
def test_limits_and_fields_may_stand_wherever_dbt_has_them(raw: Shop, inner: str) -> None:
    outer = "config: {loaded_at_field: loaded_at, freshness: {warn_after: {count: 1, period: minute}}}"
    code, out, (result,) = looked_at(raw, inner, outer)
    assert (code, result["status"]) == (1, "error"), out
    assert result["criteria"]["warn_after"] == {"count": 1, "period": "minute"}


def test_a_table_may_be_left_out(raw: Shop) -> None:
    outer = "loaded_at_field: loaded_at\n    " + HOUR.format(1, 2, "")
    code, out, results = looked_at(raw, "freshness: null", outer)
    assert (code, results) == (0, [])
    assert "No source has freshness" in out


def test_only_selected_sources_are_looked_at(raw: Shop) -> None:
    outer = "loaded_at_field: loaded_at\n    " + HOUR.format(1, 2, "")
    assert len(looked_at(raw, "description: ''", outer, "--select", "source:raw.events")[2]) == 1
    code, out, results = looked_at(raw, "description: ''", outer, "--select", "source:other")
    assert (code, results) == (0, [])
    assert "does not match any enabled nodes" in out


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (HOUR.format(1, 2, ""), "no loaded_at_field"),
        ("loaded_at_field: nothing\n        " + HOUR.format(1, 2, ""), "nothing"),
        ("loaded_at_field: id\n        " + HOUR.format(1, 2, ""), "'id' is no timestamp"),
        ("identifier: gone\n        loaded_at_field: id\n        " + HOUR.format(1, 2, ""), "gone"),
    ],
)
def test_a_source_that_cannot_be_asked_is_a_runtime_error(raw: Shop, inner: str, said: str) -> None:
    code, out, (result,) = looked_at(raw, inner)
    assert (code, result["status"]) == (1, "runtime error")
    assert said in result["error"]
    assert said in out


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("freshness: {warn_after: {count: 1, period: week}}", "'week' is not one of"),
        ("freshness: {warn_after: {count: -1, period: day}}", "greater than or equal to 0"),
        ("freshness: {wam_after: {count: 1, period: day}}", "unknown key 'wam_after'"),
        ("config: {loaded_at_field: a, loaded_at_query: b, freshness: {warn_after: {count: 1, period: day}}}",
         "has loaded_at_field and loaded_at_query"),
        ("config: {loaded_at_query: b, freshness: {filter: c, warn_after: {count: 1, period: day}}}",
         "does not go with loaded_at_query"),
    ],
)  # fmt: skip
def test_limits_that_are_none_are_errors_at_their_place(raw: Shop, inner: str, said: str) -> None:
    code, out, _ = looked_at(raw, inner)
    assert code != 0
    assert said in out
    assert "sources.yml" in out


def test_the_file_may_be_named(raw: Shop) -> None:
    outer = "loaded_at_field: loaded_at\n    " + HOUR.format(6, 12, "")
    looked_at(raw, "description: ''", outer, "-o", str(raw.root / "here.json"))
    assert json.loads((raw.root / "here.json").read_text())["results"][0]["status"] == "pass"


def test_fresher_sources_choose_what_is_built_again(raw: Shop) -> None:
    raw.model("select id, f(id) as s from {{ source('raw', 'events') }}", name="above")
    outer = "loaded_at_field: loaded_at\n    " + HOUR.format(6, 1200, "")
    looked_at(raw, "description: ''", outer, "-o", str(raw.root / "before/sources.json"))
    looked_at(raw, "description: ''", outer)
    words = ("ls", "-s", "source_status:fresher+", "--resource-type", "model", "--state", str(raw.root / "before"))
    assert "shop.above" not in raw(*words)[1]
    raw.db("insert into events select 3, (now() at time zone 'utc'), 'a'")
    looked_at(raw, "description: ''", outer)
    assert "shop.above" in raw(*words)[1]
