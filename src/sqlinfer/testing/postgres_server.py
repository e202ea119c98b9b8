"""A PostgreSQL server for tests: a private cluster on the loopback address, gone with the process that started it.

The server refuses to run as root, so that root starts it as another user. ``SQLINFER_TEST_POSTGRES`` names a server
that is there already, as ``postgresql://user:password@host:port/database``; its user may create databases.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

ASKED = "SQLINFER_TEST_POSTGRES"
_SETTINGS = ("listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=64MB", "max_connections=60")
_USERS = ("postgres", "nobody")
_PATIENCE = 60.0


class NoPostgres(Exception):
    """Nothing to start here."""


@dataclass(frozen=True, slots=True)
class Database:
    """One database of the server, and how to reach it."""

    name: str
    host: str
    port: int
    user: str
    password: str = ""
    server: PostgresServer | None = field(default=None, repr=False, compare=False)
    """None where the server is not ours to stop."""

    @property
    def uri(self) -> str:
        word = f":{quote(self.password, safe='')}" if self.password else ""
        return f"postgresql://{quote(self.user, safe='')}{word}@{self.host}:{self.port}/{quote(self.name, safe='')}"

    def output(self, **more: Any) -> dict[str, Any]:
        """An output of profiles.yml."""
        known = {"type": "postgres", "host": self.host, "port": self.port, "user": self.user, "dbname": self.name}
        return known | {"password": self.password, "schema": "public"} | more

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection of the driver that commits each statement."""
        import adbc_driver_postgresql.dbapi as driver

        with closing(driver.connect(self.uri, autocommit=True)) as connection:
            yield connection

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """One statement after the other; rows of the last one."""
        with self.connected() as connection:
            for statement in statements:
                with closing(connection.cursor()) as cursor:
                    cursor.execute(statement)
                    rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        return rows

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        """An empty database beside this one, dropped at the end with whoever is still connected."""
        name = f"sqlinfer_{uuid.uuid4().hex[:12]}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield replace(self, name=name)
        finally:
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')


@dataclass(slots=True)
class PostgresServer:
    """A cluster in a folder of its own. Started by ``__enter__``; ``kill`` is a crash, ``start`` recovers from it."""

    settings: tuple[str, ...] = ()
    copy_of: PostgresServer | None = None
    """Whose replica it is."""
    folder: Path = field(default_factory=Path)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="sqlinfer-pg-"))  # pytest's own folders are root's alone
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        try:
            if user := _other_user():
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            program, *words = self._making()
            made = subprocess.run([*as_user(), str(programs / program), *words], cwd=self.folder, capture_output=True)
            if made.returncode:
                raise RuntimeError(f"{program} failed: {made.stderr.decode(errors='replace')}")
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _making(self) -> list[str]:
        """The program that makes the folder of data, and its words."""
        if self.copy_of is None:
            place = ["-E", "UTF8", "--locale=C.UTF-8", "-D", "data"]
            return ["initdb", "-U", "sqlinfer", "-A", "trust", "--no-sync", *place]
        there = ["-h", "127.0.0.1", "-p", str(self.copy_of.port), "-U", "sqlinfer"]
        return ["pg_basebackup", *there, "-R", "--no-sync", "--checkpoint=fast", "-D", "data"]

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database(self) -> Database:
        return Database("postgres", "127.0.0.1", self.port, "sqlinfer", server=self)

    def start(self) -> None:
        """Returns once the server takes connections."""
        words = ["-D", "data", "-p", str(self.port), "-k", str(self.folder)]
        words += [word for setting in (*_SETTINGS, *self.settings) for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            command = [*as_user(dies_with_us=True), str(_programs() / "postgres"), *words]
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        _wait(self.database, self._process)

    def kill(self) -> None:
        """As ``pg_ctl stop -m immediate``: nothing is written, the next start recovers."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()


@contextmanager
def postgres(*settings: str) -> Iterator[Database]:
    """The maintenance database of the server that is named, else of one that is started here.

    Raises:
        NoPostgres: neither is there.
    """
    named = os.environ.get(ASKED)
    if named:
        parts = urlsplit(named)
        user, word = unquote(parts.username or "postgres"), unquote(parts.password or "")
        yield Database(parts.path.strip("/") or user, parts.hostname or "127.0.0.1", parts.port or 5432, user, word)
        return
    with PostgresServer(settings) as server:
        yield server.database


def _programs() -> Path:
    """The folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    if path is None:
        raise NoPostgres("PostgreSQL is not installed")
    return Path(path).resolve().parent


def _version(program: Path) -> int:
    name = program.parents[1].name
    return int(name) if name.isdigit() else 0


def _other_user() -> pwd.struct_passwd | None:
    """Whom root starts the server as; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("no user to run PostgreSQL as")


def as_user(*, dies_with_us: bool = False) -> list[str]:
    """Words before a program's own."""
    user, program = _other_user(), shutil.which("setpriv")
    if program is None:
        if user is not None:
            raise NoPostgres("setpriv is not installed, and PostgreSQL does not run as root")
        return []
    words = ["--pdeathsig", "QUIT"] if dies_with_us else []
    if user is not None:
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [program, *words] if words else []


def _wait(database: Database, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            database.run("SELECT 1")
            return
        except Exception:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the PostgreSQL server does not start") from None
        time.sleep(0.02)
