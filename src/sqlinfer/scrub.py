"""Secrets out of everything that is written: text in, the same text with ``*****`` in place of each known secret out.

What is known to be secret is kept for the whole process and only grows: errors are printed where no project is at hand
(loading it is what failed), and a word masked too often does less harm than a password printed once. It is applied at
the edges: console and tracebacks, run_results.json, manifest.json, compiled SQL, messages of database drivers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

MASK = "*****"
SHORT = 4
"""A secret below this length is masked only where it stands as a word of its own."""

SECRET_KEYS = re.compile(
    r"pass(word|wd|phrase)?$|pwd$|token$|secret|private_key|credential|api_key|access_key|sas$", re.I
)
"""Names of profile keys (and of parameters in connection strings) whose values are secrets."""

_USERINFO = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)(?P<secret>[^\s@/'\"]+)(?=@)", re.I)
_PARAMETER = re.compile(
    r"(?P<head>(?:^|[\s?&;,{(\[\"'])[\"']?\w*"
    r"(?:passw(?:or)?d|passphrase|pwd|token|secret|private_key|api_key|access_key|credential|signature)\w*[\"']?"
    r"\s*[=:]\s*)(?P<secret>\"[^\"\n]+\"|'[^'\n]+'|[^\s\"'&;,{}()\[\]]+)",
    re.I,
)
_KNOWN: set[str] = set()


def learn(secrets: Iterable[str]) -> None:
    """From now on these values appear in no output of this process."""
    found = {secret for secret in secrets if secret.strip()}
    if not found <= _KNOWN:
        _KNOWN.update(found)
        _pattern.cache_clear()


def secrets_of(text: str) -> set[str]:
    """Secrets inside a connection string: the password of a URI, ``password=…``, ``?token=…``."""
    found = {match["secret"] for match in _USERINFO.finditer(text)}
    return found | {match["secret"].strip("\"'") for match in _PARAMETER.finditer(text) if "=" in match["head"]}


def scrub(text: str) -> str:
    """Known secrets and passwords inside URIs masked.

    >>> scrub("cannot reach postgres://ada:hunter2@db.example/shop")
    'cannot reach postgres://ada:*****@db.example/shop'
    """
    pattern = _pattern()
    cleaned = pattern.sub(MASK, text) if pattern is not None else text
    return _USERINFO.sub(lambda match: match["head"] + MASK, cleaned) if "://" in cleaned else cleaned


def scrub_pairs(text: str) -> str:
    """Also what ``password: …`` or ``token=…`` names: for lines of profiles.yml, whose values nobody has learnt yet."""
    return _PARAMETER.sub(lambda match: match["head"] + MASK, scrub(text))


def scrub_values(value: Any) -> Any:
    """JSON-ready values with every text in them scrubbed, keys included."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrub(key) if isinstance(key, str) else key: scrub_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub_values(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else scrub(str(value))


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str] | None:
    forms = {form for secret in _KNOWN for form in spellings(secret)}
    if not forms:
        return None
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(re.escape(f) if len(f) >= SHORT else rf"(?<!\w){re.escape(f)}(?!\w)" for f in ordered))


def spellings(secret: str) -> set[str]:
    """How a secret may stand in an output: as it is, in a URI, in JSON, in SQL, in Python's repr, line by line."""
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), secret.replace("'", "''")}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    lines = [line.strip() for line in secret.splitlines()]
    return {form for form in (*forms, *(line for line in lines if len(line) >= 2 * SHORT)) if form.strip()}


class ScrubbedStream:
    """A text stream whose every write is scrubbed. Whatever else is asked of it goes to the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(scrub(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
