"""The plan of one node: data that ``compile`` prints, ``preview`` runs with a limit and ``run`` runs.

A node without predict() has no stages; its ``result`` is its own SQL. Otherwise the steps run in order:

``Stage``   materialises a relation once, so that the input of the run is pinned. Its SQL reads the warehouse, earlier
            stages and earlier scored relations. Each of its ``calls`` is then scored, which makes the relation
            ``scored``: every column of the stage in ``columns`` plus one column ``Call.output`` for each call.
            A stage without calls is a pinned, predict-free part of the query.
``Result``  the rest of the query. Beside stages and scored relations it reads the warehouse only
            where ``reads`` says so.

The convention between a stage and a session: **a row with a NULL in any of a call's argument columns is not scored and
its output is NULL.** Guards, ``on_null`` and ``on_cast_error`` are compiled into the argument columns and ``status``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.relation import Relation, side_name
from sqlinfer.spec.function import Strategy

SKIPPED = "skipped"
"""Status: SQL would not have evaluated the call for this row (a guard is false)."""
NULL_INPUT = "null_input"
"""Status: an argument is NULL and its policy is ``null``."""
CAST_ERROR = "cast_error"
"""Status prefix, ``cast_error:<argument>``: the value does not fit the declared type. An error row."""
NULL_ERROR = "null_error"
"""Status prefix, ``null_error:<argument>``: NULL where the policy is ``error``. An error row."""


@dataclass(frozen=True, slots=True)
class Call:
    """One distinct predict() call of a stage."""

    function: str
    digest: str
    strategy: Strategy
    arguments: tuple[str, ...]
    """Columns of the stage with the cast arguments, in the contract's order (they may be passthrough columns too)."""
    output: str
    """The column that holds the result in the scored relation: a scalar, or a struct where the contract says so (see
    ``columns``)."""
    key: str | None
    """Column of the stage with the input key (UHUGEINT), NULL where not to be scored. None for streams."""
    status: str | None
    """Column of the stage (VARCHAR), NULL where the row is to be scored, else a status above. None: derive it, every
    row with a NULL argument is ``null_input``."""
    sql: str
    """The call as it reads in the query, for explain."""
    guards: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Of the scored relation, one for each output of the contract, where the warehouse keeps a struct as columns of
    their own. Empty: ``output`` holds the result."""
    identity: str = ""
    """SQL that tells the call's inputs apart, over a row of its stage called ``names.ROW_ALIAS``: the key, or what it
    would be of a stream; NULL where the row is not scored."""


@dataclass(frozen=True, slots=True)
class PlanReads:
    """What a piece of a plan's SQL reads."""

    stages: frozenset[str] = frozenset()
    """Names of stages and scored relations."""
    warehouse: bool = True
    relations: tuple[str, ...] = ()
    """What of the warehouse is read, for people, in the order of the SQL; empty where the parser does not know it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A query that reads one table, with filters and projections alone."""

    table: Relation
    columns: int | None
    """An upper bound of how many are read, None where that is not sure."""
    by_row: str = ""
    """The same SQL with one column more, ``names.ROW``: the id that the warehouse gives the row. Empty: there is
    none."""


@dataclass(frozen=True, slots=True)
class PassedRows:
    """A result whose rows are rows of one scored relation, which knows the run that scored each."""

    scored: str
    """The name of that relation."""
    sql: str
    """The result's SQL with two columns more at its end, those of ``names.SCORED_BY`` and ``SCORED_AT``."""
    scored_by: str
    """What the two are called in ``sql``."""
    scored_at: str


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    relation: Relation
    scored: Relation | None
    """None where there are no calls."""
    sql: str
    columns: tuple[str, ...]
    """Columns that the rest of the query needs; the scored relation has these and the outputs."""
    calls: tuple[Call, ...] = ()
    pushed: tuple[str, ...] = ()
    """What was applied below the model, one readable line each."""
    reproducible: bool = False
    """Whether reading the SQL twice from unchanged native tables is sure to give the same rows."""
    untyped: str = ""
    """A query for the arguments whose type only the warehouse knows, named ``<output>.<argument>``; empty: none."""
    reads: PlanReads = PlanReads()
    scan: Scan | None = None
    """None: the SQL does more than scan one table."""


@dataclass(frozen=True, slots=True)
class Result:
    sql: str
    columns: tuple[str, ...] = ()
    reads: PlanReads = PlanReads(warehouse=False)
    scan: Scan | None = None
    passes_rows_of: PassedRows | None = None
    """None: no scored relation, or rows are no longer those of one (groups, set operations, streams)."""
    origins: tuple[tuple[str, str], ...] = ()
    """Columns that are handed on as they are: name in the result, name in the stage or scored relation."""
    predictions: tuple[str, ...] = ()
    """Columns that hold predictions, or values made of them, in the order of the query. A prediction that only filters
    rows is in none."""
    sees_others: str = ""
    """What makes a row depend on others than those that have its key, such as LIMIT; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The node that relations of the side catalog and error records belong to."""

    name: str
    unique_id: str = ""
    """Empty for SQL that stands in no file."""
    called: str = ""
    """What its relations are called, where that does not follow from the others."""

    @property
    def key(self) -> str:
        return self.unique_id or self.name

    @property
    def side(self) -> str:
        """What its relations are called in the side catalog: two nodes of one name do not meet there."""
        return self.called or (side_name(self.unique_id) if self.unique_id else self.name)


@dataclass(frozen=True, slots=True)
class Plan:
    node: str
    dialect: str
    sql: str
    """The rendered query that was planned."""
    stages: tuple[Stage, ...]
    result: Result
    rules: tuple[str, ...] = ()
    """Names of the rewrite rules that changed the query, in order."""
    unique_id: str = ""

    @property
    def owner(self) -> Owner:
        return Owner(self.node, self.unique_id)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(call for stage in self.stages for call in stage.calls)

    @property
    def relations(self) -> tuple[str, ...]:
        """Relations of the warehouse that a plan with stages names, for people."""
        every = [*(stage.reads for stage in self.stages), self.result.reads]
        return tuple(dict.fromkeys(name for reads in every for name in reads.relations))

    def reads_again(self, stage: Stage) -> bool:
        """Whether the rest of the plan reads the stage itself, not only its scored relation."""
        others = [other.reads for other in self.stages if other is not stage] + [self.result.reads]
        return any(stage.relation.name in reads.stages for reads in others)

    @property
    def early(self) -> tuple[Stage, ...]:
        """Stages that depend on no scored relation: one snapshot of the warehouse holds for all of them."""
        late: set[str] = set()
        found = []
        for stage in self.stages:
            if stage.reads.stages & late:
                late |= {stage.relation.name}
            else:
                found.append(stage)
            late |= {stage.scored.name} if stage.scored else set()
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Counts:
    """Reconciles for each node: ``inputs = scored + reused + null_inputs + errors`` (skipped rows are not inputs)."""

    inputs: int = 0
    scored: int = 0
    """Distinct inputs that went through the session and got a valid result (stream: rows)."""
    reused: int = 0
    null_inputs: int = 0
    errors: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.inputs + other.inputs,
            self.scored + other.scored,
            self.reused + other.reused,
            self.null_inputs + other.null_inputs,
            self.errors + other.errors,
        )
