"""The rows of a node beside those that a challenger makes of the same night, for any dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlinfer.adapters.shared.words import kind
from sqlinfer.relation import Relation, quote
from sqlinfer.spec.names import OURS

_DECISION = f"{OURS}_decision"


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
    dialect: str = "duckdb"

    def _quoted(self, name: str) -> str:
        return quote(name, self.dialect)

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
        return self._decided(self.champion.sql(self.dialect))

    def of_challenger(self) -> str:
        """With the names of the champion's columns."""
        quoted = self._quoted
        items = ", ".join(f"c.{quoted(theirs)} AS {quoted(own)}" for own, theirs in self.columns)
        return self._decided(f"(SELECT {items} FROM {self.challenger.sql(self.dialect)} AS c)")

    def _decided(self, source: str) -> str:
        quoted = self._quoted
        told = "" if self.decision is None else f", ({self.decision}) AS {quoted(_DECISION)}"
        return f"SELECT {', '.join(f'q.{quoted(own)}' for own, _ in self.columns)}{told} FROM {source} AS q"

    def sql(self) -> str:
        """One row for each key that either has. Rows with NULL in their key have no other side."""
        quoted = self._quoted
        keyed = f"WHERE {' AND '.join(f'q.{quoted(key)} IS NOT NULL' for key in self.keys)}"
        items = [f"coalesce(a.{quoted(key)}, b.{quoted(key)}) AS {quoted(key)}" for key in self.keys]
        for one in self.predictions:
            own, theirs = self.named(one)
            items += [f"a.{quoted(one)} AS {quoted(own)}", f"b.{quoted(one)} AS {quoted(theirs)}"]
        items += [f"{self._moved(one)} AS {quoted(self.shift(one))}" for one in self.predictions if one in self.numbers]
        flipped = (
            "CAST(NULL AS BOOLEAN)"
            if self.decision is None
            else f"a.{quoted(_DECISION)} IS DISTINCT FROM b.{quoted(_DECISION)}"
        )
        same = " AND ".join(f"a.{quoted(key)} = b.{quoted(key)}" for key in self.keys)
        return (
            f"SELECT {', '.join(items)}, {flipped} AS {quoted('flipped')} FROM ({self.of_champion()} {keyed}) AS a "
            f"FULL JOIN ({self.of_challenger()} {keyed}) AS b ON {same}"
        )

    def counted(self, prediction: str) -> str:
        """One row: rows that both have, all rows, flips, and the mean, mean absolute and largest shift."""
        own, theirs = map(self._quoted, self.named(prediction))
        shift = self._quoted(self.shift(prediction))
        moved = (
            f"avg({shift}), avg(abs({shift})), max(abs({shift}))" if prediction in self.numbers else "NULL, NULL, NULL"
        )
        return (
            f"SELECT count(CASE WHEN {own} IS NOT NULL AND {theirs} IS NOT NULL THEN 1 END), count(*), "
            f"count(CASE WHEN flipped THEN 1 END), {moved} FROM ({self.sql()}) AS r"
        )

    def _moved(self, prediction: str) -> str:
        wide = kind("DOUBLE PRECISION", self.dialect)
        own, theirs = (f"CAST({side}.{self._quoted(prediction)} AS {wide})" for side in "ab")
        return f"{theirs} - {own}"
