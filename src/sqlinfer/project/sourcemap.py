"""The source map of a template: invisible marks go into its output and are taken out again, leaving places.

Only what goes straight to the output is marked. Text that a template could look at (macros, captured blocks, filters)
stays as it is, so that no template can tell the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import nodes

from sqlinfer.project.sandbox import Sandbox
from sqlinfer.project.segments import Segment

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Code points that are no characters; a file that holds them is refused."""
_MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")


@dataclass(frozen=True, slots=True)
class Rendered:
    text: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    origin: int
    end: int
    literal: bool


def _lexed(env: Sandbox, source: str) -> list[tuple[str, int, int]]:
    """Data pieces and ``{{ … }}`` spans of the source as ``(kind, start, end)``, in order."""
    spans: list[tuple[str, int, int]] = []
    position = opened = 0
    for _line, token, text in env.lex(source):
        found = source.find(text, position)
        start = found if found >= 0 else position
        position = start + len(text)
        if token == "data" and text:
            spans.append(("data", start, position))
        elif token == "variable_begin":
            opened = start
        elif token == "variable_end":
            end = start + len(text.rstrip())
            spans.append(("expression", opened, end))
    return spans


def mark(env: Sandbox, tree: nodes.Template, source: str) -> list[Piece]:
    """Insert marks into the outputs outside macros, calls and captured blocks; returns what each mark means."""
    spans = _lexed(env, source)
    data = [span for span in spans if span[0] == "data"]
    texts = list(tree.find_all(nodes.TemplateData))
    if [source[s:e] for _, s, e in data] != [node.data for node in texts]:
        return []
    where = {id(node): span for node, span in zip(texts, data, strict=True)}
    expressions = [span for span in spans if span[0] == "expression"]
    owners = [child for out in tree.find_all(nodes.Output) for child in out.nodes
              if not isinstance(child, nodes.TemplateData)]  # fmt: skip
    if len(owners) == len(expressions):
        where |= {id(node): span for node, span in zip(owners, expressions, strict=True)}
    pieces: list[Piece] = []
    _mark_body(tree.body, where, pieces)
    return pieces


def _mark_body(body: Sequence[nodes.Node], where: Mapping[int, tuple[str, int, int]], pieces: list[Piece]) -> None:
    for node in body:
        if isinstance(node, nodes.Output):
            node.nodes = list(_marked(node, where, pieces))
        elif isinstance(node, nodes.If):
            _mark_body(node.body, where, pieces)
            _mark_body(node.elif_, where, pieces)
            _mark_body(node.else_, where, pieces)
        elif isinstance(node, nodes.For) and not node.recursive:
            _mark_body(node.body, where, pieces)
            _mark_body(node.else_, where, pieces)


def _marked(out: nodes.Output, where: Mapping[int, tuple[str, int, int]], pieces: list[Piece]) -> Iterable[nodes.Expr]:
    for child in out.nodes:
        span = where.get(id(child))
        if span is not None:
            mark = f"{OPEN}{len(pieces)}{CLOSE}"
            pieces.append(Piece(span[1], span[2], span[0] == "data"))
            yield nodes.TemplateData(mark, lineno=child.lineno)
        yield child


def strip(marked: str, pieces: Sequence[Piece]) -> Rendered:
    """Marked output → clean text and its segments."""
    parts = _MARK.split(marked)
    texts, segments, position = [parts[0]], [], len(parts[0])
    for index, text in zip(parts[1::2], parts[2::2], strict=True):
        piece = pieces[int(index)] if int(index) < len(pieces) else None
        if piece is not None and text:
            segments.append(Segment(position, position + len(text), piece.origin, piece.end, piece.literal))
        texts.append(text)
        position += len(text)
    return Rendered("".join(texts), tuple(segments))
