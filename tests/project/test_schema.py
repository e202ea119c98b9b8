"""What a value of a project file may be, and how it is said that it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sqlinfer.errors import ProjectError
from sqlinfer.project.function_schema import FunctionsFile, OnNullDefault
from sqlinfer.project.schema import ConfigKeys, ProjectFile
from sqlinfer.project.validation import validate
from sqlinfer.project.yamlfile import YamlFile


def problem(shape: type[Any], **data: Any) -> str:
    with pytest.raises(ProjectError) as caught:
        validate(shape, YamlFile(None, "", data), data)
    return caught.value.message


def test_an_absent_key_has_its_default_and_a_given_one_its_value() -> None:
    made = ProjectFile.model_validate({"name": "shop", "seed-paths": "data"})
    assert (tuple(made.model_paths), made.seed_paths, made.target_path) == (("models",), ["data"], "target")


def test_defaults_belong_to_no_instance() -> None:
    ProjectFile.model_validate({"name": "a", "target-path": "out"})
    assert ProjectFile.model_validate({"name": "b"}).target_path == "target"


@pytest.mark.parametrize(
    ("given", "kept"), [("true", True), ("off", False), (1, True), (0.0, False), (True, True)],
)  # fmt: skip
def test_a_switch_takes_the_words_that_templates_give(given: object, kept: bool) -> None:
    assert ConfigKeys.model_validate({"enabled": given}).enabled is kept


@pytest.mark.parametrize(("given", "kept"), [(5, 5), ("5", "5"), (1.5, 1.5), (True, True)])
def test_of_several_kinds_the_one_that_fits_as_it_is_wins(given: object, kept: object) -> None:
    found = OnNullDefault.model_validate({"default": given}).default
    assert (type(found), found) == (type(kept), kept)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("alias", 3, "alias: input should be a valid string"),
        ("enabled", "perhaps", "enabled: input should be a valid boolean, unable to interpret input"),
        ("tags", 3, "tags: input should be a valid list"),
        ("tags", ["a", 3], "tags: input should be a valid string"),
        ("meta", "x", "meta: input should be a valid dictionary"),
        ("publish_timeout", "soon", "publish_timeout: input should be a valid number, unable to parse"),
        ("publish_timeout", -1, "publish_timeout: input should be greater than or equal to 0"),
        ("max_error_rate", float("nan"), "max_error_rate: input should be less than or equal to 1"),
        ("delimiter", "", "delimiter: string should have at least 1 character"),
        ("delimiter", "ab", "delimiter: string should have at most 1 character"),
        ("format", "xml", "format: 'xml' is not one of 'parquet', 'csv', 'json'"),
        ("contract", True, "contract: input should be a valid dictionary or instance of Contract"),
        ("nonsense", 1, "unknown key 'nonsense'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_place(key: str, value: object, message: str) -> None:
    assert problem(ConfigKeys, **{key: value}).startswith(message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ({"model": {"path": "a"}}, "'name' is missing"),
        ({"name": "f", "model": {"path": 1}}, "path: input should be a valid string"),
        ({"name": "f", "model": {"path": "a"}, "returns": {"index": 1.5}},
         "index: input should be a valid integer, got a number with a fractional part"),
    ],
)  # fmt: skip
def test_what_does_not_fit_deep_inside_is_named_too(function: dict[str, Any], message: str) -> None:
    assert problem(FunctionsFile, functions=[function]).startswith(message)


def test_a_number_out_of_range_is_among_the_problems() -> None:
    function = {"name": "f", "model": {"path": "a"}, "returns": {}, "config": {"batch_size": 0}}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        FunctionsFile.model_validate({"functions": [function]})
