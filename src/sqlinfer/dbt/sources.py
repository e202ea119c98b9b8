"""``sqlinfer dbt sources``: what a sqlinfer project publishes, as a dbt source with freshness."""

from __future__ import annotations

import io
from collections import defaultdict
from typing import Any

from sqlinfer.project import Node, Project
from sqlinfer.spec.names import RUN_RECORDS

_HEAD = """# Written by `sqlinfer dbt sources`. loaded_at_query needs dbt 1.10 or newer.
"""


def sources_yml(project: Project, name: str = "sqlinfer", *, warn_hours: int = 24, error_hours: int = 48) -> str:
    """One source per schema. Freshness is read from the run record, which every publication writes."""
    places: dict[tuple[str | None, str | None], list[Node]] = defaultdict(list)
    for node in project.nodes.values():
        if node.resource_type == "model" and node.config.materialized in ("table", "incremental", "view"):
            places[(node.relation.catalog, node.relation.schema)].append(node)
    several = len({schema for _, schema in places}) > 1
    sources = [
        {
            "name": f"{name}_{schema}" if several else name,
            **({"database": catalog} if catalog else {}),
            "schema": schema,
            "description": f"Published by the sqlinfer project {project.name}.",
            "tables": [_table(node, warn_hours, error_hours) for node in sorted(nodes, key=lambda node: node.name)],
        }
        for (catalog, schema), nodes in sorted(places.items(), key=lambda item: str(item[0]))
    ]
    return _HEAD + dump({"version": 2, "sources": sources})


def _table(node: Node, warn_hours: int, error_hours: int) -> dict[str, Any]:
    table: dict[str, Any] = {"name": node.relation.name}
    if node.description:
        table["description"] = node.description
    columns = [
        {
            "name": column.name,
            **({"description": column.description} if column.description else {}),
            **({"data_type": column.data_type} if column.data_type else {}),
        }
        for column in node.columns
    ]
    if columns:
        table["columns"] = columns
    if node.config.materialized == "view":
        return table
    runs = ".".join(f'"{part}"' for part in (node.relation.catalog, node.relation.schema, RUN_RECORDS) if part)
    record = f"{runs} where node = '{node.unique_id}' and status = 'success'"
    table["config"] = {
        "loaded_at_query": f"select max(finished_at) from {record}",
        "freshness": {
            "warn_after": {"count": warn_hours, "period": "hour"},
            "error_after": {"count": error_hours, "period": "hour"},
        },
    }
    if node.functions:
        table["config"]["meta"] = {"sqlinfer": {"functions": list(node.functions)}}
    return table


def dump(content: Any) -> str:
    """YAML in the order given."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()
