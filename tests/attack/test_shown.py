# ruff: noqa: E501
"""Rows, names, files and other processes: their values stay out of messages, and nothing of them steers a terminal."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import duckdb
import house as houses
import pytest
from house import House

from sqlinfer import scrub
from sqlinfer.adapters.duckdb.errors import adapter_error
from sqlinfer.errors import Location, SqlinferError, StoreError
from sqlinfer.shown import one_line, shown
from sqlinfer.testing import onnx_builder as onnx

VALUE = "TOPSECRET-4711\x1b[2K\n12:00:00  OK created"
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> House:
    return houses.build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def shop(morning: House, tmp_path: Path) -> House:
    built = houses.copy(morning, tmp_path / "shop")
    built.sql(f"update customers set name = $${VALUE}$$ where id = 1")
    return built


FAILING = [
    "cast(name as integer)", "cast(name as date)", "cast(name as timestamp)", "cast(name as time)", "cast(name as json)",
    "cast(name as uuid)", "cast(name as integer[])", "cast(name as struct(x integer))", "cast(name as decimal(5, 2))",
    "cast(name as boolean)", "cast(name as interval)", "cast(name as bit)", "cast(name as hugeint)",
    "strptime(name, '%Y')", "strftime(now()::timestamp, name || '%')", "regexp_matches('x', name || '[')",
    "regexp_matches('x', '(?P<' || name)", "error(name)", "error('IO Error: ' || name)", "error('Binder Error: ' || name)",
    "from_base64(name || '=!')", "unhex(name)", "date_part(name, now())", "date_trunc(name, now())",
    "printf(name || '%d', name)", "format(name || '{}{}', 1)", "chr(-4711 * id)", "cast(4711000 * id as tinyint)",
    "(2147483647::integer + 4711 * id::integer)", "make_date(4711 * id, 13, 45)", "map([name, name], [1, 2])",
    "id // (id - id)", "cast(name || ''' to INT32 when casting from source column name' as integer)",
]  # fmt: skip


def clean(text: str) -> None:
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID", text)  # may hold the digits, as seconds may
    assert not re.search(r"TOPSECRET|(?<!\d)4711(?!\d)|OK created ", text), text
    assert not UNFIT.search(text), repr(text)


@pytest.mark.parametrize("expression", FAILING)
def test_no_kind_of_message_quotes_a_row(expression: str, shop: House) -> None:
    connection = duckdb.connect(str(shop.root / "wh.duckdb"), read_only=True)
    with connection, pytest.raises(duckdb.Error) as caught:
        connection.execute(f"select {expression.replace('4711', '47 * 100 + 11')} from customers").fetchall()
    found = adapter_error(caught.value, f"select {expression} from customers")
    assert not any(part in found.message for part in ("TOPSECRET", "4711", "OK created")), found.message


@pytest.mark.parametrize("expression", [FAILING[0], FAILING[13], FAILING[17], FAILING[4]])
@pytest.mark.parametrize("command", [("run",), ("run", "--debug"), ("run", "--log-format", "json")])
@pytest.mark.parametrize("with_call", [True, False])
def test_a_night_that_fails_quotes_no_row(
    expression: str, command: tuple[str, ...], with_call: bool, shop: House
) -> None:
    call = ", predict('score', x, y) as s" if with_call else ""
    houses.write(shop.root, {houses.SCORES: f"select id, {expression} as v{call}\nfrom customers\n"})
    done = shop.sqlinfer(*command)
    assert done.code == 1, done.text
    assert "Error" in done.text
    clean(done.text)
    clean((shop.root / "target" / "run_results.json").read_text())
    json.loads((shop.root / "target" / "run_results.json").read_text())


def test_a_failed_preview_quotes_no_row(shop: House) -> None:
    done = shop.sqlinfer("preview", "--inline", "select cast(name as integer) as v from customers", "--debug")
    assert done.code == 1
    assert "a value cannot be cast to INT32 (column name)" in done.text
    clean(done.text)


@pytest.mark.parametrize("form", ["table", "json"])
def test_rows_that_are_shown_steer_no_terminal(form: str, shop: House) -> None:
    query = 'select name as v, chr(155) || chr(8238) || chr(13) as w, 1 as "a\x1b[2Jb" from customers where id = 1'
    done = shop.sqlinfer("preview", "--inline", query, "--output", form)
    assert done.code == 0, done.text
    assert "TOPSECRET-4711" in done.out
    assert not UNFIT.search(done.out), repr(done.out)
    assert not re.search(r"^12:00:00", done.out, re.M)
    if form == "json":
        assert json.loads(done.out)[0]["v"] == VALUE


NAME = "x\x1b[2K\r\n12:00:00  OK created\x9b31m\u202e"


def test_names_in_a_graph_steer_no_terminal(shop: House) -> None:
    graph = onnx.linear([1.0, 2.0], inputs=[NAME, "y"], packed=False)
    houses.write(shop.root, {"functions/score.onnx": graph})
    for command in (("run",), ("functions", "describe", "score"), ("debug",)):
        done = shop.sqlinfer(*command)
        assert not UNFIT.search(done.text), repr(done.text)
        assert not re.search(r"^12:00:00  OK", done.text, re.M)


@pytest.mark.parametrize(
    "args",
    [("run", "--select", NAME), ("preview", NAME), ("run", "--target", NAME), ("compile", "--inline", f"select '{NAME}'"),
     ("functions", "describe", NAME), ("run", "--vars", f"{{a: '{NAME}'"), (NAME,), ("run", "--threads", NAME)],
)  # fmt: skip
def test_arguments_steer_no_terminal(args: tuple[str, ...], shop: House) -> None:
    done = shop.sqlinfer(*args)
    assert not UNFIT.search(done.text), repr(done.text)


def test_file_names_steer_no_terminal(shop: House) -> None:
    houses.write(shop.root, {"models/a\x1b[2K\n12:00:00  OK.sql": "select * frm x"})
    for command in (("ls",), ("ls", "--output", "path"), ("run",), ("compile",)):
        done = shop.sqlinfer(*command)
        assert not UNFIT.search(done.text), repr(done.text)
        assert not re.search(r"^12:00:00  OK", done.text, re.M)


@pytest.mark.parametrize("file", [houses.PROJECT, houses.PROFILES, houses.FUNCTIONS])
def test_lines_of_yml_steer_no_terminal(file: str, shop: House) -> None:
    houses.write(shop.root, {file: 'name: "a\x1b[2K\x9b\u202e\n12:00:00  OK": b: c\n'})
    done = shop.sqlinfer("run")
    assert done.code == 2
    assert not UNFIT.search(done.text), repr(done.text)


def test_the_holder_of_a_lock_steers_no_terminal() -> None:
    holder = {"pid": os.getpid(), "host": NAME, "run_id": NAME, "started": NAME + "y" * 5_000}
    text = str(StoreError.held_by(holder))
    assert not UNFIT.search(text)
    assert len(text.splitlines()) == 2
    assert len(text) < 1_000


def test_an_error_begins_no_line_with_the_text_of_others() -> None:
    text = str(SqlinferError(f"bad {NAME}", hint=NAME, location=Location(Path(NAME), 1, 2, text=NAME)))
    assert not UNFIT.search(text)
    assert not re.search(r"^12:00:00", text, re.M)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x2028, 0xD800, 0xFEFF])
def test_every_control_character_is_spelled_out(code: int) -> None:
    assert one_line(f"a{chr(code)}b").isprintable()
    assert code in (9, 10) or shown(f"a{chr(code)}b").isprintable()
    assert json.loads(f'"{shown(chr(code))}"' if code not in (9, 10) else '"\\n"')


def test_letters_of_all_languages_stay() -> None:
    text = "Ünï 漢字 עברית 👩\u200d🔬 é"
    assert shown(text) == one_line(text) == text


@pytest.mark.parametrize("start", range(0, 24, 3))
def test_a_part_of_a_secret_is_masked(start: int) -> None:
    secret = "q7Zk:canary-93xT.whole-0815-x"
    scrub.learn([secret])
    for length in (8, 9, 14, 20):
        part = secret[start : start + length]
        if len(part) >= 8:
            assert part not in scrub.scrub(f"cut: {part}… and on")


def test_a_word_that_a_secret_holds_stays() -> None:
    scrub.learn(["my_customers_9xQ"])
    assert scrub.scrub("model.shop.my_customers") == "model.shop.my_customers"
    assert scrub.scrub("select * from customers") == "select * from customers"
    assert scrub.scrub('select "customer_id"') == 'select "customer_id"'
    assert "my_customer" not in scrub.scrub("cut: my_customer…")
    assert "customers_9xQ" not in scrub.scrub("cut: customers_9xQ")
