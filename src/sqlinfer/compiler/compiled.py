"""What compiling a node gives. Data, kept from one run to the next (``plan_memory``)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.compiler.template.hooked import NONE, Hooks
from sqlinfer.compiler.template.rendered import RenderedNode
from sqlinfer.spec.catalog import Column
from sqlinfer.spec.lineage import ColumnLineage
from sqlinfer.spec.plan import Plan


@dataclass(frozen=True, slots=True)
class CompiledNode:
    plan: Plan
    rendered: RenderedNode
    columns: tuple[Column, ...]
    """Names and types of the result, as the warehouse gives them."""
    unique_key: tuple[str, ...] = ()
    """As the result spells its columns."""
    published: tuple[Column, ...] | None = None
    """Columns of the table that is there already; None where there is none."""
    hooks: Hooks = NONE
    lineage: tuple[ColumnLineage, ...] = ()
    """Of a plan that scores."""

    @property
    def is_slice(self) -> bool:
        return self.rendered.is_slice
