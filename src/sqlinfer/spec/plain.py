"""Frozen dataclasses ↔ JSON values, by their annotations. What equals its field's default is left out.

Objects that many others hold are written once: classes in ``shared`` stand as ``{"=": key}`` where they are held.
"""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from sqlinfer.relation import Relation

Turn = Callable[[Any], Any]
_PLAIN = (str, int, float, bool, type(None))


class NotPlain(Exception):
    """A signal: the value holds something that JSON does not give back as it was, or nests too deeply for that."""


class Coder:
    """Encodes and decodes values of the classes that it is given; built once for a file."""

    def __init__(self, shared: Mapping[type, str] | None = None) -> None:
        self._keys = dict(shared or {})
        self._encoders: dict[Any, Turn] = {}
        self._decoders: dict[Any, Turn | None] = {}
        self._paths: dict[str, Path] = {}
        self.pool: dict[str, tuple[Any, Any]] = {}
        """Key → a shared object and its JSON value."""

    # ---- out -----------------------------------------------------------------------------------------------------

    def encode(self, hint: Any, value: Any) -> Any:
        """Raises NotPlain."""
        with _shallow():
            return self._encoder(hint)(value)

    def _encoder(self, hint: Any) -> Turn:
        found = self._encoders.get(hint)
        if found is None:
            self._encoders[hint] = lambda value: self._encoders[hint](value)  # it may hold itself
            found = self._encoders[hint] = self._made_encoder(hint)
        return found

    def _made_encoder(self, hint: Any) -> Turn:
        kind, arguments = typing.get_origin(hint), typing.get_args(hint)
        if _is_record(hint):
            return partial(self._share, hint) if hint in self._keys else partial(self._record, hint, _hints(hint))
        if hint is Path:
            return str
        if kind in (typing.Union, types.UnionType):
            return self._union_encoder(arguments)
        if kind in (tuple, frozenset):
            if kind is tuple and arguments[-1] is not Ellipsis:
                return lambda value: [self._encoder(one)(item) for one, item in zip(arguments, value, strict=True)]
            return lambda value: [self._encoder(arguments[0])(item) for item in value]
        if kind is not None and kind is not typing.Literal and issubclass(kind, Mapping):
            return partial(self._mapping, arguments)
        return _untyped

    def _union_encoder(self, arguments: tuple[Any, ...]) -> Turn:
        kinds = [one for one in arguments if one is not type(None)]
        if len(kinds) == 1:
            return lambda value: None if value is None else self._encoder(kinds[0])(value)
        records = {one: self._encoder(one) for one in kinds if _is_record(one)}
        return lambda value: (
            {"!": type(value).__name__, "v": records[type(value)](value)} if type(value) in records else _untyped(value)
        )

    def _mapping(self, arguments: tuple[Any, ...], value: Mapping[Any, Any]) -> Any:
        key, inner = self._encoder(arguments[0]), self._encoder(arguments[1])
        if all(isinstance(one, str) for one in value):
            return {one: inner(item) for one, item in value.items()}
        return {"!": "pairs", "v": [[key(one), inner(item)] for one, item in value.items()]}

    def _record(self, kind: type, hints: Mapping[str, Any], value: Any) -> dict[str, Any]:
        if type(value) is not kind:
            raise NotPlain(type(value).__name__)
        found = {}
        for name, (hint, default) in hints.items():
            item = getattr(value, name)
            if item is not default and not (type(item) is type(default) and item == default):
                found[name] = self._encoder(hint)(item)
        return found

    def _share(self, kind: type, value: Any) -> dict[str, Any]:
        key = f"{kind.__name__}:{getattr(value, self._keys[kind])}"
        known = self.pool.get(key)
        if known is None:
            self.pool[key] = value, self._record(kind, _hints(kind), value)
        elif known[0] is not value and known[0] != value:
            raise NotPlain(f"two different {key}")
        return {"=": key}

    # ---- in ------------------------------------------------------------------------------------------------------

    def decode(self, hint: Any, value: Any) -> Any:
        """The inverse, of what this class encoded.

        Raises:
            NotPlain: it nests too deeply for what the caller has left of the stack.
        """
        turn = self._decoder(hint)
        with _shallow():
            return value if turn is None else turn(value)

    def fill(self, pool: Mapping[str, Any]) -> None:
        """The shared objects, before whatever holds them. Raises NotPlain, as ``decode``."""
        kinds = {kind.__name__: self._made_record_decoder(kind) for kind in self._keys}
        with _shallow():
            self.pool = {key: (kinds[key.partition(":")[0]](value), value) for key, value in pool.items()}

    def _decoder(self, hint: Any) -> Turn | None:
        """None: JSON gives the value itself."""
        if hint not in self._decoders:
            self._decoders[hint] = lambda value: self._decoders[hint](value)  # type: ignore[misc]
            self._decoders[hint] = self._made_decoder(hint)
        return self._decoders[hint]

    def _made_decoder(self, hint: Any) -> Turn | None:
        kind, arguments = typing.get_origin(hint), typing.get_args(hint)
        if _is_record(hint):
            return self._held if hint in self._keys else self._made_record_decoder(hint)
        if hint is Path:
            return self._path
        if kind in (typing.Union, types.UnionType):
            return self._union_decoder(arguments)
        if kind in (tuple, frozenset):
            return self._items_decoder(kind, arguments)
        if kind is not None and kind is not typing.Literal and issubclass(kind, Mapping):
            return self._mapping_decoder(arguments)
        return None if hint in _PLAIN or kind is typing.Literal else _typed

    def _held(self, value: Any) -> Any:
        return self.pool[value["="]][0]

    def _path(self, value: str) -> Path:
        found = self._paths.get(value)
        if found is None:
            found = self._paths[value] = Path(value)
        return found

    def _union_decoder(self, arguments: tuple[Any, ...]) -> Turn | None:
        kinds = [one for one in arguments if one is not type(None)]
        if len(kinds) == 1:
            inner = self._decoder(kinds[0])
            return None if inner is None else lambda value: None if value is None else inner(value)
        records = {one.__name__: self._decoder(one) for one in kinds if _is_record(one)}

        def either(value: Any) -> Any:
            turn = records.get(value["!"]) if type(value) is dict and "!" in value else None
            return _typed(value) if turn is None else turn(value["v"])

        return either

    def _items_decoder(self, kind: Any, arguments: tuple[Any, ...]) -> Turn:
        if kind is tuple and arguments[-1] is not Ellipsis:
            turns = [self._decoder(one) or (lambda item: item) for one in arguments]
            return lambda value: tuple(turn(item) for turn, item in zip(turns, value, strict=True))
        inner = self._decoder(arguments[0])
        return kind if inner is None else lambda value: kind(map(inner, value))

    def _mapping_decoder(self, arguments: tuple[Any, ...]) -> Turn:
        key, inner = (self._decoder(one) or (lambda item: item) for one in arguments)

        def mapping(value: Any) -> Any:
            if "!" in value and value["!"] == "pairs":
                return {key(one): inner(item) for one, item in value["v"]}
            return {one: inner(item) for one, item in value.items()}

        return mapping

    def _made_record_decoder(self, kind: type) -> Turn:
        turns: dict[str, Turn] = {}
        whole = {name: hint for name, (hint, _) in _hints(kind).items()}

        def record(value: dict[str, Any]) -> Any:
            given = {}
            for name, item in value.items():
                turn = turns.get(name)
                if turn is None:
                    turn = turns[name] = self._decoder(whole[name]) or (lambda item: item)
                given[name] = turn(item)
            return kind(**given)

        return record


@contextmanager
def _shallow() -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise NotPlain("it nests too deeply") from None


def _is_record(hint: Any) -> TypeGuard[type]:
    return isinstance(hint, type) and is_dataclass(hint)


def _hints(kind: type, known: dict[type, dict[str, Any]] = {}) -> dict[str, Any]:  # noqa: B006
    """Field → its annotation and its default."""
    if kind not in known:
        hints = typing.get_type_hints(kind)
        defaults = {
            one.name: one.default_factory() if one.default_factory is not MISSING else one.default
            for one in fields(kind) if one.init
        }  # fmt: skip
        known[kind] = {name: (hints[name], default) for name, default in defaults.items()}
    return known[kind]


def _untyped(value: Any) -> Any:
    """What is annotated as anything: plain values, and a few others that say what they are."""
    if type(value) in _PLAIN:
        return value
    if type(value) is list:
        return [_untyped(item) for item in value]
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        found = {key: _untyped(item) for key, item in value.items()}
        return {"!": "dict", "v": found} if "!" in found else found
    if type(value) is tuple:
        return {"!": "tuple", "v": [_untyped(item) for item in value]}
    if type(value) is Relation:
        return {"!": "Relation", "v": [value.name, value.schema, value.catalog]}
    if isinstance(value, Path):
        return {"!": "Path", "v": str(value)}
    for kind in (datetime.datetime, datetime.date):
        if type(value) is kind:
            return {"!": kind.__name__, "v": value.isoformat()}
    raise NotPlain(type(value).__name__)


def _typed(value: Any) -> Any:
    if type(value) is list:
        return [_typed(item) for item in value]
    if type(value) is not dict:
        return value
    if "!" not in value:
        return {key: _typed(item) for key, item in value.items()}
    return _SPECIAL[value["!"]](value["v"])


_SPECIAL: dict[str, Turn] = {
    "dict": lambda value: {key: _typed(item) for key, item in value.items()},
    "tuple": lambda value: tuple(_typed(item) for item in value),
    "Relation": lambda value: Relation(*value),
    "Path": Path,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
}
