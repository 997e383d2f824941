"""The texts of a language, how their placeholders are filled, and messages about fields that can be translated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from waiaas.errors.codes import CODES
from waiaas.errors.entries import LANGUAGES, Text, read_texts
from waiaas.errors.fields import FIELDS
from waiaas.errors.findings import FINDINGS
from waiaas.errors.reasons import ENTRIES

_UNKNOWN: Final = "?"
_LISTED_AT_MOST: Final = 5
_OPTIONAL: Final = re.compile(r"\[\[(.*?\{(\w+)\}.*?)\]\]")


class Texts(NamedTuple):
    """All texts of a language, by code, reason, kind of finding and kind of message about a field."""

    codes: Mapping[str, Text]
    reasons: Mapping[str, Text]
    findings: Mapping[str, Text]
    fields: Mapping[str, Text]


@cache
def texts_in(lang: str) -> Texts:
    """Return the texts of a language.

    :raises ValueError: if the language is not known.
    """
    if lang not in LANGUAGES:
        raise ValueError(f"unknown language: {lang!r} (known: {', '.join(LANGUAGES)})")
    return Texts(*(read_texts(entries, lang) for entries in (CODES, ENTRIES, FINDINGS, FIELDS)))


class FieldMessage(str):
    """A message about a field of a request, in English, that can be translated.

    marshmallow passes it on like any other ``str``, and fills its placeholders with ``format``.

    :param key: a name in the ``FIELDS`` of the language modules.
    :param values: the values of the placeholders.

    >>> message = FieldMessage("max_items", count=100)
    >>> print(message)
    Must have at most 100 items.
    >>> message.in_language("ko")
    '최대 100개까지 쓸 수 있습니다.'
    """

    key: str
    values: dict[str, object]

    def __new__(cls, key: str, **values: object) -> FieldMessage:
        """Fill the English text."""
        template = texts_in("en").fields[key].message
        # marshmallow passes the input of the field, too, which may be secret or huge.
        shown = {name: value for name, value in values.items() if f"{{{name}}}" in template}
        message = super().__new__(cls, fill(template, shown))
        message.key, message.values = key, shown
        return message

    def format(self, *_: object, **values: object) -> FieldMessage:
        """Return the message with additional values; the existing ones are kept."""
        return FieldMessage(self.key, **{**values, **self.values})

    def in_language(self, lang: str) -> str:
        """Return the text in a language.

        :raises ValueError: if the language is not known.
        """
        return fill(texts_in(lang).fields[self.key].message, self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return _field_message, (self.key, self.values)


def _field_message(key: str, values: dict[str, object]) -> FieldMessage:
    return FieldMessage(key, **values)


def translate(messages: Any, lang: str) -> Any:
    """Return messages about fields, in dicts and lists as marshmallow has them, in a language.

    A message that is not a :class:`FieldMessage`, such as that of a program's own rule, stays unchanged.

    :raises ValueError: if the language is not known.
    """
    texts_in(lang)
    if isinstance(messages, Mapping):
        return {key: translate(each, lang) for key, each in messages.items()}
    if isinstance(messages, list):
        return [translate(each, lang) for each in messages]
    return messages.in_language(lang) if isinstance(messages, FieldMessage) else messages


class _Values(dict[str, str]):
    """Placeholder values; a missing one must not hide the error."""

    def __missing__(self, name: str) -> str:
        return _UNKNOWN


def fill(template: str, details: Mapping[str, object]) -> str:
    """Fill the placeholders of a template; a missing value becomes ``?``, ``[[…]]`` with an empty list is left out.

    >>> fill("table {table} lacks {columns} ({count})", {"table": "sessions", "columns": ["id", "source"]})
    'table sessions lacks id, source (?)'
    >>> fill("returned.[[ Links: {links}.]][[ Wallets: {wallets}.]]", {"links": [], "wallets": ["a"]})
    'returned. Wallets: a.'
    """
    template = _OPTIONAL.sub(lambda found: "" if details.get(found[2]) == [] else found[1], template)
    return template.format_map(_Values({name: _shown(details[name]) for name in details}))


def _shown(value: object) -> str:
    if value is None:
        return _UNKNOWN
    if isinstance(value, (list, tuple)):
        return listed(value)
    return str(value)


def listed(items: Sequence[object]) -> str:
    """Return the first items of a list, and how many more there are, in the same form in every language.

    >>> listed(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e … (+2)'
    >>> listed([])
    '-'
    """
    shown = ", ".join(map(str, items[:_LISTED_AT_MOST])) or "-"
    hidden = len(items) - _LISTED_AT_MOST
    return f"{shown} … (+{hidden})" if hidden > 0 else shown
