"""What became of the inputs of a query that publishes nothing: how many have no prediction, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlinfer.spec.plan import CAST_ERROR, NULL_ERROR, Counts


@dataclass(frozen=True, slots=True)
class Reason:
    """Inputs of one function that failed alike."""

    function: str
    error_class: str
    """``cast_error``, ``null_error``, ``invalid_output``, or what the runtime said."""
    message: str
    inputs: int

    def __str__(self) -> str:
        said = self.message.removeprefix(f"{self.error_class}: ")
        more = f", {said}" if said != self.error_class else ""
        return f"{self.function}: {self.inputs:,} {self.error_class}{more}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``inputs`` are the rows that a call was made for, summed over the calls of the query."""

    inputs: int = 0
    scored: int = 0
    """Distinct inputs that went through a session and got a valid result."""
    reused: int = 0
    """Inputs whose prediction was remembered, or scored for an equal input."""
    null_inputs: int = 0
    """Inputs with a NULL argument, which is no error; their prediction is NULL."""
    errors: int = 0
    """Inputs that failed; their prediction is NULL."""
    reasons: tuple[Reason, ...] = ()
    """Of the errors, most frequent first."""

    @classmethod
    def of(cls, counts: Counts, reasons: Iterable[Reason] = ()) -> Outcome:
        return cls(counts.inputs, counts.scored, counts.reused, counts.null_inputs, counts.errors, tuple(reasons))

    @property
    def is_whole(self) -> bool:
        """Every input has a prediction."""
        return not (self.errors or self.null_inputs)

    def __str__(self) -> str:
        """One line for people.

        >>> str(Outcome(10, 7, 0, 1, 2, (Reason("f", "cast_error", "it does not fit", 2),)))
        '3 of 10 inputs have no prediction: 2 failed (f: 2 cast_error, it does not fit), 1 has a NULL argument'
        """
        noun = "input" if self.inputs == 1 else "inputs"
        if self.is_whole:
            return f"{self.inputs:,} {noun}, all with a prediction"
        parts = []
        if self.errors:
            why = "; ".join(map(str, self.reasons))
            parts.append(f"{self.errors:,} failed" + (f" ({why})" if why else ""))
        if self.null_inputs:
            parts.append(f"{self.null_inputs:,} {_has(self.null_inputs)} a NULL argument")
        missing = self.errors + self.null_inputs
        return f"{missing:,} of {self.inputs:,} {noun} {_has(missing)} no prediction: {', '.join(parts)}"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def said_of(status: str) -> tuple[str, str]:
    """Class and message of an error status, ``cast_error:x``.

    >>> said_of("cast_error:x")
    ('cast_error', "argument 'x' does not fit its declared type")
    """
    kind, _, argument = status.partition(":")
    what = {CAST_ERROR: "does not fit its declared type", NULL_ERROR: "is NULL"}.get(kind, "failed")
    return kind, f"argument '{argument}' {what}"
