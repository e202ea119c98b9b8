"""The file that a declared tokenizer is read from, found and looked at without the package that runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from sqlinfer.errors import ArtifactError

NAME: Final = "tokenizer.json"


def tokenizer_file(path: Path) -> Path:
    """``path`` itself, or the tokenizer.json of a folder.

    Raises:
        ArtifactError: the folder has none.
    """
    if not path.is_dir():
        return path
    if not (path / NAME).is_file():
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise ArtifactError(
            f"the tokenizer's folder {path} has no {NAME}",
            hint=f"it has {found}; save a fast tokenizer there (save_pretrained)",
        )
    return path / NAME


def check_tokenizer(path: Path, data: bytes) -> None:
    """Raise ArtifactError unless ``data`` is a tokenizers file by its outline."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error
    if not isinstance(found, dict) or not isinstance(found.get("model"), dict):
        raise _damaged(path, "it describes no tokenizer model")


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"the tokenizer {path} cannot be read: {why}",
                         hint="it is the tokenizer.json that the package 'tokenizers' writes")  # fmt: skip
