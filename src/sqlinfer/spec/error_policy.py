"""How many inputs of a call may fail: the one place that decides it, during scoring and after."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlinfer.spec.function import FunctionContract

DEFAULT_RATE = 0.01
FEW = 10
"""So many errors are no bad night by themselves, unless most inputs failed or none may."""
SEEN, NEARLY_ALL = 1000, 0.9
"""A function that fails for nearly all of so many rows is broken; fewer bad rows may just stand together."""


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """The policy of one call."""

    max_rate: float = DEFAULT_RATE
    few: int = FEW

    @classmethod
    def of(cls, contract: FunctionContract, node_rate: float | None) -> ErrorPolicy:
        """The node's own rate, else the function's, else the default."""
        declared = contract.max_error_rate if node_rate is None else node_rate
        return cls(DEFAULT_RATE if declared is None else declared)

    def together(self, calls: int) -> ErrorPolicy:
        """For so many calls that are scored in one pass: what none of them may have."""
        return replace(self, few=self.few * calls)

    def accepts(self, inputs: int, errors: int) -> bool:
        """Whether a call that is done may be published.

        >>> ErrorPolicy(0.01).accepts(100_000, 1000), ErrorPolicy(0.01).accepts(100_000, 1001)
        (True, False)
        >>> ErrorPolicy(0.01).accepts(20, 10), ErrorPolicy(0.01).accepts(19, 10), ErrorPolicy(0).accepts(9, 1)
        (True, False, False)
        """
        if not errors or errors <= self.max_rate * inputs:
            return True
        return self.max_rate > 0 and errors <= self.few and errors * 2 <= inputs

    def gives_up(self, rows: int, errors: int, total: int | None = None) -> bool:
        """Whether scoring may stop: the call cannot be accepted any more, or its function fails nearly always.

        Args:
            rows: tried so far, ``errors`` of them in vain.
            total: no call has more inputs; None where that is not known.

        >>> ErrorPolicy(0.01).gives_up(50, 41, 4000), ErrorPolicy(0.01).gives_up(50, 40, 4000)
        (True, False)
        >>> ErrorPolicy(0.5).gives_up(1100, 1000), ErrorPolicy(1).gives_up(1100, 1100)
        (True, False)
        """
        if self.max_rate >= 1:
            return False
        if total is not None and errors > max(self.few if self.max_rate else 0, self.max_rate * total):
            return True
        return (errors > 0 and not self.max_rate) or (errors >= SEEN and errors >= NEARLY_ALL * rows)
