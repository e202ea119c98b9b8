"""Write ``seeds/shoppers.csv``: what shoppers of a web shop did in the last ninety days, on two nights. Seeded.

    python functions/segments/generate.py

Night two has those who changed: some shoppers come back, many of the frequent ones grow quiet, some are new.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

SEEDS = Path(__file__).parents[2] / "seeds"
SHOPPERS, NEW = 2_500, 60
FEATURES = ("orders", "spend", "days_since_order", "discount_share", "return_share", "categories")
# share, orders, a basket's value, days since the last order, share of orders with a discount, share sent back
HABITS = (
    ("regular", 0.28, 9.0, 42.0, 8.0, 0.15, 0.05),
    ("bargain", 0.27, 5.0, 24.0, 18.0, 0.75, 0.10),
    ("fitting_room", 0.15, 6.0, 88.0, 14.0, 0.30, 0.55),
    ("occasional", 0.30, 1.6, 55.0, 50.0, 0.25, 0.08),
)


def share(random: Random, mean: float) -> float:
    return round(random.betavariate(8 * mean + 0.3, 8 * (1 - mean) + 0.3), 2)


def shopper(random: Random, number: int) -> dict[str, Any]:
    habits = random.choices(HABITS, [one[1] for one in HABITS])[0]
    _, _, orders, basket, quiet, discount, returned = habits
    count = max(1, round(random.gauss(orders, orders**0.5)))
    return {
        "shopper_id": f"S{number:05d}",
        "orders": count,
        "spend": round(count * basket * random.lognormvariate(0, 0.25), 2),
        "days_since_order": min(90, int(random.expovariate(1 / quiet))),
        "discount_share": share(random, discount),
        "return_share": share(random, returned),
        "categories": min(12, 1 + int(random.expovariate(1 / (count**0.5)))),
    }


def quieter(random: Random, row: dict[str, Any]) -> dict[str, Any]:
    """A frequent shopper a month after the prices went up."""
    kept = max(1, row["orders"] // 3)
    spend = round(row["spend"] * kept / row["orders"], 2)
    return {**row, "orders": kept, "spend": spend, "days_since_order": random.randrange(30, 70)}


def nights() -> Iterator[dict[str, Any]]:
    random = Random(5)
    base = [shopper(random, number) for number in range(SHOPPERS)]
    yield from ({"night": 1, **row} for row in base)
    frequent = [row for row in base if row["orders"] >= 6]
    for row in random.sample(frequent, len(frequent) // 2):
        yield {"night": 2, **quieter(random, row)}
    yield from ({"night": 2, **shopper(random, SHOPPERS + number)} for number in range(NEW))


def main() -> None:
    rows = list(nights())
    with (SEEDS / "shoppers.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows):,} rows")


if __name__ == "__main__":
    main()
