"""The exceptions of this library: one base class, and subclasses to catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from waiaas.errors.codes import ALL_CODES
from waiaas.errors.entries import Text
from waiaas.errors.reasons import REASONS
from waiaas.errors.texts import Texts, fill, texts_in

if TYPE_CHECKING:
    from typing_extensions import Self

#: The details that a client may see.
_PUBLIC_DETAILS: Final = frozenset(
    {
        *("environment", "fields", "from", "limit", "maxRenewals", "network", "renewableAt", "retryAt"),
        *("sessionId", "state", "status", "to", "walletId"),
    }
)


class WAIaaSError(Exception):
    """An error of the wallet service. The code is exact; the class is for `except`.

    ``WAIaaSError("INVALID_TOKEN")`` is an :class:`AuthenticationError`, as ``OSError(errno.ENOENT, ...)`` is a
    ``FileNotFoundError``: the code chooses the class.

    :param code: one of :data:`waiaas.errors.ALL_CODES`: the daemon's 104 codes and this library's own.
    :param message: your own text instead of the code's message. It is the same in every language.
    :param details: values for programs, such as ids and limits.
    :param hint: your own text instead of the code's hint. It is the same in every language.
    :raises ValueError: if there is no such code.

    >>> error = WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": "s-1"})
    >>> error.code, error.domain, error.http_status, error.retryable
    ('SESSION_NOT_FOUND', 'SESSION', 404, False)
    >>> error
    NotFoundError('SESSION_NOT_FOUND')
    >>> print(error)
    There is no such session.
    >>> error.hint
    "Check the session's id, or create a new session."
    """

    #: The name of the error code.
    code: str
    #: Values for programs, or None.
    details: dict[str, object] | None

    def __new__(
        cls, code: str = "", *args: object, details: Mapping[str, object] | None = None, **options: object
    ) -> Self:
        """Choose the class by the code and the reason."""
        kind = cast("type[Self]", _class_of(code, details)) if cls is WAIaaSError else cls
        return super().__new__(kind, code)

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        details: Mapping[str, object] | None = None,
        hint: str | None = None,
    ) -> None:
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
        """The HTTP status of the daemon's response."""
        return ALL_CODES[self.code].http_status

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, although nothing was changed."""
        return ALL_CODES[self.code].retryable

    @property
    def reason(self) -> str | None:
        """Why the database was refused; None for every error that is not a :class:`DatabaseError`."""
        return None

    @property
    def message(self) -> str:
        """What is wrong, in English."""
        return self._text("en").message

    @property
    def hint(self) -> str:
        """What to do next, in English."""
        return self._text("en").hint

    def to_dict(self, lang: str = "en") -> dict[str, object]:
        """Return the error as a dictionary for operators and logs. All keys are always present.

        :param lang: the language of message and hint, one of :data:`waiaas.errors.LANGUAGES`.
        :returns: ``code``, ``domain``, ``http_status``, ``retryable``, ``message``, ``details`` and ``hint``.
        :raises ValueError: if the language is not known.

        >>> body = WAIaaSError("INVALID_TOKEN").to_dict(lang="ko")
        >>> body["message"], body["details"]
        ('세션 토큰이 올바르지 않습니다.', None)
        """
        text = self._text(lang)
        return {
            "code": self.code,
            "domain": self.domain,
            "http_status": self.http_status,
            "retryable": self.retryable,
            "message": text.message,
            "details": None if self.details is None else dict(self.details),
            "hint": text.hint,
        }

    def to_public_dict(self, lang: str = "en") -> dict[str, object]:
        """Return the error as a dictionary for clients of the service, with the keys of :meth:`to_dict`.

        ``details`` contains only ids, limits, times, states and messages about the fields of a request. A
        :class:`DatabaseError` has the general message and hint of its code: no path, no cause, and nothing about
        what the operator should do.

        :param lang: the language of message and hint, one of :data:`waiaas.errors.LANGUAGES`.
        :raises ValueError: if the language is not known.

        >>> body = refusal("database_busy", path="/srv/wallet.db", seconds=5).to_public_dict()
        >>> body["code"], body["message"], body["hint"], body["details"]
        ('DATABASE_BUSY', 'The database is busy.', 'Send the request again in a moment.', None)
        """
        body = self.to_dict(lang)
        details = body["details"]
        if isinstance(details, dict):
            body["details"] = {name: details[name] for name in details if name in _PUBLIC_DETAILS} or None
        return body

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        """Return the class, the code and the reason, but no details: they may contain what no log should."""
        reason = "" if self.reason is None else f", reason={self.reason!r}"
        return f"{type(self).__name__}({self.code!r}{reason})"

    def _text(self, lang: str) -> Text:
        text = self._template(texts_in(lang))
        return Text(
            fill(text.message, self.details or {}) if self._own_message is None else self._own_message,
            fill(text.hint, self.details or {}) if self._own_hint is None else self._own_hint,
        )

    def _template(self, texts: Texts) -> Text:
        return texts.codes[self.code]


class AuthenticationError(WAIaaSError):
    """The token, signature or password of a request is not or no longer valid (HTTP status 401)."""


class PermissionDeniedError(WAIaaSError):
    """The session or wallet may not do this: a limit, a policy or a missing link (HTTP status 403)."""


class NotFoundError(WAIaaSError):
    """There is no such session, wallet or other object (HTTP status 404)."""


class ConflictError(WAIaaSError):
    """The current state does not allow this, such as a terminated wallet (HTTP status 409 or 410)."""


class SystemLockedError(WAIaaSError):
    """The kill switch is on (code ``SYSTEM_LOCKED``)."""


class DatabaseError(WAIaaSError):
    """The database cannot be opened, read, written, upgraded or downgraded.

    ``details["reason"]`` is one of :data:`waiaas.errors.REASONS`. Message, hint and ``retryable`` are the reason's.
    """

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, although nothing was changed."""
        return super().retryable if self.reason is None else REASONS[self.reason].retryable

    @property
    def reason(self) -> str | None:
        """Why the database was refused, one of :data:`waiaas.errors.REASONS`.

        >>> refusal("inside_transaction").reason
        'inside_transaction'
        """
        return _reason_in(self.code, self.details)

    def to_public_dict(self, lang: str = "en") -> dict[str, object]:
        """Return the error as a dictionary for clients of the service; see :meth:`WAIaaSError.to_public_dict`."""
        return super().to_public_dict(lang) | texts_in(lang).codes[self.code]._asdict()

    def _template(self, texts: Texts) -> Text:
        return super()._template(texts) if self.reason is None else texts.reasons[self.reason]


class DatabaseBusyError(DatabaseError):
    """Another connection holds the lock of the database (code ``DATABASE_BUSY``). Try again."""


class UpgradePendingError(DatabaseError):
    """The database is older than the latest schema version. Upgrade it first."""


class UpgradeRefusedError(DatabaseError):
    """An upgrade or downgrade did not begin, or was rolled back, because of what the database contains."""


_CLASSES_BY_STATUS: Final[Mapping[int, type[WAIaaSError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: ConflictError,
}
_CLASSES_BY_CODE: Final[Mapping[str, type[WAIaaSError]]] = {
    "SYSTEM_LOCKED": SystemLockedError,
    "SCHEMA_INCOMPATIBLE": DatabaseError,
    "DATABASE_UNAVAILABLE": DatabaseError,
    "DATABASE_BUSY": DatabaseBusyError,
}


def _class_of(code: str, details: Mapping[str, object] | None) -> type[WAIaaSError]:
    """Return the class for a code; the reason decides if the database cannot be upgraded."""
    reason = _reason_in(code, details)
    if reason == "upgrade_pending":
        return UpgradePendingError
    if reason is not None and REASONS[reason].refuses_upgrade:
        return UpgradeRefusedError
    if code in _CLASSES_BY_CODE or code not in ALL_CODES:
        return _CLASSES_BY_CODE.get(code, WAIaaSError)
    return _CLASSES_BY_STATUS.get(ALL_CODES[code].http_status, WAIaaSError)


def _reason_in(code: str, details: Mapping[str, object] | None) -> str | None:
    """Return the reason in the details, if there is one and it belongs to the code."""
    name = (details or {}).get("reason")
    if isinstance(name, str) and name in REASONS and REASONS[name].code == code:
        return name
    return None


def refusal(reason: str, **details: object) -> DatabaseError:
    """Return the error for a database that cannot be opened, created, upgraded, downgraded, read or written.

    :param reason: one of :data:`waiaas.errors.REASONS`.
    :param details: the values of the reason's placeholders; one that is left out is shown as ``?``.
    :returns: an error with the reason's code, and with the reason and the values in its details.
    :raises ValueError: if there is no such reason.

    >>> error = refusal("database_busy", path="wallet.db", seconds=5)
    >>> error, error.retryable
    (DatabaseBusyError('DATABASE_BUSY', reason='database_busy'), True)
    >>> print(error)
    wallet.db is still locked by another connection after 5 s.
    >>> error.details
    {'reason': 'database_busy', 'path': 'wallet.db', 'seconds': 5}
    """
    if reason not in REASONS:
        raise ValueError(f"unknown reason: {reason!r}")
    code, all_details = REASONS[reason].code, {"reason": reason, **details}
    error = WAIaaSError(code, details=all_details)
    assert isinstance(error, DatabaseError)  # every reason has a code of the database
    return error
