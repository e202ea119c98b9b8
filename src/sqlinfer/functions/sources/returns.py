"""What a function gives back where its declaration leaves it to the model: every field with its raw output and type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlinfer import types
from sqlinfer.errors import FunctionError
from sqlinfer.functions.sources.original import Results
from sqlinfer.project.values import ReturnField


@dataclass(frozen=True, slots=True)
class Raw:
    """The raw outputs that there are, and what they mean."""

    results: Results
    outputs: tuple[str, ...]

    @property
    def has_probabilities(self) -> bool:
        return "probabilities" in self.outputs

    @property
    def doubles(self) -> str:
        """All probabilities together."""
        return f"DOUBLE[{len(self.results.classes or ()) or ''}]"


def default_returns(raw: Raw) -> tuple[tuple[ReturnField, ...], bool]:
    """The fields where nothing is declared, and whether they are a struct."""
    results = raw.results
    match results.kind:
        case "classes" if raw.has_probabilities and len(results.classes or ()) == 2:
            return (_field("value", "DOUBLE", "probabilities", index=1),), False
        case "classes" if raw.has_probabilities:
            return (_field("label", None, "label"), _field("probabilities", raw.doubles, "probabilities")), True
        case "classes":
            return (_field("value", None, "label"),), False
        case "cluster":
            return (_field("value", "BIGINT", "label"),), False
        case "vector" | "embedding":
            return (_field("value", f"REAL[{results.width or ''}]", "vector"),), False
        case "text_classes":
            return (_field("label", "TEXT", "label"), _field("score", "DOUBLE", "score")), True
        case "values":
            return tuple(_field(name, None, name) for name in raw.outputs if name in results.names), True
        case "value" | "outlier" | "score":
            return (_field("value", "DOUBLE", "value"),), False


def completed(function: str, declared: Sequence[ReturnField], raw: Raw) -> tuple[ReturnField, ...]:
    """The declared fields, each with its raw output.

    Raises:
        FunctionError: what is meant cannot be told.
    """
    return tuple(_completed(function, field, raw) for field in declared)


def _completed(function: str, field: ReturnField, raw: Raw) -> ReturnField:
    output = field.output or _meant(field, raw)
    if output is None:
        raise FunctionError(
            f"function '{function}': which output does '{field.name}' mean?\n"
            f"  declared: {_shown(field)}\n  the model's own: {', '.join(raw.outputs)}{_classes(raw)}",
            hint="say 'labels: true', 'key: <class>', or 'output: <one of the model's own>'",
            location=field.location,
        )
    if output not in raw.outputs:
        raise FunctionError(
            f"function '{function}': the model has no output '{output}'\n"
            f"  the model's own: {', '.join(raw.outputs)}{_classes(raw)}",
            location=field.location,
        )
    picks = field.index is not None or field.key is not None
    if output == "probabilities" and not picks and not field.argmax and _is_number(field) and _second(raw):
        field, picks = replace(field, index=1), True
    return replace(field, output=output, data_type=field.data_type or _type(field, output, picks, raw))


def _meant(field: ReturnField, raw: Raw) -> str | None:
    """The raw output that the rest of a field tells."""
    kind, wide = field.data_type, "probabilities" if raw.has_probabilities else "vector"
    if field.own_labels:
        return "label"
    if field.index is not None or field.key is not None or field.argmax or (kind is not None and types.is_array(kind)):
        return wide
    if field.name in raw.outputs and (field.name != "value" or len(raw.outputs) == 1):
        return field.name
    if kind is not None and not types.is_float(kind) and not types.is_decimal(kind):
        return "label" if "label" in raw.outputs else None
    if "value" in raw.outputs:
        return "value"
    if raw.results.kind == "text_classes":
        return "score"
    if raw.has_probabilities and _second(raw):
        return "probabilities"
    return raw.outputs[0] if len(raw.outputs) == 1 else None


def _second(raw: Raw) -> bool:
    return raw.results.kind == "classes" and len(raw.results.classes or ()) == 2


def _is_number(field: ReturnField) -> bool:
    return field.data_type is not None and types.is_float(field.data_type)


def _type(field: ReturnField, output: str, picks: bool, raw: Raw) -> str | None:
    """Doubles where the model's own numbers are asked for; None: as the graph has it."""
    if field.argmax or field.own_labels or output == "label":
        return None
    if output == "probabilities":
        return "DOUBLE" if picks else raw.doubles
    return "DOUBLE" if output in ("value", "score") or picks else None


def _field(name: str, data_type: str | None, output: str, *, index: int | None = None) -> ReturnField:
    return ReturnField(name, data_type, output, index)


def _shown(field: ReturnField) -> str:
    return field.data_type.lower() if field.data_type else "nothing but its name"


def _classes(raw: Raw) -> str:
    found = raw.results.classes
    return f" (classes {', '.join(found[:6])}{', …' if len(found) > 6 else ''})" if found else ""
