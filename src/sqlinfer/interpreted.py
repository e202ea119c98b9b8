"""sqlglot's Python source is what is imported, also where ``sqlglotc``, its compiled form, is installed beside it.

The compiler adds a parser and expressions of its own to sqlglot's; compiled classes refuse subclasses in Python.
Other packages bring ``sqlglotc`` into an environment, and Python prefers a compiled module to its source.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class SourceFinder:
    """A meta path finder for the modules of one package that looks at Python source alone."""

    def __init__(self, package: str) -> None:
        self._prefix = package + "."
        self._folder = lru_cache(maxsize=None)(lambda path: FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES)))

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not name.startswith(self._prefix):
            return None
        found = (self._folder(folder).find_spec(name, target) for folder in path)
        return next((spec for spec in found if spec is not None), None)


def prefer_source() -> None:
    """Modules that another package has imported before stay as they are."""
    sys.meta_path.insert(0, SourceFinder("sqlglot"))
