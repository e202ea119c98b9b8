"""``sqlinfer verify``: a prepared function and its original, side by side, as the command shows it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest

from sqlinfer import api
from sqlinfer.cli.main import invoke
from sqlinfer.errors import UnknownFunction, UsageError
from sqlinfer.jobs.verify import Verification

skops = pytest.importorskip("skops.io")
linear_model = pytest.importorskip("sklearn.linear_model")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model calls a function from the columns of a table, some of them NULL."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(0)
    rows = random.normal(0, 1, (100, 2))
    (folder / "functions").mkdir()
    (folder / "models").mkdir()
    skops.dump(linear_model.LinearRegression().fit(rows, rows.sum(axis=1)), folder / "functions" / "f.skops")
    (folder / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (folder / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}")
    (folder / "functions" / "f.yml").write_text("functions: [{name: f, model: {source: sklearn, path: f.skops}}]")
    (folder / "models" / "scores.sql").write_text("select predict('f', a, b * 2) as p from customers where a < 90")
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute("create table customers as select i::double as a, if(i % 10 = 0, null, i / 7) as b "
                           "from range(100) t(i)")  # fmt: skip
        connection.execute("create table others as select i as f0, 1.5 as f1 from range(3) t(i)")
    return folder


def verify(folder: Path, *names: str, **options: object) -> Verification:
    (found,) = api.verify(api.RunOptions(project_dir=folder), names, **options)  # type: ignore[arg-type]
    return found


def test_rows_are_those_that_the_nodes_give(shop: Path) -> None:
    found = verify(shop)
    assert found.ok
    assert found.result is not None
    assert (found.tables, found.result.own) == (("scores",), 81)


def test_arguments_that_are_predictions_are_made(shop: Path) -> None:
    query = "select predict('f', predict('f', a, b), 1) as q from customers where b is not null limit 7"
    (shop / "models" / "twice.sql").write_text(query)
    try:
        found = verify(shop)
    finally:
        (shop / "models" / "twice.sql").unlink()
    assert found.result is not None
    assert found.ok
    assert set(found.tables) == {"scores", "twice"}
    assert found.result.own > 81


def test_another_relation_gives_the_rows(shop: Path) -> None:
    found = verify(shop, "f", relation="others")
    assert found.result is not None
    assert found.result.own == 3


def test_above_the_tolerance_it_exits_with_1_and_shows_the_worst_rows(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = invoke(["verify", "f", "--tolerance", "0", "--output", "json", "--project-dir", str(shop)])
    (shown,) = json.loads(capsys.readouterr().out)
    assert code == 1
    assert shown["rows_over_tolerance"] > 0
    assert set(shown["worst"][0]["arguments"]) == {"f0", "f1"}


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (("g",), {}, UnknownFunction, "unknown function 'g'"),
        ((), {"relation": "select 1"}, UsageError, "not the name of a table"),
    ],
)
def test_a_mistake_is_said(
    shop: Path, names: tuple[str, ...], options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        verify(shop, *names, **options)


def test_a_relation_without_the_arguments_is_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["verify", "f", "--from", "customers", "--project-dir", str(shop)]) != 0
    assert "f0" in capsys.readouterr().err
