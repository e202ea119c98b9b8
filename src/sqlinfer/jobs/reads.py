"""Which files a project's own SQL reads, so that the warehouse opens nothing else. In: text as written. Out: ``Reads``.

The SQL of the team is trusted; what is put into it while it renders (variables, environment) is not. So the need is
read off the text before Jinja: a file function or a quoted path in FROM that stands there is the team's wish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sqlinfer.adapters.base import ANYTHING, Reads
from sqlinfer.project import Project

_FUNCTION = re.compile(
    r"\b(?:read_\w+|parquet_\w+|\w+_scan|\w+_metadata|glob|sniff_csv|st_read\w*)\s*\((?P<first>[^)]*)", re.I
)
_FROM = re.compile(r"\b(?:from|join)\s+\(?\s*(?P<first>'(?:[^']|'')*'|\"[^\"]*[./][^\"]*\")", re.I)
_LEXER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\{#.*?#\}""", re.S)
_PLACE = re.compile(r"(['\"])\x00(\d+)[./]\1")
_TEXT = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*[./][^\"]*)\"")
_GLOB = re.compile(r"[*?\[{]")


def of_project(project: Project, *inline: str) -> Reads:
    """Everything that models, macros and tests read, and the given SQL."""
    texts = [node.raw_sql for node in project.nodes.values()]
    texts += [macro.source for macro in project.macros]
    texts += [test.sql or "" for test in project.tests.values()]
    found = [of_text(text) for text in (*texts, *inline)]
    found += [of_external(project, location) for location in _locations(project)]
    if any(reads.anything for reads in found):
        return ANYTHING
    return Reads(
        files=tuple(dict.fromkeys(path for reads in found for path in reads.files)),
        folders=tuple(dict.fromkeys(path for reads in found for path in reads.folders)),
    )


def of_text(sql: str) -> Reads:
    """The files that one text names. Where a name is made by Jinja, or is a URL, it may be any.

    >>> of_text("select * from 'data/2026/*.parquet'").folders[0].name
    '2026'
    """
    files, folders = [], []
    bare, quoted = _without_comments(sql)
    for match in (*_FUNCTION.finditer(bare), *_FROM.finditer(bare)):
        first = _PLACE.sub(lambda found: quoted[int(found[2])], match["first"])
        names = [a or b for a, b in _TEXT.findall(first)]
        named = first.lstrip().startswith(("'", '"', "["))
        if not names or not named or any("{" in name or "://" in name for name in names):
            return ANYTHING
        for name in names:
            path = Path(name.replace("''", "'")).expanduser().absolute()
            if _GLOB.search(name):
                stem = Path(_GLOB.split(name, maxsplit=1)[0] + "x").expanduser().absolute()
                folders.append(stem.parent)
            else:
                files.append(path)
    return Reads(tuple(files), tuple(folders))


def _without_comments(sql: str) -> tuple[str, list[str]]:
    """The SQL without comments, and with numbers in place of what stands in quotes: neither is SQL that reads."""
    quoted: list[str] = []

    def place(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] not in "'\"" or (text[0] == '"' and not re.search(r"[./]", text)):
            return " " if text[0] not in "'\"" else text
        quoted.append(text)
        return f"{text[0]}\x00{len(quoted) - 1}.{text[0]}"

    return _LEXER.sub(place, sql), quoted


def _locations(project: Project) -> Iterable[str]:
    for node in project.nodes.values():
        if node.config.materialized == "external" and node.config.location:
            yield node.config.location


def of_external(project: Project, location: str) -> Reads:
    """An external model is read from where it was written."""
    return ANYTHING if "://" in location else Reads(files=((project.root / location).absolute(),))
