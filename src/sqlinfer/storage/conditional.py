"""Puts that a server takes only where the object is what the caller knows: new (``If-None-Match: *``), or of one tag.

pyarrow's file systems have none, so obstore sends them (``pip install 'sqlinfer[buckets]'``). Without obstore, with
credentials that obstore does not find, or on a server that does not honour the condition, the caller has to do without.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlinfer.errors import Signal
from sqlinfer.storage.access import ATTEMPTS, IN_ENVIRONMENT, Access, is_url

if TYPE_CHECKING:
    from sqlinfer.storage.place import Place

_PLAIN: Final = re.compile(r"[\w.=/-]+", re.ASCII)
"""Keys that every library spells alike in a request."""


class Unconditional(Signal):
    """The server, or this machine, knows no conditional puts."""


@dataclass(frozen=True, slots=True)
class Tagged:
    tag: str
    changed: datetime


@dataclass(frozen=True, slots=True)
class Conditional:
    """One object. All methods raise Unconditional where the server does not do it, whatever the reason."""

    store: Any
    path: str

    @classmethod
    def of(cls, place: Place) -> Conditional | None:
        """None: not from here."""
        if not is_url(place.url) or _PLAIN.fullmatch(place.path) is None:
            return None
        try:
            import obstore  # noqa: F401
        except ImportError:
            return None
        kind, path = Access.checked(place.url)
        bucket, _, key = path.partition("/")
        store = _store(kind, bucket, place.access)
        return None if store is None else cls(store, key)

    def find(self) -> Tagged | None:
        import obstore

        with _asking():
            try:
                found = obstore.head(self.store, self.path)
            except FileNotFoundError:
                return None
            return Tagged(_tag(found["e_tag"]), found["last_modified"])

    def create(self, data: bytes) -> str | None:
        """The tag of the new object; None where there is one."""
        from obstore.exceptions import AlreadyExistsError

        return self._put(data, "create", AlreadyExistsError)

    def replace(self, data: bytes, tag: str) -> str | None:
        """The new tag; None where the object is another than that of ``tag``, or gone."""
        from obstore.exceptions import PreconditionError

        return self._put(data, {"e_tag": tag}, PreconditionError, FileNotFoundError)

    def _put(self, data: bytes, mode: Any, *other: type[BaseException]) -> str | None:
        import obstore

        with _asking():
            try:
                done = obstore.put(self.store, self.path, data, mode=mode, use_multipart=False)
            except other:
                return None
            return _tag(done["e_tag"])


def looked_at(place: Place) -> Callable[[bytes], bool]:
    """Looks at an object, and gives back a put that is done where the object is still as it was. False: it is not.

    Where the server knows no conditions, it is done in any case.
    """
    object = Conditional.of(place)
    try:
        found = object.find() if object is not None else None
    except Unconditional:
        object = None

    def put(data: bytes) -> bool:
        if object is not None:
            with suppress(Unconditional):
                tag = object.create(data) if found is None else object.replace(data, found.tag)
                return tag is not None or place.read() == data  # done, and its answer was lost
        place.put(data)
        return True

    return put


def _tag(tag: str | None) -> str:
    if not tag:
        raise Unconditional
    return tag


@contextmanager
def _asking() -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise Unconditional from error


def _has_keys(access: Access) -> bool:
    """Whether obstore finds what pyarrow does: both ask the environment and the machine's role, pyarrow also files."""
    if access.anonymous or any(os.environ.get(name) for name in IN_ENVIRONMENT):
        return True
    return not access.has_credentials() and os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"


def _store(kind: str, bucket: str, access: Access) -> Any:
    from obstore import store

    endpoint, region, account = access.told(kind)
    options: Any = {"allow_http": True} if endpoint and endpoint.startswith("http://") else {}
    retries: Any = {"max_retries": ATTEMPTS - 1}
    config: dict[str, Any] = {"skip_signature": True} if access.anonymous else {}
    if kind == "s3":
        if not _has_keys(access):
            return None
        config |= {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}
        return store.S3Store(bucket, config=config, client_options=options, retry_config=retries)
    if kind == "az":
        config |= {"account_name": account} | ({"endpoint": endpoint} if endpoint else {})
        return store.AzureStore(bucket, config=config, client_options=options, retry_config=retries)
    if endpoint:
        return None  # an emulator: obstore speaks Google's other protocol with it
    return store.GCSStore(bucket, config=config, client_options=options, retry_config=retries)
