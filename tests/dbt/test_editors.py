"""What dbt's extensions of an editor show: the words of docs/recipes.md come from dbt itself."""

from __future__ import annotations

from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_compiled_sql_has_the_call_and_a_preview_says_where_to_go(shop):
    compiled = shop.dbt("compile", "--select", "churn_scores")
    assert compiled.code == 0, compiled.text
    call = "predict('churn_score', orders => orders,"
    assert call in compiled.text
    assert call in PAGE
    shown = shop.dbt("show", "--select", "churn_scores")
    said = "dbt show cannot score 'churn_scores': run `sqlinfer dbt preview churn_scores` instead"
    assert shown.code != 0
    assert said in shown.text
    assert said in PAGE
    preview = shop.sqlinfer("dbt", "preview", "churn_scores", "--limit", "5")
    assert preview.code == 0, preview.text
    assert "churn_probability" in preview.out
