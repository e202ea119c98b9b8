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

from sqlinfer.shown import shown

MASK = "*****"
SHORT = 4
"""A secret below this length, or a word of letters below three times of it, is masked only where it stands alone."""

SECRET_KEYS = re.compile(
    r"pass(word|wd|phrase)?$|pwd$|token$|secret|private_?key|credential|api_?key|access_?key|account_?key|sas$|connection_string$",
    re.I,
)
"""Names of profile keys (and of parameters in connection strings) whose values are secrets."""

_USERINFO = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)(?P<secret>[^\s@/'\"]+)(?=@)", re.I)
_PARAMETER = re.compile(
    r"(?P<head>(?:^|[\s?&;,{(\[\"'])[\"']?\w*"
    r"(?:passw(?:or)?d|passphrase|pwd|token|secret|private_key|api_?key|access_?key|account_?key|credential|signature)\w*[\"']?"
    r"\s*[=:]\s*)(?P<secret>\"[^\"\n]+\"|'[^'\n]+'|[^\s\"'&;,{}()\[\]]+)",
    re.I,
)
_KNOWN: set[str] = set()
_edition = 0


def learn(secrets: Iterable[str]) -> None:
    """From now on these values appear in no output of this process."""
    found = {secret for secret in secrets if secret.strip()}
    if not found <= _KNOWN:
        _KNOWN.update(found)
        forget_patterns()


def spare(names: Iterable[str]) -> None:
    """Names of the project: a secret that is one of them would garble every line, and break what reads it again."""
    spared = {secret for secret in _KNOWN if secret.casefold() in {name.casefold() for name in names}}
    if spared:
        _KNOWN.difference_update(spared)
        forget_patterns()


def edition() -> int:
    """A number that changes when there is something more, or less, to mask."""
    return _edition


def forget_patterns() -> None:
    """What was made from the known secrets is made anew."""
    global _edition
    _edition += 1
    _pattern.cache_clear()
    _grams.cache_clear()


def secrets_of(text: str) -> set[str]:
    """Secrets inside a connection string: the password of a URI, ``password=…``, ``?token=…``."""
    found = {match["secret"] for match in _USERINFO.finditer(text)}
    return found | {match["secret"].strip("\"'") for match in _PARAMETER.finditer(text) if "=" in match["head"]}


def scrub(text: str) -> str:
    """Known secrets, parts of them, and passwords inside URIs masked.

    >>> scrub("cannot reach postgres://ada:hunter2@db.example/shop")
    'cannot reach postgres://ada:*****@db.example/shop'
    """
    pattern = _pattern()
    cleaned = _without_parts(pattern.sub(MASK, text)) if pattern is not None else text
    return _USERINFO.sub(lambda match: match["head"] + MASK, cleaned) if "://" in cleaned else cleaned


def scrub_sql(text: str) -> str:
    """SQL that still runs: names and keywords stay where they hold a word of a secret, texts and comments are masked.

    What is no word and stands whole is masked everywhere.
    """
    forms = [form for form in _forms() if len(form) >= 2 * SHORT and not _WORD.fullmatch(form)]
    if forms:
        text = re.sub("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), MASK, text)
    return _SQL_TEXT.sub(lambda match: scrub(match[0]), text)


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


def scrub_json(value: Any) -> str:
    """JSON of the value, on one line, with every text in it scrubbed."""
    text = json.dumps(value, default=_plain)
    is_clean = _pattern() is None and "://" not in text
    return text if is_clean else json.dumps(scrub_values(value))


def _plain(value: Any) -> Any:
    """What JSON has no form for, as ``scrub_values`` gives it."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset) else str(value)


def _forms() -> set[str]:
    return {form for secret in _KNOWN for form in spellings(secret)}


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str] | None:
    forms = _forms()
    if not forms:
        return None
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(rf"(?<!\w){re.escape(f)}(?!\w)" if _is_word(f) else re.escape(f) for f in ordered))


def _is_word(form: str) -> bool:
    """What other words may hold by chance: ``core``, of which ``scores`` tells nothing."""
    return len(form) < SHORT or (len(form) < 3 * SHORT and _WORD.fullmatch(form) is not None)


def spellings(secret: str) -> set[str]:
    """How a secret may stand in an output: as it is, in a URI, in JSON, in SQL, in Python's repr, line by line."""
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), secret.replace("'", "''")}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    lines = [line.strip() for line in secret.splitlines()]
    return {form for form in (*forms, *(line for line in lines if len(line) >= 2 * SHORT)) if form.strip()}


# ---- parts ---------------------------------------------------------------------------------------------------------

PART = 8
"""As many characters of a secret in a row tell something of it: a text was cut, or one secret holds another."""
_GRAM = 4
_STRIDE = PART - _GRAM + 1
"""Every part holds a gram that begins at a multiple of this, so no other places need a look."""
_FEW = 4
_WORD = re.compile(r"[A-Za-z_]+")
_SQL_TEXT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$", re.S)


@lru_cache(maxsize=1)
def _grams() -> Mapping[str, tuple[tuple[str, int], ...]]:
    """Four characters → the secrets that they stand in, and where. Paths and URIs have no parts: all paths would go."""
    found: dict[str, list[tuple[str, int]]] = {}
    for form in {form for secret in _KNOWN if not _is_path(secret) for form in spellings(secret)}:
        for at in range(len(form) - _GRAM + 1) if len(form) > PART else ():
            found.setdefault(form[at : at + _GRAM], []).append((form, at))
    return {gram: tuple(places) for gram, places in found.items()}


def _is_path(secret: str) -> bool:
    return "://" in secret or (secret.count("/") > 1 and secret.startswith(("/", "~/", "./")))


def _without_parts(text: str) -> str:
    grams = _grams()
    if not grams or len(text) < PART:
        return text
    spans: list[tuple[int, int]] = []
    for at in range(0, len(text) - _GRAM + 1, _STRIDE):
        if text[at : at + _GRAM] in grams:
            spans += [span for form, place in grams[text[at : at + _GRAM]] if (span := _span(text, at, form, place))]
    if not spans:
        return text
    pieces, end = [], 0
    for start, stop in sorted(spans):
        if stop <= end:
            continue
        pieces += [text[end:start], MASK] if start >= end else []
        end = stop
    return "".join((*pieces, text[end:]))


def _span(text: str, at: int, form: str, place: int) -> tuple[int, int] | None:
    """The longest run around ``at`` that text and secret share, where it is long enough and no word of its own."""
    back = 0
    while back < min(at, place) and text[at - back - 1] == form[place - back - 1]:
        back += 1
    ahead = _GRAM
    while at + ahead < len(text) and place + ahead < len(form) and text[at + ahead] == form[place + ahead]:
        ahead += 1
    start, stop = at - back, at + ahead
    run = text[start:stop]
    if len(run) < PART or len(set(run)) < _FEW:
        return None
    around = text[max(0, start - 1) : start] + text[stop : stop + 1]
    inside = any(one.isalnum() or one == "_" for one in around)
    if _WORD.fullmatch(run.strip()) and "…" not in around and not (inside and 2 * len(run) > len(form)):
        return None  # ``customers``, or the start of ``customer_id``, which a password may hold too
    return start, stop


class ScrubbedStream:
    """A text stream whose every write is scrubbed, and free of control characters that are not our own colours.

    Whatever else is asked of it goes to the stream itself.
    """

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self._stream, self._escapes = stream, escapes

    @property
    def terminal(self) -> ScrubbedStream:
        """The same stream for what draws on a terminal, and escapes the texts in it itself."""
        return ScrubbedStream(self._stream, escapes=False)

    def write(self, text: str) -> int:
        cleaned = scrub(text)
        self._stream.write(_outside_colors(cleaned) if self._escapes else cleaned)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_COLOR = re.compile(r"(\x1b\[(?:0|1|3[0-7])m)")
"""What ``click.style`` writes."""


def _outside_colors(text: str) -> str:
    if "\x1b" not in text:
        return shown(text)
    return "".join(piece if _COLOR.fullmatch(piece) else shown(piece) for piece in _COLOR.split(text))
