"""Requests and responses about sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from marshmallow import ValidationError, fields, validate, validates_schema
from marshmallow.exceptions import SCHEMA

from waiaas.errors import WAIaaSError
from waiaas.errors.texts import listed
from waiaas.schemas.base import (
    MAX_TOKEN_LENGTH,
    JSONObject,
    RequestSchema,
    RequestValidationError,
    ResponseSchema,
    SecretText,
    StrictInteger,
    StrictList,
    StrictText,
    UnixTime,
    UUIDText,
    check_as_loaded,
    word,
)
from waiaas.schemas.page import PageRequestSchema, PageResponseSchema
from waiaas.schemas.session_wallet import SessionWalletResponseSchema
from waiaas.vocabularies import SESSION_STATUSES

__all__ = [
    "MAX_CONSTRAINTS_BYTES",
    "MAX_TTL_SECONDS",
    "MAX_WALLETS",
    "MIN_TTL_SECONDS",
    "CreateSessionRequest",
    "CreateSessionRequestSchema",
    "IssuedSessionResponseSchema",
    "ListSessionsRequest",
    "ListSessionsRequestSchema",
    "RenewSessionRequest",
    "RenewSessionRequestSchema",
    "SessionListResponseSchema",
    "SessionResponseSchema",
    "check_create_session_request",
]

#: The shortest time to live that a request may ask for, in seconds: 5 minutes.
MIN_TTL_SECONDS = 300

#: The longest time to live that a request may ask for, in seconds: 7 days.
MAX_TTL_SECONDS = 604_800

#: The most wallets that a session can be created with.
MAX_WALLETS = 100

#: The most bytes that the constraints of a session may have as JSON in UTF-8 without spaces: 64 KiB.
MAX_CONSTRAINTS_BYTES = 65_536

_TTL_EXPECTED = f"Must be an integer from {MIN_TTL_SECONDS} to {MAX_TTL_SECONDS} (seconds)."
_CONSTRAINTS_EXPECTED = "Must be an object or null."
_NONE_GIVEN = "Name at least one wallet, in walletIds or in walletId."
_BOTH_GIVEN = "Give either walletId or walletIds, not both."
_TOKEN_ALONE = "Must have the key token and no other."
_FOREIGN_DEFAULT = "Must be one of the wallets named in the request."


class CreateSessionRequest(TypedDict):
    """A request to create a session, checked and normalised.

    ``wallet_ids``: the wallets in the order given, at least one, lower case, no two equal.
    ``default_wallet_id``: one of them, the first unless another was named.
    ``ttl``: the time to live in seconds, or None where the request leaves it to the service.
    ``constraints``: the object as it came, or None.
    """

    wallet_ids: list[str]
    default_wallet_id: str
    ttl: int | None
    constraints: dict[str, Any] | None


class CreateSessionRequestSchema(RequestSchema[CreateSessionRequest]):
    """The request that creates a session for one wallet or many.

    ``load`` takes an object with these wire keys and gives a :class:`CreateSessionRequest`,
    the same whichever form came in:

    ``walletId``
        a UUID; the form of clients that know one wallet.
    ``walletIds``
        a list of 1 to 100 UUIDs, no two equal. Exactly one of the two is given.
    ``defaultWalletId``
        one of the wallets named; optional.
    ``ttl``
        an integer from 300 to 604800, in seconds; optional.
    ``constraints``
        an object of at most 65,536 bytes as JSON, or null; optional.
    ``expiresIn``
        anything; clients of the daemon send it, and it has no effect there or here. Use ``ttl``.
    ``source``
        anything; clients of the daemon send it, and it has no effect there or here.

    UUIDs that differ only in case name the same wallet. The input is not changed. With
    ``partial``, wallets need not be named, and keys of the result that nothing was said about
    may be left out.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``); every
        message stands under the wire key that it is about.

    >>> schema = CreateSessionRequestSchema()
    >>> request = schema.load({"walletId": "0190A3F0-1111-7ABC-8DEF-0123456789AB", "ttl": 3600})
    >>> request["wallet_ids"]
    ['0190a3f0-1111-7abc-8def-0123456789ab']
    >>> request["default_wallet_id"]
    '0190a3f0-1111-7abc-8def-0123456789ab'
    >>> request["ttl"], request["constraints"]
    (3600, None)
    >>> schema.validate({"ttl": 1}) == {
    ...     "ttl": ["Must be an integer from 300 to 604800 (seconds)."],
    ...     "walletIds": ["Name at least one wallet, in walletIds or in walletId."],
    ... }
    True
    """

    wallet_id = UUIDText()
    wallet_ids = StrictList(
        UUIDText(),
        max_items=MAX_WALLETS,
        validate=validate.Length(min=1, error="Must name at least one wallet."),
        # For the OpenAPI document; here, two that differ in case are equal, too.
        metadata={"uniqueItems": True},
    )
    default_wallet_id = UUIDText()
    ttl = StrictInteger(
        load_default=None,
        # marshmallow would otherwise take null too, because of the default.
        allow_none=False,
        validate=validate.Range(MIN_TTL_SECONDS, MAX_TTL_SECONDS, error=_TTL_EXPECTED),
        error_messages={"invalid": _TTL_EXPECTED, "null": _TTL_EXPECTED},
    )
    constraints = JSONObject(
        load_default=None,
        allow_none=True,
        max_bytes=MAX_CONSTRAINTS_BYTES,
        error_messages={"invalid": _CONSTRAINTS_EXPECTED},
    )

    expires_in = fields.Raw(allow_none=True)
    source = fields.Raw(allow_none=True)

    # Runs despite errors of single fields, so that all are reported in one answer. It settles
    # the wallets as well as checking them: a second hook would cost a load a fifth more time.
    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _settle_wallets(
        self,
        data: dict[str, Any],
        original: Mapping[str, Any],
        *,
        partial: bool | Collection[str] | None,
        **kwargs: Any,
    ) -> None:
        _check_form(original, partial)
        data.pop("expires_in", None)
        data.pop("source", None)
        if "wallet_id" in data:
            data["wallet_ids"] = [data.pop("wallet_id")]
        # Without wallets here those given had an error of their own, or partial loading excuses
        # their absence: nothing can be said about the default.
        if "wallet_ids" in data:
            _settle_default(data, data["wallet_ids"])


_CREATE_SESSION = CreateSessionRequestSchema()


def check_create_session_request(request: Mapping[str, object]) -> None:
    """Refuse arguments that :class:`CreateSessionRequestSchema` would not return; None is a key that was left out.

    :raises RequestValidationError: a value breaks a rule of the schema, or is in another form than ``load`` returns
        (an id in upper case, a ``float``); the messages are under the wire keys.

    >>> check_create_session_request(CreateSessionRequest(
    ...     wallet_ids=["0190a3f0-1111-7abc-8def-0123456789ab"],
    ...     default_wallet_id="0190a3f0-2222-7abc-8def-0123456789ab",
    ...     ttl=None,
    ...     constraints=None,
    ... ))
    Traceback (most recent call last):
      ...
    waiaas.schemas.base.RequestValidationError: The input is not valid. \
{'defaultWalletId': ['Must be one of the wallets named in the request.']}
    """
    arguments: dict[str, Any] = {key: value for key, value in request.items() if value is not None}
    check_as_loaded(_CREATE_SESSION, arguments)
    if "wallet_ids" not in arguments:
        raise RequestValidationError({"walletIds": [_NONE_GIVEN]})
    try:
        _settle_default(arguments, arguments["wallet_ids"])
    except ValidationError as error:
        raise RequestValidationError(error.messages_dict) from None


def _check_form(original: Mapping[str, Any], partial: bool | Collection[str] | None) -> None:
    """Raise unless exactly one of the two forms was used; with `partial` none will do."""
    if "walletId" in original:
        if "walletIds" in original:
            raise ValidationError({"walletId": [_BOTH_GIVEN], "walletIds": [_BOTH_GIVEN]})
    elif "walletIds" not in original:
        excused = "wallet_ids" in partial if isinstance(partial, Collection) else partial
        if not excused:
            raise ValidationError({"walletIds": [_NONE_GIVEN]})


def _settle_default(data: dict[str, Any], wallet_ids: list[str]) -> None:
    """Check the wallets and the default among them; the first is the default if none is named."""
    errors = {}
    if len(set(wallet_ids)) < len(wallet_ids):
        errors["walletIds"] = [f"Must not name a wallet twice: {_repeated(wallet_ids)}."]
    if data.setdefault("default_wallet_id", wallet_ids[0]) not in wallet_ids:
        errors["defaultWalletId"] = [_FOREIGN_DEFAULT]
    if errors:
        raise ValidationError(errors)


def _repeated(wallet_ids: list[str]) -> str:
    """Give the ids that occur more than once, each once, in their order; no more than five are named."""
    return listed([wallet for wallet, count in Counter(wallet_ids).items() if count > 1])


class RenewSessionRequest(TypedDict, total=False):
    """The arguments of ``SessionService.renew`` that a body can have.

    ``token``: a :class:`waiaas.schemas.Secret`; left out if the body has none.
    """

    token: str


class RenewSessionRequestSchema(RequestSchema[RenewSessionRequest]):
    """The request that exchanges the token of a session for a new one.

    ``load`` takes an object with one wire key and gives a :class:`RenewSessionRequest`:

    ``token``
        the whole token, with its prefix ``wai_sess_``, of at most 4,096 characters; the service finds out whether it
        is a token. Optional: clients of the daemon send ``{}``, and mean the token in the header of the request.

    The token shows in no ``repr``, and an error holds nothing of the input: ``data`` and ``valid_data`` are None,
    and unknown keys are refused without their names, for the name may be the token.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).

    >>> RenewSessionRequestSchema().load({"token": "wai_sess_..."})
    {'token': <secret>}
    >>> RenewSessionRequestSchema().validate({"wai_sess_...": None, "token": None})
    {'token': ['Must be text.'], '_schema': ['Must have the key token and no other.']}
    """

    token = SecretText(max_length=MAX_TOKEN_LENGTH)

    def _refusal(self, messages: dict[Any, Any], *, data: Any, valid_data: Any = None) -> RequestValidationError:
        return RequestValidationError(_without_names(messages))


def _without_names(messages: dict[Any, Any]) -> dict[Any, Any]:
    """Give the messages of a renewal, or of a list of them, without the names of unknown keys."""
    told: dict[Any, Any] = {}
    for key, texts in messages.items():
        if isinstance(texts, dict):
            told[key] = _without_names(texts)
        elif key in ("token", SCHEMA):
            told[key] = texts
        else:
            told[SCHEMA] = [_TOKEN_ALONE]
    return told


class ListSessionsRequest(TypedDict):
    """A request to list sessions, checked.

    ``wallet_id``: only sessions linked to this wallet, a UUID in lower case; None: all.
    ``status``: only sessions of this status, one of ``waiaas.vocabularies.SESSION_STATUSES``; None: all.
    ``limit``: how many at most, 1 to 200.
    ``after``: only sessions whose id comes after this UUID in lower case; None: from the first.
    """

    wallet_id: str | None
    status: str | None
    limit: int
    after: str | None


class ListSessionsRequestSchema(PageRequestSchema[ListSessionsRequest]):
    """The query parameters of a list of sessions.

    ``load`` takes an object with these wire keys, whose values may all be text, and gives a
    :class:`ListSessionsRequest`. Each key is optional:

    ``walletId``
        a UUID.
    ``status``
        ``ACTIVE``, ``EXPIRED`` or ``REVOKED``.
    ``limit``
        an integer from 1 to 200, as decimal digits or as a number; 50 where it is left out.
    ``after``
        a UUID: the ``nextAfter`` of the page before.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).

    >>> ListSessionsRequestSchema().load({"status": "ACTIVE", "limit": "10"}) == {
    ...     "wallet_id": None, "status": "ACTIVE", "limit": 10, "after": None,
    ... }
    True
    """

    wallet_id = UUIDText(load_default=None, allow_none=False)
    status = word(SESSION_STATUSES, load_default=None, allow_none=False)


class SessionResponseSchema(ResponseSchema):
    """A session with its wallets.

    ``dump`` takes the details of a session, as the services give them. Times are in Unix seconds. ``walletId``
    and ``walletName`` are those of the default wallet, for clients that know one wallet; ``defaultWalletId`` is
    the same as ``walletId``. All three are null where a session has no wallet.
    """

    id = UUIDText(required=True)
    status = word(SESSION_STATUSES, required=True)
    wallet_id = UUIDText(required=True, allow_none=True)
    wallet_name = StrictText(required=True, allow_none=True)
    default_wallet_id = UUIDText(required=True, allow_none=True)
    wallets = StrictList(fields.Nested(SessionWalletResponseSchema), required=True)
    created_at = UnixTime(required=True)
    expires_at = UnixTime(required=True)
    absolute_expires_at = UnixTime(required=True)
    last_renewed_at = UnixTime(required=True, allow_none=True)
    revoked_at = UnixTime(required=True, allow_none=True)
    renewal_count = StrictInteger(required=True)
    max_renewals = StrictInteger(required=True)
    constraints = JSONObject(required=True, allow_none=True)
    source = StrictText(required=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return the value of an attribute; constraints that cannot be read are shown as such, never as none."""
        try:
            return super().get_attribute(obj, attr, default)
        except WAIaaSError:
            if attr != "constraints":
                raise
            return {"unreadable": True}


class IssuedSessionResponseSchema(SessionResponseSchema):
    """A session that was just created or renewed, with its token.

    ``token`` is shown here once and stored nowhere.
    """

    token = SecretText(required=True)


class SessionListResponseSchema(PageResponseSchema):
    """A page of sessions.

    ``dump`` takes a page, as the services give it: ``sessions`` holds its items.
    """

    sessions = StrictList(fields.Nested(SessionResponseSchema), required=True, attribute="items")
