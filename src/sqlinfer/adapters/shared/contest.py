"""The rows of a node beside those that a challenger makes of the same night, for any dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import OURS

_DECISION = quote(f"{OURS}_decision")


@dataclass(frozen=True, slots=True)
class Beside:
    """``SELECT``s over two relations that have the same columns in the same order."""

    champion: Relation
    challenger: Relation
    columns: tuple[tuple[str, str], ...]
    """What the node's columns are called in the first, and in the second."""
    keys: tuple[str, ...]
    predictions: tuple[str, ...]
    """As the first relation calls them."""
    numbers: frozenset[str]
    """Those of them that can be subtracted."""
    decision: str | None = None
    """SQL over a row; None: nothing is decided."""

    def named(self, prediction: str) -> tuple[str, str]:
        """What the two values of a prediction are called in the comparison."""
        lead = "" if len(self.predictions) == 1 else f"{prediction}__"
        return f"{lead}champion", f"{lead}challenger"

    def shift(self, prediction: str) -> str:
        return "shift" if len(self.predictions) == 1 else f"{prediction}__shift"

    @property
    def added(self) -> tuple[str, ...]:
        """Columns of the comparison beside those of the key."""
        pairs = [name for one in self.predictions for name in self.named(one)]
        return (*pairs, *(self.shift(one) for one in self.predictions if one in self.numbers), "flipped")

    def of_champion(self) -> str:
        return self._decided(self.champion.sql())

    def of_challenger(self) -> str:
        """With the names of the champion's columns."""
        items = ", ".join(f"c.{quote(theirs)} AS {quote(own)}" for own, theirs in self.columns)
        return self._decided(f"(SELECT {items} FROM {self.challenger.sql()} AS c)")

    def _decided(self, source: str) -> str:
        told = "" if self.decision is None else f", ({self.decision}) AS {_DECISION}"
        return f"SELECT {', '.join(f'q.{quote(own)}' for own, _ in self.columns)}{told} FROM {source} AS q"

    def sql(self) -> str:
        """One row for each key that either has."""
        items = [f"coalesce(a.{quote(key)}, b.{quote(key)}) AS {quote(key)}" for key in self.keys]
        for one in self.predictions:
            own, theirs = self.named(one)
            items += [f"a.{quote(one)} AS {quote(own)}", f"b.{quote(one)} AS {quote(theirs)}"]
        items += [f"{_moved(one)} AS {quote(self.shift(one))}" for one in self.predictions if one in self.numbers]
        flipped = "CAST(NULL AS BOOLEAN)" if self.decision is None else f"a.{_DECISION} IS DISTINCT FROM b.{_DECISION}"
        same = " AND ".join(f"a.{quote(key)} = b.{quote(key)}" for key in self.keys)
        return (
            f"SELECT {', '.join(items)}, {flipped} AS {quote('flipped')} FROM ({self.of_champion()}) AS a "
            f"FULL JOIN ({self.of_challenger()}) AS b ON {same}"
        )

    def counted(self, prediction: str) -> str:
        """One row: rows that both have, all rows, flips, and the mean, mean absolute and largest shift."""
        own, theirs = map(quote, self.named(prediction))
        shift = quote(self.shift(prediction))
        moved = (
            f"avg({shift}), avg(abs({shift})), max(abs({shift}))" if prediction in self.numbers else "NULL, NULL, NULL"
        )
        return (
            f"SELECT count(CASE WHEN {own} IS NOT NULL AND {theirs} IS NOT NULL THEN 1 END), count(*), "
            f"count(CASE WHEN flipped THEN 1 END), {moved} FROM ({self.sql()}) AS r"
        )


def _moved(prediction: str) -> str:
    own, theirs = (f"CAST({side}.{quote(prediction)} AS DOUBLE PRECISION)" for side in "ab")
    return f"{theirs} - {own}"
