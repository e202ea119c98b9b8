"""Which types can hold which: type of a value, declared type → as it is, always, mostly, never. Pure, no SQL."""

from __future__ import annotations

from typing import Literal

from sqlinfer import types

Fit = Literal["same", "safe", "checked", "never"]
Family = Literal["number", "text", "moment", "span", "blob", "bits", "nested", "other"]

_BITS = {
    "BOOLEAN": (0, 1), "TINYINT": (1, 7), "SMALLINT": (1, 15), "INT": (1, 31), "INTEGER": (1, 31), "BIGINT": (1, 63),
    "HUGEINT": (1, 127), "INT128": (1, 127), "UTINYINT": (0, 8), "USMALLINT": (0, 16), "UINTEGER": (0, 32),
    "UINT": (0, 32), "UBIGINT": (0, 64), "UHUGEINT": (0, 128), "UINT128": (0, 128),
}  # fmt: skip
"""Sign bit and value bits."""
_FAMILIES: dict[str, Family] = {
    "DECIMAL": "number", "BIGNUM": "number", "TEXT": "text", "VARCHAR": "text", "ENUM": "text", "CHAR": "text",
    "DATE": "moment", "TIMESTAMP": "moment", "TIMESTAMPTZ": "moment", "DATETIME": "moment", "TIMESTAMP_S": "moment",
    "TIMESTAMP_MS": "moment", "TIMESTAMP_NS": "moment", "TIME": "span", "TIMETZ": "span", "INTERVAL": "span",
    "UUID": "bits", "BIT": "bits", "BLOB": "blob", "BYTEA": "blob", "STRUCT": "nested", "MAP": "nested",
    "UNION": "nested", "ROW": "nested",
}  # fmt: skip


def family(data_type: str) -> Family:
    """The kind of a scalar type; ``other`` where only the warehouse can tell, such as types that a user made."""
    if data_type in _BITS or types.is_float(data_type):
        return "number"
    name = data_type.split("(", 1)[0].split(" ", 1)[0]
    return _FAMILIES.get(name, "other")


def is_certain(given: str | None) -> bool:
    """Whether the rule of casts is known from this spelling of a type, without asking the warehouse."""
    return given is not None and family(_item(given)) != "other"


def fit(given: str | None, wanted: str) -> Fit:
    """Whether values of type ``given`` (None: unknown) fit into ``wanted``: as they are, always, mostly, never."""
    if given is not None and given == wanted:
        return "same"
    if types.is_text(wanted):
        return "safe"
    if given is not None and types.is_array(given) and not types.is_array(wanted):
        return "never"
    if given is None or not is_certain(given):
        return "checked"
    return _fit_array(given, wanted) if types.is_array(wanted) else _fit_scalar(given, wanted)


def never(wanted: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of types, as ``typeof`` has them, whose values never fit: alone, as elements of a list."""
    names = (*_BITS, "FLOAT", "DOUBLE", *_FAMILIES)
    alone = tuple(name for name in names if fit(name, wanted) == "never")
    return alone, tuple(name for name in names if fit(f"{name}[]", wanted) == "never")


def _item(data_type: str) -> str:
    """The innermost element type."""
    while types.is_array(data_type):
        data_type = types.element_type(data_type)
    return data_type


def _fit_array(given: str, wanted: str) -> Fit:
    if not types.is_array(given):
        return "checked" if family(given) == "text" else "never"
    widths = types.array_width(given), types.array_width(wanted)
    if None not in widths and widths[0] != widths[1]:
        return "never"
    item = fit(types.element_type(given), types.element_type(wanted))
    if item == "never" or widths[1] is None or widths[0] == widths[1]:
        return "safe" if item == "same" else item
    return "checked"


def _fit_scalar(given: str, wanted: str) -> Fit:
    kind = family(given)
    if wanted == "BLOB":
        return "checked" if kind in ("text", "bits") else "same" if kind == "blob" else "never"
    if wanted == "DATE":
        return "checked" if kind in ("text", "moment") else "never"
    if kind == "text":
        return "checked"
    return _fit_number(given, wanted) if kind == "number" else "never"


def _fit_number(given: str, wanted: str) -> Fit:
    """Numbers into numbers and booleans."""
    if wanted == "REAL":
        return "checked" if given in ("DOUBLE", "UHUGEINT", "UINT128", "BIGNUM") else "safe"
    if wanted == "DOUBLE":
        exact = given not in _BITS or _BITS[given][1] <= 53
        return "safe" if exact and given != "BIGNUM" else "checked"
    if given in _BITS and wanted in _BITS:
        (sign, bits), (wanted_sign, wanted_bits) = _BITS[given], _BITS[wanted]
        if wanted != "BOOLEAN" and sign <= wanted_sign and bits <= wanted_bits:
            return "safe"
    return "checked"
