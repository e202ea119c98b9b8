"""Secrets out of what is printed. In: text. Out: the text with every ``DBT_ENV_SECRET_*`` value starred out."""

from __future__ import annotations

import os

PREFIX = "DBT_ENV_SECRET"
STARS = "*****"


def redact(text: str) -> str:
    for value in secrets():
        text = text.replace(value, STARS)
    return text


def secrets() -> list[str]:
    """Longest first, so that a secret that holds another goes as a whole."""
    found = {value for name, value in os.environ.items() if name.startswith(PREFIX) and value}
    return sorted(found, key=len, reverse=True)
