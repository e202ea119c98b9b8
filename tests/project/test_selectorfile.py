"""selectors.yml: named selections, in dbt's forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from project_files import loaded

from sqlinfer.errors import ProjectError
from sqlinfer.project.selectors import resolve

MODELS: dict[str, str | bytes | None] = {
    "models/other.sql": "{{ config(tags=['nightly'], materialized='view') }}select 1",
    "models/campaign.sql": "{{ config(tags='nightly') }}select * from {{ ref('scores') }}",
}


def chosen(root: Path, definition: str, name: str | None = "night") -> list[str]:
    text = f"selectors:\n  - name: night\n    definition: {definition}\n"
    project = loaded(root, {**MODELS, "selectors.yml": text})
    return sorted(project.nodes[key].name for key in resolve(project, selector=name).ids)


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("tag:nightly", "campaign other"),
        ("'tag:nightly,config.materialized:view'", "other"),
        ("{tag: nightly}", "campaign other"),
        ("{method: tag, value: nightly}", "campaign other"),
        ("{method: fqn, value: scores, parents: true}", "customers raw scores"),
        ("{method: fqn, value: scores, parents: true, parents_depth: 1}", "customers scores"),
        ("{method: fqn, value: scores, children: true}", "campaign scores"),
        ("{method: fqn, value: raw, childrens_parents: true}", "campaign customers raw scores"),
        ("{union: ['tag:nightly', {resource_type: seed}]}", "campaign other raw"),
        ("{union: ['tag:nightly', {exclude: [other]}]}", "campaign"),
        ("{intersection: [{tag: nightly}, {config.materialized: view}]}", "other"),
        ("{method: tag, value: nightly, exclude: [{method: fqn, value: other}]}", "campaign"),
        ("{method: config.materialized, value: view}", "other"),
        ("\"{{ 'tag:' ~ 'nightly' }}\"", "campaign other"),
    ],
)
def test_a_definition_chooses(tmp_path: Path, definition: str, expected: str) -> None:
    assert chosen(tmp_path, definition) == expected.split()


def test_a_selector_may_be_made_of_those_above_it(tmp_path: Path) -> None:
    text = """selectors:
  - name: tagged
    definition: tag:nightly
  - name: most
    description: all but views
    default: true
    definition: {method: selector, value: tagged, exclude: [other]}
"""
    project = loaded(tmp_path, {**MODELS, "selectors.yml": text})
    names = [project.nodes[key].name for key in resolve(project).ids]
    assert names == ["campaign"]  # the default counts where nothing is named
    assert len(resolve(project, ["other"]).ids) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- x", "holds a list 'selectors:'"),
        ("selectors: [{name: a}]", "has a 'name' and a 'definition'"),
        ("selectors: [{name: a, definition: b, deflt: 1}]", "unknown key 'deflt'"),
        ("selectors: [{name: a, definition: b}, {name: a, definition: b}]", "duplicate selector 'a'"),
        ("selectors: [{name: a, definition: {union: []}}]", "'union' stands alone and is a list"),
        ("selectors: [{name: a, definition: {method: tag}}]", "'value' is missing"),
        ("selectors: [{name: a, definition: {method: tag, value: x, depth: 1}}]", "unknown key 'depth'"),
        ("selectors: [{name: a, definition: {method: selector, value: b}}]", "no selector above is named 'b'"),
        ("selectors: [{name: a, definition: {tag: x, path: y}}]", "a definition is one 'method: value'"),
        ("selectors: [{name: a, definition: {method: tag, value: x, indirect_selection: empty}}]",
         "indirect_selection is 'eager' here"),
        ("selectors: [{name: a, default: true, definition: b}, {name: c, default: true, definition: b}]",
         "both are the default"),
    ],
)  # fmt: skip
def test_a_definition_that_is_none_is_named_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError, match=r"selectors\.yml") as caught:
        loaded(tmp_path, {"selectors.yml": text})
    assert said in str(caught.value)
    assert caught.value.location is not None
