"""The files of a folder that count, as one archive: hashed and copied as a single file would be.

What is not listed here is never read: pickles, code, other frameworks' weights, notes.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlinfer.errors import ArtifactError
from sqlinfer.functions.check.containment import open_regular

WEIGHTS: Final = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
PICKLED: Final = "pytorch_model.bin"
"""Read under ``trust:`` alone."""
GRAPHS: Final = ("onnx/model.onnx", "model.onnx")
_NAMES: Final = frozenset(
    {
        "config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
        "sentencepiece.bpe.model", "tokenizer.model", "preprocessor_config.json", "processor_config.json",
        "modules.json", "config_sentence_transformers.json",
    }
)  # fmt: skip
_ALSO: Final = re.compile(r"sentence_[\w-]+_config\.json")
_GRAPH: Final = re.compile(r"model\.onnx([._]data)?")
_MODULE: Final = re.compile(r"\d+_\w+")
"""Folders of sentence-transformers' modules."""
_CONFIG: Final = re.compile(r"(0_\w+/)?config\.json")
_MOST_FILES: Final = 2000
_PART: Final = 1 << 20


def files(folder: Path, *, pickled: bool = False) -> tuple[str, ...]:
    """Names of the files that count, relative to ``folder``, sorted.

    Raises:
        ArtifactError: it is no folder, or one of them is a link, a device or a pipe.
    """
    found = tuple(sorted(_names(folder, pickled)))
    if not any(_CONFIG.fullmatch(name) for name in found):
        near = ", ".join(sorted(one.name for one in folder.iterdir())[:8]) or "nothing"
        raise ArtifactError(
            f"the folder {folder} has no config.json", hint=f"it has {near}; save_pretrained writes one"
        )
    return found


def check_folder(folder: Path, given: str | None = None) -> None:
    """Raise ArtifactError with a hint how to fetch it where a name is given and no folder."""
    if folder.is_dir():
        return
    if folder.exists() or folder.is_symlink():
        raise ArtifactError(f"{folder} is not a folder; source huggingface takes one, as save_pretrained writes it",
                            hint="name the folder that holds config.json")  # fmt: skip
    name = given or folder.name
    raise ArtifactError(f"the folder {folder} does not exist; nothing is downloaded when functions are prepared",
                        hint=f"fetch it once: hf download {name} --local-dir {folder}")  # fmt: skip


def _names(folder: Path, pickled: bool) -> Iterator[str]:
    try:
        entries = sorted(folder.iterdir())
        inner = {one.name: sorted(one.iterdir()) for one in entries if _is_inner(one)}
    except OSError as error:
        raise ArtifactError(f"the folder {folder} cannot be read: {error.strerror}") from error
    if len(entries) + sum(map(len, inner.values())) > _MOST_FILES:
        raise ArtifactError(f"the folder {folder} has more than {_MOST_FILES:,} files",
                            hint="it is not what save_pretrained writes")  # fmt: skip
    for one in entries:
        if _MODULE.fullmatch(one.name) and one.is_symlink():
            raise _link(one)
        if _counts(one.name) or _GRAPH.fullmatch(one.name) or (pickled and one.name == PICKLED):
            yield _checked(one, one.name)
    for name, contents in inner.items():
        for one in contents:
            if _GRAPH.fullmatch(one.name) if name == "onnx" else _counts(one.name):
                yield _checked(one, f"{name}/{one.name}")


def _is_inner(path: Path) -> bool:
    return (path.name == "onnx" or _MODULE.fullmatch(path.name) is not None) and not path.is_symlink() and path.is_dir()


def _counts(name: str) -> bool:
    return name in _NAMES or any(one.fullmatch(name) for one in (WEIGHTS, _ALSO))


def _checked(path: Path, name: str) -> str:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode) or info.st_nlink > 1:
        raise _link(path)
    if not stat.S_ISREG(info.st_mode):
        raise ArtifactError(f"{path} is not a regular file", hint="the folder holds plain files only")
    return name


def _link(path: Path) -> ArtifactError:
    return ArtifactError(f"{path} is a link to another file, which may lie anywhere; it is not followed",
                         hint="copy the files themselves: hf download NAME --local-dir FOLDER does")  # fmt: skip


class _Hashing:
    """A file to write to, of which the sha256 alone is kept."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)


def hashed(folder: Path, *, pickled: bool = False) -> str:
    """sha256 of the archive of the folder, which is not written for that."""
    sink = _Hashing()
    _archive(folder, files(folder, pickled=pickled), sink)
    return sink.digest.hexdigest()


def archived(folder: Path, target: Path, sha256: str, *, pickled: bool = False) -> Path:
    """Write the archive that was hashed.

    Raises:
        ArtifactError: the folder is another one by now.
    """
    with target.open("wb") as file:
        _archive(folder, files(folder, pickled=pickled), file)
    with open_regular(target) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ArtifactError(f"the folder {folder} changed while it was read", hint="run again")
    return target


def _archive(folder: Path, names: tuple[str, ...], sink: Any) -> None:
    """The same bytes for the same content: no times, no owners."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.GNU_FORMAT, bufsize=_PART) as archive:
        for name in names:
            with open_regular(folder / name) as file:
                member = tarfile.TarInfo(name)
                member.size = os.fstat(file.fileno()).st_size
                try:
                    archive.addfile(member, file)
                except OSError as error:
                    raise ArtifactError(f"{folder / name} changed while it was read", hint="run again") from error


def unpack(archive: Path, target: Path) -> None:
    """An archive of ours."""
    with tarfile.open(archive) as found:
        found.extractall(target, filter="data")
