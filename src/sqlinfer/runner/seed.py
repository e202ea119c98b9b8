"""CSV file → table, through Arrow, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.errors import Location, ProjectError, SqlinferError, did_you_mean
from sqlinfer.project import Node
from sqlinfer.runner import publication
from sqlinfer.runner.environment import RunEnvironment
from sqlinfer.runner.hooks import run_by_themselves
from sqlinfer.runner.node import materialization
from sqlinfer.runner.publication import Publication
from sqlinfer.spec.events import NodeFinished, NodeStarted
from sqlinfer.spec.names import seed_name
from sqlinfer.spec.plan import Owner
from sqlinfer.spec.results import NodeResult, Timing

if TYPE_CHECKING:
    import pyarrow as pa


def seed(node: Node, env: RunEnvironment, hooks: Hooks = NONE) -> NodeResult:
    """Load one seed. A failure is in the result."""
    env.emit(NodeStarted(node.unique_id, str(node.relation), "seed file"))
    started_at, began, rows = env.now(), perf_counter(), None
    error: SqlinferError | None = None
    work, owner = env.workspace, Owner(node.name, node.unique_id)
    try:
        table = read_csv(node)
        how = materialization(None, node, env, is_slice=False)
        work.check_place(how)
        run_by_themselves(work, hooks.before, node.name, env.publish_timeout, "nothing was loaded", node.relation)
        staged = work.load(seed_name(owner.side), table, _types(table.column_names, node))
        wanted = Publication(
            node.unique_id, node.name, env.run_id, how,
            staged.query(work.dialect), started_at, hooks=hooks,
        )  # fmt: skip
        rows = publication.publish(env, wanted, env.publish_timeout).rows
        work.clear(owner)
        publication.finish(env, wanted, env.publish_timeout)
    except SqlinferError as failure:
        error = failure
    result = NodeResult(
        node.unique_id, "error" if error else "success", node.relation.sql(), rows,
        message=error.message if error else "OK", execution_time=perf_counter() - began,
        timing=(Timing("execute", started_at, env.now()),), error=error,
    )  # fmt: skip
    env.emit(NodeFinished(result))
    return result


def _types(names: Sequence[str], node: Node) -> Mapping[str, str]:
    """Column of the file → declared type."""
    declared = {key.casefold(): value for key, value in node.config.column_types.items()}
    return {name: declared[name.casefold()] for name in names if name.casefold() in declared}


def read_csv(node: Node) -> pa.Table:
    """Columns with a declared type are read as text (the warehouse casts them), the others are inferred.

    Raises:
        ProjectError: the file is not a CSV file.
    """
    import pyarrow as pa
    from pyarrow import csv

    declared = {key.casefold() for key in node.config.column_types}
    if node.path.read_bytes().count(b'"') % 2:
        raise ProjectError(f"seed {node.path.name} cannot be read: a quote is not closed", location=Location(node.path))
    parse = csv.ParseOptions(delimiter=node.config.delimiter, newlines_in_values=True)
    try:
        with csv.open_csv(node.path, parse_options=parse) as head:
            names = head.schema.names
        _check_names(node, names)
        texts = {name: pa.string() for name in names if name.casefold() in declared}
        convert = csv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=["", "NULL", "null"])
        table = csv.read_csv(node.path, parse_options=parse, convert_options=convert)
    except (pa.ArrowInvalid, OSError) as error:
        raise ProjectError(f"seed {node.path.name} cannot be read: {error}", location=Location(node.path)) from error
    binary = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if binary:
        raise ProjectError(f"seed {node.path.name}: column '{binary[0]}' is not UTF-8", hint="save the file as UTF-8",
                           location=Location(node.path))  # fmt: skip
    return table


def _check_names(node: Node, names: Sequence[str]) -> None:
    folded = [name.casefold() for name in names]
    twice = next((name for name in names if folded.count(name.casefold()) > 1), None)
    if twice is not None:
        raise ProjectError(f"seed {node.path.name}: column '{twice}' is there twice", location=Location(node.path, 1))
    for name in node.config.column_types:
        if name.casefold() not in folded:
            raise ProjectError(f"seed {node.path.name} has no column '{name}', which column_types names",
                               hint=did_you_mean(name, names), location=Location(node.path, 1))  # fmt: skip
