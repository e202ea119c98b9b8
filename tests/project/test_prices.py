"""``prices:`` of the project file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.errors import ProjectError
from sqlinfer.project.prices import read_prices
from sqlinfer.project.yamlfile import parse_yaml
from sqlinfer.spec.prices import Prices, cost_of


def read(text: str) -> Prices | None:
    file = parse_yaml(f"prices: {text}", Path("sqlinfer_project.yml"))
    return read_prices(file.data["prices"], file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("{currency: USD, device_hour: {on_demand: 1.20, spot: 0.36}, endpoint_month: 250}",
         Prices("USD", 1.2, 0.36, 250.0)),
        ("{currency: EUR, device_hour: 2}", Prices("EUR", 2.0)),
        ("{device_hour: 1.20 USD}", Prices("USD", 1.2)),
        ("{device_hour: {spot: $0.36}, endpoint_month: USD 250}", None),
        ("{device_hour: {on_demand: 1.20 USD, spot: 0.36 USD}}", Prices("USD", 1.2, 0.36)),
        ("{currency: USD, endpoint_month: '250'}", Prices("USD", endpoint_month=250.0)),
    ],
)  # fmt: skip
def test_amounts_have_one_currency(text: str, expected: Prices | None) -> None:
    if "$" in text:
        with pytest.raises(ProjectError, match="prices are in"):
            read(text)
    else:
        assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{device_hour: 1.2}", "the price 1.2 of device_hour has no unit"),
        ("{device_hour: {on_demand: 1.2}}", "the price 1.2 of on_demand has no unit"),
        ("{endpoint_month: 250}", "the price 250 of endpoint_month has no unit"),
        ("{currency: USD}", "names no price"),
        ("{currency: USD, device_hour: {on_demnd: 1}}", "unknown key 'on_demnd'"),
        ("{currency: USD, hour: 1}", "unknown key 'hour'"),
        ("{currency: USD, device_hour: -1}", "is no amount of money"),
        ("{currency: USD, device_hour: .inf}", "is no amount of money"),
        ("{currency: USD, device_hour: true}", "is no amount of money"),
        ("{currency: USD, device_hour: [1]}", "is no amount of money"),
        ("{currency: USD, device_hour: cheap}", "is no amount of money"),
        ("{currency: USD, device_hour: 1 EUR, endpoint_month: 3}", "prices are in EUR and USD"),
        ("{currency: USD, device_hour: 1 EUR}", "prices are in EUR and USD"),
        ("7", "expected a mapping"),
    ],
)
def test_what_is_no_price_is_said_at_its_place(text: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message) as caught:
        read(text)
    assert caught.value.location is not None


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("{device_hour: 1 EUR, endpoint_month: 3 USD}", "3 USD"),
        ("{currency: USD, device_hour: {on_demand: 1, spot: 2 EUR}}", "2 EUR"),
        ("{currency: USD, device_hour: 1 EUR}", "1 EUR"),
    ],
)
def test_the_price_in_another_currency_is_underlined(text: str, marked: str) -> None:
    with pytest.raises(ProjectError, match="they cannot be compared") as caught:
        read(text)
    where = caught.value.location
    assert where is not None
    assert where.column is not None
    line = f"prices: {text}"
    assert line[where.column - 1 : where.column - 1 + where.length] == marked


def test_the_case_of_a_currency_makes_no_other_one() -> None:
    assert read("{currency: usd, device_hour: 1 USD}") == Prices("usd", 1.0)


def test_an_endpoint_is_paid_for_each_function_and_nothing_is_divided_by_no_prediction() -> None:
    cost = cost_of(Prices("USD", 3.6, None, 730.0), 10.0, 0, 0.0, 2)
    assert (cost.on_demand, cost.spot, cost.per_million_on_demand, cost.endpoint) == (0.01, None, None, 48.0)
