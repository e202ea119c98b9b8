"""What yml files may hold, for people and editors: made from the pydantic models that load them.

``SECTIONS`` names the files, ``json_schema`` gives editors a schema, ``page`` gives people docs/reference.md.
"""

from __future__ import annotations

from sqlinfer.reference.json_schema import json_schema
from sqlinfer.reference.page import page
from sqlinfer.reference.sections import SECTIONS

__all__ = ["SECTIONS", "json_schema", "page"]
