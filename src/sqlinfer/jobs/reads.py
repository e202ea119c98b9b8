"""Which files a project's own SQL reads, so that the warehouse opens nothing else. Out: ``Reads``.

The SQL of the team is trusted; what is put into it while it renders (variables, environment) is not. So the templates
are marked (``marks``) and rendered, and DuckDB's own parse tree of the result says which names of files are read:
those with marks are the team's wish. A name that Jinja made, or made a part of, opens what it is in this run.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlinfer.adapters.base import ANYTHING, Filed, Reads
from sqlinfer.compiler.template.rendered import RenderedNode
from sqlinfer.errors import SqlinferError
from sqlinfer.jobs.marks import READERS, Marks
from sqlinfer.project import Node, Project
from sqlinfer.project.values import Hook

_FUNCTION = re.compile(rf"\b(?P<function>{READERS})\s*\((?P<first>[^)]*)", re.I)
_FROM = re.compile(r"\b(?:from|join|pivot|unpivot)\s+\(?\s*(?P<first>'(?:[^']|'')*'|\"[^\"]*[./][^\"]*\")", re.I)
_COPY = re.compile(r"\bcopy\b[^;]*?\b(?:to|from)\s+'(?P<name>(?:[^']|'')*)'", re.I)
_MAYBE = re.compile(rf"\b{READERS}\b|['\"$][^'\"]*[./{{]", re.I)
"""A reader by its name, or a text that may name a file."""
_LEXER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\{#.*?#\}""", re.S)
_PLACE = re.compile(r"(['\"])\x00(\d+)[./]\1")
_TEXT = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*[./][^\"]*)\"")
_GLOB = re.compile(r"[*?\[{]")
_ANYTHING = None
"""A name that is known at run time alone."""


def of_project(project: Project, *inline: str) -> Reads:
    """Everything that models, macros and tests read, and the given SQL."""
    marks = Marks(os.urandom(8).hex())
    found = [of_external(project, location) for location in _locations(project)]
    sqls = list(_rendered(project, marks, inline))
    if sqls:
        for sql, tree in zip(sqls, _trees(sqls), strict=True):
            found.append(_reads(_in_tree(tree, marks) if tree else _in_text(sql, marks), marks, project.root))
    found += [of_compiled(node, project.root) for node in project.nodes.values() if node.compiled is not None]
    found += [of_hook(hook.sql, project.root) for hook in _hooks(project)]
    return replace(together(found), places=tuple(_places(project)))


def _places(project: Project) -> Iterator[Filed]:
    """Read by pyarrow, so that the warehouse opens nothing for them."""
    for node in project.nodes.values():
        if node.config.is_folder:
            yield Filed(node.read_as, str(node.config.location), node.name)
    for source in project.sources.values():
        if source.place is not None:
            yield Filed(source.relation, source.place)


def _hooks(project: Project) -> Iterator[Hook]:
    yield from (*project.on_run_start, *project.on_run_end)
    for node in project.nodes.values():
        yield from (*node.config.pre_hook, *node.config.post_hook)


def of_hook(sql: str, root: Path) -> Reads:
    """The files that a hook names in full; it may write them, too (``copy … to 'file'``)."""
    names = [found["name"].replace("''", "'") for found in _COPY.finditer(sql)]
    names += [name for name in _in_text(sql, Marks("")) if name is not None]
    return _reads([name for name in names if "{{" not in name], Marks(""), root)


def together(found: Iterable[Reads]) -> Reads:
    every = list(found)
    if any(reads.anything for reads in every):
        return ANYTHING
    return Reads(
        files=tuple(dict.fromkeys(path for reads in every for path in reads.files)),
        folders=tuple(dict.fromkeys(path for reads in every for path in reads.folders)),
        urls=tuple(dict.fromkeys(url for reads in every for url in reads.urls)),
    )


def of_text(sql: str) -> Reads:
    """The files that one text names, read off it where nothing else can be done: it does not parse, or was rendered
    elsewhere. Where a name is made by Jinja, or is a URL, it may be any.

    >>> of_text("select * from 'data/2026/*.parquet'").folders[0].name
    '2026'
    """
    names = list(_in_text(sql, Marks("")))
    return ANYTHING if any(name is not None and "{{" in name for name in names) else _reads(names, Marks(""))


def of_compiled(node: Node, root: Path) -> Reads:
    """What SQL of dbt reads: as written, or where Jinja makes a name, as dbt rendered it."""
    found = of_text(node.raw_sql) if _MAYBE.search(node.raw_sql) else Reads()
    if not found.anything or node.compiled is None or any("://" in name for name in _literals(node.raw_sql)):
        return found
    (tree,) = _trees([node.compiled])
    return _reads(_in_tree(tree, Marks("")), Marks(""), root) if tree else found


def of_external(project: Project, location: str) -> Reads:
    """An external model is read from where it was written."""
    return ANYTHING if "://" in location else Reads(files=((project.root / location).absolute(),))


def _locations(project: Project) -> Iterable[str]:
    for node in project.nodes.values():
        if node.config.materialized == "external" and node.config.location and not node.config.is_folder:
            yield node.config.location


def _literals(sql: str) -> Iterator[str]:
    for name in _in_text(sql, Marks("")):
        if name is not None:
            yield name.split("{{")[0]


# ---- rendered with marks -------------------------------------------------------------------------------------------


def _rendered(project: Project, marks: Marks, inline: tuple[str, ...]) -> Iterator[str]:
    """The SQL of whatever may read files, rendered with marks. What does not render has its error later."""
    macros = tuple(one if one.package else replace(one, source=marks.source(one.source)) for one in project.macros)
    in_macros = any(not one.package and marks.may_name_files(one.source) for one in macros)
    marked_project = replace(project, macros=macros) if in_macros else project

    def marked(sql: str) -> str | None:
        """None where nothing in it names files."""
        with_marks = marks.source(sql)
        return with_marks if marks.may_name_files(with_marks) or (in_macros and "{" in sql) else None

    texts = [text for text in (*(test.sql or "" for test in project.tests.values()), *inline) if text]
    chosen = [(node, sql) for node in project.nodes.values() if node.compiled is None and (sql := marked(node.raw_sql))]
    marked_texts = [sql for text in texts if (sql := marked(text))]
    if chosen or marked_texts:
        yield from _as_rendered(chosen, marked_texts, marked_project, in_macros)


def _as_rendered(
    nodes: Sequence[tuple[Node, str]], texts: Sequence[str], project: Project, in_macros: bool
) -> Iterator[str]:
    """``in_macros``: macros may name files, too, and ask what a node does not."""
    from sqlinfer.compiler.template.render import render, render_inline  # on use: most projects name no file

    work: list[Callable[[], RenderedNode]] = []
    for node, sql in nodes:
        one = replace(node, raw_sql=sql)
        both = in_macros or "is_incremental" in node.raw_sql
        ways = (False, True) if both else (False,)
        work += [partial(render, one, project, is_incremental=by) for by in ways]
    work += [partial(render_inline, sql, project) for sql in texts]
    for rendered in work:
        with suppress(SqlinferError):
            yield rendered().sql


def _trees(sqls: list[str]) -> list[Any]:
    from sqlinfer.adapters.duckdb.trees import trees

    return trees(sqls)


Names = Iterator[str | None]


def _in_tree(tree: Any, marks: Marks) -> Names:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        if not isinstance(node, dict):
            continue
        stack.extend(node.values())
        name = str(node.get("table_name") or "")
        if node.get("type") == "BASE_TABLE" and not node.get("schema_name") and re.search(r"[./]", marks.bare(name)):
            yield from (name,) if marks.is_own(name) else ()
        elif node.get("class") == "FUNCTION" and marks.calls(str(node.get("function_name"))):
            first = next((a["expression"] for a in node["arguments"] if not a["name"]), None)
            yield from _texts(first) or _unknown(node["function_name"], marks)


def _unknown(function: str, marks: Marks) -> tuple[str | None, ...]:
    """A name that is made while the SQL runs may be any, if it is the project that makes it."""
    return (_ANYTHING,) if marks.is_fixed(function) else ()


def _texts(node: Any) -> tuple[str, ...]:
    """The texts that an expression can be without a look at rows; none where that is not known."""
    if not isinstance(node, dict):
        return ()
    if node.get("class") == "CAST":
        return _texts(node["child"])
    if node.get("class") == "CONSTANT":
        literal = node.get("literal") or {}
        return (str(literal["text"]),) if literal.get("kind") == "STRING" else ()
    if node.get("class") != "FUNCTION":
        return ()
    parts = [_texts(argument["expression"]) for argument in node["arguments"]]
    if not all(parts):
        return ()
    if node["function_name"] == "list_value":
        return tuple(itertools.chain.from_iterable(parts))
    if node["function_name"] in ("||", "concat") and all(len(part) == 1 for part in parts):
        return ("".join(part[0] for part in parts),)
    return ()


def _in_text(sql: str, marks: Marks) -> Names:
    bare, quoted = _without_comments(sql)
    for match in _FUNCTION.finditer(bare):
        if marks.calls(match["function"]):
            yield from _quoted_names(match["first"], quoted) or _unknown(match["function"], marks)
    for match in _FROM.finditer(bare):
        yield from (name for name in _quoted_names(match["first"], quoted) if marks.is_own(name))


def _quoted_names(first: str, quoted: list[str]) -> tuple[str, ...]:
    text = _PLACE.sub(lambda found: quoted[int(found[2])], first)
    named = text.lstrip().startswith(("'", '"', "["))
    return tuple((a or b).replace("''", "'") for a, b in _TEXT.findall(text)) if named else ()


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


# ---- names of files ------------------------------------------------------------------------------------------------


def _reads(names: Iterable[str | None], marks: Marks, root: Path | None = None) -> Reads:
    return together(ANYTHING if name is None else _opened(name, marks, root) for name in names)


def _opened(name: str, marks: Marks, root: Path | None) -> Reads:
    """What one name opens. No variable leaves the folder in front of it, or opens one that holds the project."""
    bare, fixed = marks.bare(name), marks.fixed(name)
    if "://" in bare:
        return ANYTHING if "://" in fixed else Reads(urls=(bare,))
    path, head = _absolute(bare), _GLOB.split(bare, maxsplit=1)[0]
    if bare != fixed and "/" in fixed and not _plain(path).is_relative_to(_plain(_absolute(fixed + "x").parent)):
        return Reads()
    if head == bare:
        return Reads(files=(path,))
    folder = _absolute(head + "x").parent
    if not fixed.startswith(head) and root is not None and _plain(root.absolute()).is_relative_to(_plain(folder)):
        return Reads()
    return Reads(folders=(folder,))


def _plain(path: Path) -> Path:
    """Without ``..`` and doubled slashes; links are DuckDB's own to look at."""
    return Path("/" + os.path.normpath(path).lstrip("/"))


def _absolute(name: str) -> Path:
    with suppress(RuntimeError):  # a home that nobody has
        return Path(name).expanduser().absolute()
    return Path(name).absolute()
