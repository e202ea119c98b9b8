"""What a function gives back where its declaration leaves it to the model, and what written forms pick."""

from __future__ import annotations

import pytest

from sqlinfer.errors import FunctionError
from sqlinfer.functions.sources.original import Results
from sqlinfer.functions.sources.returns import Raw, completed, default_returns
from sqlinfer.project.values import ReturnField

BINARY = Raw(Results("classes", ("Monthly", "Two year")), ("label", "probabilities"))
MULTI = Raw(Results("classes", ("a", "b", "c")), ("label", "probabilities"))
LABELS_ONLY = Raw(Results("classes", ("a", "b")), ("label",))
VALUE = Raw(Results("value"), ("value",))
OUTLIER = Raw(Results("outlier"), ("value", "label"))
CLUSTER = Raw(Results("cluster"), ("label",))
VECTOR = Raw(Results("vector", width=4), ("vector",))
TARGETS = Raw(Results("values", names=("y0", "y1")), ("y0", "y1"))
TEXT = Raw(Results("text_classes", ("neg", "pos")), ("label", "score"))

Shape = tuple[str, str | None, str | None, int | None]


def shape(field: ReturnField) -> Shape:
    return field.name, field.data_type, field.output, field.index


@pytest.mark.parametrize(
    ("raw", "fields", "is_struct"),
    [
        (VALUE, [("value", "DOUBLE", "value", None)], False),
        (BINARY, [("value", "DOUBLE", "probabilities", 1)], False),
        (MULTI, [("label", None, "label", None), ("probabilities", "DOUBLE[3]", "probabilities", None)], True),
        (LABELS_ONLY, [("value", None, "label", None)], False),
        (CLUSTER, [("value", "BIGINT", "label", None)], False),
        (OUTLIER, [("value", "DOUBLE", "value", None)], False),
        (VECTOR, [("value", "REAL[4]", "vector", None)], False),
        (TARGETS, [("y0", None, "y0", None), ("y1", None, "y1", None)], True),
        (TEXT, [("label", "TEXT", "label", None), ("score", "DOUBLE", "score", None)], True),
    ],
)
def test_defaults_by_kind(raw: Raw, fields: list[Shape], is_struct: bool) -> None:
    found, struct = default_returns(raw)
    assert ([shape(field) for field in found], struct) == (fields, is_struct)


@pytest.mark.parametrize(
    ("raw", "written", "expected"),
    [
        (BINARY, ReturnField("value", "DOUBLE"), ("value", "DOUBLE", "probabilities", 1)),
        (BINARY, ReturnField("value", "TEXT", own_labels=True), ("value", "TEXT", "label", None)),
        (BINARY, ReturnField("value", output="probabilities"), ("value", "DOUBLE[2]", "probabilities", None)),
        (BINARY, ReturnField("value", key="Two year"), ("value", "DOUBLE", "probabilities", None)),
        (MULTI, ReturnField("value", "REAL[3]"), ("value", "REAL[3]", "probabilities", None)),
        (MULTI, ReturnField("value", "TEXT"), ("value", "TEXT", "label", None)),
        (MULTI, ReturnField("value", index=2), ("value", "DOUBLE", "probabilities", 2)),
        (MULTI, ReturnField("label"), ("label", None, "label", None)),
        (OUTLIER, ReturnField("value", "BIGINT", own_labels=True), ("value", "BIGINT", "label", None)),
        (OUTLIER, ReturnField("value", "DOUBLE"), ("value", "DOUBLE", "value", None)),
        (CLUSTER, ReturnField("value", "TEXT", own_labels=True), ("value", "TEXT", "label", None)),
        (VECTOR, ReturnField("value", "DOUBLE[4]"), ("value", "DOUBLE[4]", "vector", None)),
        (VECTOR, ReturnField("value", index=0), ("value", "DOUBLE", "vector", 0)),
        (TARGETS, ReturnField("y1", "REAL"), ("y1", "REAL", "y1", None)),
        (TEXT, ReturnField("value", "DOUBLE"), ("value", "DOUBLE", "score", None)),
    ],
)
def test_written_fields_name_their_raw_output(raw: Raw, written: ReturnField, expected: Shape) -> None:
    (found,) = completed("f", [written], raw)
    assert shape(found) == expected


@pytest.mark.parametrize(
    ("raw", "written", "message"),
    [
        (MULTI, ReturnField("value", "DOUBLE"), "which output does 'value' mean"),
        (TARGETS, ReturnField("value", "DOUBLE"), "the model's own: y0, y1"),
        (MULTI, ReturnField("value", output="score"), "no output 'score'"),
        (VALUE, ReturnField("value", own_labels=True), "no output 'label'"),
    ],
)
def test_what_is_not_clear_names_both_sides(raw: Raw, written: ReturnField, message: str) -> None:
    with pytest.raises(FunctionError, match=message):
        completed("f", [written], raw)
