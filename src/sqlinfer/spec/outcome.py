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
        return f"{self.function}: {said} ({self.error_class}): {self.inputs:,}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``inputs`` are the rows that a call was made for, summed over the calls of the query."""

    inputs: int = 0
    scored: int = 0
    """Inputs with a prediction, scored now or remembered."""
    null_inputs: int = 0
    """Inputs with a NULL argument, which is no error; their prediction is NULL."""
    errors: int = 0
    """Inputs that failed; their prediction is NULL."""
    reasons: tuple[Reason, ...] = ()
    """Of the errors, most frequent first."""

    @classmethod
    def of(cls, counts: Counts, reasons: Iterable[Reason] = ()) -> Outcome:
        scored = counts.inputs - counts.null_inputs - counts.errors
        return cls(counts.inputs, scored, counts.null_inputs, counts.errors, tuple(reasons))

    @property
    def is_whole(self) -> bool:
        """Every input has a prediction."""
        return not (self.errors or self.null_inputs)

    def __str__(self) -> str:
        """One line for people.

        >>> str(Outcome(10, 7, 1, 2, (Reason("f", "cast_error", "argument 'x' does not fit", 2),)))
        "3 of 10 inputs have no prediction: 2 failed (f: argument 'x' does not fit (cast_error): 2), 1 NULL"
        """
        if self.is_whole:
            return f"{self.inputs:,} inputs, all with a prediction"
        parts = []
        if self.errors:
            why = "; ".join(map(str, self.reasons))
            parts.append(f"{self.errors:,} failed" + (f" ({why})" if why else ""))
        if self.null_inputs:
            parts.append(f"{self.null_inputs:,} NULL")
        missing, verb = self.errors + self.null_inputs, "has" if self.inputs == 1 else "have"
        noun = "input" if self.inputs == 1 else "inputs"
        return f"{missing:,} of {self.inputs:,} {noun} {verb} no prediction: {', '.join(parts)}"


def said_of(status: str) -> tuple[str, str]:
    """Class and message of an error status, ``cast_error:x``.

    >>> said_of("cast_error:x")
    ('cast_error', "argument 'x' does not fit its declared type")
    """
    kind, _, argument = status.partition(":")
    what = {CAST_ERROR: "does not fit its declared type", NULL_ERROR: "is NULL"}.get(kind, "failed")
    return kind, f"argument '{argument}' {what}"
