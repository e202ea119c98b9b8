"""Secrets are masked however they are spelled, and nothing else is."""

from __future__ import annotations

import io
import json
import urllib.parse

import pytest

from sqlinfer import scrub

SECRET = 'tr0ub4dor&3 "quoted" it\'s\\n'
KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        json.dumps(SECRET),
        repr(SECRET),
        f"attach '{SECRET.replace(chr(39), chr(39) * 2)}'",
    ],
)
def test_every_spelling_of_a_secret_is_masked(spelled: str) -> None:
    scrub.learn([SECRET])
    cleaned = scrub.scrub(f"before {spelled} after")
    assert "ub4dor" not in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert scrub.MASK in cleaned


def test_each_line_of_a_key_is_masked() -> None:
    scrub.learn([KEY])
    assert "MIIEvQIBADANBgkqhkiG9w0" not in scrub.scrub(f"  File x\n    {KEY.splitlines()[1]}\n")
    assert "MIIEv" not in scrub.scrub(repr(KEY))


def test_the_longer_secret_goes_as_a_whole() -> None:
    scrub.learn(["hunter", "hunter22"])
    assert scrub.scrub("hunter22!") == "*****!"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    scrub.learn(["abc"])
    assert scrub.scrub("abc abcd xabc 'abc'") == "***** abcd xabc '*****'"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_secret_masks_nothing(empty: str) -> None:
    scrub.learn([empty])
    assert scrub.scrub("a b\nc") == "a b\nc"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("postgres://ada:pw@db/shop", "postgres://ada:*****@db/shop"),
        ("https://token:x-oauth@github.com/a", "https://token:*****@github.com/a"),
        ("see https://example.com:8080/a@b", "see https://example.com:8080/a@b"),
        ("no secret here: x@y", "no secret here: x@y"),
    ],
)
def test_passwords_inside_uris_are_masked_unlearnt(text: str, cleaned: str) -> None:
    assert scrub.scrub(text) == cleaned


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgres://ada:pw1@db/shop", {"pw1"}),
        ("host=db user=ada password=pw2", {"pw2"}),
        ("host=db password='p w 3' user=ada", {"p w 3"}),
        ("md:shop?motherduck_token=tok4&x=1", {"tok4"}),
        ("host=db user=ada", set()),
    ],
)
def test_secrets_inside_connection_strings_are_found(text: str, found: set[str]) -> None:
    assert scrub.secrets_of(text) == found


def test_values_are_masked_at_any_depth() -> None:
    scrub.learn(["hunter22"])
    value = {"a hunter22": [1, None, True, {"b": ("x", "hunter22")}], "c": 1.5}
    assert scrub.scrub_values(value) == {"a *****": [1, None, True, {"b": ["x", "*****"]}], "c": 1.5}


def test_a_stream_is_masked_write_by_write() -> None:
    scrub.learn(["hunter22"])
    inner = io.StringIO()
    stream = scrub.ScrubbedStream(inner)
    stream.write("a hunter22\n")
    stream.writelines(["hunter22", "b"])
    assert inner.getvalue() == "a *****\n*****b"
    assert not stream.isatty()
