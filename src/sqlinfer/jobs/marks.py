"""Marks in templates, so that rendered SQL shows which names of files the project wrote. Pure.

Marked are texts in quotes, Jinja inside of them, and calls of functions that read files. A mark holds a number that no
variable can guess: what is put into SQL while it renders carries none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

READERS = r"(?:read_\w+|parquet_\w+|\w+_scan|\w+_metadata|glob|sniff_csv|st_read\w*)"
"""Functions whose first argument names files."""
_JINJA = r"\{\{.*?\}\}|\{%.*?%\}|\{\#.*?\#\}"
_SOURCE = re.compile(
    rf"""(?P<jinja>{_JINJA}) | --[^\n]* | /\*.*?\*/
    | '(?P<text>(?>[^'{{]|''|{_JINJA}|\{{)*+)'
    | "(?P<name>(?>[^"{{]|""|{_JINJA}|\{{)*+)"
    | \$\$(?P<dollar>.*?)\$\$
    | \b(?P<call>{READERS})(?=(?:\s|--[^\n]*\n|/\*.*?\*/)*\()""",
    re.X | re.S | re.I,
)
_CONSTANT = re.compile(r"'(?P<single>(?>[^'\\]|\\.)*+)'|\"(?P<double>(?>[^\"\\]|\\.)*+)\"", re.S)
_HOLE = re.compile(_JINJA, re.S)
_VALUE = re.compile(
    r"(?:\b(?:then|when|else|and|or|not|i?like|as|between|interval|date|time|timestamp|escape|by)|[=<>|+%:])"
    r"\s*(?:['\"]|\$\$)$",
    re.I,
)
"""What stands before a text that is a value or an alias, and never a table."""


@dataclass(frozen=True, slots=True)
class Marks:
    nonce: str
    """Letters and digits. Empty: nothing is marked, and every name counts as the project's own."""

    @property
    def open(self) -> str:
        return f"<{self.nonce}(" if self.nonce else ""

    @property
    def close(self) -> str:
        return f"){self.nonce}>" if self.nonce else ""

    @property
    def hole(self) -> str:
        return f"<{self.nonce}>"

    def source(self, template: str) -> str:
        """The template with marks."""
        return _SOURCE.sub(self._marked, template)

    def may_name_files(self, marked: str) -> bool:
        """Whether there is a call of a reader in a marked template, or where a table may stand a text with a dot, a
        slash or Jinja in it."""
        if f"__{self.nonce}" in marked:
            return True
        before, *texts = marked.split(self.open)
        for text in texts:
            inner = text.split(self.close, 1)[0]
            if (self.hole in inner or re.search(r"[./]", inner)) and not _VALUE.search(before[-80:]):
                return True
            before = text
        return False

    def _marked(self, found: re.Match[str]) -> str:
        kind = found.lastgroup
        if kind is None:
            return found[0]
        text = found[kind]
        if kind == "jinja":
            return _CONSTANT.sub(self._constant, text)
        if kind == "call":
            return f"{text}__{self.nonce}{'j' if _has_jinja(found.string, found.end()) else 's'}"
        edge = {"text": "'", "name": '"', "dollar": "$$"}[kind]
        return f"{edge}{self.open}{_HOLE.sub(lambda hole: self.hole + hole[0], text)}{self.close}{edge}"

    def _constant(self, found: re.Match[str]) -> str:
        """A text in Jinja may be SQL, too."""
        edge = found[0][0]
        inner = found[0][1:-1]
        return f"{edge}{self.source(inner)}{edge}" if re.search(r"['\"(]", inner) else found[0]

    def is_own(self, name: str) -> bool:
        """Whether a text began and ended where a text of the project does."""
        return name.startswith(self.open) and name.endswith(self.close)

    def calls(self, function: str) -> bool:
        """Whether a call stands in a template, and reads files."""
        name, _, kind = function.casefold().rpartition(f"__{self.nonce}") if self.nonce else (function, "", "")
        return kind in ("", "j", "s") and re.fullmatch(READERS, name, re.I) is not None

    def is_fixed(self, function: str) -> bool:
        """Whether no Jinja stands in the arguments of such a call, so that all of it is the project's."""
        return not self.nonce or function.endswith("s")

    def fixed(self, name: str) -> str:
        """The start of a name that Jinja did not make."""
        if not self.nonce:
            return name
        return self.bare(name.split(self.hole, 1)[0]) if name.startswith(self.open) else ""

    def bare(self, name: str) -> str:
        if not self.nonce:
            return name
        return name.replace(self.open, "").replace(self.close, "").replace(self.hole, "")


def _has_jinja(source: str, start: int) -> bool:
    """Whether there is Jinja between the parentheses that open behind ``start``."""
    depth = 0
    for found in re.compile(r"[()]|\{[{%]").finditer(source, start):
        if found[0] in ("{{", "{%"):
            return True
        depth += 1 if found[0] == "(" else -1
        if depth <= 0:
            return False
    return False
