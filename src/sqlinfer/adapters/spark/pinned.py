"""What ``pin`` and ``find`` hand out: a stage and what is known of its calls, and what is to be scored of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

from sqlinfer.adapters.base import PinOptions
from sqlinfer.adapters.shared.groups import AT_ONCE
from sqlinfer.adapters.spark.adoption import Adoption
from sqlinfer.adapters.spark.store import SparkStore
from sqlinfer.relation import Relation
from sqlinfer.spec.plan import Call, Owner, Stage

FILE_ROWS = 65_536
"""Of a file of what is to be scored: the least that a task takes."""


def cut_files(options: PinOptions) -> dict[str, str]:
    """Settings under which files are written that a task scores one of."""
    return {"spark.sql.files.maxRecordsPerFile": str(min(FILE_ROWS, options.chunk_rows or FILE_ROWS))}


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of a stage with what the store had of them before anything was scored."""

    relation: Relation
    columns: tuple[str, ...]
    """Of the scored relation."""
    counts: Mapping[str, int]
    """``beside``'s metrics."""

    @property
    def lacking(self) -> int:
        """Inputs that the store lacked, each as often as rows have it."""
        sums = {kind: sum(n for one, n in self.counts.items() if one.startswith(kind)) for kind in ("wanted", "found")}
        return sums["wanted"] - sums["found"]


@dataclass(slots=True)
class SparkPinned:
    """A stage: a table of this run, or a query that is read while it is scored."""

    stage: Stage
    owner: Owner
    options: PinOptions
    rows: int | None
    """None: not read yet."""
    source: Relation | None
    """The stage with the results of the streams that were scored so far. None: not read yet."""
    adoption: Adoption | None = None
    """How the rows are written where they are published. None: they are copied there."""
    failed: dict[str, int] = field(default_factory=dict)
    """Output of a stream → rows that have an error."""
    compared: Compared | None = None
    """Where the store was asked before anything was scored."""
    done: set[str] = field(default_factory=set)
    """Output columns of the calls that were looked up."""

    @property
    def groups(self) -> tuple[tuple[Call, ...], ...]:
        """Streams first: each pass hands on all that later ones need."""
        streams = [call for call in self.stage.calls if call.strategy == "stream"]
        stored = sorted((call for call in self.stage.calls if call.strategy == "store"), key=lambda call: call.digest)
        most = AT_ONCE["stream"]
        parts = [tuple(streams[i : i + most]) for i in range(0, len(streams), most)]
        return (*parts, *(tuple(same) for _, same in groupby(stored, key=lambda call: call.digest)))

    def number(self, calls: tuple[Call, ...]) -> int:
        return self.groups.index(calls)


@dataclass(frozen=True, slots=True)
class SparkTodo:
    pinned: SparkPinned
    calls: tuple[Call, ...]
    wanted: int | None
    progress: int = 0
    source: Relation | None = None
    """A table of inputs, or the stage where each of its rows is one; None: a stream."""
    columns: tuple[str, ...] = ()
    """SQL of the key and the arguments over its rows. Empty: they are its columns."""
    store: SparkStore | None = None
    inputs: int | None = None
    """Rows that could be scored at most."""
    group: int = 0
