"""The code that an entrypoint can reach: its module and the modules of the project that it imports, without running it.

In: a dotted name and the folders that are searched before installed packages. Out: modules with the hash of their file,
and the names of what is imported from elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from sqlinfer.errors import FunctionError, Location
from sqlinfer.functions.check.containment import read_regular

_IMPORTS = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    path: Path
    sha256: str


@dataclass(slots=True)
class Reached:
    """What was found on the way."""

    modules: dict[str, Module] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    """Top-level names that are not the project's: installed packages and the standard library."""

    @property
    def paths(self) -> list[Path]:
        return [module.path for module in self.modules.values()]

    def content(self) -> dict[str, str]:
        return {f"module:{name}": module.sha256 for name, module in sorted(self.modules.items())}


def reach(name: str, folders: Sequence[Path]) -> Reached:
    """Follow the imports of a module, also those inside functions and those of a literal name.

    Raises:
        FunctionError: a module does not parse.
    """
    found, waiting = Reached(), [name]
    while waiting:
        wanted = waiting.pop()
        for part in _parents(wanted):
            if part in found.modules:
                continue
            path = locate(part, folders)
            if path is None:
                if "." not in part and not is_namespace(part, folders):
                    found.elsewhere.add(part)
                    break
                continue
            data = read_regular(path, may_be_empty=True)
            found.modules[part] = Module(part, path, hashlib.sha256(data).hexdigest())
            if path.suffix == ".py":
                waiting += _imported(_parsed(path, data), part, path.name == "__init__.py")
    return found


def locate(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of a module, as the import system would choose it among these folders."""
    parts = name.split(".")
    for folder in folders:
        here = folder.joinpath(*parts)
        for candidate in (
            here / "__init__.py",
            *(here.with_name(parts[-1] + end) for end in (*EXTENSION_SUFFIXES, ".py")),
        ):
            if candidate.is_file():
                return candidate
    return None


def is_namespace(name: str, folders: Sequence[Path]) -> bool:
    """Whether it is a folder with code, without ``__init__.py``."""
    places = (folder.joinpath(*name.split(".")) for folder in folders)
    return any(place.is_dir() and next(place.rglob("*.py"), None) is not None for place in places)


def names_of(path: Path) -> list[str] | None:
    """What a module defines at its top level; None where that cannot be seen without running it."""
    if path.suffix != ".py":
        return None
    found: list[str] = []
    for node in _statements(_parsed(path, read_regular(path, may_be_empty=True)).body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.append(node.name)
            case ast.Import() | ast.ImportFrom():
                if any(alias.name == "*" for alias in node.names):
                    return None
                found += [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            case ast.Assign() | ast.AnnAssign() | ast.With() | ast.For():
                found += [
                    one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                ]
            case _:
                pass
    return None if "__getattr__" in found else found


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of the top level, in branches too."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers"):
            if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
                inner = getattr(node, part, [])
                yield from _statements([s for h in inner for s in h.body] if part == "handlers" else inner)


def _parents(name: str) -> list[str]:
    """``a.b.c`` → a, a.b, a.b.c: importing the last one runs them all."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _parsed(path: Path, data: bytes) -> ast.Module:
    try:
        return ast.parse(data, filename=str(path))
    except SyntaxError as error:
        text = (error.text or "").rstrip("\n") or None
        raise FunctionError(f"{path.name} is no Python: {error.msg}",
                            location=Location(path, error.lineno, error.offset, text=text)) from error  # fmt: skip
    except (ValueError, RecursionError, MemoryError) as error:
        raise FunctionError(f"{path.name} is no Python: {error}", location=Location(path)) from error


def _imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names that may be modules; ``from a import b`` may mean a.b."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = _base(node, module, is_package)
                if base:
                    yield base
                    yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _called(node.func) in _IMPORTS:
                yield from [name] if name and all(part.isidentifier() for part in name.split(".")) else []


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _called(function: ast.expr) -> str:
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
