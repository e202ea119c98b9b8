"""``sqlinfer dbt init`` and ``sqlinfer dbt sources``."""

from __future__ import annotations

import shutil

import pytest

from sqlinfer.dbt.scaffold import add_to_project
from sqlinfer.dbt.sources import sources_yml
from sqlinfer.dbt.starter import Subject
from sqlinfer.errors import ProjectError, UsageError
from sqlinfer.project.yamlfile import parse_yaml, read_yaml
from sqlinfer.spec.catalog import Column


@pytest.fixture
def bare(tmp_path):
    (tmp_path / "dbt_project.yml").write_text("name: bare\n")
    return tmp_path


def nothing():
    raise UsageError("the columns of any model cannot be found")


def customers(root):
    return lambda: Subject("customers", root / "models", (Column("customer_id", "BIGINT"), Column("spent", "DOUBLE")))


def packages(path):
    return read_yaml(path).data["packages"]


def test_init_writes_packages_the_package_and_a_starter(bare):
    (bare / "models").mkdir()
    add_to_project(bare, find=customers(bare))
    assert packages(bare / "packages.yml") == [{"local": "packages/sqlinfer"}]
    assert (bare / "packages/sqlinfer/macros/predict.sql").is_file()
    assert not (bare / "packages/sqlinfer/integration_tests").exists()
    assert (bare / "ml/customers_score.onnx").is_file()
    assert "ref('customers')" in (bare / "models/customers_scores.sql").read_text()


def test_init_twice_changes_nothing(bare):
    (bare / "models").mkdir()
    add_to_project(bare, find=customers(bare))
    (bare / "ml/customers_score.yml").write_text("functions: []\n")
    before = (bare / "packages.yml").read_text()
    add_to_project(bare, find=nothing, required=True)
    assert (bare / "packages.yml").read_text() == before
    assert (bare / "ml/customers_score.yml").read_text() == "functions: []\n"


def test_init_without_a_model_leaves_the_starter_out_and_says_so(bare):
    done = add_to_project(bare, find=nothing)
    assert (bare / "packages.yml").is_file()
    assert not (bare / "ml").exists()
    assert "no starter: the columns of any model cannot be found" in done
    assert "sqlinfer dbt init --model NAME" in done[-1]


def test_init_for_a_model_that_is_not_there_changes_nothing(bare):
    with pytest.raises(UsageError, match="cannot be found"):
        add_to_project(bare, find=nothing, required=True)
    assert not (bare / "packages.yml").exists()


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
    add_to_project(bare, find=nothing)
    found = (bare / "packages.yml").read_text()
    assert "# keep" in found
    assert packages(bare / "packages.yml") == [
        {"local": "packages/sqlinfer"}, {"package": "dbt-labs/dbt_utils", "version": "1.3.0"}
    ]  # fmt: skip


def test_init_uses_dependencies_yml_and_git(bare):
    (bare / "dependencies.yml").write_text("projects: [{name: other}]\n")
    add_to_project(bare, find=nothing, git="https://example.org/sqlinfer.git", revision="v9")
    assert packages(bare / "dependencies.yml") == [
        {"git": "https://example.org/sqlinfer.git", "subdirectory": "macros", "revision": "v9"}
    ]
    assert not (bare / "packages").exists()


def test_init_outside_of_a_dbt_project(tmp_path):
    with pytest.raises(UsageError, match=r"no dbt_project\.yml"):
        add_to_project(tmp_path, find=nothing)


def test_init_over_a_damaged_packages_file(bare):
    (bare / "packages.yml").write_text("packages: none\n")
    with pytest.raises(ProjectError, match="no list of packages"):
        add_to_project(bare, find=nothing)


def without_sqlinfer(shop):
    """The shop as a dbt project that has never heard of predictions."""
    for path in ("packages.yml", "package-lock.yml", "dbt_packages", "ml", "models/marts"):
        target = shop.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    (shop.root / "shop.duckdb").unlink(missing_ok=True)
    shop.write(
        "models/shop/orders_of.sql", "select customer_id, count(*) as orders from {{ ref('stg_orders') }} group by 1"
    )


def test_a_dbt_project_that_was_never_built_becomes_one_with_predictions(shop):
    """The three commands of the docs: sqlinfer dbt init, dbt deps, sqlinfer dbt build."""
    without_sqlinfer(shop)
    done = shop.sqlinfer("dbt", "init", "--model", "orders_of")
    assert done.code == 0, done.text
    assert "a function of orders" in done.text
    assert shop.dbt("deps").code == 0
    done = shop.sqlinfer("dbt", "build", "--select", "+orders_of_scores")
    assert done.code == 0, done.text
    ((rows, scores),) = shop.rows("select count(*), count(distinct orders_of_score) from orders_of_scores")
    assert rows > 1
    assert scores > 1


def test_init_names_the_models_that_there_are(shop):
    without_sqlinfer(shop)
    done = shop.sqlinfer("dbt", "init", "--model", "orders_off")
    assert done.code == 2
    assert "no model is named 'orders_off'" in done.text
    assert "did you mean 'orders_of'" in done.text
    assert not (shop.root / "packages.yml").exists()


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
