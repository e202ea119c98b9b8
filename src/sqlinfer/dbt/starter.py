"""A model of a dbt project → a starter that runs: a function whose arguments fit its columns, and a prediction node.

Nothing is trained or fitted: the function is a fixed formula, to be replaced by the user's own model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.adapters.registry import open_adapter
from sqlinfer.dbt.command import dbt_for
from sqlinfer.dbt.home import DbtHome
from sqlinfer.dbt.manifest import Manifest, is_prediction, read_manifest, relation_of
from sqlinfer.dbt.project import home_of, profile_of
from sqlinfer.errors import SqlinferError, UsageError, did_you_mean
from sqlinfer.jobs.options import RunOptions
from sqlinfer.spec.catalog import Column

if TYPE_CHECKING:
    from sqlinfer.adapters.base import Adapter, ShadowDatabase

_NUMBER = re.compile(r"^(u?(tiny|small|big|huge)?int|integer|float|double|real|decimal|numeric)", re.I)
_WHOLE = re.compile(r"^u?(tiny|small|big)?int|^integer", re.I)
_KEY = re.compile(r"(^|_)(id|key|uuid|pk)$", re.I)
_NAME = re.compile(r"^[a-z_][a-z0-9_]*$", re.I)
_STAGING = re.compile(r"^(stg|raw|base|int)_|(^|/)(staging|raw|base|intermediate)/", re.I)
_RESERVED = frozenset((
    "all", "and", "any", "array", "as", "asc", "both", "case", "cast", "check", "column", "constraint", "create",
    "default", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for", "from", "grant", "group",
    "having", "in", "into", "lateral", "leading", "limit", "not", "null", "offset", "on", "only", "or", "order",
    "primary", "references", "select", "some", "table", "then", "to", "true", "union", "unique", "using", "when",
    "where", "window", "with",
))  # fmt: skip
_MOST = 3
"""Arguments of the starter."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that the starter scores."""

    name: str
    folder: Path
    columns: tuple[Column, ...]
    unique: str | None = None
    """A column with a ``unique`` test."""

    @property
    def key(self) -> Column | None:
        """What tells its rows: the tested column, else the first that is named as a key."""
        tested = next((one for one in self.columns if one.name == self.unique), None)
        return tested or next((one for one in self.columns if _KEY.search(one.name)), None)

    @property
    def numbers(self) -> tuple[Column, ...]:
        found = (one for one in self.columns if _NUMBER.match(one.data_type) and _NAME.match(one.name))
        return tuple(one for one in found if not _KEY.search(one.name) and one != self.key)

    @property
    def arguments(self) -> dict[str, tuple[str, str]]:
        """Argument → its type and the SQL that feeds it; of a model without numbers, the length of a text."""
        chosen = self.numbers[:_MOST]
        if chosen:
            return {
                _argument(one.name): ("bigint" if _WHOLE.match(one.data_type) else "double", _quoted(one.name))
                for one in chosen
            }
        text = self.key or self.columns[0]
        return {"length": ("bigint", f"length(cast({_quoted(text.name)} as varchar))")}


def find_subject(options: RunOptions, name: str | None) -> Subject:
    """The model of that name, else the one that a score would most likely be wanted for.

    Raises:
        UsageError: no such model, or the columns of none can be found.
    """
    home = home_of(options, os.environ)
    manifest, failure = _manifest(home, options)
    models = {key: one for key, one in manifest.nodes.items() if _may_be_scored(one, home)}
    if name is not None:
        models = {key: one for key, one in models.items() if one["name"] == name}
        if not models:
            names = [one["name"] for one in manifest.nodes.values() if _may_be_scored(one, home)]
            raise UsageError(f"no model is named '{name}'", hint=did_you_mean(name, names))
    columns = _columns(home, options, manifest)
    found = [_subject(home, manifest, key, columns[key]) for key in models if columns.get(key)]
    if not found:
        what = f"'{name}'" if name else "any model"
        why = f": {failure.message.strip()}" if failure else ""
        raise UsageError(f"the columns of {what} cannot be found{why}", hint="build it first: `dbt build`, then again")
    return max(found, key=lambda one: (_rank(one), one.name))


def _manifest(home: DbtHome, options: RunOptions) -> tuple[Manifest, SqlinferError | None]:
    """What dbt compiles now; else what it parses, or has compiled before, which does for tables that exist, and why."""
    folder = home.private / "dbt"
    failure: SqlinferError | None = None
    for command in ("compile", "parse"):
        try:
            dbt_for(options, os.environ).ask(command, "--no-partial-parse", target_path=folder)
            return read_manifest(folder / "manifest.json"), failure
        except SqlinferError as error:
            failure = failure or error
    with suppress(SqlinferError):
        return read_manifest(home.target_path / "manifest.json"), failure
    assert failure is not None
    raise failure


def _may_be_scored(node: Mapping[str, Any], home: DbtHome) -> bool:
    own = node.get("resource_type") == "model" and node.get("package_name") == home.name
    return own and not is_prediction(node) and "predict(" not in str(node.get("raw_code"))


def _subject(home: DbtHome, manifest: Manifest, key: str, columns: tuple[Column, ...]) -> Subject:
    node = manifest.nodes[key]
    tested = (one for one in manifest.nodes.values() if one.get("attached_node") == key)
    unique = (t.get("column_name") for t in tested if (t.get("test_metadata") or {}).get("name") == "unique")
    folder = (home.root.absolute() / str(node["original_file_path"])).parent
    return Subject(str(node["name"]), folder, columns, next((str(c) for c in unique if c), None))


def _rank(one: Subject) -> tuple[bool, ...]:
    path = f"{one.folder.as_posix()}/{one.name}"
    return (
        bool(one.numbers),
        not _STAGING.search(one.name) and not _STAGING.search(path),
        one.unique is not None,
        len(one.numbers) >= _MOST - 1,
        one.name == "customers" or one.name.endswith("_customers"),
        one.key is not None,
    )


def _columns(home: DbtHome, options: RunOptions, manifest: Manifest) -> dict[str, tuple[Column, ...]]:
    """Columns as the warehouse has them, else as it would have them once it is built."""
    profile = profile_of(home, options)
    adapter = open_adapter(profile.type, dict(profile.config), home.root)
    nodes = {key: one for key, one in manifest.nodes.items() if one.get("resource_type") in ("model", "seed")}
    found: dict[str, tuple[Column, ...]] = {}
    relations = {key: relation_of(one) for key, one in (*nodes.items(), *manifest.sources.items())}
    with suppress(SqlinferError):  # a warehouse that is not there yet
        built = adapter.columns(relations.values())
        found = {key: built[relation] for key, relation in relations.items() if built.get(relation)}
        if nodes.keys() <= found.keys():
            return found
    with adapter.shadow() as shadow:
        for key, columns in found.items():
            shadow.add_table(relations[key], columns)
        for key in _in_order(nodes, manifest):
            with suppress(SqlinferError):  # a model that dbt did not compile, a source that is not there
                node = nodes[key]
                if key not in found:
                    found[key] = _foreseen(home, adapter, shadow, node)
                    shadow.add_table(relations[key], found[key])
    return found


def _foreseen(
    home: DbtHome, adapter: Adapter, shadow: ShadowDatabase, node: Mapping[str, Any]
) -> tuple[Column, ...]:  # fmt: skip
    """Columns of a seed's file, or of a compiled model over what is known already."""
    if node["resource_type"] == "seed":
        path = str(home.root / node["original_file_path"]).replace("'", "''")
        return adapter.describe(f"select * from read_csv('{path}')")
    compiled = node.get("compiled_code")
    if not compiled:
        raise UsageError(f"dbt has not compiled '{node['name']}'")
    return shadow.describe(str(compiled))


def _in_order(nodes: Mapping[str, Mapping[str, Any]], manifest: Manifest) -> Sequence[str]:
    done: dict[str, None] = {}

    def visit(keys: Iterable[str]) -> None:
        for key in keys:
            if key in nodes and key not in done:
                visit(manifest.parents(key))
                done[key] = None

    visit(sorted(nodes))
    return list(done)


def write_starter(subject: Subject, root: Path) -> list[str]:
    """The function in ``ml/`` and the node beside the model. What was done, in words."""
    ml = root / "ml"
    function = f"{subject.name}_score"
    node = subject.folder / f"{subject.name}_scores.sql"
    ml.mkdir(exist_ok=True)
    (ml / f"{function}.yml").write_text(function_yml(subject, function), encoding="utf-8")
    (ml / f"{function}.onnx").write_bytes(formula(len(subject.arguments)))
    done = [
        f"ml/{function}.yml, ml/{function}.onnx: a function of {', '.join(subject.arguments)}; put your model there"
    ]
    shown = node.relative_to(root).as_posix()
    if node.exists():
        return [*done, f"{shown}: is there already, left as it is"]
    node.write_text(node_sql(subject, function), encoding="utf-8")
    return [*done, f"{shown}: a prediction for each row of {subject.name}"]


def function_yml(subject: Subject, function: str) -> str:
    arguments = "".join(
        f"      - {{name: {name}, data_type: {data_type}, on_null: {{default: 0}}}}\n"
        for name, (data_type, _) in subject.arguments.items()
    )
    return f"""functions:
  - name: {function}
    description: A fixed formula, to see it run. Put your own model here.
    model: {{path: {function}.onnx}}
    arguments:
{arguments}    returns: {{data_type: double, activation: sigmoid}}
    config:
      reuse: true    # remember predictions: the next run scores only what changed
"""


def node_sql(subject: Subject, function: str) -> str:
    called = ", ".join(f"{name}={_jinja(sql)}" for name, (_, sql) in subject.arguments.items())
    key = f"{_quoted(subject.key.name)},\n       " if subject.key else ""
    return f"""{{{{ config(materialized='prediction') }}}}

select {key}{{{{ sqlinfer.predict('{function}', {called}) }}}} as {function}
from {{{{ ref('{subject.name}') }}}}
"""


def _argument(column: str) -> str:
    return f"{column}_value" if column.lower() in _RESERVED else column


def _quoted(name: str) -> str:
    return name if _NAME.match(name) and name.lower() not in _RESERVED else '"' + name.replace('"', '""') + '"'


def _jinja(sql: str) -> str:
    return "'" + sql.replace("\\", "\\\\").replace("'", "\\'") + "'"


def formula(width: int) -> bytes:
    """``[N, width]`` → ``[N]``: the mean of x / (1 + |x|), which tells rows apart whatever the scale of a column."""
    from onnx import TensorProto, helper

    def value(name: str, shape: Sequence[str | int]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)

    one = helper.make_tensor("one", TensorProto.DOUBLE, [], [1.0])
    share = helper.make_tensor("share", TensorProto.DOUBLE, [width, 1], [1.0 / width] * width)
    flat = helper.make_tensor("flat", TensorProto.INT64, [1], [-1])
    nodes = [
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("Add", ["size", "one"], ["above"]),
        helper.make_node("Div", ["features", "above"], ["soft"]),
        helper.make_node("MatMul", ["soft", "share"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes, "starter", [value("features", ["N", width])], [value("score", ["N"])], [one, share, flat]
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content
