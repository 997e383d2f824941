"""Reads the tables of codes, reasons, findings and messages about fields: each entry has its texts in all languages.

::

    NAME (facts): what is wrong, in English.
      > What to do next.
      ko: what is wrong, in Korean.
      > What to do next.

Long lines continue with four spaces. A blank line between entries has no meaning. Findings and messages about fields
have no facts, and messages about fields have no hints.

In Korean, no particle whose form depends on the sound before it (을/를, 이/가, 은/는, 으로/로) follows a placeholder,
because the end of the value is not known.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: The languages of messages and hints.
LANGUAGES: Final = ("en", "ko")


class Text(NamedTuple):
    """What is wrong, and what to do next."""

    message: str
    hint: str


def facts_in(entries: str) -> list[tuple[str, list[str]]]:
    """Return each name and its facts.

    >>> facts_in("CHAIN_ERROR (TX 502, retryable): The node answered with an error.")
    [('CHAIN_ERROR', ['TX', '502', 'retryable'])]
    """
    found = re.findall(r"^(\w+) \((.+?)\):", entries, re.MULTILINE)
    return [(name, re.split(",? ", facts)) for name, facts in found]


def read_texts(entries: str, lang: str) -> dict[str, Text]:
    """Return the texts of a language by name."""
    texts = {}
    for entry in re.split(r"\n+(?=\w)", entries):
        head, _, english = entry.partition(": ")
        in_language = dict(zip(LANGUAGES, english.split("\n  ko: "), strict=True))[lang]
        message, _, hint = in_language.partition("\n  > ")
        texts[head.partition(" ")[0]] = Text(" ".join(message.split()), " ".join(hint.split()))
    return texts
