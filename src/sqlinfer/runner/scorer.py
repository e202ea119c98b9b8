"""Prepared functions → a scorer: the sessions of one pass over the rows.

Sessions that can go through one pipeline do: each batch is read once. The others follow, each with a pipeline of its
own that reads what the one before it hands on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlinfer.spec.error_policy import ErrorPolicy
from sqlinfer.spec.function import PreparedFunction
from sqlinfer.spec.names import error_column
from sqlinfer.spec.plan import Call
from sqlinfer.spec.session import Part, Scored, ScoredPart, Session, SessionFactory

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """A ``spec.scorer.Scorer``. It can be pickled where the factory can."""

    calls: tuple[Call, ...]
    functions: tuple[PreparedFunction, ...]
    policies: tuple[ErrorPolicy, ...]
    """One for each call: when its session gives up."""
    factory: SessionFactory

    @contextmanager
    def opened(self) -> Iterator[OpenChain]:
        with ExitStack() as stack:
            sessions = {one: stack.enter_context(self.factory(one)) for one in dict.fromkeys(self.functions)}
            yield OpenChain(self.calls, tuple(sessions[one] for one in self.functions), self.policies)


@dataclass(frozen=True, slots=True)
class OpenChain:
    """A ``spec.scorer.OpenScorer``."""

    calls: tuple[Call, ...]
    sessions: tuple[Session, ...]
    policies: tuple[ErrorPolicy, ...]

    @property
    def categories(self) -> Mapping[str, Sequence[str]]:
        """Columns that feed as codes wherever they are an argument, with the words of all calls."""
        if len(self._legs()) > 1:
            return {}  # other sessions may want the texts
        found: dict[str, dict[str, None]] = {}
        plain: set[str] = set()
        for call, session in zip(self.calls, self.sessions, strict=True):
            for place, name in enumerate(call.arguments):
                words = session.categories.get(place)
                if words is None or call.arguments.count(name) > 1:
                    plain.add(name)
                else:
                    found.setdefault(name, {}).update(dict.fromkeys(words))
        return {name: list(words) for name, words in found.items() if name not in plain}

    def score(
        self,
        reader: pa.RecordBatchReader,
        keep: Iterable[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredChain:
        kept = set(keep)
        legs = self._legs()
        parts: dict[int, ScoredPart] = {}
        with ExitStack() as stack:
            for number, leg in enumerate(legs):
                later = {name for other in legs[number + 1 :] for one in other for name in self.calls[one].arguments}
                names = [name for name in reader.schema.names if name in kept | later]
                scored, found = self._leg(leg, reader, names, total, cancel)
                stack.enter_context(scored)
                parts |= dict(zip(leg, found, strict=True))
                kept |= {name for one in leg for name in (self.calls[one].output, error_column(one))}
                if number + 1 < len(legs):
                    reader = scored.to_reader()
            return ScoredChain(scored, tuple(parts[one] for one in range(len(self.calls))), stack.pop_all())

    def _legs(self) -> list[list[int]]:
        """Positions of the calls that go through one pipeline, after those whose results they read."""
        legs: list[list[int]] = []
        for position, call in enumerate(self.calls):
            made = [
                number for number, leg in enumerate(legs) if any(self.calls[p].output in call.arguments for p in leg)
            ]
            ready = legs[made[-1] + 1 :] if made else legs
            joined = next((leg for leg in ready if self.sessions[leg[0]].joins(self.sessions[position])), None)
            if joined is None:
                legs.append([position])
            else:
                joined.append(position)
        return legs

    def _leg(
        self,
        leg: Sequence[int],
        reader: pa.RecordBatchReader,
        keep: Sequence[str],
        total: int | None,
        cancel: threading.Event | None,
    ) -> tuple[Scored, Sequence[ScoredPart]]:
        calls = [self.calls[position] for position in leg]
        session, policies = self.sessions[leg[0]], [self.policies[position] for position in leg]
        if len(leg) == 1:
            scored = session.score(
                reader, calls[0].arguments, keep, as_column=calls[0].output, error_column=error_column(leg[0]),
                policy=policies[0], total=total, cancel=cancel,
            )  # fmt: skip
            return scored, (scored,)
        parts = [
            Part(self.sessions[position], call.arguments, call.output, error_column(position), policy)
            for position, call, policy in zip(leg, calls, policies, strict=True)
        ]
        together = session.score_together(reader, parts, keep, total=total, cancel=cancel)
        return together, together.parts


@dataclass(frozen=True, slots=True)
class ScoredChain:
    """A ``spec.scorer.ScoredPass``: what the last leg hands on is everything."""

    last: Scored
    parts: tuple[ScoredPart, ...]
    """One for each call."""
    opened: ExitStack

    @property
    def schema(self) -> pa.Schema:
        return self.last.schema

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self.last)
