"""The files that people write, and the pydantic model of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from sqlinfer.project import schema
from sqlinfer.project.function_schema import FunctionsFile


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    files: str
    """Where such a file lies."""
    model: type[BaseModel]


SECTIONS: Mapping[str, Section] = {
    "functions": Section("Functions", "functions/*.yml", FunctionsFile),
    "models": Section("Models, seeds and sources", "models/**/*.yml", schema.PropertiesFile),
    "config": Section(
        "Configuration of a model", "config() in SQL, config: in yml, +keys in sqlinfer_project.yml", schema.ConfigKeys
    ),
    "project": Section("Project", "sqlinfer_project.yml", schema.ProjectFile),
}
"""Name for ``sqlinfer schema`` → section."""


_LATER: Mapping[tuple[type[BaseModel], str], tuple[type[BaseModel], ...]] = {
    (schema.ProjectFile, "prices"): (schema.PricesProps,),
}
"""What a key holds that is checked once it is rendered."""


def known_models(model: type[BaseModel], found: dict[str, type[BaseModel]] | None = None) -> dict[str, type[BaseModel]]:
    """The model and all that its keys hold, by name of the class, in order."""
    found = {} if found is None else found
    if model.__name__ in found:
        return found
    found[model.__name__] = model
    for name, field in model.model_fields.items():
        for inner in (*_models_in(field.annotation), *_LATER.get((model, name), ())):
            known_models(inner, found)
    return found


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in getattr(annotation, "__args__", ()) for one in _models_in(part)]
