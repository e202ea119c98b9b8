"""Public dbt projects that know nothing of sqlinfer, each with the data that its repository lacks, made small."""

from __future__ import annotations

import csv
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

PROFILE = "{name}:\n  target: dev\n  outputs:\n    dev: {{type: duckdb, path: {path}, threads: 2}}\n"
PACKAGES = {
    "dbt-labs/dbt_utils": "dbt-utils",
    "godatadriven/dbt_date": "dbt-date",
    "dbt-audit-helper": "dbt-audit-helper",
}
"""What packages.yml says → the folder of a clone of that package."""


@dataclass(frozen=True)
class Known:
    """One project: how it is recognised, what it lacks, and how it is built."""

    name: str
    has: str
    """A file that no other of them has."""
    home: str = "."
    """The folder of its dbt_project.yml."""
    lacks: Callable[[Path], None] = lambda root: None
    before: tuple[tuple[str, ...], ...] = ()
    """dbt commands that fill the warehouse."""
    flags: tuple[str, ...] = ()
    """Flags of the build."""
    part: bool = False
    """Only what the node reads is built: the Python models call what DuckDB 2.0 no longer has."""


@dataclass
class Clone:
    """A copy of a clone, and the programs that work on it."""

    root: Path
    known: Known
    dbt: str
    said: Callable[[str], None] = print
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / self.known.home

    def run(self, *words: str, program: Sequence[str] | None = None) -> str:
        """What it printed. Raises AssertionError where it failed."""
        line = [*(program or (self.dbt,)), *words]
        self.said("$ " + " ".join(("sqlinfer" if program else "dbt", *words)))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "SQLINFER_"))}
        given = {**kept, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "SQLINFER_DBT": self.dbt, "NO_COLOR": "1"}
        done = subprocess.run(line, cwd=self.home, env=given, capture_output=True, text=True, check=False)
        self.said((done.stdout + done.stderr).strip()[-4000:])
        assert done.returncode == 0, f"{' '.join(line)} left with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def sqlinfer(self, *words: str) -> str:
        return self.run(*words, program=(sys.executable, "-c", "from sqlinfer.cli.main import main; main()"))


def copied(clone: Path, folder: Path, dbt: str, packages: Path | None, said: Callable[[str], None] = print) -> Clone:
    """The clone in a folder of its own, whole. ``packages``: a folder of clones of dbt packages, instead of the hub."""
    known = next((one for one in KNOWN if (clone / one.has).is_file()), None)
    assert known is not None, f"{clone} is none of " + ", ".join(one.name for one in KNOWN)
    shutil.copytree(clone, folder, ignore=shutil.ignore_patterns(".git", "target", "dbt_packages", "*.duckdb"))
    known.lacks(folder)
    if packages is not None:
        _local_packages(folder / known.home / "packages.yml", packages)
    return Clone(folder, known, dbt, said)


def _local_packages(file: Path, folder: Path) -> None:
    if not file.is_file():
        return
    text = file.read_text()
    named = [name for key, name in PACKAGES.items() if key in text]
    for name in named:  # without the packages that they need in turn, which come from the hub too
        left = shutil.ignore_patterns(".git", "packages.yml", "integration_tests", "package-lock.yml")
        shutil.copytree(folder / name, file.parent / ".packages" / name, ignore=left)
    file.write_text("packages:\n" + "".join(f"  - local: .packages/{name}\n" for name in named))
    (file.parent / "package-lock.yml").unlink(missing_ok=True)


def score(clone: Clone) -> str:
    """The way of docs/dbt.md: init, deps, build; then a second night, which scores nothing. The node's name."""
    known = clone.known
    if (clone.home / "packages.yml").is_file():
        clone.run("deps")
    for words in known.before:
        clone.run(*words)
    clone.sqlinfer("dbt", "init")
    (made,) = (path.stem for path in (clone.home / "ml").glob("*_score.yml"))
    clone.run("deps")
    selection = ("--select", f"+{made}s", "--indirect-selection", "cautious") if known.part else ()
    clone.sqlinfer("dbt", "build", *selection, *known.flags)
    again = clone.sqlinfer("run", "--dbt", *(("--vars", known.flags[-1]) if "--vars" in known.flags else ()))
    assert " 0 scored" in again, again
    shown = clone.sqlinfer("dbt", "preview", f"{made}s", "--limit", "3", "--output", "csv")
    assert f"{made}" in shown, shown
    return f"{made}s"


def _written(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _column(path: Path, name: str) -> list[str]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [row[name] for row in csv.DictReader(file)]


def _jaffle_shop(root: Path) -> None:
    """A profile, and the two seeds that are too large for the repository."""
    (root / "profiles.yml").write_text(PROFILE.format(name="default", path="jaffle_shop.duckdb"))
    data = root / "seeds/jaffle-data"
    customers, stores = _column(data / "raw_customers.csv", "id"), _column(data / "raw_stores.csv", "id")
    prices = dict(zip(_column(data / "raw_products.csv", "sku"), map(int, _column(data / "raw_products.csv", "price")),
                      strict=True))  # fmt: skip
    dice, orders, items = random.Random(7), [], []
    for number in range(2_000):
        bought = dice.choices(sorted(prices), k=dice.randint(1, 3))
        subtotal = sum(prices[sku] for sku in bought)
        tax = round(subtotal * 0.06)
        at = datetime(2016, 9, 1, 8) + timedelta(hours=dice.randint(0, 9_000))
        orders.append(
            (f"o{number}", dice.choice(customers), at.isoformat(), dice.choice(stores), subtotal, tax, subtotal + tax)
        )
        items += [(f"i{number}-{place}", f"o{number}", sku) for place, sku in enumerate(bought)]
    header = ("id", "customer", "ordered_at", "store_id", "subtotal", "tax_paid", "order_total")
    _written(data / "raw_orders.csv", header, orders)
    _written(data / "raw_items.csv", ("id", "order_id", "sku"), items)


def _monte_carlo(root: Path) -> None:
    """Results that its pipelines fetch from the web, and the old ratings."""
    for name in ("raw", "prep", "simulator", "analysis"):
        (root / "data/data_catalog" / name).mkdir(parents=True, exist_ok=True)
    dice = random.Random(7)
    ratings, schedule = root / "data/nba/nba_team_ratings.csv", root / "data/nba/nba_schedule.csv"
    short = dict(zip(_column(ratings, "team_long"), _column(ratings, "alt_key"), strict=True))
    days = [f"{date.strip()} {year.strip()}" for date, year in zip(_column(schedule, "Date"), _column(schedule, "Year"),
                                                                strict=True)]  # fmt: skip
    played: list[tuple[Any, ...]] = []
    names = zip(days, _column(schedule, "Home/Neutral"), _column(schedule, "Visitor/Neutral"), strict=True)
    for number, (day, home, away) in enumerate(names):
        if number < 300 and home in short and away in short:
            at = datetime.strptime(day, "%b %d %Y").date().isoformat()
            points = (dice.randint(90, 109), dice.randint(110, 130))
            played.append((number, at, short[home], short[away], *(points if number % 2 else points[::-1])))
    header = ("game_id", "date", "home_team_abbreviation", "away_team_abbreviation", "home_points", "away_points")
    _written(root / "dlt/data/nba/nba_data/games/games.csv", header, played)
    clubs = _column(root / "data/nfl/nfl_team_ratings.csv", "Team")
    weeks = []
    for number in range(96):
        winner, loser = dice.sample(clubs, 2)
        weeks.append((1 + number // 16, winner, dice.randint(24, 40), loser, dice.randint(3, 23), True))
    header = ("week", "winner", "winner_pts", "loser", "loser_pts", "completed")
    _written(root / "dlt/data/nfl/nfl_data/games/games.csv", header, weeks)
    sides = ("team1", "team2", "elo1_pre", "elo2_pre", "elo_prob1", "elo_prob2", "elo1_post", "elo2_post")
    header = ("date", "season", "neutral", "playoff", *sides, "score1", "score2")
    old = ("2015-02-01", 2015, 0, "r", "BOS", "ATL", 1500.0, 1510.0, 0.5, 0.5, 1505.0, 1505.0, 101, 99)
    _written(root / "data/nba/nba_elo.csv", header, [old])


KNOWN = (
    Known("jaffle_shop_duckdb", "models/staging/stg_payments.sql"),
    Known(
        "jaffle-shop", "models/marts/metricflow_time_spine.sql", lacks=_jaffle_shop,
        before=(("seed", "--vars", "{load_source_data: true}"),),
    ),
    Known(
        "nba-monte-carlo", "transform/dbt_project.yml", home="transform", lacks=_monte_carlo,
        flags=("--vars", "{scenarios: 20}"), part=True,
    ),
)  # fmt: skip
