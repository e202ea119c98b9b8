"""What selectors.yml defines: named selections as expressions over selection words. ``selectorfile`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlinfer.errors import UsageError, did_you_mean

FILE = "selectors.yml"


@dataclass(frozen=True, slots=True)
class Words:
    """A selection as it stands on the command line."""

    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """What another selector of the file chooses. A name, so that a selector that many others name is held once."""

    name: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Without:
    chosen: Expression
    dropped: Expression


Expression = Words | Named | AnyOf | AllOf | Without


@dataclass(frozen=True, slots=True)
class Selectors:
    by_name: Mapping[str, Expression]
    default: str | None = None
    """The one that counts where a command line names nothing."""

    def named(self, name: str) -> Expression:
        """Raises UsageError where no selector has that name."""
        if name not in self.by_name:
            hint = did_you_mean(name, self.by_name) if self.by_name else f"there is no {FILE} in the project"
            raise UsageError(f"no selector is named '{name}'", hint=hint)
        return self.by_name[name]

    def parts_of(self, one: Expression) -> tuple[Expression, ...]:
        match one:
            case AnyOf(parts) | AllOf(parts):
                return parts
            case Without(chosen, dropped):
                return (chosen, dropped)
            case Named(name):
                return (self.by_name[name],)
            case Words():
                return ()
