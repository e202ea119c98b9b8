# ruff: noqa: E501
"""Small inputs that end in one message, and comments that open nothing."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import house as houses
import pytest
from house import House

from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.errors import SqlinferError
from sqlinfer.jobs.reads import of_text
from sqlinfer.project.yamlfile import parse_yaml
from sqlinfer.testing.patience import patience

HALF = "\\ud800"


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    return houses.copy(morning, tmp_path / "shop")


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 -- from 'https://example.com/a.parquet'\nfrom customers",
        "select 1 /* from 'https://example.com/a' */ from customers",
        "select 1 from customers -- read_csv('/etc/passwd')",
        "select 1 /* from '/etc/passwd' */ from customers",
        "{# from '/etc/passwd' #} select 1 from customers",
        "select 'copied from ''/etc/passwd''' as text from customers",
        "select 'read_text(''/etc/passwd'')' as text from customers",
        "select '-- ' as a, 'from ''https://x/y''' as b from customers",
    ],
)
def test_what_is_no_sql_opens_nothing(sql: str) -> None:
    assert of_text(sql) == Reads()


def test_what_stands_beside_a_comment_is_read() -> None:
    assert of_text("select '--' as a from '/data/a.parquet' -- 'b'") == Reads(files=(Path("/data/a.parquet"),))
    assert of_text("from read_csv('/data/it''s.csv') /* x */") == Reads(files=(Path("/data/it's.csv"),))
    assert of_text("select 1 /* x */ from 'https://example.com/a.parquet'") == ANYTHING


@pytest.mark.parametrize("given", [f'{{"k": "{HALF}"}}', f'{{"{HALF}": 1}}', f'{{"k": ["{HALF}"]}}', "{k: \udcff}"])
def test_half_a_character_in_a_variable_is_refused(given: str, shop: House) -> None:
    done = shop.sqlinfer("run", "--vars", given)
    assert done.code == 2
    assert "--vars" in done.err
    assert "Traceback" not in done.text


@pytest.mark.parametrize("sql", [f"select '{{{{ '{HALF}' }}}}' as k from customers",
                                 f"{{{{ config(alias='a{HALF}') }}}} select id from customers"])  # fmt: skip
def test_half_a_character_in_sql_is_refused(sql: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: sql})
    done = shop.sqlinfer("run")
    assert done.code in (1, 2)
    assert "half a character" in done.text
    assert "Traceback" not in done.text
    assert shop.sqlinfer("preview", "--inline", "select '\udcff' as a").code == 2


@pytest.mark.parametrize("sql", ["select {} as k from customers", "select id from customers limit {}",
                                 "select predict('score', x, {}) as s from customers", "select a{} from customers"])  # fmt: skip
def test_a_number_without_end_is_refused_at_once(sql: str, shop: House) -> None:
    houses.write(shop.root, {houses.SCORES: sql.format("1" * 4_000_000)})
    started = time.monotonic()
    done = shop.sqlinfer("compile")
    assert done.code == 2
    assert "4,000,00" in done.text
    assert len(done.text) < 2_000
    assert time.monotonic() - started < patience(20)


def test_long_texts_in_quotes_stay(shop: House) -> None:
    assert shop.sqlinfer("preview", "--inline", f"select length('{'1' * 5_000}') as n").code == 0


def test_random_yaml_ends_in_a_value_or_an_error_of_ours() -> None:
    dice = random.Random(20261125)
    pieces = ["a: ", "- ", "&x ", "*x", "<<: ", "!!python/object ", "{", "}", "[", "]", "'", '"', "\n", "  ", "\t", "|", ">",
              "? ", "\ufeff", "\x85", "\u2028", "0x1f", "1e999", ".nan", "2026-01-01", "~", "#", "%YAML 9.9\n", "---\n", "\\ud800"]  # fmt: skip
    for _ in range(400):
        text = "".join(dice.choice(pieces) for _ in range(dice.randrange(1, 30)))
        try:
            json.dumps(parse_yaml(text).data, default=str)
        except SqlinferError:
            continue
