"""Names in DuckDB's SQL that only this package writes: the side file and its schemas, the database in memory."""

from __future__ import annotations

from sqlinfer.spec.names import NAMESPACE

SIDE = str(NAMESPACE.catalog)
"""Catalog of the side file in every SQL text."""
STAGE, STORE, ERRORS, META = str(NAMESPACE.schema), "store", "errors", "meta"
"""Schemas of the side file."""
SCRATCH = "memory"
"""Catalog of a database in memory, spilled to a temporary folder when it grows, gone with the process."""
