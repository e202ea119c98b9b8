"""The static estimate and the strategy that follows, on the workloads it was set from (W1 to W3)."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from sqlinfer.functions.cost import STORE_FROM, STORE_FROM_TEXT, choose, cost_per_row, readable
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


@pytest.mark.parametrize(
    ("trees", "depth", "alone", "kernel"),
    [
        (10, 3, 3_150, 4_140),
        (100, 3, 31_500, 5_400),
        (200, 4, 135_000, 10_000),
        (200, 6, 480_000, 29_200),
        (500, 8, 1_600_000, 259_000),
        (60, 12, 288_000, 76_000),
    ],
)
def test_forests_cost_what_they_are_run_by(trees: int, depth: int, alone: float, kernel: float) -> None:
    model = onnx.load_model_from_string(ob.tree_ensemble(trees, depth, 20))
    assert cost_per_row(model) == pytest.approx(alone, rel=0.01)
    assert cost_per_row(model, kernel=True) == pytest.approx(kernel, rel=0.05)


def test_values_that_the_kernel_leaves_alone_cost_as_before() -> None:
    model = onnx.load_model_from_string(ob.tree_ensemble(200, 6, 20))
    model.graph.node[0].attribute.append(helper.make_attribute("post_transform", "LOGISTIC"))
    assert cost_per_row(model, kernel=True) == cost_per_row(model)


def test_a_forest_is_priced_by_the_kernel_on_a_cpu_that_has_it(shop: Workshop) -> None:
    data = ob.tree_ensemble(200, 6, 20)
    config = shop.declare(data, features(20))
    model = onnx.load_model_from_string(data)
    on_gpu = shop.prepare(config, resolve_family=lambda: "cuda").contract
    assert (on_gpu.cost_per_row, on_gpu.strategy) == (cost_per_row(model), "store")
    # Functions are prepared in a process that may know of no kernel.
    assert shop.prepare(config).contract.cost_per_row in (cost_per_row(model), cost_per_row(model, kernel=True))


def test_convolutions_count_every_output_pixel(shop: Workshop) -> None:
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
    names = [f"c{i}" for i in range(50)]
    node = helper.make_node("OneHotEncoder", ["x"], ["y"], domain="ai.onnx.ml", cats_strings=names)
    data = ob.build([node], [ob.value("x", "string", ["N", 1])], [ob.value("y", "float", ["N", 1, 50])])
    assert 600 <= cost_per_row(onnx.load_model_from_string(data)) <= 700


def test_costs_read_well() -> None:
    assert [readable(c) for c in (12, 3500, 1.42e5, 2.5e9)] == ["12", "3.5 k", "142 k", "2.5 G"]
