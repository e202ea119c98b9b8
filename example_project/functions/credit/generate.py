"""Write ``seeds/credit_applications.csv``: two weeks of loan applications, and those of night two. Seeded.

    python functions/credit/generate.py

``train.py`` draws its labelled history from the same population, with another seed.
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
FIRST_DAY, DAYS, A_DAY = date(2026, 3, 2), 14, 90
FEATURES = (
    "annual_income",
    "debt_to_income",
    "employment_years",
    "late_payments",
    "credit_history_months",
    "card_utilisation",
)


def applicant(random: Random) -> dict[str, Any]:
    """One application. People who are new to credit have no card to use, so that the column is empty for them."""
    income = max(9_000, int(random.lognormvariate(10.45, 0.45)) // 100 * 100)
    employment = round(min(40.0, random.expovariate(1 / 6.5)), 1)
    history = min(420, int(random.expovariate(1 / 95)))
    return {
        "annual_income": income,
        "loan_amount": max(1_000, int(income * random.betavariate(1.6, 6)) // 250 * 250),
        "debt_to_income": round(random.betavariate(2.2, 5.5), 3),
        "employment_years": employment,
        "late_payments": min(9, int(random.expovariate(1 / 0.6))),
        "credit_history_months": history,
        "card_utilisation": None if history < 6 else round(random.betavariate(1.4, 2.6), 3),
    }


def defaults(random: Random, row: dict[str, Any]) -> bool:
    """Whether the loan was not paid back: what ``train.py`` learns."""
    used = row["card_utilisation"]
    logit = (
        -3.1
        - 0.75 * math.log(row["annual_income"] / 34_000)
        + 4.2 * (row["debt_to_income"] - 0.28)
        - 0.11 * min(row["employment_years"], 12.0)
        + 0.62 * row["late_payments"]
        - 0.004 * min(row["credit_history_months"], 240)
        + (0.5 if used is None else 2.1 * (used - 0.35))
        + 0.35 * (row["late_payments"] > 1 and row["debt_to_income"] > 0.35)
    )
    return random.random() < 1 / (1 + math.exp(-logit - 0.9))


def history(rows: int, seed: int = 21) -> Iterator[tuple[dict[str, Any], bool]]:
    random = Random(seed)
    for _ in range(rows):
        row = applicant(random)
        yield row, defaults(random, row)


def applications() -> Iterator[dict[str, Any]]:
    """Night one has two weeks. Night two has the day after."""
    random = Random(4)
    number = 0
    for day in range(DAYS + 1):
        for _ in range(A_DAY + random.randint(-15, 15)):
            number += 1
            yield {
                "night": 1 if day < DAYS else 2,
                "application_id": f"A{number:05d}",
                "application_date": (FIRST_DAY + timedelta(days=day)).isoformat(),
                **applicant(random),
            }


def main() -> None:
    rows = list(applications())
    with (SEEDS / "credit_applications.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows):,} applications")


if __name__ == "__main__":
    main()
