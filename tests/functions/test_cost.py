"""The static estimate and the strategy that follows, on the workloads it was set from (W1 to W3)."""

from __future__ import annotations

import pytest

from sqlinfer.functions.cost import STORE_FROM, STORE_FROM_TEXT, choose, readable
from sqlinfer.testing import onnx_builder as ob
from sqlinfer.testing.workshop import Workshop


def features(count: int) -> list[tuple[str, str]]:
    return [(f"x{i}", "REAL") for i in range(count)]


@pytest.mark.parametrize(
    ("data", "count", "low", "high", "strategy"),
    [
        (ob.linear([1.0] * 20), 20, 40, 100, "stream"),
        (ob.mlp([20, 32, 32, 1]), 20, 3_300, 3_700, "stream"),
        (ob.mlp([20, 256, 256, 1]), 20, 140_000, 145_000, "store"),
        (ob.tree_ensemble(200, 6, 20), 20, 400_000, 560_000, "store"),
        (ob.tree_ensemble(10, 3, 20), 20, 3_000, 3_300, "stream"),
        (ob.tree_ensemble(100, 3, 20), 20, 30_000, 33_000, "stream"),
        (ob.tree_ensemble(200, 4, 20), 20, 130_000, 140_000, "store"),
        (ob.classifier_zipmap(), 2, 4, 40, None),
    ],
)
def test_estimates_of_known_workloads(
    shop: Workshop, data: bytes, count: int, low: float, high: float, strategy: str | None
) -> None:
    returns = "TEXT" if strategy is None else "DOUBLE"
    contract = shop.make(data, features(count), returns).contract
    assert low <= contract.cost_per_row <= high
    assert contract.strategy == (strategy or "stream")
    assert "operations a row" in contract.strategy_reason


def test_convolutions_count_every_output_pixel(shop: Workshop) -> None:
    import onnx
    from onnx import helper

    from sqlinfer.functions.cost import cost_per_row

    node = helper.make_node("Conv", ["x", "w"], ["y"])
    weights = ob.constant("w", [0.0] * 72, shape=(4, 2, 3, 3))
    data = ob.build([node], [ob.value("x", "float", ["N", 2, 10, 10])], [ob.value("y", "float", None)], [weights])
    assert cost_per_row(onnx.load_model_from_string(data)) == 2 * 18 * 4 * 64


@pytest.mark.parametrize(("reuse", "strategy"), [("true", "store"), ("false", "stream")])
def test_reuse_is_an_order(shop: Workshop, reuse: str, strategy: str) -> None:
    contract = shop.make(ob.identity("double"), reuse=reuse).contract
    assert (contract.strategy, contract.strategy_reason) == (strategy, f"reuse: {reuse}")


def test_a_declared_cost_overrides_the_estimate(shop: Workshop) -> None:
    contract = shop.make(ob.identity("double"), cost=1e6).contract
    assert (contract.cost_per_row, contract.strategy) == (1e6, "store")


def test_text_is_always_stored() -> None:
    assert choose("auto", 0.0, always_store="text") == ("store", "text functions always remember their results")


def test_the_threshold_decides() -> None:
    assert choose("auto", STORE_FROM - 1)[0] == "stream"
    assert choose("auto", STORE_FROM)[0] == "store"


def test_a_key_of_text_costs_more(shop: Workshop) -> None:
    assert choose("auto", STORE_FROM, fixed_width=False)[0] == "stream"
    assert choose("auto", STORE_FROM_TEXT, fixed_width=False)[0] == "store"
    names = [("t", "TEXT")], "TEXT"
    assert shop.make(ob.identity("string"), *names, cost=STORE_FROM).contract.strategy == "stream"
    assert shop.make(ob.identity("double"), cost=STORE_FROM).contract.strategy == "store"


def test_a_one_hot_column_costs_a_look_up_whatever_its_categories() -> None:
    import onnx
    from onnx import helper

    from sqlinfer.functions.cost import cost_per_row

    names = [f"c{i}" for i in range(50)]
    node = helper.make_node("OneHotEncoder", ["x"], ["y"], domain="ai.onnx.ml", cats_strings=names)
    data = ob.build([node], [ob.value("x", "string", ["N", 1])], [ob.value("y", "float", ["N", 1, 50])])
    assert 600 <= cost_per_row(onnx.load_model_from_string(data)) <= 700


def test_costs_read_well() -> None:
    assert [readable(c) for c in (12, 3500, 1.42e5, 2.5e9)] == ["12", "3.5 k", "142 k", "2.5 G"]
