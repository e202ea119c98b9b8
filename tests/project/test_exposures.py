"""Exposures as dbt has them: in the manifest, with what they depend on."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Shop

EXPOSURES = """exposures:
  - name: weekly
    label: Weekly churn
    type: dashboard
    maturity: high
    url: https://example.com/churn
    description: What the board looks at
    owner: {name: Ann, email: ann@example.com, slack: '#churn'}
    depends_on: [ref('m'), "source('raw', 'people')"]
    tags: [board]
    config: {meta: {cost: low}}
sources:
  - name: raw
    schema: main
    tables: [{name: people}]
"""


def test_an_exposure_is_in_the_manifest_and_below_what_it_reads(shop: Shop) -> None:
    shop.model("select id, predict('f', x) as y from t")
    shop.put("models/exposures.yml", EXPOSURES)
    code, out = shop("compile")
    assert code == 0, out
    assert "is ignored" not in out
    manifest = json.loads((shop.root / "target/manifest.json").read_text())
    exposure = manifest["exposures"]["exposure.shop.weekly"]
    assert exposure["depends_on"]["nodes"] == ["model.shop.m", "source.shop.raw.people"]
    assert exposure["owner"] == {"name": "Ann", "email": "ann@example.com", "slack": "#churn"}
    assert (exposure["type"], exposure["maturity"], exposure["meta"]) == ("dashboard", "high", {"cost": "low"})
    assert "exposure.shop.weekly" in manifest["child_map"]["model.shop.m"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ref('m')", "ref('mm')", "exposure 'weekly' depends on what is not there: unknown model or seed 'mm'"),
        ("ref('m')", "m", "'m' is not ref('…') or source('…', '…')"),
        ("'people'", "'persons'", "unknown source 'raw.persons'"),
        ("dashboard", "dashbored", "dashbored"),
    ],
)
def test_what_is_wrong_with_one_is_said_with_its_place(shop: Shop, before: str, after: str, said: str) -> None:
    shop.model("select 1 as id")
    shop.put("models/exposures.yml", EXPOSURES.replace(before, after, 1))
    code, out = shop("compile")
    assert code
    assert said in out
    assert "exposures.yml:" in out
