"""Errors of file systems → one message each, with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlinfer.errors import SqlinferError, StorageError, SystemRefused
from sqlinfer.scrub import scrub
from sqlinfer.shown import one_line
from sqlinfer.storage.access import ATTEMPTS, Access

_STATUS = re.compile(r"HTTP status (\d{3})")
_ERROR = re.compile(r"(?:AWS Error )?([A-Z][A-Z_]+)(?: \(HTTP status \d+\))? during (\w+) operation: *(.*)", re.DOTALL)
_ELSEWHERE = re.compile(r"located in '([\w-]+)'|expecting '?([\w-]+)'?")
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "HTTP status 301", "located in '", "IllegalLocation")
_KEYS = ("INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "InvalidAccessKeyId", "SignatureDoesNotMatch",
         "ExpiredToken", "InvalidToken", "EXPIRED_TOKEN", "INVALID_CLIENT_TOKEN_ID")  # fmt: skip
_DENIED = ("ACCESS_DENIED", "AccessDenied", "HTTP status 403", "HTTP status 401", "PERMISSION_DENIED",
           "UNAUTHENTICATED", "AuthorizationFailure", "AuthenticationFailed")  # fmt: skip
_NO_BUCKET = ("NO_SUCH_BUCKET", "NoSuchBucket", "ContainerNotFound", "specified bucket does not exist")
_GONE = ("NO_SUCH_KEY", "NoSuchKey", "RESOURCE_NOT_FOUND", "HTTP status 404", "BlobNotFound")
_BUSY = {
    "SLOW_DOWN": "503", "SlowDown": "503", "SERVICE_UNAVAILABLE": "503", "INTERNAL_FAILURE": "500",
    "THROTTLING": "429", "REQUEST_TIMEOUT": "408", "UNAVAILABLE": "503",
}  # fmt: skip
"""As libraries call them, where they leave the status out."""
_AWAY = ("NETWORK_CONNECTION", "curlCode", "Could not connect", "DEADLINE_EXCEEDED")


@contextmanager
def translated(url: str, access: Access) -> Iterator[None]:
    """Raises StorageError for what a bucket answers, and SystemRefused for what the machine's own disk does."""
    import pyarrow as pa

    try:
        yield
    except SqlinferError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StorageError(f"{url} is not there", missing=True) from error
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno:
            raise SystemRefused.of(error, url) from error
        raise refused(url, str(error), access) from error


def is_busy(said: str) -> bool:
    """Whether the server would take the same request at another time."""
    status = _STATUS.search(said)
    return _holds(said, tuple(_BUSY)) or (status is not None and status[1].startswith("5"))


def refused(url: str, said: str, access: Access) -> StorageError:
    said = scrub(said)  # before anything is cut
    bucket = "/".join(url.split("/")[:3])
    if _holds(said, _NO_BUCKET):
        return StorageError(f"{bucket} does not exist: no such bucket", hint="make the bucket, or correct its name")
    if _holds(said, _REGION) or "HTTP status 400" in said:
        return _elsewhere(bucket, said)
    if _holds(said, _KEYS):
        return StorageError(f"{bucket} does not accept the credentials: {_reason(said)}",
                            hint="renew them where they come from: the environment, ~/.aws/credentials")  # fmt: skip
    if _holds(said, _DENIED):
        return _denied(url, bucket, said, access)
    if is_busy(said):
        return StorageError(f"{bucket} is not available ({_status(said)}): {url} was asked for up to {ATTEMPTS} times",
                            hint="run again later; nothing was published")  # fmt: skip
    if _holds(said, _AWAY):
        return StorageError(f"{bucket} cannot be reached: {_reason(said)}",
                            hint="look at the network, and at the endpoint (storage: {endpoint: …} or "
                            "AWS_ENDPOINT_URL)")  # fmt: skip
    if _holds(said, _GONE):
        return StorageError(f"{url} is gone (404): it was listed, and something removed it since",
                            hint="run again when nothing removes files that are read")  # fmt: skip
    return StorageError(f"{url} refused: {_reason(said)}")


def _elsewhere(bucket: str, said: str) -> StorageError:
    found = _ELSEWHERE.search(said)
    region = next((one for one in found.groups() if one), None) if found else None
    where = f"in region {region}" if region else "in another region, or the request was not understood"
    return StorageError(f"{bucket} is {where}",
                        hint=f"storage: {{region: {region or '…'}}} in the profile, or AWS_REGION")  # fmt: skip


def _denied(url: str, bucket: str, said: str, access: Access) -> StorageError:
    if bucket.startswith("s3") and not access.anonymous and not access.has_credentials():
        return StorageError(f"{url} needs credentials, and none were found",
                            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give the machine "
                            "a role; storage: {anonymous: true} for a public bucket")  # fmt: skip
    doing = _ERROR.search(said)
    status = _STATUS.search(said)
    what = f" ({status[1] if status else 403}{f', {doing[2]}' if doing else ''})"
    return StorageError(f"access to {url} is denied{what}",
                        hint="the credentials lack a right: list, get, put and delete are needed where results are "
                        "written, list and get where they are read")  # fmt: skip


def _status(said: str) -> str:
    found = _STATUS.search(said)
    return found[1] if found else next(number for word, number in _BUSY.items() if word in said)


def _holds(said: str, words: tuple[str, ...]) -> bool:
    return any(word in said for word in words)


def _reason(said: str) -> str:
    found = _ERROR.search(said)
    text = (found[3] or found[1].lower().replace("_", " ")) if found else said
    return one_line(re.sub(r"\s*\((?:Request ID|Host ID)[^)]*\)?", "", text.split("Details:")[-1]).strip(), 200)
