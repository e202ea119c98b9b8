"""Write the seeds of the churn example: a customer base and one day's change feed. Seeded, so always the same files.

    python generate_customers.py

``train_churn.py`` draws its labelled history from the same population, with another seed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

SEEDS = Path(__file__).parent / "seeds"
CUSTOMERS = 12_000
CHANGED, DELETED, ADDED = 240, 60, 150
REGIONS = (("north", 0.3), ("south", 0.26), ("east", 0.24), ("west", 0.2))
CONTRACTS = (("month-to-month", 0.55), ("one year", 0.24), ("two year", 0.21))
SUPPORT_RATE = 0.9


def pick(random: Random, weighted: tuple[tuple[str, float], ...]) -> str:
    names, weights = zip(*weighted, strict=True)
    return str(random.choices(names, weights)[0])


def customer(random: Random, number: int) -> dict[str, Any]:
    """One customer. Some logins and charges are missing, as they are in any export."""
    contract = pick(random, CONTRACTS)
    longest = 24 if contract == "month-to-month" else 72
    tenure = min(longest, int(random.expovariate(1 / (longest / 2.2))))
    monthly = round(random.gauss(68, 24) + (8 if contract == "month-to-month" else 0), 2)
    monthly = max(18.25, min(monthly, 139.9))
    return {
        "customer_id": f"C{number:06d}",
        "region": pick(random, REGIONS),
        "contract": contract,
        "tenure_months": tenure,
        "monthly_charges": None if random.random() < 0.004 else monthly,
        "support_tickets": min(12, int(random.expovariate(1 / SUPPORT_RATE))),
        "late_payments": min(8, int(random.expovariate(1 / 0.5))),
        "days_since_login": None if random.random() < 0.02 else int(random.expovariate(1 / 14)),
        "autopay": random.random() < 0.58,
        "is_active": random.random() < 0.93,
    }


def churns(random: Random, row: dict[str, Any]) -> bool:
    """Whether this customer left within 30 days: what ``train_churn.py`` learns."""
    logit = (
        -2.1
        + 1.25 * (row["contract"] == "month-to-month")
        - 0.045 * row["tenure_months"]
        + 0.016 * ((row["monthly_charges"] or 68.0) - 68.0)
        + 0.42 * row["support_tickets"]
        + 0.55 * row["late_payments"]
        + 0.035 * (row["days_since_login"] or 0)
        - 0.6 * row["autopay"]
    )
    return random.random() < 1 / (1 + math.exp(-logit))


def history(rows: int, seed: int = 2024) -> Iterator[tuple[dict[str, Any], bool]]:
    """Labelled customers of the past."""
    random = Random(seed)
    for number in range(rows):
        row = customer(random, number)
        yield row, churns(random, row)


def changes(random: Random, base: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The feed of night two: some customers open tickets and pay late, some close their account, some are new."""
    touched = random.sample(base, CHANGED + DELETED)
    for row in touched[:CHANGED]:
        worse = {"support_tickets": row["support_tickets"] + 2, "late_payments": row["late_payments"] + 1}
        yield {"night": 2, "operation": "update", **row, **worse, "days_since_login": random.randrange(20, 90)}
    for row in touched[CHANGED:]:
        yield {"night": 2, "operation": "delete", **row}
    for number in range(CUSTOMERS, CUSTOMERS + ADDED):
        yield {"night": 2, "operation": "insert", **customer(random, number), "tenure_months": 0}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()} for row in rows)
    print(f"{path.name}: {len(rows):,} rows")


def main() -> None:
    SEEDS.mkdir(exist_ok=True)
    random = Random(7)
    base = [customer(random, number) for number in range(CUSTOMERS)]
    write(SEEDS / "raw_customers.csv", base)
    write(SEEDS / "customer_changes.csv", list(changes(random, base)))


if __name__ == "__main__":
    main()
