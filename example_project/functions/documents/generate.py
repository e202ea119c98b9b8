"""Write ``seeds/documents.csv``: letters to the support of a web shop, on two nights. Seeded.

    python functions/documents/generate.py

Night two has new letters, some that were answered meanwhile (their text is the same), and a few that were corrected.
``train.py`` draws its letters from the same population, with another seed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

SEEDS = Path(__file__).parents[2] / "seeds"
LETTERS, NEW, ANSWERED, CORRECTED = 1_000, 60, 40, 8
# Topic, the article that answers it, and what people write.
ARTICLES = (
    ("billing", "KB-101", ("I was charged twice for the same order", "my card shows two payments instead of one")),
    ("billing", "KB-102", ("I need an invoice with our company name", "please send the invoice for our tax office")),
    ("billing", "KB-103", ("my voucher was refused at the checkout", "the discount code is not accepted")),
    ("delivery", "KB-201", ("where is my parcel", "the tracking has not moved for days and nothing arrived")),
    ("delivery", "KB-202", ("the courier left the box in the rain", "my parcel arrived damaged and wet")),
    ("delivery", "KB-203", ("please change the delivery address", "can you send the order to my new address")),
    ("returns", "KB-301", ("the shoes are too small and I want another size", "I would like to exchange the size")),
    (
        "returns",
        "KB-302",
        ("I sent the jacket back and wait for my money", "when will the refund for my return arrive"),
    ),
    ("returns", "KB-303", ("the zip broke after one week", "the lamp stopped working and I want a replacement")),
    ("account", "KB-401", ("I forgot my password and the mail never comes", "the link to reset my password is dead")),
    ("account", "KB-402", ("please delete my account and all data", "I want you to erase everything about me")),
    ("account", "KB-403", ("stop sending me the newsletter", "how do I unsubscribe from your mails")),
    ("website", "KB-501", ("the app crashes when I open the basket", "your app closes itself at the checkout")),
    ("website", "KB-502", ("the search finds nothing at all", "filters in the search do not work on my phone")),
)
TOPICS = tuple(dict.fromkeys(topic for topic, _, _ in ARTICLES))
HELLO = ("", "", "Hello, ", "Dear team, ", "Good morning, ", "Hi, ")
WHEN = ("", "", " since Monday", " since last week", " again", " for the second time", " yesterday")
MORE = ("", "", " Order {}.", " My number is {}.", " Please help.", " Please answer soon.", " I am not happy.")
BYE = ("", "", " Thank you.", " Regards", " Best wishes", " Thanks in advance.")


def letter(random: Random) -> tuple[str, str, str]:
    """Topic, article and text. One in twelve writes about two things at once."""
    topic, article, phrases = random.choice(ARTICLES)
    text = random.choice(HELLO) + random.choice(phrases) + random.choice(WHEN) + "."
    if random.random() < 1 / 12:
        text += f" Also, {random.choice(random.choice(ARTICLES)[2])}."
    text += random.choice(MORE).format(random.randrange(10_000, 99_999)) + random.choice(BYE)
    return topic, article, text[0].upper() + text[1:]


def document(random: Random, number: int, night: int) -> dict[str, Any]:
    """Who answered a letter noted the article. Some letters hold a picture alone, so that there is no text."""
    _, article, text = letter(random)
    answered = night == 1 and random.random() < 0.9
    return {
        "night": night,
        "document_id": f"D{number:05d}",
        "body": None if random.random() < 0.01 else text,
        "answered_with": article if answered else None,
        "article": article,
    }


def nights() -> Iterator[dict[str, Any]]:
    random = Random(13)
    base = [document(random, number, 1) for number in range(LETTERS)]
    yield from base
    waiting = [row for row in base if row["answered_with"] is None and row["body"]]
    for row in random.sample(waiting, ANSWERED):
        yield {**row, "night": 2, "answered_with": row["article"]}
    written = [row for row in base if row["answered_with"] and row["body"]]
    for row in random.sample(written, CORRECTED):
        yield {**row, "night": 2, "body": row["body"] + " I forgot: my name is Robin."}
    yield from (document(random, LETTERS + number, 2) for number in range(NEW))


def main() -> None:
    names = ("night", "document_id", "body", "answered_with")
    rows = [{name: row[name] for name in names} for row in nights()]
    with (SEEDS / "documents.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows):,} rows")


if __name__ == "__main__":
    main()
