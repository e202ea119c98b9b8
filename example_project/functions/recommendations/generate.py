"""Write ``seeds/titles.csv`` and ``seeds/viewers.csv``: a film service on two nights. Seeded.

    python functions/recommendations/generate.py

Night two has new titles, new viewers, and viewers who have watched something else than usual.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from random import Random
from typing import Any

SEEDS = Path(__file__).parents[2] / "seeds"
GENRES = ("drama", "comedy", "documentary", "crime", "family", "science_fiction")
VIEWERS, CHANGED, NEW_VIEWERS = 600, 40, 10
TITLES, NEW_TITLES = 160, 5
LENGTHS = {"drama": 112, "comedy": 28, "documentary": 52, "crime": 48, "family": 84, "science_fiction": 118}
FIRST = ("Quiet", "Last", "Northern", "Paper", "Second", "Glass", "Hidden", "Long", "Red", "Borrowed", "Open", "Salt")
SECOND = ("Harbour", "Winter", "Letter", "Orchard", "Signal", "Garden", "River", "Station", "Summer", "Island", "Door")


def title(random: Random, number: int, night: int) -> dict[str, Any]:
    genre = random.choice(GENRES)
    return {
        "night": night,
        "title_id": f"T{number:03d}",
        "title": f"{random.choice(FIRST)} {random.choice(SECOND)} {number}",
        "genre": genre,
        "minutes": max(18, round(random.gauss(LENGTHS[genre], 12))),
        "year": 2026 - min(45, int(random.expovariate(1 / 9))),
        "popularity": round(random.betavariate(1.3, 3.5), 3),
    }


def taste(random: Random) -> dict[str, float]:
    """Shares of the minutes watched, by genre: most viewers have one or two that they like."""
    drawn = [random.gammavariate(0.45, 1) for _ in GENRES]
    return {genre: round(value / sum(drawn), 3) for genre, value in zip(GENRES, drawn, strict=True)}


def viewer(random: Random, number: int, night: int) -> dict[str, Any]:
    row = {"night": night, "viewer_id": f"V{number:04d}", "age": min(85, max(14, round(random.gauss(39, 15))))}
    return {**row, "minutes_a_day": max(5, round(random.lognormvariate(4.2, 0.5))), **taste(random)}


def likes(viewer: dict[str, Any], title: dict[str, Any]) -> float:
    """How much a viewer likes a title: what the towers learn."""
    era = math.exp(-abs((2026 - title["year"]) - max(0, viewer["age"] - 25) / 2) / 12)
    return 5.0 * viewer[title["genre"]] + 1.4 * title["popularity"] + 1.2 * era


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path.name}: {len(rows):,} rows")


def main() -> None:
    random = Random(9)
    titles = [title(random, number, 1 if number < TITLES else 2) for number in range(TITLES + NEW_TITLES)]
    viewers = [viewer(random, number, 1) for number in range(VIEWERS)]
    changed = [{**row, "night": 2, **taste(random)} for row in random.sample(viewers, CHANGED)]
    new = [viewer(random, VIEWERS + number, 2) for number in range(NEW_VIEWERS)]
    write(SEEDS / "titles.csv", titles)
    write(SEEDS / "viewers.csv", [*viewers, *changed, *new])


if __name__ == "__main__":
    main()
