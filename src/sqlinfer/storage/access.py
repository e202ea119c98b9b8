"""How a bucket is reached: what the profile's ``storage:`` and the environment say → a file system of pyarrow.

Credentials are those of the providers' standard chains (environment, shared files, the instance's own role); none is
kept or shown by us.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlinfer.errors import ProfileError, StorageError, did_you_mean

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

ATTEMPTS: Final = 5
"""How often one request is sent at most. AWS's pauses between are random, up to 1, 2, 4 and 8 seconds."""
SCHEMES: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
"""Schemes of URLs → whose file system opens them."""
KEYS: Final = ("endpoint", "region", "account", "anonymous")
"""Of ``storage:`` in a profile."""
_CONNECT, _REQUEST = 5.0, 60.0
"""Seconds."""
_GCS_TIME: Final = timedelta(seconds=30)
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST",),
    "az": ("AZURE_STORAGE_BLOB_ENDPOINT",),
}  # fmt: skip
IN_ENVIRONMENT: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
"""Credentials of AWS that need no file of theirs."""
_OF_AWS: Final = (*IN_ENVIRONMENT, "AWS_PROFILE")


def is_url(location: str) -> bool:
    return _URL.match(location) is not None


@dataclass(frozen=True, slots=True)
class Access:
    """Nothing here is secret."""

    endpoint: str | None = None
    """A server of one's own; None: the environment's (``AWS_ENDPOINT_URL``), else the provider's."""
    region: str | None = None
    account: str | None = None
    """Of Azure."""
    anonymous: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Access:
        """``storage:`` of a profile's output.

        Raises:
            ProfileError: a key or value that is none of it.
        """
        raw = config.get("storage")
        if raw is None:
            return cls()
        if not isinstance(raw, Mapping):
            raise ProfileError("'storage' is no mapping", hint="storage: {endpoint: http://127.0.0.1:9000}")
        for key, value in raw.items():
            if key not in KEYS:
                raise ProfileError(f"unknown key '{key}' in storage", hint=did_you_mean(str(key), KEYS))
            if not isinstance(value, bool if key == "anonymous" else str):
                raise ProfileError(f"storage: '{key}' is {'no boolean' if key == 'anonymous' else 'no text'}")
        return cls(**raw)

    def opened(self, location: str) -> tuple[FileSystem, str]:
        """The file system of a URL or path, and the path in it.

        Raises:
            StorageError: a scheme that is not known, a bucket without a name.
        """
        found = _URL.match(location)
        if found is None:
            return _local(), str(Path(location).expanduser().absolute())
        kind, path = self.checked(location)
        endpoint, region, account = self.told(kind)
        # A file system is made for what it depends on: credentials of the environment may be others by now.
        told = tuple(os.environ.get(name) for name in (*_OF_AWS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
        return _remote(kind, endpoint, region, account, self.anonymous, told), path

    def told(self, kind: str) -> tuple[str | None, str | None, str | None]:
        """Endpoint, region and account, of the profile or else of the environment."""
        endpoint = self.endpoint or _environment(*_ENDPOINTS[kind])
        region = self.region or _environment("AWS_REGION", "AWS_DEFAULT_REGION")
        account = self.account or _environment("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
        return endpoint, region, account

    @staticmethod
    def checked(url: str) -> tuple[str, str]:
        """Which of ``SCHEMES`` a URL is of, and bucket and key. Nothing is opened.

        Raises:
            StorageError: another scheme, a bucket without a name, a path that leaves it.
        """
        found = _URL.match(url)
        assert found is not None
        kind = SCHEMES.get(found["scheme"].lower())
        if kind is None:
            known = "s3://, gs:// or az://"
            raise StorageError(f"'{found['scheme']}://' is not a place that can be opened", hint=f"a path, {known}")
        path = "/".join(part for part in found["rest"].split("/") if part)
        bucket = path.partition("/")[0]
        if (
            found["rest"].startswith("/")
            or not bucket
            or any(part in (".", "..") for part in path.split("/"))
            or re.search(r"[\x00-\x1f?#@]", path)
        ):
            raise StorageError(f"'{url}' names no place in a bucket", hint=f"{kind}://bucket/folder")
        return kind, path

    def has_credentials(self) -> bool:
        """Whether any of AWS are declared; those that an instance itself has do not show."""
        files = (os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
                 os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"))  # fmt: skip
        return any(os.environ.get(name) for name in _OF_AWS) or any(Path(one).expanduser().exists() for one in files)


def _environment(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


NOWHERE = Access()
"""What the environment alone says."""


@lru_cache(maxsize=1)
def _local() -> FileSystem:
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem()


@lru_cache(maxsize=8)
def _remote(
    kind: str, endpoint: str | None, region: str | None, account: str | None, anonymous: bool,
    told: tuple[str | None, ...],
) -> FileSystem:  # fmt: skip
    import pyarrow as pa

    try:
        return _MAKERS[kind](endpoint, region, account, anonymous)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StorageError(f"{kind}:// cannot be opened: {str(error).splitlines()[0]}") from error


def _split(endpoint: str) -> tuple[str, str]:
    """Scheme and authority."""
    found = _URL.match(endpoint)
    scheme, rest = (found["scheme"].lower(), found["rest"]) if found else ("https", endpoint)
    if scheme not in ("http", "https") or not rest.strip("/"):
        raise StorageError(f"endpoint '{endpoint}' is no URL", hint="endpoint: https://storage.example.com")
    return scheme, rest.rstrip("/")


def _s3(endpoint: str | None, region: str | None, _: str | None, anonymous: bool) -> FileSystem:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    server: dict[str, Any] = {}
    if endpoint is not None:
        server["scheme"], server["endpoint_override"] = _split(endpoint)
    return S3FileSystem(
        region=region, anonymous=anonymous, connect_timeout=_CONNECT, request_timeout=_REQUEST,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # a small object is one put
        **server,
    )  # fmt: skip


def _gs(endpoint: str | None, _: str | None, __: str | None, anonymous: bool) -> FileSystem:
    from pyarrow.fs import GcsFileSystem

    server: dict[str, Any] = {}
    if endpoint is not None:
        server["scheme"], server["endpoint_override"] = _split(endpoint)
    return GcsFileSystem(anonymous=anonymous, retry_time_limit=_GCS_TIME, **server)


def _az(endpoint: str | None, _: str | None, account: str | None, anonymous: bool) -> FileSystem:
    import pyarrow.fs as fs

    if not hasattr(fs, "AzureFileSystem"):
        raise StorageError("this build of pyarrow has no Azure", hint="pip install a newer pyarrow")
    if account is None:
        raise StorageError("az:// needs an account", hint="storage: {account: NAME}, or AZURE_STORAGE_ACCOUNT_NAME")
    server: dict[str, Any] = {}
    if endpoint is not None:
        scheme, authority = _split(endpoint)
        server = {f"{one}_storage_{what}": value for one in ("blob", "dfs")
                  for what, value in (("scheme", scheme), ("authority", authority))}  # fmt: skip
    key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY") or os.environ.get("AZURE_STORAGE_KEY")
    if key and not anonymous:
        server["account_key"] = key
    return fs.AzureFileSystem(account, **server)


_MAKERS = {"s3": _s3, "gs": _gs, "az": _az}
