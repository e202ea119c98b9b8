"""What each key means, and an example of it, from meanings.yml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

Meaning = tuple[str, str]
"""The meaning, and an example as YAML."""


@cache
def meanings() -> Mapping[str, Mapping[str, Meaning]]:
    """Class of ``project.schema`` → key → meaning."""
    from ruamel.yaml import YAML

    text = files("sqlinfer.reference").joinpath("meanings.yml").read_text(encoding="utf-8")
    raw = YAML(typ="safe", pure=True).load(text)
    return {model: {key: (said, example) for key, (said, example) in keys.items()} for model, keys in raw.items()}
