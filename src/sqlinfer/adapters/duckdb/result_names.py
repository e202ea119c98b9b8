"""What DuckDB would call the columns of a query that have no alias, from the text alone: nothing is bound.

DuckDB names such a column by printing its expression, which ``json_deserialize_sql`` does for a parsed one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ResultNames = Mapping[int, tuple[tuple[int, tuple[str | None, ...]], ...]]
_ANCHORS = ("COLUMN_REF", "FUNCTION")
_SELECT = "SELECT "


def result_names(connection: DuckDBPyConnection, sql: str) -> ResultNames:
    """Offset of a column or function in the text → for each SELECT list around it, innermost first, its place in the
    list and the names of the whole list; None stands for a column that has an alias.

    Empty where DuckDB gives no tree (a PIVOT that must look up its values,
    or SQL that it does not parse).
    """
    import duckdb

    with suppress(duckdb.Error, RecursionError, ValueError):
        tree, template = (_tree(connection, text) for text in (sql, "SELECT 1"))
        anchored = list(_anchored(tree, ()))
        lists = {id(items): items for _, around in anchored for _, items in around}
        unnamed = [item for items in lists.values() for item in items if _unnamed(item)]
        printed = dict(zip(map(id, unnamed), _printed(connection, unnamed, template), strict=True))
        names = {key: tuple(printed.get(id(item)) for item in items) for key, items in lists.items()}
        place = _characters(sql)
        return {
            place[at]: tuple((i, names[id(items)]) for i, items in around) for at, around in anchored if at in place
        }
    return {}


def _tree(connection: DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise ValueError(tree.get("error_message"))
    return tree


def _anchored(tree: Any, around: tuple[Any, ...]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    stack = [(tree, around)]
    while stack:
        node, around = stack.pop()
        if isinstance(node, list):
            stack += [(child, around) for child in node]
        elif isinstance(node, dict):
            if around and node.get("class") in _ANCHORS:
                yield node["query_location"], around
            for key, child in node.items():
                if key == "select_list":
                    stack += [(item, ((number, child), *around)) for number, item in enumerate(child)]
                elif isinstance(child, (dict, list)):
                    stack.append((child, around))


def _unnamed(item: Any) -> bool:
    return not item.get("alias") and item.get("class") != "STAR"


def _printed(connection: DuckDBPyConnection, items: list[Any], template: Any) -> list[str]:
    texts = []
    for item in (item for item in items if item["class"] != "COLUMN_REF"):
        template["statements"][0]["node"]["select_list"] = [item]
        texts.append(json.dumps(template))
    rows = connection.execute("SELECT json_deserialize_sql(t::JSON) FROM (SELECT unnest(?::VARCHAR[]) AS t)", [texts])
    printed = iter([row[0].removeprefix(_SELECT) for row in rows.fetchall()])
    # A keyword such as current_date is a column to the parser.
    return [item["column_names"][-1] if item["class"] == "COLUMN_REF" else next(printed) for item in items]


def _characters(sql: str) -> Mapping[int, int]:
    """Offset in bytes, which DuckDB counts → offset in characters."""
    if sql.isascii():
        return {i: i for i in range(len(sql))}
    found, at = {}, 0
    for number, character in enumerate(sql):
        found[at] = number
        at += len(character.encode())
    return found
