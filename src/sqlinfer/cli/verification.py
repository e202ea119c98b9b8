"""What ``verify`` found, as text for people and JSON for programs. In: verifications. Out: text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlinfer.cli.tables import render
from sqlinfer.shown import one_line, shown

if TYPE_CHECKING:
    from sqlinfer.functions.check.originals import Row, SideBySide
    from sqlinfer.jobs.verify import Verification
    from sqlinfer.spec.function import Quality

_WIDEST = 40


def text(one: Verification) -> str:
    return shown("\n".join(_lines(one)))


def _lines(one: Verification) -> Iterator[str]:
    result = one.result
    if result is None and one.quality is None:
        yield f"{one.function}: not verified, it has no original to compare with"
    if result is not None:
        yield from _beside_the_original(one, result)
    if one.quality is not None:
        yield from _beside_fp32(one, one.quality)


def _beside_fp32(one: Verification, found: Quality) -> Iterator[str]:
    near = found.worst >= one.bound
    yield f"{one.function}: int8 is {'near' if near else 'NOT near'} fp32 on {found.texts:,} {one_line(found.origin)}"
    if found.cosine is not None:
        yield f"  smallest cosine:     {found.cosine:.6f} (wanted {one.bound:g})"
    if found.neighbours is not None:
        yield f"  nearest neighbours:  {found.neighbours:.1%} the same"
    if found.labels is not None:
        yield f"  labels:              {found.labels:.1%} the same"


def _beside_the_original(one: Verification, result: SideBySide) -> Iterator[str]:
    found = result.found
    places = f" of {', '.join(one.tables)}" if one.tables else ""
    yield f"{one.function}: {'same' if result.ok else 'NOT the same'} as {found.against}"
    if result.own or one.tables:
        yield f"  rows:                {result.own:,}{one_line(places)}, {result.made:,} made from the model"
    else:
        yield f"  rows:                {result.made:,} made from the model"
    if found.refused:
        yield f"  refused:             {found.refused:,} rows by the original, which are not compared"
    yield f"  largest difference:  {found.absolute:.3g} absolute, {found.relative:.3g} relative"
    yield f"  over the tolerance:  {found.over:,} rows (allowed {result.tolerance:g} relative)"
    yield f"  changed labels:      {found.labels:,}"
    if result.worst and (not result.ok or result.worst[0].absolute > 0):
        yield "  worst rows:"
        yield from (f"    {line}" for line in _table(result.worst).splitlines())


def _table(rows: Sequence[Row]) -> str:
    names = list(rows[0].arguments)
    head = [*names, "expected", "actual", "absolute", "relative"]
    cells = [
        [*(_cell(row.arguments[name]) for name in names), _answer(row.expected), _answer(row.actual),
         f"{row.absolute:.3g}", "label" if row.label_changed else f"{row.relative:.3g}"]
        for row in rows
    ]  # fmt: skip
    return render(head, cells)


def _answer(values: Mapping[str, Any]) -> str:
    if len(values) == 1:
        return _cell(next(iter(values.values())))
    return ", ".join(f"{name}: {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    shown = "NULL" if value is None else one_line(repr(value) if isinstance(value, float | str) else str(value))
    return shown if len(shown) <= _WIDEST else shown[: _WIDEST - 1] + "…"


def as_json(found: Sequence[Verification]) -> str:
    return shown(json.dumps([_plain(_row(one)) for one in found], indent=2, ensure_ascii=False))


def _row(one: Verification) -> dict[str, Any]:
    result = one.result
    quality = {} if one.quality is None else {"against_fp32": asdict(one.quality) | {"min_cosine": one.bound}}
    if result is None:
        return {"function": one.function, "verified": bool(quality), "ok": one.ok, **quality}
    found = result.found
    return quality | {
        "function": one.function,
        "verified": True,
        "ok": one.ok,
        "against": found.against,
        "tables": list(one.tables),
        "rows": found.rows,
        "own_rows": result.own,
        "boundary_rows": result.made,
        "refused": found.refused,
        "largest_absolute_difference": found.absolute,
        "largest_relative_difference": found.relative,
        "rows_over_tolerance": found.over,
        "changed_labels": found.labels,
        "tolerance": result.tolerance,
        "worst": [asdict(row) for row in result.worst],
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity; bytes are their length."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if isinstance(value, str | int | float | bool | None) else str(value)
