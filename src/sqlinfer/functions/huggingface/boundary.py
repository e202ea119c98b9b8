"""Texts and images that tell a model from a copy: empty, long, of every script; narrow, grey, turned."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

FIXED: Final = (
    "", " ", "\t\n ", "a", "A", ".", "0", "…", "naïve café", "ÀÉÎÕÜ straße", "日本語のテキスト", "한국어 텍스트",
    "Привет, мир", "مرحبا بالعالم", "שלום עולם", "नमस्ते", "🙂🙃 👩‍👩‍👧‍👦", "e\u0301\u0323 and é", "ﬁ ½ ² Ⅷ",
    "a\u200bb\u00adc",
    "\ufeffbegin", "two\u00a0words", "tab\tand\nline", "<b>bold &amp; more</b>", "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "<s> </s> <pad> <mask> <unk>", "http://example.com/?q=1&r=2", "16777217 1e-7 -0.0", "don't can't won't",
    "CamelCase snake_case kebab-case", "  leading and trailing  ", "!!!???", "a" * 300,
)  # fmt: skip


def texts(words: list[str], most: int, limit: int, seed: int) -> list[str]:
    """``words``: of the tokenizer; ``most``: tokens of a text."""
    random = np.random.default_rng(seed)
    drawn = [word for word in words if word.strip()] or ["word"]

    def made(count: int) -> str:
        return " ".join(drawn[place] for place in random.integers(0, len(drawn), count))

    short = [made(int(count)) for count in random.integers(1, 24, 24)]
    around = [made(count) for count in (most - 3, most - 2, most - 1, most, most + 1) if 0 < count <= 600]
    long = [made(2 * most + 10), "begin " + made(most + 50) + " end"]
    return [*FIXED, *short, *around, *long][:limit]


def pairs(words: list[str], most: int, limit: int, seed: int) -> tuple[list[str], list[str]]:
    first = texts(words, most, limit, seed)
    second = list(np.random.default_rng(seed).permutation(np.array(first, dtype=object)))
    longest = first[-1]
    return ([*first, "", longest, longest, "a"][:limit], [*second, "", longest, "a", longest][:limit])


def images(seed: int) -> list[bytes]:
    """PNG and JPEG of many sizes and modes."""
    from PIL import Image

    random = np.random.default_rng(seed)
    found = []
    for wide, high in ((224, 224), (300, 200), (201, 300), (57, 33), (33, 58), (640, 37), (5, 7), (1, 1), (255, 257)):
        found.append(_png(Image.fromarray(_drawn(random, high, wide))))
    colours = Image.fromarray(_drawn(random, 120, 90))
    found += [_png(colours.convert("L")), _png(colours.convert("RGBA")), _png(colours.convert("P"))]
    kept = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    colours.save(kept, "JPEG", quality=90, exif=turned)
    return [*found, kept.getvalue()]


def _drawn(random: Any, high: int, wide: int) -> Any:
    """Smooth colours with an edge and some noise, as photos have."""
    rows, columns = np.mgrid[0:high, 0:wide]
    plain = np.stack([rows * 255 // high, columns * 255 // wide, (rows + columns) * 255 // (high + wide)], axis=-1)
    plain[: high // 2, : wide // 2] = random.integers(0, 256, 3)
    return (plain + random.integers(-20, 21, plain.shape)).clip(0, 255).astype(np.uint8)


def _png(image: Any) -> bytes:
    kept = io.BytesIO()
    image.save(kept, "PNG")
    return kept.getvalue()
