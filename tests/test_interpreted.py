"""Where sqlglot's compiled form is installed, its Python source is what is imported."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, PathFinder, SourceFileLoader
from pathlib import Path

from sqlinfer.interpreted import SourceFinder


def test_the_source_is_found_before_the_compiled_form(tmp_path: Path) -> None:
    for name in ("module.py", f"module{EXTENSION_SUFFIXES[0]}", f"only{EXTENSION_SUFFIXES[0]}"):
        (tmp_path / name).write_text("")
    places = [str(tmp_path)]
    usual, ours = PathFinder.find_spec("pack.module", places), SourceFinder("pack").find_spec("pack.module", places)
    assert usual is not None
    assert ours is not None
    assert isinstance(usual.loader, ExtensionFileLoader)
    assert isinstance(ours.loader, SourceFileLoader)
    assert SourceFinder("pack").find_spec("pack.only", places) is None, "Python's own finder goes on"
    assert SourceFinder("pack").find_spec("packs.module", places) is None
