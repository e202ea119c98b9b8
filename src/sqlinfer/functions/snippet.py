"""A prepared function → the yml of its arguments and results, as it can be pasted into its declaration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from sqlinfer.spec.function import Argument, PreparedFunction, ReturnField

_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def snippet(prepared: PreparedFunction) -> str:
    """``arguments:`` and ``returns:``, whatever was left out filled in."""
    return "\n".join(_lines(prepared))


def _lines(prepared: PreparedFunction) -> Iterator[str]:
    contract = prepared.contract
    yield "arguments:" if contract.arguments else "arguments: []"
    yield from (f"  - {_flow(_argument(argument))}" for argument in contract.arguments)
    given = {field.name: field for field in prepared.returns}
    fields = []
    for output, origin in zip(contract.outputs, prepared.origins, strict=True):
        more = _post_processing(given[output.name]) if output.name in given else {}
        name = {"name": output.name} if contract.is_struct else {}
        fields.append(_flow({**name, "data_type": output.data_type.lower(), "output": origin, **more}))
    if contract.is_struct:
        yield "returns:"
        yield "  fields:"
        yield from (f"    - {field}" for field in fields)
    else:
        yield f"returns: {fields[0]}"


def _argument(argument: Argument) -> dict[str, object]:
    found: dict[str, object] = {"name": argument.name, "data_type": argument.data_type.lower()}
    if argument.on_null != "null":
        found["on_null"] = {"default": argument.default} if argument.on_null == "default" else argument.on_null
    if argument.on_cast_error != "error":
        found["on_cast_error"] = argument.on_cast_error
    return found


def _post_processing(field: ReturnField) -> dict[str, object]:
    labels = True if field.own_labels else None if field.labels is None else list(field.labels)
    found: dict[str, object] = {
        "index": field.index, "key": field.key, "labels": labels,
        "activation": field.activation, "pooling": field.pooling, "normalize": field.normalize or None,
        "argmax": field.argmax or None,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def _flow(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in values.items()) + "}"


def _value(value: object) -> str:
    """JSON is yml; plain words go without quotes."""
    if isinstance(value, Mapping):
        return _flow(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*", value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
