"""A report that is served on this machine alone, and that follows the runs of its project."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sqlinfer.errors import SqlinferError, UsageError

HOST = "127.0.0.1"
"""The address of loopback: no other machine reaches it."""
_PAUSE = 1.5
"""Seconds between two looks at the warehouse, however many pages are open."""


@dataclass(slots=True)
class LivePage:
    """The page and its version. Where there is no new one (a run holds the warehouse), the last one stays."""

    look: Callable[[], str]
    """The version of what is to be shown."""
    make: Callable[[str], str]
    """The page of a version."""
    clock: Callable[[], float] = time.monotonic
    _version: str = ""
    _page: str = ""
    _made: str = ""
    _next: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def version(self) -> str:
        with self._lock:
            return self._looked()

    def page(self) -> str:
        """
        Raises:
            SqlinferError: there is none yet.
        """
        with self._lock:
            version = self._looked()
            if version != self._made or not self._page:
                try:
                    self._page, self._made = self.make(version), version
                except SqlinferError:
                    if not self._page:
                        raise
            return self._page

    def _looked(self) -> str:
        if self.clock() >= self._next:
            with suppress(SqlinferError):
                self._version = self.look()
            self._next = self.clock() + _PAUSE
        return self._version


def server(live: LivePage, port: int) -> ThreadingHTTPServer:
    """
    Raises:
        UsageError: the port is taken.
    """
    try:
        found = ThreadingHTTPServer((HOST, port), _handler(live))
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise UsageError(
            f"port {port} cannot be listened to: {said}", hint="--serve 0 takes one that is free"
        ) from error
    found.daemon_threads = True
    return found


def serve(live: LivePage, port: int, ready: Callable[[str], object], cancel: threading.Event) -> None:
    """Until ``cancel`` is set. ``ready`` is told the address."""
    with server(live, port) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            ready(f"http://{HOST}:{found.server_address[1]}/")
            while not cancel.wait(0.2):
                pass
        finally:
            found.shutdown()
            thread.join()


def _handler(live: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "sqlinfer", ""
        timeout = 10

        def do_GET(self) -> None:
            if not self._is_meant():
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", "This address is not served.\n")
            elif self.path == "/version":
                self._answer(HTTPStatus.OK, "text/plain", live.version())
            elif self.path == "/":
                self._page()
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "There is nothing here.\n")

        do_HEAD = do_GET

        def _page(self) -> None:
            try:
                self._answer(HTTPStatus.OK, "text/html", live.page())
            except SqlinferError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error.message}\n")

        def _is_meant(self) -> bool:
            """A page of elsewhere whose name leads to this machine (DNS rebinding) sends its own name."""
            port = self.connection.getsockname()[1]
            return self.headers.get("Host", "") in (f"{HOST}:{port}", f"localhost:{port}")

        def _answer(self, status: HTTPStatus, kind: str, content: str) -> None:
            data = content.encode(errors="replace")
            self.send_response(status)
            for name, value in (
                ("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(data))),
                ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
                ("Cross-Origin-Resource-Policy", "same-origin"), ("Content-Security-Policy", "frame-ancestors 'none'"),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a page asks every two seconds."""

    return Handler
