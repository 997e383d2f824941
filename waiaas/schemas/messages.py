"""What is said of the fields of a request, in other languages than English.

marshmallow keeps no template of a message that it filled, so the template is found by the words of the message. That
happens where an error is told: a good request costs nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Any

from waiaas.errors.texts import texts_in

__all__ = ["messages_in"]


def messages_in(lang: str, messages: Any) -> Any:
    """Give a message, or dicts and lists of messages, in a language; one that is in no catalogue stays as it is.

    :raises ValueError: where the language is not known.

    >>> messages_in("ko", {"ttl": ["Must be an integer from 300 to 604800 (seconds)."]})
    {'ttl': ['300 이상 604800 이하의 정수(초)여야 합니다.']}
    """
    if isinstance(messages, Mapping):
        return {key: messages_in(lang, each) for key, each in messages.items()}
    if isinstance(messages, list):
        return [messages_in(lang, each) for each in messages]
    return _translated(messages, _by_english(lang)) if isinstance(messages, str) else messages


def _by_english(lang: str) -> dict[str, str]:
    english, other = texts_in("en").fields, texts_in(lang).fields
    return {english[key].message: other[key].message for key in english}


def _translated(message: str, fields: Mapping[str, str]) -> str:
    # A list can have thousands of wrong items, whose messages are all the same and without placeholders.
    if message in fields:
        return fields[message]
    # The longest template first: of two that fit it says more.
    for template in sorted(fields, key=len, reverse=True):
        if found := _filled(template).fullmatch(message):
            return fields[template].format_map(found.groupdict())
    return message


@cache
def _filled(template: str) -> re.Pattern[str]:
    """Make the pattern of what a template is when it is filled."""
    parts = Formatter().parse(template)
    return re.compile("".join(re.escape(text) + (f"(?P<{name}>.+)" if name else "") for text, name, _, _ in parts))
