"""A bucket server for tests and benchmarks: enough of S3 for pyarrow, objects in a folder, faults on demand.

Objects are streamed to the disk, so that gigabytes go through it. Signatures are not looked at. ``faults`` are asked at
each request and may answer in its place.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

_PIECE = 1 << 20
_OWN = ".sqlinfer-"
"""How names of the server's own begin."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    bucket: str
    key: str
    query: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.bucket}/{self.key}" + (f"?{'&'.join(sorted(self.query))}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is answered in the place of an object."""

    status: int
    code: str
    message: str = ""
    headers: tuple[tuple[str, str], ...] = ()


DENIED = Fault(403, "AccessDenied", "Access Denied")
BUSY = Fault(503, "SlowDown", "Please reduce your request rate")
ELSEWHERE = Fault(301, "PermanentRedirect", "Use the other endpoint", (("x-amz-bucket-region", "eu-west-1"),))
_NO_BUCKET = Fault(404, "NoSuchBucket", "The specified bucket does not exist")
_OTHER = Fault(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
_NO_KEY = Fault(404, "NoSuchKey", "The specified key does not exist")


@dataclass(slots=True)
class BucketServer:
    """A context manager: ``with BucketServer(tmp_path, "lake") as server: …``."""

    folder: Path
    buckets: tuple[str, ...] = ("lake",)
    fault: Callable[[Request], Fault | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    conditional: bool = True
    """Whether ``If-None-Match`` and ``If-Match`` of a put are honoured."""
    putting: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> BucketServer:
        for bucket in self.buckets:
            (self.folder / bucket).mkdir(parents=True, exist_ok=True)
        owner = self

        class Handler(_Handler):
            store = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to come here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def keys(self, bucket: str = "lake") -> list[str]:
        """Names of objects, those that only mark folders left out."""
        root = self.folder / bucket
        found = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith(_OWN))
        return sorted(unquote(str(path.relative_to(root))) for path in found)

    def path(self, bucket: str, key: str) -> Path:
        """Where an object lies. A part of its name that says nothing to a file system is written with per cent."""
        parts = [quote(part, safe="=+@,;: ") if part.strip(".") else "%2E" * len(part) for part in key.split("/")]
        return self.folder.joinpath(bucket, *(part or f"{_OWN}folder" for part in parts))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: BucketServer

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _request(self) -> Request:
        split = urlsplit(self.path)
        bucket, _, key = unquote(split.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        return Request(self.command, bucket, key, query)

    def _serve(self) -> None:
        asked = self._request()
        self.store.requests.append(asked)
        fault = self.store.fault(asked)
        if fault is None and not (self.store.folder / asked.bucket).is_dir():
            fault = _NO_BUCKET
        if fault is not None:
            self._drain()
            self._refuse(fault)
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{asked.method.lower()}")(asked)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    # answers

    def _refuse(self, fault: Fault) -> None:
        body = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
        self._say(fault.status, body, dict(fault.headers))

    def _say(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        data = (f'<?xml version="1.0" encoding="UTF-8"?>{body}' if body else "").encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/xml", **(headers or {}),
                            "Content-Length": str(len(data))}.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # bodies

    def _pieces(self) -> Iterator[bytes]:
        """Of the request's body, also where it comes in signed chunks."""
        chunked = "aws-chunked" in self.headers.get("Content-Encoding", "") or "STREAMING" in self.headers.get(
            "x-amz-content-sha256", ""
        )
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            source: Any = _Chunks(self.rfile)
        else:
            source = _Limited(self.rfile, int(self.headers.get("Content-Length") or 0))
        if chunked:
            source = _Chunks(source)
        while piece := source.read(_PIECE):
            yield piece
        if chunked:
            source.inner.finish()

    def _drain(self) -> None:
        for _ in self._pieces():
            pass

    def _receive(self, target: Path) -> str:
        """The ETag of what was written; the name is given when all of it is there."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, digest = target.with_name(f"{_OWN}{uuid.uuid4().hex}"), hashlib.md5(usedforsecurity=False)
        with beside.open("wb") as file:
            for piece in self._pieces():
                digest.update(piece)
                file.write(piece)
        beside.replace(target)
        return f'"{digest.hexdigest()}"'

    # objects

    def _head(self, asked: Request) -> None:
        if not asked.key:
            self._say(200)
            return
        self._send(asked, body=False)

    def _get(self, asked: Request) -> None:
        if not asked.key or "list-type" in asked.query:
            self._list(asked)
        else:
            self._send(asked, body=True)

    def _send(self, asked: Request, *, body: bool) -> None:
        path = self.store.path(asked.bucket, asked.key)
        if not path.is_file():
            self._drain()
            self._refuse(_NO_KEY)
            return
        state = path.stat()
        first, last = 0, state.st_size - 1
        wanted = re.match(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is not None:
            if wanted[1]:
                first, last = int(wanted[1]), min(last, int(wanted[2] or last))
            else:
                first = max(0, state.st_size - int(wanted[2]))
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(max(0, last - first + 1)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Last-Modified", formatdate(state.st_mtime, usegmt=True))
        self.send_header("ETag", _tag(path))
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{state.st_size}")
        self.end_headers()
        if not body:
            return
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left > 0 and (piece := file.read(min(_PIECE, left))):
                self.wfile.write(piece)
                left -= len(piece)

    def _put(self, asked: Request) -> None:
        if not asked.key:
            (self.store.folder / asked.bucket).mkdir(exist_ok=True)
            self._drain()
            self._say(200)
            return
        if "uploadId" in asked.query:
            number = int(asked.query["partNumber"])
            tag = self._receive(self._upload(asked) / f"{number:06}")
        else:
            path = self.store.path(asked.bucket, asked.key)
            with self.store.putting:
                if self._is_other(path):
                    self._drain()
                    self._refuse(_OTHER)
                    return
                self._receive(path)
                tag = _tag(path)
        self._say(200, headers={"ETag": tag})

    def _is_other(self, path: Path) -> bool:
        """Whether the object is not what a condition of the request wants."""
        if not self.store.conditional:
            return False
        wanted = self.headers.get("If-Match")
        missing = not path.is_file()
        return (self.headers.get("If-None-Match") == "*" and not missing) or (
            wanted is not None and (missing or _tag(path) != wanted)
        )

    def _post(self, asked: Request) -> None:
        if "delete" in asked.query:
            named = re.findall(r"<Key>(.*?)</Key>", b"".join(self._pieces()).decode(), re.DOTALL)
            for key in named:
                self._remove(asked.bucket, key.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
            self._say(200, "<DeleteResult></DeleteResult>")
            return
        self._drain()
        if "uploads" in asked.query:
            upload = uuid.uuid4().hex
            (self.store.folder / f"{_OWN}{upload}").mkdir()
            told = f"<Bucket>{asked.bucket}</Bucket><Key>{escape(asked.key)}</Key><UploadId>{upload}</UploadId>"
            self._say(200, f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>")
            return
        self._complete(asked)

    def _complete(self, asked: Request) -> None:
        folder, target = self._upload(asked), self.store.path(asked.bucket, asked.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = sorted(folder.iterdir())
        with parts[0].open("ab") as whole:
            for part in parts[1:]:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, _PIECE)
        parts[0].replace(target)
        shutil.rmtree(folder)
        self._say(200, f"<CompleteMultipartUploadResult><Key>{escape(asked.key)}</Key><ETag>&quot;whole&quot;</ETag>"
                       "</CompleteMultipartUploadResult>")  # fmt: skip

    def _upload(self, asked: Request) -> Path:
        return self.store.folder / f"{_OWN}{asked.query['uploadId']}"

    def _delete(self, asked: Request) -> None:
        if "uploadId" in asked.query:
            shutil.rmtree(self._upload(asked), ignore_errors=True)
        else:
            self._remove(asked.bucket, asked.key)
        self._say(204)

    def _remove(self, bucket: str, key: str) -> None:
        path = self.store.path(bucket, key)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in path.relative_to(self.store.folder / bucket).parents:
                if str(folder) != ".":
                    (self.store.folder / bucket / folder).rmdir()

    def _list(self, asked: Request) -> None:
        prefix, delimiter = asked.query.get("prefix", ""), asked.query.get("delimiter", "")
        contents, common = [], dict[str, None]()
        for key, path in self._listed(asked.bucket):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                common[prefix + rest[: rest.index(delimiter) + 1]] = None
                continue
            state = path.stat()
            at = formatdate_iso(state.st_mtime)
            tag = f"<ETag>&quot;{state.st_mtime_ns:x}&quot;</ETag><Size>{state.st_size}</Size>"
            contents.append(f"<Contents><Key>{escape(key)}</Key><LastModified>{at}</LastModified>{tag}</Contents>")
        groups = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in common)
        self._say(200, f"<ListBucketResult><Name>{asked.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
                       f"<KeyCount>{len(contents) + len(common)}</KeyCount><MaxKeys>100000</MaxKeys>"
                       f"<IsTruncated>false</IsTruncated>{''.join(contents)}{groups}</ListBucketResult>")  # fmt: skip

    def _listed(self, bucket: str) -> Iterator[tuple[str, Path]]:
        root = self.store.folder / bucket
        found = []
        for path in root.rglob("*"):
            name = str(path.relative_to(root))
            if path.is_file() and (path.name == f"{_OWN}folder" or not path.name.startswith(_OWN)):
                found.append((unquote(name.removesuffix(f"{_OWN}folder")), path))
        yield from sorted(found)


def _tag(path: Path) -> str:
    state = path.stat()
    return f'"{state.st_mtime_ns:x}-{state.st_size:x}-{state.st_ino:x}"'


def formatdate_iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass(slots=True)
class _Limited:
    inner: Any
    left: int

    def read(self, size: int) -> bytes:
        data: bytes = self.inner.read(min(size, self.left)) if self.left else b""
        self.left -= len(data)
        return data

    def readline(self) -> bytes:
        data: bytes = self.inner.readline(self.left + 1) if self.left else b""
        self.left -= len(data)
        return data

    def finish(self) -> None:
        while self.read(_PIECE):
            pass


@dataclass(slots=True)
class _Chunks:
    """A body of chunks with their lengths in front, trailers left out."""

    inner: Any
    left: int = 0
    done: bool = False

    def read(self, size: int) -> bytes:
        if self.done:
            return b""
        if not self.left:
            line = self.inner.readline().split(b";")[0].strip()
            self.left = int(line or b"0", 16)
            if not self.left:
                self.done = True
                while self.inner.readline().strip():
                    pass
                return b""
        data: bytes = self.inner.read(min(size, self.left))
        self.left -= len(data)
        if not self.left:
            self.inner.readline()
        return data

    def readline(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (one := self.read(1)):
            line += one
        return line

    def finish(self) -> None:
        while self.read(_PIECE):
            pass


@contextmanager
def pointed_at(server: BucketServer) -> Iterator[None]:
    """This process's environment leads to the server."""
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
