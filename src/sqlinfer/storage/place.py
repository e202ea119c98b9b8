"""One folder or object: read, put, list, delete. The same for a bucket and for the machine's own disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlinfer.errors import StorageError
from sqlinfer.files import write_atomic
from sqlinfer.storage.access import NOWHERE, Access, is_url
from sqlinfer.storage.errors import translated

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, slots=True)
class Entry:
    """An object below a place."""

    name: str
    """Relative to the place, with slashes."""
    size: int
    changed: datetime | None
    tag: str = ""
    """The server's ETag, where it was asked for and has one."""


@dataclass(frozen=True, slots=True)
class Place:
    url: str
    """As the user reads it, without a slash at its end."""
    path: str
    """In ``system``."""
    system: FileSystem
    access: Access = NOWHERE

    @property
    def local(self) -> Path | None:
        """The path, where it is one of this machine."""
        return None if is_url(self.url) else Path(self.path)

    def below(self, *parts: str) -> Place:
        name = "/".join(parts)
        return Place(f"{self.url}/{name}", f"{self.path}/{name}", self.system, self.access)

    def translated(self) -> Any:
        return translated(self.url, self.access)

    def read(self) -> bytes | None:
        """The whole of a small object; None where there is none.

        Raises:
            StorageError: the server's answer.
        """
        try:
            with self.translated(), self.system.open_input_stream(self.path) as file:
                return bytes(file.read())
        except StorageError as error:
            if error.missing:
                return None
            raise

    def put(self, data: bytes) -> None:
        """The object holds all of ``data`` or what it held before: one request, or a rename on the disk."""
        if self.local is not None:
            with self.translated():
                write_atomic(self.local, data)
            return
        with self.translated(), self.system.open_output_stream(self.path) as file:
            file.write(data)

    def find(self) -> Entry | None:
        """Size, time and ETag by one request; None where there is no object (a folder is none)."""
        from pyarrow.fs import FileType

        with self.translated():
            if self.local is None:
                return self._headed()
            info = self.system.get_file_info(self.path)
        name = self.url.rpartition("/")[2]
        return Entry(name, info.size, info.mtime) if info.type == FileType.File else None

    def _headed(self) -> Entry | None:
        """pyarrow gives metadata of opened files only; opening one is a HEAD."""
        try:
            with self.system.open_input_file(self.path) as file:
                told = {str(key, "utf-8", "replace") if isinstance(key, bytes) else str(key): value
                        for key, value in (file.metadata() or {}).items()}  # fmt: skip
                size = file.size()
        except (FileNotFoundError, NotADirectoryError):
            return None
        tag = told.get("ETag") or told.get("etag") or told.get("Last-Modified") or b""
        said = tag.decode("utf-8", "replace") if isinstance(tag, bytes) else str(tag)
        return Entry(self.url.rpartition("/")[2], int(size), None, said.strip('"'))

    def entries(self) -> Iterator[Entry]:
        """Every object below, in order of names; nothing where there is no such folder.

        Raises:
            StorageError: there is no such bucket, among other answers.
        """
        from pyarrow.fs import FileSelector, FileType

        with self.translated():
            found = self.system.get_file_info(FileSelector(self.path, recursive=True, allow_not_found=True))
            if not found:
                self._refuse_missing_bucket()
        files = sorted((one for one in found if one.type == FileType.File), key=lambda one: str(one.path))
        for one in files:
            yield Entry(one.path[len(self.path) :].lstrip("/"), one.size, one.mtime)

    def _refuse_missing_bucket(self) -> None:
        """A listing of nothing and of a bucket that is not there look the same."""
        from pyarrow.fs import FileType

        if self.local is None and self.system.get_file_info(self.path.partition("/")[0]).type == FileType.NotFound:
            raise StorageError(
                f"{'/'.join(self.url.split('/')[:3])} does not exist: no such bucket",
                hint="make the bucket, or correct its name",
            )

    def folders(self) -> list[str]:
        """Names of the folders directly below."""
        if self._lists_no_folders:
            return sorted({one.name.partition("/")[0] for one in self.entries() if "/" in one.name})
        return [one.base_name for one in self._directly() if one.type.name == "Directory"]

    def is_empty(self) -> bool:
        """Whether no object lies below, by one small request where the server lets it."""
        if self._lists_no_folders:
            return next(self.entries(), None) is None
        # What a folder of a bucket leaves behind is an empty object of its own name.
        return not any(
            one.type.name == "File" or next(self.below(one.base_name).entries(), None) for one in self._directly()
        )

    @property
    def _lists_no_folders(self) -> bool:
        """pyarrow lists what lies directly below a place of Google's without the folders."""
        return str(self.system.type_name) == "gcs"

    def _directly(self) -> list[Any]:
        from pyarrow.fs import FileSelector

        with self.translated():
            found = self.system.get_file_info(FileSelector(self.path, allow_not_found=True))
        return sorted(found, key=lambda one: str(one.path))

    def delete(self) -> None:
        """The object, or the folder with all that is in it. What is gone already is no error."""
        from pyarrow.fs import FileType

        with self.translated(), suppress(FileNotFoundError):
            kind = self.system.get_file_info(self.path).type
            if kind == FileType.File:
                self.system.delete_file(self.path)
            elif kind == FileType.Directory and self._lists_no_folders:
                for one in list(self.entries()):  # a folder is no object there
                    self.system.delete_file(f"{self.path}/{one.name}")
            elif kind == FileType.Directory:
                self.system.delete_dir(self.path)

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A stream for an object of any size. An exception inside may leave a part of it: name it where it is whole."""
        with self.translated():
            if self.local is not None:
                self.local.parent.mkdir(parents=True, exist_ok=True)
            with self.system.open_output_stream(self.path) as file:
                yield file

    def fetch(self, target: Path) -> None:
        """The object as a new file of this machine, in pieces."""
        with self.translated(), self.system.open_input_stream(self.path) as source, target.open("xb") as file:
            while piece := source.read(1 << 20):
                file.write(piece)


def at(location: str | Path, access: Access = NOWHERE) -> Place:
    """
    Raises:
        StorageError: ``location`` is a URL that names no bucket, or of an unknown scheme.
    """
    system, path = access.opened(str(location))
    url = str(location).rstrip("/") if is_url(str(location)) else path
    return Place(url, path, system, access)
