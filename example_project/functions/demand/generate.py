"""Write ``seeds/daily_sales.csv`` and ``seeds/store_stock.csv``: a bakery chain until tonight. Seeded.

    python functions/demand/generate.py

Night two has the day after, from all but three stores: their tills were offline.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

SEEDS = Path(__file__).parents[2] / "seeds"
STORES, DAYS, OFFLINE = 40, 70, 3
FIRST_DAY = date(2026, 1, 5)
WEEK = (0.86, 0.88, 0.92, 1.0, 1.16, 1.35, 0.83)


def store_days(random: Random, days: int) -> Iterator[tuple[int, bool, int]]:
    """Day, promotion, units sold. A level that drifts, a week, promotions, a school holiday now and then."""
    level, drift = random.lognormvariate(4.6, 0.45), random.gauss(0, 0.0015)
    weekend = random.gauss(1, 0.25)
    noise = 0.0
    for day in range(days):
        promotion = random.random() < 0.08
        week = 1 + (WEEK[day % 7] - 1) * weekend
        noise = 0.55 * noise + random.gauss(0, 0.07)
        mean = level * math.exp(drift * day + noise) * week * (1.3 if promotion else 1)
        yield day, promotion, max(0, round(random.gauss(mean, mean**0.5)))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path.name}: {len(rows):,} rows")


def main() -> None:
    random = Random(8)
    sales, stock = [], []
    for number in range(STORES):
        for day, promotion, units in store_days(random, DAYS + 1):
            if day == DAYS and number < OFFLINE:
                continue
            at = {"night": 1 if day < DAYS else 2, "store_id": f"B{number:02d}"}
            sales.append({**at, "day": FIRST_DAY + timedelta(days=day), "units": units, "promotion": int(promotion)})
        for night in (1, 2):
            stock.append({"night": night, "store_id": f"B{number:02d}", "on_hand": round(units * random.uniform(0, 6))})
    write(SEEDS / "daily_sales.csv", sales)
    write(SEEDS / "store_stock.csv", stock)


if __name__ == "__main__":
    main()
