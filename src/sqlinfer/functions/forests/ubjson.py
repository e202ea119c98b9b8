"""A reader of Universal Binary JSON, the format of XGBoost's ``.ubj`` files. Numbers of one type become numpy arrays.

A file is untrusted: every count is compared with the bytes that are left before anything is made.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

MOST_DEPTH: Final = 64
_INTEGERS: Final = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"u": ">u2", b"l": ">i4", b"L": ">i8"}
_NUMBERS: Final = {**_INTEGERS, b"d": ">f4", b"D": ">f8"}
_CONSTANTS: Final = {b"Z": None, b"T": True, b"F": False}


def loads(data: bytes) -> Any:
    """The value of a whole file: dicts, lists or numpy arrays, str, numbers.

    Raises:
        ValueError: it is no Universal Binary JSON, or it is cut off.
    """
    reader = _Reader(data)
    found = reader.value(reader.marker(), 0)
    if data[reader.at :].strip(b"N\0 \n"):
        raise ValueError(f"it goes on after its end, at byte {reader.at}")
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self.data) - self.at:
            raise ValueError(f"it ends at byte {len(self.data)}, in the middle of a value")
        self.at += count
        return self.data[self.at - count : self.at]

    def marker(self) -> bytes:
        while (found := self.take(1)) == b"N":
            pass
        return found

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in (b"S", b"H"):
            return self._text()
        if marker == b"C":
            return self.take(1).decode("ascii")
        raise ValueError(f"byte {self.at - 1} starts no value ({marker!r})")

    def _number(self, marker: bytes) -> int | float:
        kind = np.dtype(_NUMBERS[marker])
        number: int | float = np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        return number

    def _count(self) -> int:
        marker = self.marker()
        if marker not in _INTEGERS:
            raise ValueError(f"byte {self.at - 1} starts no count ({marker!r})")
        count = int(self._number(marker))
        if count < 0 or count > len(self.data) - self.at:
            raise ValueError(f"it promises {count} values, and {len(self.data) - self.at} bytes are left")
        return count

    def _text(self) -> str:
        return self.take(self._count()).decode("utf-8")

    def _header(self) -> tuple[bytes | None, int | None]:
        """The type and the count that a container may state."""
        kind, count = None, None
        if self._peek() == b"$":
            self.take(1)
            kind = self.take(1)
        if self._peek() == b"#":
            self.take(1)
            count = self._count()
        elif kind is not None:
            raise ValueError(f"byte {self.at} states a type without a count")
        return kind, count

    def _peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def _array(self, depth: int) -> Any:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(count * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))
        if kind in _CONSTANTS:
            raise ValueError("it has an array whose values take no room")
        found: list[Any] = []
        while count is None or len(found) < count:
            marker = kind or self.marker()
            if count is None and marker == b"]":
                break
            found.append(self.value(marker, depth + 1))
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        if kind in _CONSTANTS:
            raise ValueError("it has an object whose values take no room")
        found: dict[str, Any] = {}
        read = 0
        while count is None or read < count:
            if count is None and self._peek() == b"}":
                self.take(1)
                break
            name = self._text()
            found[name] = self.value(kind or self.marker(), depth + 1)
            read += 1
        return found
