"""Builds the forest kernel with the system's C compiler, where there is one; without it the wheel is a pure one.

python hatch_build.py    # into src, as an editable install does
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script
    BuildHookInterface = object  # type: ignore[assignment,misc]

SOURCES = Path("src/sqlinfer/inference/trees")
LIBRARY = "_forest.so"
FLAGS = ("-O3", "-fPIC", "-std=gnu11", "-ffp-contract=off", "-fvisibility=hidden", "-w")
SETS = {"plain": (), "avx2": ("-mavx2",), "avx512": ("-mavx2", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")}
"""Name of an instruction set → flags that only its own file is compiled with: the library runs on every processor."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """An editable install finds the library in src, ignored by git; a wheel takes one of its own with it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        sources = Path(self.root, SOURCES)
        self._made = None if version == "editable" else Path(tempfile.mkdtemp(prefix="sqlinfer-kernel-"))
        library = (self._made or sources) / LIBRARY
        why = build(sources, library)
        if why is not None:
            self.app.display_info(f"no forest kernel: {why}")
        elif self._made is not None:
            build_data["force_include"][str(library)] = f"sqlinfer/inference/trees/{LIBRARY}"
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name == "wheel" and self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)


def build(sources: Path, library: Path) -> str | None:
    """Compile and link; why there is no library, where there is none. An older one does not stay then."""
    why = _built(sources, library)
    if why is not None:
        library.unlink(missing_ok=True)
    return why


def _built(sources: Path, library: Path) -> str | None:
    if os.environ.get("SQLINFER_NO_KERNEL"):
        return "SQLINFER_NO_KERNEL is set"
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if sys.platform == "win32" or shutil.which(compiler[0]) is None:
        return "there is no C compiler"
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as folder:
        made = Path(folder, LIBRARY)
        try:
            _compile(compiler, sources, made)
        except subprocess.CalledProcessError as error:
            return f"{compiler[0]} failed: {error.stderr.decode(errors='replace').strip()[:500]}"
        except OSError as error:
            return f"{compiler[0]} does not run: {error}"
        os.replace(made, library)
    return None


def _compile(compiler: list[str], sources: Path, made: Path) -> None:
    is_x86 = _machines() == {"x86_64"}
    common = [*compiler, *FLAGS, *_architecture(), *(["-DFOREST_X86"] if is_x86 else [])]
    objects = []
    for name, flags in SETS.items() if is_x86 else {"plain": ()}.items():
        objects.append(str(made.with_suffix(f".{name}.o")))
        own = [*flags, f"-DFOREST_RUN=forest_run_{name}"]
        _run([*common, *own, "-c", str(sources / "forest.c"), "-o", objects[-1]])
    objects.append(str(made.with_suffix(".dispatch.o")))
    _run([*common, "-fvisibility=default", "-c", str(sources / "dispatch.c"), "-o", objects[-1]])
    _run([*compiler, *_architecture(), "-shared", *objects, "-o", str(made), "-lm"])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _machines() -> set[str]:
    """What the library is for: a Mac's may be for two."""
    asked = _architecture()
    found = {asked[place + 1] for place, flag in enumerate(asked[:-1]) if flag == "-arch"} or {platform.machine()}
    return {"x86_64" if one in ("x86_64", "AMD64") and sys.maxsize > 1 << 32 else one for one in found}


def _architecture() -> list[str]:
    """On a Mac that of the wheel, which cibuildwheel tells by ARCHFLAGS."""
    return shlex.split(os.environ.get("ARCHFLAGS", "")) if sys.platform == "darwin" else []


def _platform() -> str:
    return os.environ.get("_PYTHON_HOST_PLATFORM", sysconfig.get_platform()).replace("-", "_").replace(".", "_")


if __name__ == "__main__":
    root = Path(__file__).parent
    problem = build(root / SOURCES, root / SOURCES / LIBRARY)
    sys.stdout.write(f"{problem or f'built {SOURCES / LIBRARY}'}\n")
    sys.exit(problem is not None)
