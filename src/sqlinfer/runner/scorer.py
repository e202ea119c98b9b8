"""Prepared functions → a scorer: the sessions of one pass, each reading what the one before it hands on."""

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
from sqlinfer.spec.session import Scored, Session, SessionFactory

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
        if len(self.calls) > 1:
            return {}  # other calls may want the texts
        names = self.calls[0].arguments
        known = self.sessions[0].categories
        return {names[place]: words for place, words in known.items() if names.count(names[place]) == 1}

    def score(
        self,
        reader: pa.RecordBatchReader,
        keep: Iterable[str],
        *,
        total: int | None = None,
        cancel: threading.Event | None = None,
    ) -> ScoredChain:
        kept = set(keep)
        parts: list[Scored] = []
        with ExitStack() as stack:
            for position, (call, session) in enumerate(zip(self.calls, self.sessions, strict=True)):
                later = {name for other in self.calls[position + 1 :] for name in other.arguments}
                one = session.score(
                    reader, call.arguments, [name for name in reader.schema.names if name in kept | later],
                    as_column=call.output, error_column=error_column(position), policy=self.policies[position],
                    total=total, cancel=cancel,
                )  # fmt: skip
                parts.append(stack.enter_context(one))
                kept |= {call.output, error_column(position)}
                if position + 1 < len(self.calls):
                    reader = one.to_reader()
            return ScoredChain(tuple(parts), stack.pop_all())


@dataclass(frozen=True, slots=True)
class ScoredChain:
    """A ``spec.scorer.ScoredPass``: what the last session hands on is everything."""

    parts: tuple[Scored, ...]
    opened: ExitStack

    @property
    def schema(self) -> pa.Schema:
        return self.parts[-1].schema

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.opened.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self.parts[-1])
