"""The documentation as a whole: every page is reached, every link leads somewhere, every yml block and command fits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest
from ruamel.yaml import YAML

from sqlinfer import errors
from sqlinfer.cli.main import COMMANDS, cli
from sqlinfer.reference import json_schema

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "example_project" / "README.md"]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_two_clicks_from_the_readme() -> None:
    assert "docs/README.md" in (ROOT / "README.md").read_text()
    index = (ROOT / "docs" / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_to_pages_and_their_titles(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def schemas_for(data: object) -> Iterator[str]:
    if isinstance(data, dict):
        if "functions" in data:
            yield "functions"
        elif {"models", "seeds", "sources"} & data.keys() and "name" not in data:
            yield "models"
        elif "profile" in data:
            yield "project"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_yml_blocks_fit_their_schemas(path: Path) -> None:
    for block in blocks(path, "ya?ml"):
        data = YAML(typ="safe").load(block)
        for name in schemas_for(data):
            jsonschema.validate(data, json_schema(name))


def words_of(line: str) -> list[str] | None:
    """Words of a line that calls sqlinfer, without prompt, comment and what follows in the shell."""
    line = re.sub(r"\s#\s.*$", "", line.removeprefix("$ ").strip())
    if not line.startswith("sqlinfer ") or "…" in line:
        return None
    words = shlex.split(re.split(r" \| | \|\| | && | > ", line)[0])[1:]
    return words or None


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_that_are_shown_exist_with_their_flags(path: Path) -> None:
    for block in re.findall(r"```[a-z]*\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
        for line in block.splitlines():
            words = words_of(line)
            if words is not None:
                parsed(cli, words, line)


def parsed(command: click.Command, words: list[str], line: str) -> None:
    try:
        context = command.make_context("sqlinfer", list(words))
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, inner, left = command.resolve_command(context, rest)
            assert inner is not None, line
            del name
            parsed(inner, left, line)
    except click.exceptions.Exit:
        pass
    except click.ClickException as error:
        raise AssertionError(f"{line}: {error.format_message()}") from error


def test_every_error_has_a_cause_and_a_way_out() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.SqlinferError)]
    assert [
        one.__name__ for one in classes if one is not errors.SqlinferError and f"`{one.__name__}`" not in text
    ] == []


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in COMMANDS if f"`{name}" not in text] == []
