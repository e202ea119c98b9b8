"""``sqlinfer dbt init`` and ``sqlinfer dbt sources``."""

from __future__ import annotations

import shutil

import pytest

from sqlinfer.dbt.scaffold import add_to_project
from sqlinfer.dbt.sources import sources_yml
from sqlinfer.errors import ProjectError, UsageError
from sqlinfer.project.yamlfile import parse_yaml, read_yaml


@pytest.fixture
def bare(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: bare\n")
    return tmp_path


def packages(path):
    return read_yaml(path).data["packages"]


def test_init_writes_packages_the_package_and_a_starter(bare):
    add_to_project(bare)
    assert packages(bare / "packages.yml") == [{"local": "packages/sqlinfer"}]
    assert (bare / "packages/sqlinfer/macros/predict.sql").is_file()
    assert not (bare / "packages/sqlinfer/integration_tests").exists()
    assert (bare / "ml/churn.onnx").is_file()


def test_init_twice_changes_nothing(bare):
    add_to_project(bare)
    (bare / "ml/churn.yml").write_text("functions: []\n")
    before = (bare / "packages.yml").read_text()
    add_to_project(bare)
    assert (bare / "packages.yml").read_text() == before
    assert (bare / "ml/churn.yml").read_text() == "functions: []\n"


@pytest.mark.parametrize(
    "text",
    [
        "packages:\n  - package: dbt-labs/dbt_utils  # keep\n    version: 1.3.0\n",
        "packages:\n- package: dbt-labs/dbt_utils  # keep\n  version: 1.3.0\n",
        "packages:\n    - package: dbt-labs/dbt_utils  # keep\n      version: 1.3.0\n",
    ],
)
def test_init_keeps_other_packages_and_comments(bare, text):
    (bare / "packages.yml").write_text(text)
    add_to_project(bare)
    found = (bare / "packages.yml").read_text()
    assert "# keep" in found
    assert packages(bare / "packages.yml") == [
        {"local": "packages/sqlinfer"}, {"package": "dbt-labs/dbt_utils", "version": "1.3.0"}
    ]  # fmt: skip


def test_init_uses_dependencies_yml_and_git(bare):
    (bare / "dependencies.yml").write_text("projects: [{name: other}]\n")
    add_to_project(bare, git="https://example.org/sqlinfer.git", revision="v9")
    assert packages(bare / "dependencies.yml") == [
        {"git": "https://example.org/sqlinfer.git", "subdirectory": "macros", "revision": "v9"}
    ]
    assert not (bare / "packages").exists()


def test_init_outside_of_a_dbt_project(tmp_path):
    with pytest.raises(UsageError, match=r"no dbt_project\.yml"):
        add_to_project(tmp_path)


def test_init_over_a_damaged_packages_file(bare):
    (bare / "packages.yml").write_text("packages: none\n")
    with pytest.raises(ProjectError, match="no list of packages"):
        add_to_project(bare)


def test_an_empty_dbt_project_becomes_one_with_predictions(shop):
    """The three commands of the docs: dbt deps, sqlinfer dbt init, sqlinfer dbt build."""
    for path in ("packages.yml", "package-lock.yml", "dbt_packages", "ml"):
        target = shop.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    assert shop.sqlinfer("dbt", "init").code == 0
    assert shop.dbt("deps").code == 0
    values = {"varchar": "\"'monthly'\"", "boolean": "'true'"}
    arguments = read_yaml(shop.root / "ml" / "churn.yml").data["functions"][0]["arguments"]
    call = ", ".join(f"{one['name']}={values.get(one['data_type'], '7')}" for one in arguments)
    shop.write(
        "models/marts/churn_scores.sql",
        "{{ config(materialized='prediction') }}\nselect customer_id, {{ sqlinfer.predict('churn_score', "
        + call
        + ") }} as churn_probability from {{ ref('customers') }}",
    )
    done = shop.sqlinfer("dbt", "build", "--select", "churn_scores", "campaign_list")
    assert done.code == 0, done.text
    assert shop.rows("select count(churn_probability) from churn_scores") == [(100,)]


def test_sources_of_a_separate_project(tmp_path):
    from sqlinfer.cli.scaffold import create
    from sqlinfer.project import load

    project = load(create("nightly", tmp_path), env={})
    found = parse_yaml(sources_yml(project)).data
    source = found["sources"][0]
    table = source["tables"][0]
    assert (source["name"], source["schema"], table["name"]) == ("sqlinfer", "main", "churn_scores")
    assert table["config"]["freshness"]["warn_after"] == {"count": 24, "period": "hour"}
    assert "node = 'model.nightly.churn_scores'" in table["config"]["loaded_at_query"]


def test_dbt_reads_the_sources_and_their_freshness(shop):
    """The same warehouse, seen by a team that only reads it."""
    assert shop.sqlinfer("run", "--dbt").code == 0
    shop.write("sqlinfer_project.yml", "name: sqlinfer_shop\nprofile: sqlinfer_shop\nmodel-paths: [jobs]\n"
               "function-paths: [ml]\ntest-paths: [none]\nseed-paths: [none]\nmacro-paths: [none]\n")  # fmt: skip
    shop.write("jobs/churn_scores.sql", "select customer_id, predict('churn_score', 1, 2, 3, 4, 5) as p from customers")
    done = shop.sqlinfer("dbt", "sources", "--name", "predictions", "--out", "models/predictions.yml")
    assert done.code == 0, done.text
    fresh = shop.dbt("source", "freshness")
    assert fresh.code == 0, fresh.text
    assert "PASS freshness of predictions.churn_scores" in fresh.text


def test_docs_name_functions_as_exposures(shop):
    assert shop.sqlinfer("dbt", "docs", "--out", "models/functions.yml").code == 0
    done = shop.dbt("ls", "--resource-type", "exposure", "--quiet")
    assert "exposure:sqlinfer_shop.function_churn_score" in done.text
    assert "data_type: double" in (shop.root / "models/functions.yml").read_text()
