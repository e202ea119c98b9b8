"""The reference cannot drift: each key has a meaning and an example that loads; docs/reference.md is what is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from sqlinfer.adapters.duckdb import settings as duckdb_settings
from sqlinfer.adapters.postgres import settings as postgres_settings
from sqlinfer.adapters.spark import settings as spark_settings
from sqlinfer.cli.main import invoke
from sqlinfer.reference import SECTIONS, json_schema, page
from sqlinfer.reference.meanings import meanings
from sqlinfer.reference.profiles import PROFILE_KEYS
from sqlinfer.reference.sections import known_models

ROOT = Path(__file__).resolve().parents[2]
MODELS = {name: model for section in SECTIONS.values() for name, model in known_models(section.model).items()}


def keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


@pytest.mark.parametrize("name", MODELS)
def test_every_key_has_a_meaning_and_an_example_that_loads(name: str) -> None:
    model, known = MODELS[name], meanings()[name]
    assert sorted(known) == sorted(keys_of(model))
    needed = {
        field.alias or key: known[field.alias or key][1]
        for key, field in model.model_fields.items()
        if field.is_required()
    }
    for key, (meaning, example) in known.items():
        assert meaning
        text = "\n".join([example, *(other for one, other in needed.items() if one != key)])
        data = YAML(typ="safe").load(text)
        assert key in data
        model.model_validate(data)


def test_there_is_no_meaning_of_a_key_that_is_gone() -> None:
    assert set(meanings()) == set(MODELS)


def test_the_page_is_what_the_models_make_of_it() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == page(), "sqlinfer schema --page > docs/reference.md"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_schema_takes_what_loads_and_refuses_what_does_not(section: str) -> None:
    schema = json_schema(section)
    jsonschema.Draft202012Validator.check_schema(schema)
    file = ROOT / "src" / "sqlinfer" / "reference" / "schemas" / f"{section}.schema.json"
    assert json.loads(file.read_text()) == schema, f"sqlinfer schema {section} > {file.relative_to(ROOT)}"
    examples = [example for _, example in meanings()[SECTIONS[section].model.__name__].values()]
    needed = "name: x\n" if section == "project" else ""
    for example in examples:
        jsonschema.validate(
            YAML(typ="safe").load((needed if not example.startswith("name:") else "") + example), schema
        )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"functionz": []}, schema)


@pytest.mark.parametrize(
    "file",
    [
        one
        for one in sorted((ROOT / "example_project").rglob("*.yml"))
        if one.name not in ("profiles.yml", "selectors.yml")
    ],
    ids=lambda one: one.name,
)
def test_the_example_project_fits_its_schemas(file: Path) -> None:
    data = YAML(typ="safe").load(file.read_text())
    section = "project" if file.name == "sqlinfer_project.yml" else "functions" if "functions" in data else "models"
    jsonschema.validate(data, json_schema(section))


def test_profile_keys_are_those_of_the_adapters() -> None:
    known = set(duckdb_settings._KNOWN)
    assert set(PROFILE_KEYS["duckdb"]) == known
    own = {postgres_settings._SYNONYMS.get(key, key) for key in postgres_settings._KNOWN}
    assert set(PROFILE_KEYS["postgres"]) == own
    assert set(PROFILE_KEYS["spark"]) == set(spark_settings._KNOWN)


def test_the_command_prints_schema_and_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["schema", "functions"]) == 0
    assert '"$schema"' in capsys.readouterr().out
    assert invoke(["schema", "--page"]) == 0
    assert capsys.readouterr().out == page()


def test_the_page_names_no_key_twice_in_a_table() -> None:
    for table in re.split(r"\n##+ ", page()):
        keys = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
        assert len(keys) == len(set(keys))
