"""The exception that every part of this library raises."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from waiaas.errors import en, ko
from waiaas.errors.codes import ALL_CODES, OWN_CODES
from waiaas.errors.reasons import REASONS

#: The codes of refusals of the database, whose texts are for the operator of the service.
_DATABASE_CODES: Final = frozenset({"SCHEMA_INCOMPATIBLE", *OWN_CODES})
#: The details that a client may see.
_PUBLIC_DETAILS: Final = frozenset(
    {
        *("environment", "fields", "from", "limit", "maxRenewals", "network", "renewableAt", "retryAt"),
        *("sessionId", "state", "status", "to", "walletId"),
    }
)
_UNKNOWN: Final = "?"
_LISTED_AT_MOST: Final = 5


class Texts(NamedTuple):
    """All that is said in one language."""

    messages: Mapping[str, str]
    hints: Mapping[str, str]
    reasons: Mapping[str, tuple[str, str]]
    findings: Mapping[str, tuple[str, str]]
    fields: Mapping[str, str]


_TEXTS: Final[Mapping[str, Texts]] = {
    "en": Texts(en.MESSAGES, en.HINTS, en.REASONS, en.FINDINGS, fields={}),
    "ko": Texts(ko.MESSAGES, ko.HINTS, ko.REASONS, ko.FINDINGS, ko.FIELDS),
}

#: The languages that :meth:`WAIaaSError.to_dict` knows.
LANGUAGES: Final[tuple[str, ...]] = tuple(_TEXTS)


def texts_in(lang: str) -> Texts:
    """Give the texts of a language.

    :raises ValueError: where the language is not known.
    """
    if lang not in _TEXTS:
        raise ValueError(f"unknown language: {lang!r} (known: {', '.join(LANGUAGES)})")
    return _TEXTS[lang]


class WAIaaSError(Exception):
    """An error of the wallet service, named by one of its error codes.

    :param code: one of :data:`waiaas.errors.ALL_CODES`: the daemon's 104 and this library's own.
    :param message: a text of your own in place of the code's; it is kept in every language.
    :param details: what the error is about, for programs. If ``details["reason"]`` is one of
        :data:`waiaas.errors.REASONS` and the code is that reason's code, message, hint and ``retryable`` are
        that reason's.
    :param hint: what to do next, in place of the code's or the reason's; it is kept in every language.
    :raises ValueError: where there is no such code.

    >>> error = WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": "s-1"})
    >>> error.code, error.domain, error.http_status, error.retryable
    ('SESSION_NOT_FOUND', 'SESSION', 404, False)
    >>> error
    WAIaaSError('SESSION_NOT_FOUND')
    >>> print(error)
    There is no such session.
    >>> error.hint
    "Check the session's id, or create a new session."
    """

    #: The name of the error code.
    code: str
    #: What the error is about; None where nothing was given.
    details: dict[str, object] | None

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        details: Mapping[str, object] | None = None,
        hint: str | None = None,
    ) -> None:
        """Take the code, and what is to be said beside or instead of its own message."""
        if code not in ALL_CODES:
            raise ValueError(f"unknown error code: {code!r}")
        # pickle and copy call the class with `args`, then restore the rest from `__dict__`.
        super().__init__(code)
        self.code = code
        self.details = None if details is None else dict(details)
        self._own_message = message
        self._own_hint = hint

    @property
    def domain(self) -> str:
        """The part of the service that the code belongs to, such as ``SESSION``."""
        return ALL_CODES[self.code].domain

    @property
    def http_status(self) -> int:
        """The HTTP status that the daemon answers with."""
        return ALL_CODES[self.code].http_status

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later with nothing changed."""
        if self.reason is not None:
            return REASONS[self.reason].retryable
        return ALL_CODES[self.code].retryable

    @property
    def reason(self) -> str | None:
        """Which refusal of a database file this is; None for every other error.

        >>> refusal("inside_transaction").reason
        'inside_transaction'
        >>> WAIaaSError("INVALID_TOKEN").reason is None
        True
        """
        name = (self.details or {}).get("reason")
        if isinstance(name, str) and name in REASONS and REASONS[name].code == self.code:
            return name
        return None

    @property
    def message(self) -> str:
        """What is wrong, in English."""
        return self._message_in(_TEXTS["en"])

    @property
    def hint(self) -> str:
        """What to do next, in English."""
        return self._hint_in(_TEXTS["en"])

    def to_dict(self, lang: str = "en") -> dict[str, object]:
        """Give the error as the dictionary that goes over the wire; every key is always there.

        :param lang: the language of message and hint, one of :data:`waiaas.errors.LANGUAGES`.
        :returns: ``code``, ``domain``, ``http_status``, ``retryable``, ``message``, ``details``
            and ``hint``; the values in ``details`` are the ones that were given.
        :raises ValueError: where the language is not known.

        >>> body = WAIaaSError("INVALID_TOKEN").to_dict(lang="ko")
        >>> body["message"], body["details"]
        ('세션 토큰이 올바르지 않습니다.', None)
        """
        texts = texts_in(lang)
        return {
            "code": self.code,
            "domain": self.domain,
            "http_status": self.http_status,
            "retryable": self.retryable,
            "message": self._message_in(texts),
            "details": None if self.details is None else dict(self.details),
            "hint": self._hint_in(texts),
        }

    def to_public_dict(self, lang: str = "en") -> dict[str, object]:
        """Return the error as :meth:`to_dict` does, but with nothing that a client of the service must not see.

        A refusal of the database has the message and hint of its code, without path, cause and what the operator
        should do; only ``to_dict`` has these. ``details`` has ids, limits, times, states and the messages of the
        fields of a request; everything else is left out, also what a program added itself.

        :param lang: the language of message and hint, one of :data:`waiaas.errors.LANGUAGES`.
        :returns: the keys of :meth:`to_dict`.
        :raises ValueError: if the language is not known.

        >>> body = refusal("database_busy", path="/srv/wallet.db", seconds=5).to_public_dict()
        >>> body["code"], body["message"], body["hint"], body["details"]
        ('DATABASE_BUSY', 'The database is busy.', 'Send the request again in a moment.', None)
        """
        body = self.to_dict(lang)
        if self.code in _DATABASE_CODES:
            texts = texts_in(lang)
            body |= {"message": texts.messages[self.code], "hint": texts.hints[self.code]}
        details = body["details"]
        if isinstance(details, dict):
            body["details"] = {name: details[name] for name in details if name in _PUBLIC_DETAILS} or None
        return body

    def __str__(self) -> str:
        """Give the English message."""
        return self.message

    def __repr__(self) -> str:
        """Name the code and the reason, never the details: they may hold what no log should."""
        reason = "" if self.reason is None else f", reason={self.reason!r}"
        return f"{type(self).__name__}({self.code!r}{reason})"

    def _message_in(self, texts: Texts) -> str:
        if self._own_message is not None:
            return self._own_message
        if self.reason is None:
            return texts.messages[self.code]
        template, _ = texts.reasons[self.reason]
        return fill(template, self.details or {})

    def _hint_in(self, texts: Texts) -> str:
        if self._own_hint is not None:
            return self._own_hint
        if self.reason is None:
            return texts.hints[self.code]
        _, template = texts.reasons[self.reason]
        return fill(template, self.details or {})


def refusal(reason: str, **details: object) -> WAIaaSError:
    """Build the error that refuses to open, create, upgrade or downgrade a database file.

    :param reason: one of :data:`waiaas.errors.REASONS`.
    :param details: the values of the reason's placeholders; one that is left out reads ``?``.
    :returns: an error with the reason's code, and the reason and the values in its details.
    :raises ValueError: where there is no such reason.

    >>> error = refusal("database_busy", path="wallet.db", seconds=5)
    >>> error, error.retryable
    (WAIaaSError('DATABASE_BUSY', reason='database_busy'), True)
    >>> print(error)
    wallet.db is locked by another connection, which did not let go within 5 s.
    >>> error.details
    {'reason': 'database_busy', 'path': 'wallet.db', 'seconds': 5}
    """
    if reason not in REASONS:
        raise ValueError(f"unknown reason: {reason!r}")
    return WAIaaSError(REASONS[reason].code, details={"reason": reason, **details})


class _Values(dict[str, str]):
    """Placeholder values; a missing one must not hide the error that is being told."""

    def __missing__(self, name: str) -> str:
        return _UNKNOWN


def fill(template: str, details: Mapping[str, object]) -> str:
    """Put details into the placeholders of a template, ``?`` into those that have none.

    >>> fill("table {table} lacks {columns} ({count})", {"table": "sessions", "columns": ["id", "source"]})
    'table sessions lacks id, source (?)'
    """
    return template.format_map(_Values({name: _shown(details[name]) for name in details}))


def _shown(value: object) -> str:
    if value is None:
        return _UNKNOWN
    if isinstance(value, (list, tuple)):
        return listed(value)
    return str(value)


def listed(items: Sequence[object]) -> str:
    """Give the first items of a list, and how many more there are, in the same form in every language.

    >>> listed(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e … (+2)'
    """
    shown = ", ".join(map(str, items[:_LISTED_AT_MOST]))
    hidden = len(items) - _LISTED_AT_MOST
    return f"{shown} … (+{hidden})" if hidden > 0 else shown
