"""``package.module:callable``: found and hashed without importing it; imported in the child process only."""

from __future__ import annotations

import hashlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sqlinfer.errors import FunctionError
from sqlinfer.functions.sources.base import Workspace
from sqlinfer.project.values import FunctionConfig


def split(config: FunctionConfig, text: str | None = None) -> tuple[str, str]:
    """``package.module:callable`` → its two parts.

    Raises:
        FunctionError: it is missing or spelled otherwise.
    """
    spelled = config.entrypoint if text is None else text
    module, _, name = (spelled or "").partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        found = f"'{spelled}'" if spelled else "none"
        raise FunctionError(
            f"function '{config.name}': source '{config.source}' needs an entrypoint 'package.module:callable', "
            f"found {found}",
            hint="name a callable without arguments that returns the model",
        )
    return module, name


def search_path(config: FunctionConfig, workspace: Workspace) -> tuple[Path, ...]:
    """Where entrypoints are imported from, before installed packages."""
    return tuple(dict.fromkeys((config.folder, workspace.root)))


def fingerprint(config: FunctionConfig, workspace: Workspace, text: str | None = None) -> str:
    """A hash over the entrypoint's code: its top-level package, or its module and the modules beside it."""
    module, _ = split(config, text)
    top = module.split(".", 1)[0]
    for folder in search_path(config, workspace):
        if (folder / top).is_dir():
            return _tree(sorted((folder / top).rglob("*.py")), folder / top)
        if (folder / f"{top}.py").is_file():
            return _tree(sorted(folder.glob("*.py")), folder)
    return installed(config, top)


def installed(config: FunctionConfig, top: str) -> str:
    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise FunctionError(
            f"function '{config.name}': there is no module '{top}' for its entrypoint '{config.entrypoint}'",
            hint="entrypoints are imported from the project's folder, the functions folder, or installed packages",
        )
    origin = Path(spec.origin)
    return _tree(sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin], origin.parent)


def _tree(files: list[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(root)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def version(package: str) -> str | None:
    """The installed version of a distribution, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def require(config: FunctionConfig, extra: str, *packages: str) -> dict[str, str]:
    """Versions of the packages that a source needs.

    Raises:
        FunctionError: one is not installed; the hint names the extra.
    """
    found = {package: version(package) for package in packages}
    missing = [package for package, installed in found.items() if installed is None]
    if missing:
        raise FunctionError(
            f"function '{config.name}': source '{config.source}' needs {', '.join(missing)}, which is not installed",
            hint=f"pip install 'sqlinfer[{extra}]'",
        )
    return {f"version:{package}": str(installed) for package, installed in found.items()}
