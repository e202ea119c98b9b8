"""Before an hour of scoring: whatever is sure to make the publication fail, found without a row."""

from __future__ import annotations

import re
from pathlib import Path

from sqlinfer import storage
from sqlinfer.adapters.base import Materialization
from sqlinfer.adapters.schema_change import refuse_missing_predictions
from sqlinfer.compiler.plan.lineage import LINEAGE_COLUMNS
from sqlinfer.errors import Location, NoPlaceForPredictions
from sqlinfer.project import Node
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.external import arriving, check_file, location
from sqlinfer.runner.versions import Layout, before, check_partitions, check_schema, with_layout
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.events import Warned
from sqlinfer.spec.names import ERROR_RECORDS, RUN_RECORDS
from sqlinfer.spec.plan import Plan


def preflight(
    plan: Plan,
    node: Node,
    env: RunEnvironment,
    how: Materialization,
    columns: tuple[Column, ...],
    published: tuple[Column, ...] | None,
) -> None:
    """Publishing looks again. ``columns``: of the query; ``published``: of the table that is there, where known."""
    if published is not None and how.merges:
        _refuse_missing(how, published, node)
        _warn_of_append(node, how, env)
    if node.config.materialized == "external":
        _check_external(node, env, columns)
    work = env.workspace
    work.check_place(how)
    if plan.stages and columns:
        added = LINEAGE_COLUMNS if node.config.lineage else ()
        with work.warehouse(brief=True):
            work.check_target(how, (*columns, *added), (RUN_RECORDS, ERROR_RECORDS))


def _refuse_missing(how: Materialization, published: tuple[Column, ...], node: Node) -> None:
    try:
        refuse_missing_predictions(how, published)
    except NoPlaceForPredictions as error:
        name = error.columns[0]
        found = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", node.raw_sql, re.IGNORECASE))
        at = Location.in_source(node.raw_sql, *found[-1].span(), path=node.path) if found else Location(node.path)
        raise error.at(at) from None


def _warn_of_append(node: Node, how: Materialization, env: RunEnvironment) -> None:
    if not how.unique_key and not how.is_slice and how.strategy != "append":
        env.emit(
            Warned(
                node.unique_id,
                "has no unique_key: every run adds all rows of the query again, as in dbt; set unique_key, "
                "on_missing='delete' to replace the table, or incremental_strategy='append' if this is meant",
            )
        )


def _check_external(node: Node, env: RunEnvironment, columns: tuple[Column, ...]) -> None:
    target, layout = location(node, env.root), with_layout(node, full_refresh=env.full_refresh)
    if layout is not None:
        check_partitions(layout, [column.name for column in columns])
        before(storage.at(target.rstrip("/"), env.access), layout)
    else:
        check_file(Path(target))
        env.may_write(target, folder=False)
    schema = arriving(env.workspace, columns) if columns else None
    if schema is not None:
        check_schema(schema, layout or Layout(), {column.name: column.data_type for column in columns})
