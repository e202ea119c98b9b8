"""What differs between warehouses in the SQL that is emitted: one file a warehouse, and this list."""

from __future__ import annotations

from sqlinfer.compiler.forms.base import Form
from sqlinfer.compiler.forms.duckdb import DuckDBForm
from sqlinfer.compiler.forms.postgres import PostgresForm
from sqlinfer.compiler.forms.spark import SparkForm
from sqlinfer.spec.catalog import Catalog

FORMS: dict[str, type[Form]] = {"duckdb": DuckDBForm, "postgres": PostgresForm, "spark": SparkForm}


def form_of(catalog: Catalog) -> Form:
    """Of the catalog's dialect; one that no file knows has the common form."""
    return FORMS.get(catalog.dialect, Form)(catalog.dialect, catalog.version)


DUCKDB: Form = DuckDBForm("duckdb")

__all__ = ["DUCKDB", "FORMS", "Form", "form_of"]
