"""dbt's selection grammar over raw → customers → scores → campaign, and other."""

import pytest
from project_files import loaded

from sqlinfer.errors import UsageError
from sqlinfer.project.selectors import resolve, select

FILES = {
    "models/other.sql": "{{ config(tags=['nightly', 'x'], materialized='view') }}select 1",
    "models/campaign.sql": "{{ config(tags='nightly') }}select * from {{ ref('scores') }}",
    "models/p.yml": "models:\n  - name: scores\n    data_tests: [{row_count: {min_value: 1}}]\n"
    "sources:\n  - name: lake\n    tables: [{name: events}]\n",
    "models/lake_reader.sql": "select * from {{ source('lake', 'events') }}",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return loaded(tmp_path_factory.mktemp("p"), FILES)


CASES = [
    ("scores", "", "scores"),
    ("scores other", "", "other scores"),
    ("+scores", "", "raw customers scores"),
    ("scores+", "", "scores campaign"),
    ("1+scores", "", "customers scores"),
    ("2+scores+1", "", "raw customers scores campaign"),
    ("customers+1", "", "customers scores"),
    ("@raw", "", "raw customers scores campaign"),
    ("@campaign", "", "raw customers scores campaign"),
    ("c*", "", "customers campaign"),
    ("tag:nightly", "", "other campaign"),
    ("tag:nightly,config.materialized:view", "", "other"),
    ("tag:night*", "other", "campaign"),
    ("path:models/staging", "", "customers"),
    ("models/staging", "", "customers"),
    ("path:models/*.sql", "path:models/staging", "lake_reader other scores campaign"),
    ("staging", "", "customers"),
    ("shop.staging.customers", "", "customers"),
    ("staging.*", "", "customers"),
    ("file:scores.sql", "", "scores"),
    ("scores.sql", "", "scores"),
    ("function:churn_score", "", "scores"),
    ("function:churn_score+", "", "scores campaign"),
    ("resource_type:seed", "", "raw"),
    ("source:lake+", "", "lake_reader"),
    ("source:lake.events+", "", "lake_reader"),
    ("test_name:row_count+", "", ""),
    ("", "resource_type:model", "raw"),
    ("+campaign,tag:nightly", "", "campaign"),
]


@pytest.mark.parametrize(("chosen", "excluded", "expected"), CASES)
def test_selection(project, chosen, excluded, expected):
    found = select(project, chosen.split(), excluded.split())
    names = [project.nodes[key].name for key in found]
    assert sorted(names) == sorted(expected.split())


def test_everything_comes_in_topological_order(project):
    names = [key.rsplit(".", 1)[1] for key in select(project)]
    for before, after in (("raw", "customers"), ("customers", "scores"), ("scores", "campaign")):
        assert names.index(before) < names.index(after)
    assert names == [key.rsplit(".", 1)[1] for key in select(project)]


def test_tests_follow_the_nodes_they_test(project):
    assert select(project, ["scores"], resource_types=["test"]) == ("test.shop.row_count_scores",)
    assert select(project, [], ["scores"], resource_types=["test"]) == ()


def test_a_name_that_matches_nothing_is_warned_of(project):
    found = resolve(project, ["scors"])
    assert found.ids == ()
    assert "'scors' does not match any enabled nodes: did you mean 'scores'?" in found.warnings[0]


@pytest.mark.parametrize("text", ["+", "tagg:x", "@a+", ","])
def test_what_is_no_selection_is_a_usage_error(project, text):
    with pytest.raises(UsageError):
        select(project, [text])
