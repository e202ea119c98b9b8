"""Messages of a warehouse taken apart: what went wrong, for which type and column; values of rows are left out.

In: the driver's text and the SQL that was run. Out: a message that holds fixed phrases, names of types, and names that
stand in the SQL. A text that fits no phrase is named by its class alone.
"""

from __future__ import annotations

import re

_CLASS = re.compile(r"^(?P<kind>[A-Za-z][A-Za-z ]{2,40}?(?: Error| exception)):\s*", re.I)
_OF_THE_STATEMENT = (
    "binder error", "catalog error", "parser error", "syntax error", "dependency error", "transaction error",
    "transactioncontext error", "connection error", "invalid configuration error", "missing extension error",
    "resource in use error", "not implemented error", "out of memory error", "autoload error",
)  # fmt: skip
"""They say what is wrong with a statement, before a row is read."""
_OF_FILES = ("io error", "http error", "permission error", "internal error", "fatal error", "extension error")
"""They quote paths, and what is damaged."""
_OF_ROWS = (
    "conversion error", "out of range error", "invalid input error", "constraint error", "mismatch type error",
    "type mismatch error", "invalid type error", "sequence error", "serialization error", "data error",
    "invalid error", "expression error", "value error",
)  # fmt: skip
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_OURS = re.compile(r"\.(?:duckdb|db|wal|tmp)\b")
_PHRASES = tuple((re.compile(pattern, re.I | re.S), phrase) for pattern, phrase in (
    (r"^malformed json|json.*malformed", "a text is not valid JSON"),
    (r"^overflow in (addition|subtraction|multiplication|division|negation)", "an overflow"),
    (r"^division by zero|^divide by zero", "a division by zero"),
    (r"^duplicate key|violates (primary key|unique)", "a duplicate key"),
    (r"^not null constraint failed", "a NOT NULL constraint failed"),
    (r"^check constraint failed", "a CHECK constraint failed"),
    (r"violates foreign key", "a foreign key constraint failed"),
    (r"^more than one row returned by a subquery", "more than one row returned by a subquery used as an expression"),
    (r"^map keys", "keys of a map that are not unique, or NULL"),
    (r"^could not parse string .* according to format|^failed to parse format specifier|^failed to parse string",
     "a text does not fit its format"),
    (r"^(invalid )?(date|timestamp|time|interval)[a-z ]* field|^(date|timestamp|time|interval)[a-z ]* out of range",
     "a date or time that is not valid or out of range"),
    (r"value is out of range for the destination type|^could not cast value|^value out of range",
     "a value is out of range"),
    (r"^could not convert string|^type \S+ with value|can't be cast|^failed to cast", "a value cannot be cast"),
    (r"base64|hex digit|hex escape|-> bit conversion|-> blob conversion", "a text is not encoded as it should be"),
    (r"utf-?8", "a text is not valid UTF-8"),
    (r"^(missing [\])]|invalid perl operator|no argument for repetition|bad repetition|invalid escape sequence|"
     r"invalid character class|trailing \\|unexpected \)|invalid nested repetition|invalid named capture)",
     "a text is not a valid regular expression"),
    (r"maximum supported string size|string size|offset outside of supported", "a text is too large"),
    (r"^csv error", "a file does not read as CSV"),
    (r"not recognized", "a specifier that is not known"),
))  # fmt: skip
_TYPES = (
    "BOOL", "BOOLEAN", "INT8", "INT16", "INT32", "INT64", "INT128", "UINT8", "UINT16", "UINT32", "UINT64", "UINT128",
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UHUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "FLOAT", "DOUBLE", "DECIMAL", "NUMERIC", "BIGNUM", "VARINT", "VARCHAR", "BLOB", "BIT", "UUID", "DATE", "TIME",
    "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL", "JSON", "ENUM", "LIST", "MAP", "STRUCT", "UNION", "ARRAY",
)  # fmt: skip
_TO = re.compile(r"\b(?:to|of|for) (?:the )?(?:destination )?(?:type )?(?P<type>[A-Z]+[0-9]*)\b(?P<list>(?:\[\d*\])*)")
_COLUMN = re.compile(r"when casting from source column (?P<name>[^\n]+?)\s*$")
_NOT_SHOWN = "what it says may come from rows and is not shown"


def warehouse_message(text: str, sql: str | None = None) -> str:
    """One message without values of rows, such as ``Conversion Error: a value cannot be cast to INT32``.

    Text of ``sql`` itself, which the team wrote, may stand in it.
    """
    said = text.split("\n\nLINE ")[0].strip()
    match = _CLASS.match(said)
    if match is None:
        return _without_quotes(said.split("\n", 1)[0], sql or "")
    kind, rest = match["kind"], said[match.end() :]
    if kind.lower() in _OF_THE_STATEMENT:
        return said
    if kind.lower() in _OF_FILES:
        return f"{kind}: {_without_quotes(rest.split('Original error')[0].strip(), sql or '')}"
    if kind.lower() not in _OF_ROWS:
        return f"{kind} ({_NOT_SHOWN})"
    return f"{kind}: {_phrase(rest, sql)}"


def holds_values(text: str) -> bool:
    """Whether a driver's message may quote what stands in rows."""
    match = _CLASS.match(text.strip())
    return match is None or match["kind"].lower() not in (*_OF_THE_STATEMENT, *_OF_FILES)


def _phrase(rest: str, sql: str | None) -> str:
    phrase = next((phrase for pattern, phrase in _PHRASES if pattern.search(rest)), None)
    if sql and rest.strip() and rest.strip() in sql:
        return rest.strip()  # error('…'), spelled out in the SQL
    if phrase is None:
        return _NOT_SHOWN
    column = _COLUMN.search(rest)
    before = rest[: column.start()] if column else rest
    types = [found for found in _TO.finditer(before) if found["type"] in _TYPES]
    if types and ("cast" in phrase or "range" in phrase or "overflow" in phrase):
        to = "in" if "overflow" in phrase else "to" if "cast" in phrase else "for"
        phrase += f" {to} {types[-1]['type']}{types[-1]['list']}"
    if column and sql and _stands_in(column["name"], sql):
        phrase += f" (column {column['name']})"
    return phrase


def _stands_in(name: str, sql: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name.strip(chr(34)))}(?!\w)", sql, re.I) is not None


def _without_quotes(text: str, sql: str) -> str:
    """Quoted pieces stay where they are files of ours or stand in the SQL."""
    return _QUOTED.sub(lambda m: m[0] if _OURS.search(m[0]) or m[0][1:-1] in sql else "…", text)
