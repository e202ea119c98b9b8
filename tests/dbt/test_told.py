"""What dbt is told, and what it said."""

from __future__ import annotations

import json
from pathlib import Path

from sqlinfer.dbt import layers, said
from sqlinfer.dbt.forks import python_of
from sqlinfer.dbt.manifest import Manifest


def manifest(*nodes: dict[str, object]) -> Manifest:
    return Manifest(Path("manifest.json"), "1.11.0", {str(one["unique_id"]): one for one in nodes}, {}, {})


def node(name: str, *fqn: str, materialized: str = "table", parents: tuple[str, ...] = ()) -> dict[str, object]:
    return {
        "unique_id": f"model.shop.{name}", "name": name, "resource_type": "model", "fqn": ["shop", *fqn, name],
        "config": {"materialized": materialized}, "depends_on": {"nodes": [f"model.shop.{one}" for one in parents]},
        "original_file_path": "/".join(("models", *fqn, f"{name}.sql")),
    }  # fmt: skip


def test_a_member_is_told_from_a_folder_of_its_name():
    known = manifest(node("customers", "marts"), node("detail", "marts", "customers"), node("orders"))
    words = layers.selectors(known, known.nodes)
    assert words == (
        "fqn:shop.marts.customers,file:customers.sql", "fqn:shop.marts.customers.detail", "fqn:shop.orders",
    )  # fmt: skip


def test_a_name_with_letters_that_mean_something_stays_one_word():
    (word,) = layers.selectors(known := manifest(node("no rows, at+all")), known.nodes)
    assert " " not in word
    assert word.startswith("fqn:shop.no?rows??at?all")


def test_ephemeral_models_and_members_that_are_gone_have_no_layer():
    known = manifest(
        node("base", materialized="ephemeral"), node("scores", materialized="prediction", parents=("base",))
    )
    plan = layers.plan(known, [*known.nodes, "model.shop.deleted"])
    assert plan.ids == ("model.shop.scores",)


def event(level: str, msg: str, name: str = "Any") -> str:
    return json.dumps({"info": {"level": level, "msg": msg, "name": name}, "data": {}})


def test_events_of_dbt_ls():
    item = json.dumps({"unique_id": "model.a.b", "resource_type": "model"})
    bare = json.dumps({"unique_id": "model.a.c", "resource_type": "model"})
    unmatched = event("warn", "'x' does not match any enabled nodes", "NoNodesForSelectionCriteria")
    found = said.read("\n".join((event("info", item, "PrintEvent"), bare, unmatched, "a line", event("warn", "old"))))
    assert [one["unique_id"] for one in found.listed] == ["model.a.b", "model.a.c"]
    assert found.unmatched() == ("'x' does not match any enabled nodes",)
    assert found.texts() == ("'x' does not match any enabled nodes", "old")


def test_a_warning_of_dbt_is_one_plain_line():
    text = "[\x1b[33mWARNING\x1b[0m][OldWord]: Deprecated\nfunctionality\n- one"
    assert said.read(event("warn", text)).texts() == ("[OldWord]: Deprecated functionality - one",)


def test_constraints_of_predictions_are_not_said_to_be_ignored():
    texts = [f"Constraint types are not supported for {kind} materializations" for kind in ("view", "prediction")]
    assert said.read("\n".join(event("warn", text) for text in texts)).texts() == (texts[0],)


def test_why_a_call_failed():
    assert said.loud(f"{event('info', 'Running')}\n{event('error', 'it broke')}\nTraceback") == "it broke\nTraceback"


def test_only_dbts_own_program_is_called_in_its_python(tmp_path):
    own, wrapper = tmp_path / "own", tmp_path / "wrapper"
    own.write_text("#!/usr/bin/python3\nimport sys\nfrom dbt.cli.main import cli\n")
    wrapper.write_text('#!/bin/sh\nexec dbt "$@"\n')
    assert python_of(str(own)) in ("/usr/bin/python3", None)  # None: no such Python here
    assert python_of(str(wrapper)) is None
    assert python_of(str(tmp_path / "none")) is None
