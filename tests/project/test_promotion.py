"""A promotion edits the files where they say who is who, and nothing else in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sqlinfer.errors import Location, ProjectError
from sqlinfer.project.promotion import promotion
from sqlinfer.project.values import FunctionConfig

BLOCK = (
    "- name: a   # first\n  challenger: b  # soon\n  model: {path: a.onnx}\n# second\n- name: b\n"
    "  model: {path: b.onnx}\n"
)
FLOW = "- {name: a, model: {path: a.onnx}, challenger: b}\n- {name: b, model: {path: b.onnx}}\n"
CONFIG = "- name: a\n  config:\n    challenger: b\n  tags: [x]\n- name: b\n  config:\n    # why\n    reuse: true\n"
INSIDE = '- name: "a"\n  config: {challenger: b, reuse: true}\n- name: b\n  config: {}\n'


def _promoted(tmp_path: Path, text: str) -> str:
    path = tmp_path / "f.yml"
    path.write_text(f"functions:\n{text}")
    a, b = (FunctionConfig(name, tmp_path, Location(path, 2), challenger=c) for name, c in (("a", "b"), ("b", None)))
    return promotion({"a": a, "b": b}, "a").files[path].removeprefix("functions:\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BLOCK, "- name: b   # first\n  model: {path: a.onnx}\n# second\n- name: a\n  challenger: b\n"
                "  model: {path: b.onnx}\n"),
        (FLOW, "- {name: b, model: {path: a.onnx}}\n- {name: a, challenger: b, model: {path: b.onnx}}\n"),
        (CONFIG, "- name: b\n  tags: [x]\n- name: a\n  config:\n    # why\n    challenger: b\n    reuse: true\n"),
        (INSIDE, "- name: b\n  config: {reuse: true}\n- name: a\n  config: {challenger: b}\n"),
    ],
)  # fmt: skip
def test_names_are_exchanged_and_the_challenger_moves(tmp_path: Path, before: str, after: str) -> None:
    assert _promoted(tmp_path, before) == after


@pytest.mark.parametrize(
    "text",
    [
        "- name: a\n  config: &c {challenger: b, reuse: true}\n- name: b\n  config: *c\n",
        "- name: '{{ var(1) }}'\n  challenger: b\n- name: b\n",
    ],
)
def test_what_is_shared_or_made_is_left_to_the_user(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError) as caught:
        _promoted(tmp_path, text)
    assert caught.value.hint == "swap the two declarations by hand"
