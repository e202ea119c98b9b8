"""Published rows with what is known of each: when it was scored, by which functions, from which inputs. SELECTs for any
dialect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlinfer.adapters.shared.inputs import Comparison
from sqlinfer.adapters.shared.words import kind
from sqlinfer.relation import Relation, literal, quote
from sqlinfer.spec.names import FUNCTION, SERVED_AT, STALE


def served_sql(known: Comparison, values: Sequence[str] | None) -> str:
    """Columns of the published table, ``_scored_at``, ``_function``, ``_stale``; of one key, or of all rows.

    Args:
        values: SQL of the key's values, in the order of its columns.
    """
    count, dialect = len(known.keys), known.dialect
    keys = [quote(name, dialect) for name in known.keys]
    published = f"SELECT q.* FROM {known.published.sql(dialect)} AS q{_where('q', keys, values)}"
    numbered = [f"k{n}" for n in range(count)]
    kept = f"SELECT w.* FROM {known.kept.sql(dialect)} AS w{_where('w', numbered, values)}"
    now = f"SELECT r.*, TRUE AS here FROM ({known.now.sql()}) AS r{_where('r', numbered, values)}"
    same = " AND ".join(f"{{0}}.k{n} = p.{name}" for n, name in enumerate(keys))
    source = (
        f"({published}) AS p LEFT JOIN ({kept}) AS m ON {same.format('m')} "
        f"LEFT JOIN {known.runs.sql(dialect)} AS u ON u.run = m.run LEFT JOIN ({now}) AS t ON {same.format('t')}"
    )
    stale = f"CASE WHEN m.run IS NOT NULL THEN t.here IS NULL OR {known.changed} END"
    at, source = known.scored_at(source)
    return f"SELECT p.*, {at} AS {SERVED_AT}, u.functions AS {FUNCTION}, {stale} AS {STALE} FROM {source}"


def unserved_sql(
    published: Relation, keys: Sequence[str], values: Sequence[str] | None, at: datetime | None,
    functions: Sequence[str], dialect: str,
) -> str:  # fmt: skip
    """The same where what its rows were scored from was not kept: the time and the functions are those of the last
    run; NULL where there is none."""
    made_by = f"CAST({literal(', '.join(functions), dialect) if functions else 'NULL'} AS {kind('VARCHAR', dialect)})"
    moment = f"CAST({literal(at.isoformat(), dialect) if at else 'NULL'} AS {kind('TIMESTAMPTZ', dialect)})"
    quoted = [quote(name, dialect) for name in keys]
    return (
        f"SELECT q.*, {moment} AS {SERVED_AT}, {made_by} AS {FUNCTION}, "
        f"CAST(NULL AS BOOLEAN) AS {STALE} FROM {published.sql(dialect)} AS q{_where('q', quoted, values)}"
    )


def key_row_sql(values: Sequence[str]) -> str:
    """One row ``k0 …``."""
    return f"SELECT {', '.join(f'{value} AS k{n}' for n, value in enumerate(values))}"


def matching_sql(query: str, keys: Sequence[str], values: Sequence[str], dialect: str) -> str:
    return f"SELECT q.* FROM ({query}) AS q{_where('q', [quote(name, dialect) for name in keys], values)}"


def _where(alias: str, names: Iterable[str], values: Sequence[str] | None) -> str:
    if values is None:
        return ""
    same = (f"{alias}.{name} = {value}" for name, value in zip(names, values, strict=True))
    return f" WHERE {' AND '.join(same)}"
