"""Jinja over the sandbox: compiling, rendering with a source map, and the part of dbt's context that is plain.

One ``Engine`` per process compiles templates once. ``Engine.run`` renders one template against a ``Context`` and gives
the text with the places that its pieces came from. Errors are RenderErrors with file, line and, where it is found, span.
"""

from __future__ import annotations

import datetime
import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.runtime import Undefined

from sqlinfer.errors import Location, RenderError, SqlinferError, did_you_mean
from sqlinfer.project.sandbox import MAX_OUTPUT, MAX_SECONDS, MacroReturn, Sandbox, budget
from sqlinfer.relation import Relation

SECRET = "DBT_ENV_SECRET"
MAX_CACHED = 5_000
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Segment:
    """``output[start:end]`` came from ``source[origin:…]``; letter by letter where ``literal``."""

    start: int
    end: int
    origin: int
    origin_end: int
    literal: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    text: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    origin: int
    end: int
    literal: bool


@dataclass(frozen=True, slots=True)
class Compiled:
    template: Template
    source: str
    path: Path | None
    pieces: tuple[_Piece, ...]
    names: frozenset[str]
    macros: tuple[tuple[str, int], ...]
    """Names and lines of the macros that the file defines at its top level."""


class TemplateMessage(Exception):
    """Raised by context functions; becomes a RenderError at the line of the call, ``needle`` underlined."""

    def __init__(self, message: str, hint: str | None = None, needle: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.needle = message, hint, needle


class RelationValue:
    """A relation as templates see it: prints as quoted SQL."""

    __slots__ = ("_sql", "relation")

    def __init__(self, relation: Relation, dialect: str, sql: str | None = None) -> None:
        self.relation = relation
        self._sql = sql if sql is not None else _quoted(relation, dialect)

    @property
    def database(self) -> str | None:
        return self.relation.catalog

    @property
    def schema(self) -> str | None:
        return self.relation.schema

    @property
    def identifier(self) -> str:
        return self.relation.name

    @property
    def name(self) -> str:
        return self.relation.name

    table = name

    def render(self) -> str:
        return self._sql

    def __str__(self) -> str:
        return self._sql

    def __repr__(self) -> str:
        return self._sql


@lru_cache(maxsize=8192)
def _quoted(relation: Relation, dialect: str) -> str:
    return relation.sql(dialect)


class _Marking(Sandbox):
    """Puts a mark before each piece of text and each expression that goes straight to the output."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Piece] = []
        self.source = ""

    def rewrite(self, tree: nodes.Template) -> nodes.Template:
        self.found = _mark(self, tree, self.source)
        return super().rewrite(tree)


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


def _mark(env: Sandbox, tree: nodes.Template, source: str) -> list[_Piece]:
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
    pieces: list[_Piece] = []
    _mark_body(tree.body, where, pieces)
    return pieces


def _mark_body(body: Sequence[nodes.Node], where: Mapping[int, tuple[str, int, int]], pieces: list[_Piece]) -> None:
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


def _marked(out: nodes.Output, where: Mapping[int, tuple[str, int, int]], pieces: list[_Piece]) -> Iterable[nodes.Expr]:
    for child in out.nodes:
        span = where.get(id(child))
        if span is not None:
            mark = f"{_OPEN}{len(pieces)}{_CLOSE}"
            pieces.append(_Piece(span[1], span[2], span[0] == "data"))
            yield nodes.TemplateData(mark, lineno=child.lineno)
        yield child


def _strip(marked: str, pieces: Sequence[_Piece]) -> Rendered:
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


class Engine:
    """Compiles templates once and renders them. May be shared between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.env = _Marking()
        for name in ("as_number", "as_bool", "as_native", "as_text"):
            self.env.filters[name] = globals()[f"_{name}"]
        self._cache: dict[tuple[str, Path | None], Compiled] = {}

    def compile(self, source: str, path: Path | None = None) -> Compiled:
        """Raises RenderError where the Jinja does not parse."""
        key = (source, path)
        with self._lock:
            found = self._cache.get(key)
            if found is None:
                if len(self._cache) >= MAX_CACHED:
                    self._cache.clear()
                found = self._cache[key] = self._compile(source, path)
        return found

    def _compile(self, source: str, path: Path | None) -> Compiled:
        if _OPEN in source or _CLOSE in source:
            at = min(i for i in (source.find(_OPEN), source.find(_CLOSE)) if i >= 0)
            where = Location.in_source(source, at, at + 1, path=path)
            raise RenderError("the file holds a character that is not a character (U+FDD0)", location=where)
        if len(source) > MAX_OUTPUT:
            raise RenderError(f"the template is longer than {MAX_OUTPUT:,} characters", location=Location(path, 1))
        self.env.source = source
        try:
            tree = self.env.parse(source)
            pieces = tuple(self.env.found)
            names = frozenset(node.name for node in tree.find_all(nodes.Name))
            macros = tuple((node.name, node.lineno) for node in tree.body if isinstance(node, nodes.Macro))
            template = self.env.from_string(tree)
        except TemplateSyntaxError as error:
            raise _syntax_error(error, source, path) from error
        except RecursionError as error:
            raise RenderError("the Jinja is nested too deeply", location=Location(path, 1)) from error
        except (SyntaxError, ValueError, MemoryError) as error:
            raise RenderError(f"the Jinja cannot be compiled: {error}", location=Location(path, 1)) from error
        return Compiled(template, source, path, pieces, names, macros)

    def run(self, compiled: Compiled, context: Mapping[str, Any], *, macros: Sequence[Compiled] = (),
            seconds: float = MAX_SECONDS, output: int = MAX_OUTPUT) -> Rendered:  # fmt: skip
        """Render. ``macros`` are the templates whose lines an error may stand in."""
        with budget(seconds, output) as limit:
            try:
                size, chunks = 0, []
                for chunk in compiled.template.root_render_func(compiled.template.new_context(dict(context))):
                    size += len(chunk)
                    limit.text(size)
                    chunks.append(chunk)
            except SqlinferError:
                raise
            except Exception as error:
                raise translate(error, (compiled, *macros)) from error
        return _strip("".join(chunks), compiled.pieces)

    def expression(self, text: str, context: Mapping[str, Any]) -> Any:
        """The value of one expression, e.g. from ``{{ env_var('X') | as_number }}`` in a yml file."""
        with self._lock, budget():
            value = self.env.compile_expression(text, undefined_to_none=False)(**context)
        if isinstance(value, Undefined):
            str(value)  # raises, naming what is not defined
        return value

    def macro_value(self, compiled: Compiled, name: str, context: Mapping[str, Any]) -> Callable[..., Any]:
        """A macro of the file, bound to a context."""
        bound = compiled.template.new_context(dict(context))
        for _ in compiled.template.root_render_func(bound):
            pass
        macro: Callable[..., Any] = bound.vars[name]
        return macro


def _syntax_error(error: TemplateSyntaxError, source: str, path: Path | None) -> RenderError:
    message = error.message or "syntax error"
    named = re.search(r"'([^']+)'", message)
    hint = None
    if message.startswith("Encountered unknown tag") and named:
        hint = did_you_mean(named.group(1), ("if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro",
                                             "endmacro", "call", "endcall", "do", "raw", "endraw", "filter"))  # fmt: skip
    where = line_location(source, error.lineno, path, named.group(1) if named else None)
    return RenderError(f"Jinja: {message}", hint=hint, location=where)


def line_location(source: str, line: int, path: Path | None, needle: str | None = None) -> Location:
    """A line, with ``needle`` underlined where it stands on it."""
    lines = source.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    if needle:
        found = re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text)
        if found:
            return Location(path, line, found.start() + 1, len(needle), text)
    stripped = len(text) - len(text.lstrip())
    return Location(path, line, stripped + 1, max(1, len(text.strip())), text)


def translate(error: Exception, templates: Sequence[Compiled]) -> RenderError:
    """What went wrong inside a template → a RenderError at its line."""
    line, compiled = _place(error, templates)
    message, hint, needle = _describe(error, compiled)
    where = line_location(compiled.source, line, compiled.path, needle) if line else Location(compiled.path)
    return RenderError(message, hint=hint, location=where)


def _place(error: Exception, templates: Sequence[Compiled]) -> tuple[int | None, Compiled]:
    line, found = None, templates[0]
    step = error.__traceback__
    while step is not None:
        owner = _by_code(step.tb_frame.f_globals, templates)
        if owner is not None:
            line, found = owner.template.get_corresponding_lineno(step.tb_lineno), owner
        step = step.tb_next
    return line, found


def _by_code(namespace: Mapping[str, Any], templates: Sequence[Compiled]) -> Compiled | None:
    for one in templates:
        if one.template.root_render_func.__globals__ is namespace:
            return one
    return None


def _describe(error: Exception, compiled: Compiled) -> tuple[str, str | None, str | None]:
    if isinstance(error, TemplateMessage):
        return error.message, error.hint, error.needle
    if isinstance(error, UndefinedError):
        named = re.search(r"'([^']+)' is undefined", str(error)) or re.search(r"no attribute '([^']+)'", str(error))
        name = named.group(1) if named else None
        return f"Jinja: {error}", _absent(name), name
    if isinstance(error, RecursionError):
        return "Jinja: macros call each other too deeply", None, None
    if isinstance(error, MacroReturn):
        return "Jinja: return() stands outside of a macro", None, "return"
    if isinstance(error, TemplateError):
        return f"Jinja: {error}", None, None
    text = str(error).split("\n", 1)[0]
    return f"Jinja: {text or type(error).__name__}", None, None


CONTEXT_NAMES = (
    "ref", "source", "config", "var", "env_var", "this", "target", "is_incremental", "execute", "return", "log",
    "exceptions", "modules", "tojson", "fromjson", "toyaml", "fromyaml", "print", "model", "set", "zip", "range",
    "namespace", "dict", "run_started_at", "invocation_id", "project_name", "flags",
)  # fmt: skip


def _absent(name: str | None) -> str | None:
    if name in ("adapter", "run_query", "statement", "load_result", "graph", "api", "builtins"):
        return f"'{name}' needs a warehouse while rendering; sqlinfer renders without one: write it in SQL"
    return did_you_mean(name, CONTEXT_NAMES) if name and len(CONTEXT_NAMES) and _close(name) else None


def _close(name: str) -> bool:
    hint = did_you_mean(name, CONTEXT_NAMES)
    return hint is not None and hint.startswith("did you mean")


# ---- filters and plain functions ----------------------------------------------------------------------------------


def _as_number(value: Any) -> Any:
    text = str(value).strip()
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise TemplateMessage(f"'{text}' is not a number", needle="as_number") from None


def _as_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise TemplateMessage(f"'{value}' is not a boolean", needle="as_bool")


def _as_native(value: Any) -> Any:
    return from_yaml(value) if isinstance(value, str) else value


def _as_text(value: Any) -> str:
    return str(value)


def from_yaml(text: str, default: Any = None) -> Any:
    from sqlinfer.project.yamlfile import parse_yaml

    try:
        return parse_yaml(str(text)).data
    except SqlinferError:
        return default


def to_yaml(value: Any, default: Any = None) -> str:
    from ruamel.yaml import YAML

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue()


def to_json(value: Any, default: Any = None, sort_keys: bool = False) -> Any:
    from sqlinfer.project.sandbox import measured

    measured(value)
    try:
        return json.dumps(value, sort_keys=sort_keys)
    except (TypeError, ValueError):
        return default


def from_json(text: str, default: Any = None) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return default


def _raise_compiler_error(message: Any = "", node: Any = None) -> str:
    raise TemplateMessage(str(message), needle=None)


def _return(value: Any = None) -> Any:
    raise MacroReturn(value)


@dataclass(slots=True)
class Variables:
    """``var('x')``, ``var('x', default)`` and ``var.has_var('x')``."""

    known: Mapping[str, Any]

    def __call__(self, name: str, default: Any = ...) -> Any:
        if name in self.known:
            return self.known[name]
        if default is not ...:
            return default
        hint = did_you_mean(str(name), self.known) or "give it in vars: of sqlinfer_project.yml or with --vars"
        raise TemplateMessage(f"var '{name}' is not defined", hint, str(name))

    def has_var(self, name: str) -> bool:
        return name in self.known


@dataclass(slots=True)
class Environment:
    """``env_var('X')``, ``env_var('X', 'default')``; secrets only where ``placeholders`` are allowed (profiles)."""

    known: Mapping[str, str]
    allow_secrets: bool = False
    used: set[str] = field(default_factory=set)

    def __call__(self, name: str, default: Any = ...) -> Any:
        secret = str(name).startswith(SECRET)
        if secret and not self.allow_secrets:
            raise TemplateMessage(f"secret variable '{name}' may only be used in profiles.yml",
                                  "rename the variable if it is not a secret", str(name))  # fmt: skip
        if name in self.known:
            self.used.add(name)
            return f"$$$SECRET:{name}$$$" if secret else self.known[name]
        if default is not ...:
            return default if default is None else str(default)
        raise TemplateMessage(f"environment variable '{name}' is not set", f"set it, or give a default: "
                              f"env_var('{name}', 'default')", str(name))  # fmt: skip


def plain_context(variables: Mapping[str, Any], environment: Environment, target: Any = None) -> dict[str, Any]:
    """What templates have everywhere, yml files included."""
    context: dict[str, Any] = {
        "var": Variables(variables),
        "env_var": environment,
        "return": _return,
        "tojson": to_json,
        "fromjson": from_json,
        "toyaml": to_yaml,
        "fromyaml": from_yaml,
        "set": lambda values, default=None: set(values),
        "zip": lambda *lists: list(zip(*lists, strict=False)),
        "log": lambda *args, **kwargs: "",
        "print": lambda *args, **kwargs: "",
        "exceptions": SimpleNamespace(raise_compiler_error=_raise_compiler_error, warn=lambda *args: ""),
        "modules": SimpleNamespace(
            datetime=SimpleNamespace(
                datetime=datetime.datetime,
                date=datetime.date,
                time=datetime.time,
                timedelta=datetime.timedelta,
                timezone=datetime.timezone,
            )
        ),
    }
    if target is not None:
        context["target"] = target
    return context


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine of this process."""
    return Engine()
