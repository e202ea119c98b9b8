"""``sqlinfer functions promote``: a challenger takes its champion's place in the files of the project."""

from __future__ import annotations

from sqlinfer.files import write_atomic
from sqlinfer.jobs.challengers import refuse_other_signature
from sqlinfer.jobs.functions import Functions
from sqlinfer.project.promotion import Promotion, promotion


def promote(functions: Functions, name: str) -> Promotion:
    """What was changed. Raises as ``promotion``, and ProjectError where the two are not called alike."""
    found = promotion(functions.configs, name)
    champion, challenger = functions[name].contract, functions[found.challenger].contract
    refuse_other_signature(functions.configs[name], champion, challenger)
    for path, text in found.files.items():
        write_atomic(path, _as_before(path.read_bytes(), text))
    return found


def _as_before(raw: bytes, text: str) -> bytes:
    """With the line ends and the byte order mark of the file."""
    lines = text.replace("\n", "\r\n") if b"\r\n" in raw else text
    return (b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b"") + lines.encode()
