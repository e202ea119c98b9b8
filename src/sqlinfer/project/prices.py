"""``prices:`` of the project file → ``Prices``. Every amount has a currency: one for all, or behind each."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from sqlinfer import numerals
from sqlinfer.project.schema import PricesProps
from sqlinfer.project.validation import validate
from sqlinfer.project.yamlfile import YamlFile
from sqlinfer.spec.prices import Prices

_CURRENCY = r"[^\W\d_]{1,12}|[$€£¥]"
_AMOUNT = re.compile(rf"(?P<before>{_CURRENCY})?\s*(?P<number>[0-9.eE+-]+)\s*(?P<after>{_CURRENCY})?")
_HINT = "for example prices: {currency: USD, device_hour: {on_demand: 1.20, spot: 0.36}, endpoint_month: 250}"


def read_prices(data: Any, file: YamlFile, under: Sequence[str] = ()) -> Prices | None:
    """``data``: what stands under the key, rendered. ``under``: keys of the file above ``prices``.

    Raises:
        ProjectError: an amount is none, or has no currency; with the place.
    """
    if data is None:
        return None
    top = (*under, "prices")
    props = validate(PricesProps, file, data, top)
    hour = props.device_hour if isinstance(props.device_hour, dict) else {"on_demand": props.device_hour}
    here = (*top, "device_hour")
    for name in hour:
        if name not in ("on_demand", "spot"):
            raise file.error(f"unknown key '{name}'", (*here, name), hint="device_hour has on_demand and spot")
    nested = isinstance(props.device_hour, dict)
    given = {
        "on_demand": (hour.get("on_demand"), (*here, "on_demand") if nested else here),
        "spot": (hour.get("spot"), (*here, "spot")),
        "endpoint_month": (props.endpoint_month, (*top, "endpoint_month")),
    }
    found = {
        name: _amount(value, props.currency, file, keys) for name, (value, keys) in given.items() if value is not None
    }
    if not found:
        raise file.error("prices names no price", top, hint=_HINT)
    currency = props.currency or next(unit for _, unit in found.values())
    others = [name for name, (_, unit) in found.items() if unit.casefold() != currency.casefold()]
    if others:
        listed = " and ".join(dict.fromkeys([*(unit for _, unit in found.values()), currency]))
        raise file.error(f"prices are in {listed}: they cannot be compared", given[others[0]][1], value=True,
                         hint="use one currency")  # fmt: skip
    return Prices(currency, **{name: amount for name, (amount, _) in found.items()})


def _amount(value: Any, currency: str | None, file: YamlFile, keys: Sequence[str]) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(str(value).strip()) if not isinstance(value, bool | list | dict) else None
    number = numerals.decimal(match["number"]) if match else None
    if match is None or number is None or number < 0 or not math.isfinite(number):
        raise file.error(f"{keys[-1]}: '{value}' is no amount of money", keys, value=True, hint=_HINT)
    unit = match["before"] or match["after"] or currency
    if unit is None:
        raise file.error(
            f"the price {value} of {keys[-1]} has no unit: say which currency it is in", keys, value=True, hint=_HINT
        )
    return number, unit
