"""The page: whole by itself, nothing of strangers is markup, whatever is known or not."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sqlinfer.reporting.data import Member, Record, Report
from sqlinfer.reporting.page import render
from sqlinfer.spec.distributions import of_labels, of_numbers, to_text

HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>\x1b[31m\ud800"""
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
NIGHT = NOW.timestamp() - 6 * 3600


def report_of(name: str = "scores", label: str = "yes") -> Report:
    """Two nights of a table that jumped."""
    first = {"p": of_numbers([0.2] * 100), "l": of_labels([label] * 9 + ["no"])}
    second = {"p": of_numbers([0.8] * 100, first["p"]), "l": of_labels([label] * 8 + ["no"] * 2)}
    members = (
        Member("source.s.raw", name, "source"),
        Member("function.f", "f", "function", description=name),
        Member("model.s.m", name, "prediction", ("source.s.raw", "function.f"), "models/m.sql", name, name, name),
    )
    records = tuple(
        Record(f"r{n}", "model.s.m", NIGHT - 86_400 * (1 - n), 75.0, 10, 10, 8, 1, 0, 1, 0.5, None, "USD", name,
               to_text(found)) for n, found in enumerate((first, second))
    )  # fmt: skip
    return Report("shop", "dev", NOW, "1.0", members, records)


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_nothing_of_strangers_is_markup() -> None:
    page = render(replace(report_of(HOSTILE, HOSTILE), project=HOSTILE, target=HOSTILE))
    tags = Reader(page).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert not any(tag in ("img", "iframe", "object", "link", "form") for tag, _ in tags)
    assert not any(name.startswith("on") or name == "style" for _, found in tags for name in found)
    assert "\x1b" not in page
    assert "&lt;/script&gt;" in page
    page.encode()


def test_the_page_asks_for_nothing() -> None:
    page = render(report_of())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    links = [value or "" for _, found in Reader(page).tags for name, value in found.items() if name in ("href", "src")]
    assert links
    assert all(link.startswith("#") for link in links)


def test_links_lead_somewhere_and_ids_are_there_once() -> None:
    tags = Reader(render(report_of())).tags
    ids = [found["id"] for _, found in tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {found["href"] for tag, found in tags if tag == "a"} <= {f"#{one}" for one in ids}


def test_charts_say_what_they_show() -> None:
    images = [found for tag, found in Reader(render(report_of())).tags if tag == "svg" and found.get("role") == "img"]
    assert len(images) >= 8
    assert all(len(found["aria-label"] or "") > 10 for found in images)


def test_the_night_and_the_shift_are_told() -> None:
    page = render(report_of())
    assert "1 min 15 s" in page
    assert "shifted</strong>" in page
    assert "0.500 USD" in page
    assert "10 %" in page
    assert "5 hours" in page


@pytest.mark.parametrize("known", ["nothing", "members", "old records", "a record of a node that is gone"])
def test_what_is_not_known_is_left_out(known: str) -> None:
    whole = report_of()
    old = (Record("r", "model.s.m" if known == "old records" else "model.s.gone", NIGHT),)
    records = old if "record" in known else ()
    page = render(replace(whole, members=() if known == "nothing" else whole.members, records=records))
    assert "</html>" in page
    assert ("No run is recorded yet" in page) == (not records)


def test_a_served_page_asks_for_its_version_alone() -> None:
    page = render(report_of(), "v'1\"")
    assert "connect-src 'self'" in page
    assert 'data-version="v&#x27;1&quot;"' in page


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium")
    return found


def test_a_browser_shows_it_and_runs_its_own_script_alone(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_bytes(render(report_of(HOSTILE, HOSTILE)).encode(errors="replace"))
    common = [chromium, "--no-sandbox", "--headless=new", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
              "--window-size=1000,1500", "--virtual-time-budget=3000", "--enable-logging=stderr"]  # fmt: skip
    at = re.findall(r'<details class="node" id="(\w+)"', page.read_text())[0]
    done = subprocess.run(
        [*common, "--dump-dom", f"{page.as_uri()}#{at}"], capture_output=True, text=True, timeout=120, check=True
    )
    assert re.search(rf'id="{at}" open', done.stdout)  # a link opens what is folded
    assert "violates" not in done.stderr
    assert "Refused" not in done.stderr
    picture = tmp_path / "page.png"
    subprocess.run([*common, f"--screenshot={picture}", page.as_uri()], capture_output=True, timeout=120, check=True)
    assert picture.stat().st_size > 20_000
