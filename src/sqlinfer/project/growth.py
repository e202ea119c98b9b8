"""How large the results of Python's own methods and of Jinja's filters can be, said before they are made.

In: what is called and with what. Out: nothing, or LimitExceeded. What stands in no table here gives a result that is
not larger than what went in, or is not offered to templates (``METHODS``, ``FILTERS``).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Any

from sqlinfer.project.budget import MADE_PART, MAX_BITS, PART, LimitExceeded, current, measured

MAX_WIDTH = 100_000
MAX_DIGITS = 1_000
MAX_SET = 1_000
"""Characters that ``strip`` and its like look for: each is searched for at every place."""
MAX_WRAPPED = 100_000
_SIZED = (str, bytes, list, tuple)
_CHARACTERS = (str, bytes)
_PERCENT = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d+))?")
_STRFTIME = re.compile(r"%[-_0^#]*\d{4,}")


def size_of(value: Any) -> int:
    return len(value) if isinstance(value, _CHARACTERS) else PART * len(value)


def small(number: Any, most: int, what: str) -> None:
    if isinstance(number, int) and abs(number) > most:
        raise LimitExceeded(f"{what} is too large")


def binary(operator: str, left: Any, right: Any) -> None:
    limit = current()
    limit.tick()
    if isinstance(left, int) and isinstance(right, int):
        _numbers(operator, left, right)
    elif operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, _SIZED) and isinstance(other, int):
                limit.made(size_of(one) * max(other, 0))
    elif operator == "+" and isinstance(left, _SIZED) and isinstance(right, _SIZED):
        limit.made(size_of(left) + size_of(right))
    elif operator == "%" and isinstance(left, str | bytes):
        percent(left if isinstance(left, str) else left.decode("latin-1"), right)
    elif operator == "-" and isinstance(left, set | frozenset):
        limit.made(MADE_PART * len(left))


def _numbers(operator: str, left: int, right: int) -> None:
    bits = left.bit_length(), right.bit_length()
    if operator == "**":
        if abs(left) > 1 and bits[0] * abs(right) > MAX_BITS:
            raise LimitExceeded("a number is too large")
    elif (sum(bits) if operator == "*" else max(bits)) > MAX_BITS:
        raise LimitExceeded("a number is too large")


def percent(text: str, values: Any) -> None:
    """``text % values``: widths, and each value as often as a name may ask for it."""
    for found in _PERCENT.finditer(text):
        for number in (found["width"], found["precision"]):
            if number == "*":
                raise LimitExceeded("'*' widths are not allowed in formats")
            if number is not None and (len(number) > 5 or int(number) > MAX_WIDTH):
                raise LimitExceeded("a format width is too large")
    widths = sum(int(found["width"] or 0) + int(found["precision"] or 0) for found in _PERCENT.finditer(text))
    current().made(len(text) + widths + text.count("%") * measured(values))


def formatted(text: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """``text.format(…)``: a width may be given by a value (``{:{w}}``), so all numbers are small then."""
    total, fields = 0, 0
    for _, name, spec, _ in string.Formatter().parse(text):
        if name is None:
            continue
        fields += 1
        if spec and "{" in spec:
            raise LimitExceeded("a width given by a value is not allowed in formats")
        for number in re.findall(r"\d+", spec or ""):
            if len(number) > 5 or int(number) > MAX_WIDTH:
                raise LimitExceeded("a format width is too large")
            total += int(number)
    current().made(len(text) + total + fields * measured([*args, *kwargs.values()]))


def _padded(owner: Any, width: Any = 0, *_: Any) -> None:
    if isinstance(width, int):
        current().made(max(width, len(owner), 0))


def _tabs(owner: Any, width: Any = 8) -> None:
    if isinstance(width, int):
        tabs = owner.count("\t" if isinstance(owner, str) else b"\t")
        current().made(len(owner) + tabs * max(width, 0))


def _replaced(owner: Any, old: Any = None, new: Any = None, *_: Any) -> None:
    if isinstance(old, type(owner)) or (isinstance(old, str | bytes) and isinstance(new, str | bytes)):
        if isinstance(new, str | bytes) and len(new) > len(old):
            times = owner.count(old) if old else len(owner) + 1
            current().made(len(owner) + times * len(new))
        else:
            current().made(len(owner))


def _joined(owner: Any, parts: Any = (), *_: Any) -> None:
    if isinstance(parts, str | bytes | list | tuple | dict | set | frozenset):
        current().made(measured(parts) + len(owner) * len(parts))


def _translated(owner: Any, table: Any = None, *_: Any) -> None:
    values = table.values() if isinstance(table, dict) else ()
    current().made(len(owner) * max([1, *(len(v) for v in values if isinstance(v, str))]))


def _pieces(owner: Any, separator: Any = None, *_: Any) -> None:
    count = owner.count(separator) if isinstance(separator, str | bytes) and separator else len(owner) // 2
    current().made(len(owner) + MADE_PART * (count + 1))


def _lines(owner: Any, *_: Any) -> None:
    current().made(len(owner) + MADE_PART * len(owner.split(owner[:0] + ("\n" if isinstance(owner, str) else b"\n"))))


def _stripped(owner: Any, chars: Any = None, *_: Any) -> None:
    if isinstance(chars, str | bytes) and len(chars) > MAX_SET:
        raise LimitExceeded(f"more than {MAX_SET:,} characters to strip")


def _added(owner: Any, first: Any = None, *_: Any) -> None:
    count = len(first) if isinstance(first, list | tuple | str | dict | set | frozenset) else 1
    current().text(PART * (len(owner) + count))
    current().made(PART * count)


def _appended(owner: Any, *_: Any) -> None:
    current().text(PART * (len(owner) + 1))
    current().made(MADE_PART)


def _copied(owner: Any, *others: Any) -> None:
    current().made(MADE_PART * (len(owner) + sum(len(o) for o in others if isinstance(o, list | tuple | dict | set))))


def _to_bytes(owner: Any, length: Any = 1, *_: Any, **__: Any) -> None:
    small(length, MAX_WIDTH, "a number of bytes")


def _hexed(owner: Any, separator: Any = "", *_: Any) -> None:
    current().made(len(owner) * 3)


def _strftime(owner: Any, pattern: Any = "", *_: Any) -> None:
    if isinstance(pattern, str):
        if _STRFTIME.search(pattern):
            raise LimitExceeded("a format width is too large")
        current().made(len(pattern) * 50 + pattern.count("%") * 1_000)


Bound = Callable[..., None]
_TEXT: dict[str, Bound] = {
    "center": _padded, "ljust": _padded, "rjust": _padded, "zfill": _padded, "expandtabs": _tabs,
    "replace": _replaced, "join": _joined, "translate": _translated, "split": _pieces, "rsplit": _pieces,
    "splitlines": _lines, "strip": _stripped, "lstrip": _stripped, "rstrip": _stripped, "hex": _hexed,
}  # fmt: skip
_LISTS: dict[str, Bound] = {
    "extend": _added, "append": _appended, "insert": _appended, "copy": _copied,
}  # fmt: skip
_MAPS: dict[str, Bound] = dict.fromkeys(
    ("update", "copy", "fromkeys", "union", "difference", "intersection", "symmetric_difference", "items"), _copied
)


def method(owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Bounds a method of a plain value."""
    if isinstance(owner, str | bytes):
        current().looked_at(len(owner))
        if isinstance(owner, str) and name in ("format", "format_map"):
            given = args[0] if name == "format_map" and args and isinstance(args[0], dict) else kwargs
            formatted(owner, () if given is not kwargs else args, given)
            return
        bound = _TEXT.get(name)
    elif isinstance(owner, list | tuple):
        bound = _LISTS.get(name)
        current().looked_at(PART * len(owner) if name not in ("append", "pop") else 0)
    elif isinstance(owner, dict | set | frozenset):
        bound = _MAPS.get(name)
    elif isinstance(owner, int):
        bound = _to_bytes if name == "to_bytes" else None
    else:
        bound = _strftime if name in ("strftime", "__format__") else None
    if bound is not None:
        try:
            bound(owner, *args, *kwargs.values())
        except (TypeError, IndexError, AttributeError):
            return  # what is called with the wrong arguments says so itself


# ---- filters ------------------------------------------------------------------------------------------------------


def _text(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes) else measured(value)


def _f_indent(value: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    each = len(width) if isinstance(width, str) else max(width, 0) if isinstance(width, int) else 0
    current().made(_text(value) + (1 + (value.count("\n") if isinstance(value, str) else 0)) * each)


def _f_center(value: Any, width: Any = 80) -> None:
    current().made(_text(value) + (max(width, 0) if isinstance(width, int) else 0))


def _f_batch(value: Any, count: Any = 1, fill_with: Any = None, **named: Any) -> None:
    for one in (count, *named.values()):
        if isinstance(one, int):
            current().made(PART * max(one, 0))


def _f_json(value: Any, indent: Any = None, *_: Any, **__: Any) -> None:
    each = len(indent) if isinstance(indent, str) else max(indent, 0) if isinstance(indent, int) else 0
    size = measured(value)
    current().made(size if not each else (size // PART + 2) * (each + 1) * (depth(value) + 1) + size)


def _f_wordwrap(s: Any, width: Any = 79, breaks: Any = True, wrapstring: Any = None, *_: Any, **__: Any) -> None:
    size = _text(s)
    if size > MAX_WRAPPED:
        raise LimitExceeded(f"wordwrap takes at most {MAX_WRAPPED:,} characters")
    current().made(size + (size + 1) * (len(wrapstring) if isinstance(wrapstring, str) else 1))


def _f_truncate(value: Any, *more: Any, **named: Any) -> None:
    current().made(_text(value) + sum(len(one) for one in (*more, *named.values()) if isinstance(one, str)))


def _f_join(value: Any, d: Any = "", attribute: Any = None) -> None:
    count = len(value) if isinstance(value, str | list | tuple | dict | set | frozenset) else 0
    current().made(measured(value) + count * (len(d) if isinstance(d, str) else measured(d)))


def _f_replace(value: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    for one in (value, old, new):
        _text(one)
    _replaced(str(value), str(old), str(new))


def _f_round(value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    small(precision, MAX_DIGITS, "a number of digits")


def _f_exploded(value: Any, *_: Any, **__: Any) -> None:
    size = len(value) if isinstance(value, str | bytes | list | tuple | dict | set | frozenset) else 1
    current().made(size * (MADE_PART if isinstance(value, str | bytes | dict) else PART))
    measured(value)


def _f_format(value: Any, *args: Any, **kwargs: Any) -> None:
    _text(value)
    percent(str(value), kwargs or args)


def _f_trim(value: Any, chars: Any = None) -> None:
    current().made(_text(value))
    _stripped(value, chars)


def _f_sum(value: Any, attribute: Any = None, start: Any = 0) -> None:
    if not isinstance(start, int | float):
        raise LimitExceeded("sum takes numbers")
    measured(value)


def _f_escaped(value: Any, *_: Any, **__: Any) -> None:
    current().made(12 * _text(value))


def _f_plain(value: Any, *_: Any, **__: Any) -> None:
    current().made(_text(value))


def _f_words(value: Any) -> None:
    if _text(value) > 10 * MAX_WRAPPED:
        raise LimitExceeded(f"at most {10 * MAX_WRAPPED:,} characters are taken apart into words")
    current().made(MADE_PART * (_text(value) // 2))


def _f_yaml(value: Any, *_: Any, **__: Any) -> None:
    if measured(value) > MAX_WRAPPED:
        raise LimitExceeded(f"toyaml takes at most {MAX_WRAPPED:,} characters")


FILTERS: dict[str, Bound] = {
    "abs": _f_plain, "batch": _f_batch, "capitalize": _f_plain, "center": _f_center, "count": _f_plain,
    "dictsort": _f_exploded, "e": _f_escaped, "escape": _f_escaped, "first": _f_plain, "float": _f_plain,
    "forceescape": _f_escaped, "format": _f_format, "groupby": _f_exploded, "indent": _f_indent, "int": _f_plain,
    "items": _f_exploded, "join": _f_join, "last": _f_plain, "length": _f_plain, "list": _f_exploded,
    "lower": _f_plain, "max": _f_plain, "min": _f_plain, "replace": _f_replace, "reverse": _f_exploded,
    "round": _f_round, "safe": _f_plain, "slice": _f_batch, "sort": _f_exploded, "string": _f_plain, "sum": _f_sum,
    "title": _f_words, "tojson": _f_json, "trim": _f_trim, "truncate": _f_truncate, "unique": _f_exploded,
    "upper": _f_plain, "urlencode": _f_escaped, "wordcount": _f_words, "wordwrap": _f_wordwrap,
    "as_number": _f_plain, "as_bool": _f_plain, "as_native": _f_plain, "as_text": _f_plain, "toyaml": _f_yaml,
}  # fmt: skip
"""A filter that is missing here is not offered."""
LAZY = ("attr", "default", "d", "map", "select", "reject", "selectattr", "rejectattr")
"""They hand values on, or ask other filters and tests for each."""


def depth(value: Any) -> int:
    """How deeply lists lie in each other; after ``measured``, which says that there is an end."""
    level, here = 0, [value]
    while here:
        here = [
            inner
            for one in here
            if isinstance(one, dict | list | tuple | set)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list | tuple | set)
        ]
        level += 1
    return level
