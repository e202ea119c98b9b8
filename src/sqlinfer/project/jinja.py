"""Jinja over the sandbox: compiling, rendering with a source map, and errors at their places.

One ``Engine`` per process compiles templates once. ``Engine.run`` renders one template against a ``Context`` and gives
the text with the places that its pieces came from. Errors are RenderErrors with file, line and span.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.runtime import Undefined

from sqlinfer.errors import Location, RenderError, SqlinferError, did_you_mean
from sqlinfer.project.basics import FILTERS, LONGEST, TemplateMessage
from sqlinfer.project.sandbox import MAX_OUTPUT, MAX_SECONDS, MacroReturn, Sandbox, budget
from sqlinfer.project.sourcemap import CLOSE, OPEN, Piece, Rendered, mark, strip

MAX_CACHED = 5_000


@dataclass(frozen=True, slots=True)
class Compiled:
    template: Template
    source: str
    path: Path | None
    pieces: tuple[Piece, ...]
    names: frozenset[str]
    macros: tuple[tuple[str, int], ...]
    """Names and lines of the macros that the file defines at its top level."""


class _Marking(Sandbox):
    """Puts a mark before each piece of text and each expression that goes straight to the output."""

    def __init__(self) -> None:
        super().__init__(FILTERS)
        self.found: list[Piece] = []
        self.source = ""

    def rewrite(self, tree: nodes.Template) -> nodes.Template:
        self.found = mark(self, tree, self.source)
        return super().rewrite(tree)


class Engine:
    """Compiles templates once and renders them. May be shared between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.env = _Marking()
        self._cache: dict[tuple[str, Path | None], Compiled] = {}

    def compile(self, source: str, path: Path | None = None) -> Compiled:
        """Raises RenderError where the Jinja does not parse."""
        key = (source, path)
        with self._lock:
            found = self._cache.get(key)
            if found is None:
                if len(self._cache) >= MAX_CACHED:
                    self._cache.clear()
                with budget():  # Jinja works out constant expressions while it compiles
                    found = self._cache[key] = self._compile(source, path)
        return found

    def _compile(self, source: str, path: Path | None) -> Compiled:
        if OPEN in source or CLOSE in source:
            at = min(i for i in (source.find(OPEN), source.find(CLOSE)) if i >= 0)
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
        return strip("".join(chunks), compiled.pieces)

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


_TAGS = (
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "macro", "endmacro", "call", "endcall", "do",
    "raw", "endraw", "filter",
)  # fmt: skip


def _syntax_error(error: TemplateSyntaxError, source: str, path: Path | None) -> RenderError:
    message = error.message or "syntax error"
    named = re.search(r"'([^']+)'", message)
    hint = None
    if message.startswith("Encountered unknown tag") and named:
        hint = did_you_mean(named.group(1), _TAGS)
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
    message = message if len(message) <= 2 * LONGEST else message[: 2 * LONGEST] + "…"
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
        if "_Adapter object" in str(error):
            return f"Jinja: adapter.{name} is not there", _absent("adapter"), name
        if "Package object" in str(error):
            return f"Jinja: the package has no macro '{name}'", None, name
        hints = (_absent(name), _package(name, compiled.source))
        named_so = name is not None and name.startswith("dbt_")
        return f"Jinja: {error}", next(filter(None, reversed(hints) if named_so else hints), None), name
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


def _package(name: str | None, source: str) -> str | None:
    """A hint where ``name.macro(…)`` is called: only dbt packages are spelled so."""
    if name is None or re.search(rf"(?<![\w.]){re.escape(name)}\.\w+\s*\(", source) is None:
        return None
    return (
        f"no package '{name}' is there: name it in packages.yml and run `sqlinfer deps`, or a folder of yours with "
        f"local:, or put the macro of '{name}' into macros/"
    )


def _close(name: str) -> bool:
    hint = did_you_mean(name, CONTEXT_NAMES)
    return hint is not None and hint.startswith("did you mean")


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine of this process."""
    return Engine()
