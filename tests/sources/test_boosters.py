"""Boosters of three libraries declared in three lines: the published table has the libraries' own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from sqlinfer.cli.main import invoke

xgb = pytest.importorskip("xgboost")
lgb = pytest.importorskip("lightgbm")
cb = pytest.importorskip("catboost")
pd = pytest.importorskip("pandas")

ROWS = 500
DECLARED = """functions:
  - name: risk
    model: {source: xgboost, path: risk.ubj}
  - name: demand
    model: {source: lightgbm, path: demand.txt}
  - name: plan
    model: {source: catboost, path: plan.cbm}
    returns: {data_type: varchar, labels: true}
  - name: price
    model: {source: catboost, path: price.cbm, runtime: native}
"""
QUERY = """select *,
  predict('risk', tenure, "monthly charges", is_senior, contract) as risk,
  predict('demand', tenure => tenure, monthly_charges => "monthly charges", is_senior => is_senior,
          contract => contract) as demand,
  predict('plan', tenure, "monthly charges") as plan,
  predict('price', tenure, coalesce(contract, 'none')) as price
from customers
"""


def customers() -> Any:
    random = np.random.default_rng(0)
    found = pd.DataFrame({
        "tenure": random.integers(0, 72, ROWS).astype(float),
        "monthly charges": random.normal(65, 30, ROWS).round(2),
        "is_senior": random.random(ROWS) > 0.8,
        "contract": random.choice(["Month-to-month", "One year", "Two year"], ROWS).astype(object),
    })  # fmt: skip
    found.loc[3::11, "tenure"] = None
    found.loc[5::7, "contract"] = None
    return found


def project(folder: Path) -> Any:
    """Writes a project; the frame that was trained on, with the libraries' own answers."""
    frame = customers()
    (folder / "functions").mkdir()
    (folder / "models").mkdir()
    (folder / "sqlinfer_project.yml").write_text("name: shop\nprofile: shop\n")
    (folder / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}")
    (folder / "functions" / "f.yml").write_text(DECLARED)
    (folder / "models" / "scores.sql").write_text(QUERY)
    typed = frame.assign(contract=frame["contract"].astype("category"))
    label = (frame["tenure"].fillna(0) < 20) & (frame["contract"] == "Month-to-month")
    risk = xgb.XGBClassifier(n_estimators=15, enable_categorical=True, n_jobs=1).fit(typed, label)
    risk.save_model(folder / "functions" / "risk.ubj")
    demand = lgb.LGBMRegressor(n_estimators=15, verbose=-1, n_jobs=1).fit(typed, label * 2.5)
    demand.booster_.save_model(folder / "functions" / "demand.txt")
    quiet = {"iterations": 15, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    numbers = frame[["tenure", "monthly charges"]]
    plan = cb.CatBoostClassifier(**quiet).fit(numbers, frame["contract"].fillna("none"))
    plan.save_model(str(folder / "functions" / "plan.cbm"))
    mixed = frame[["tenure"]].assign(contract=frame["contract"].fillna("none"))
    price = cb.CatBoostRegressor(**quiet, cat_features=["contract"]).fit(mixed, label * 3.0)
    price.save_model(str(folder / "functions" / "price.cbm"))
    own = {"own_risk": risk.predict_proba(typed)[:, 1].astype(float), "own_demand": demand.predict(typed),
           "own_plan": plan.predict(numbers).reshape(-1), "own_price": price.predict(mixed)}  # fmt: skip
    return frame.assign(**own)


def test_the_published_table_has_the_libraries_own_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = project(tmp_path)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.register("frame", frame)
        connection.execute("create table customers as select * replace (if(isnan(tenure), null, tenure) as tenure) "
                           "from frame")  # fmt: skip
    code = invoke(["run", "--project-dir", str(tmp_path)])
    assert code == 0, capsys.readouterr()
    with duckdb.connect(str(tmp_path / "shop.duckdb"), read_only=True) as connection:
        wrong = connection.execute(
            "select count(*), count(risk), count(demand), count(*) filter (abs(risk - own_risk) > 1e-6 * own_risk), "
            "count(*) filter (abs(demand - own_demand) > 1e-6 * abs(own_demand)), "
            "count(*) filter (plan is distinct from own_plan), "
            "count(*) filter (abs(price - own_price) > 1e-6 * abs(own_price)) from scores"
        ).fetchone()
    assert wrong == (ROWS, ROWS, ROWS, 0, 0, 0, 0)
