"""Text from data, files, names and other processes, made fit to be shown: no control character reaches a terminal.

They are spelled ``\\u001b``, which is what JSON and Python read back, so that escaping never breaks a JSON line.
"""

from __future__ import annotations

import re
import unicodedata

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Marks that turn the order of what stands beside them."""
_UNFIT = f"\x7f-\x9f{_BIDI}\u2028\u2029\ufeff\ud800-\udfff"
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f{_UNFIT}]")
_BREAKS = re.compile(f"[\x00-\x1f{_UNFIT}]")
_HALF = re.compile("[\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def shown(text: str) -> str:
    """Control characters spelled out; lines and tabs stay.

    >>> shown("a\\x1b[2Jb")
    'a\\\\u001b[2Jb'
    """
    return text if text.isascii() and text.isprintable() else _CONTROL.sub(_spelled, text)


def one_line(text: object, most: int = 0) -> str:
    """On one line; cut where it is longer than ``most``."""
    plain = str(text)
    if not (plain.isascii() and plain.isprintable()):
        plain = _BREAKS.sub(lambda found: _NAMED.get(found[0]) or _spelled(found), plain)
    return plain if not most or len(plain) <= most else plain[: most - 1] + "…"


def is_whole(value: object) -> bool:
    """Whether no text in a value holds half a character (a lone surrogate), which no file and no warehouse takes."""
    if isinstance(value, str):
        return _HALF.search(value) is None
    if isinstance(value, dict):
        return all(is_whole(one) for one in (*value.keys(), *value.values()))
    return not isinstance(value, list | tuple | set) or all(map(is_whole, value))


def columns(text: str) -> int:
    """Cells of a terminal: wide characters take two, marks that stand on others none.

    >>> columns("客户"), columns("id")
    (4, 2)
    """
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    return 0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "node"), counted(2000, "row")
    ('1 node', '2,000 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def middle(text: str, width: int) -> str:
    """At most ``width`` cells: what stands in the middle of a longer text is left out.

    >>> middle("churn_scores: churn_score", 12)
    'churn_…score'
    """
    if columns(text) <= width:
        return text
    head = _start(text, width // 2)
    return f"{head}…{_start(text[::-1], width - columns(head) - 1)[::-1]}" if width > 0 else ""


def _start(text: str, width: int) -> str:
    taken = 0
    for position, character in enumerate(text):
        taken += _cells(character)
        if taken > width:
            return text[:position]
    return text


def _spelled(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
