"""Names that several packages spell: relations and columns of ours in the SQL of users, plans and warehouses."""

from __future__ import annotations

from typing import Literal

from sqlinfer.relation import Relation

NAMESPACE = Relation("", "stage", "sqlinfer_side")
"""Where stages live unless a warehouse says otherwise (``Adapter.namespace``): DuckDB's side file."""

FILES = "sqlinfer_files"
"""Catalog of relations whose rows are files at a path or in a bucket: sources, and external models with versions."""

RUN_RECORDS, ERROR_RECORDS = "sqlinfer_runs", "sqlinfer_errors"
"""Tables beside the published ones."""
CHALLENGE_RECORDS, CHALLENGER = "sqlinfer_challenges", "__challenger"
"""The same for challengers; what the table that compares a node with its challenger is called after the node's name."""
LINEAGE = ("_sqlinfer_run_id", "_sqlinfer_scored_at", "_sqlinfer_functions")
"""Columns that ``lineage: true`` adds."""

OURS = "__sqlinfer"
"""How columns and relations begin that stand in no user's query."""
RESULT, ERROR = f"{OURS}_result", f"{OURS}_error"
"""Columns of a scored batch."""
ROW_ALIAS = "s"
"""What a row of a stage is called where its inputs are told apart."""
ROW = f"{OURS}_row"
"""Column of a stage: the row id in the table that the stage scans."""
SCORED_BY, SCORED_AT = f"{OURS}_run_id", f"{OURS}_scored_at"
"""Columns of a scored relation: which run scored the row, and when. Not there where a stage holds results itself."""


def error_column(position: int) -> str:
    """Of a scored batch: why scoring the row failed in the call of that position, NULL where it did not."""
    return f"{ERROR}_{position}"


def store_name(function: str, digest: str) -> str:
    """What a function's predictions are remembered under; a warehouse may have to shorten it."""
    return f"{function}@{digest[:16]}"


SERVED_AT, FUNCTION, STALE, SCORED_NOW = "_scored_at", "_function", "_stale", "_scored_now"
"""What a looked-up row has beside the columns of its table."""

NoteKind = Literal["pending", "scoring", "reference", "inputs", "target", "order"]
"""Of a workspace's notes: publications that wait, what is being scored, which node uses which store, which tables of
kept inputs a node has, whose store it is, which nodes' rows stand elsewhere every night."""


def result_name(side: str) -> str:
    """The relation with a node's staged result. ``side``: ``Owner.side``."""
    return f"{side}__result"


def stage_name(side: str, number: int) -> str:
    return f"{side}__s{number}"


def scored_name(side: str, number: int) -> str:
    """A stage with the results of its calls beside its rows."""
    return f"{stage_name(side, number)}_scored"


def output_columns(output: str, count: int) -> tuple[str, ...]:
    """The outputs of a struct where each has a column of its own in the scored relation. ``output``: of the call."""
    return tuple(f"{output}__{number}" for number in range(1, count + 1))


def todo_name(side: str) -> str:
    """Rows of a stage whose inputs the store lacks."""
    return f"{side}__todo"


def inputs_name(side: str, run_id: str) -> str:
    """What is kept of the inputs of a node's rows, as a run has scored them."""
    return f"inputs__{side}__{run_id}"


def input_runs_name(inputs: str) -> str:
    """The runs that such a table tells of."""
    return f"{inputs}__runs"


def seed_name(side: str) -> str:
    """The rows of a seed's file."""
    return f"{side}__seed"
