"""Requests and responses about sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, TypedDict

from marshmallow import ValidationError, fields, validate, validates_schema
from marshmallow.exceptions import SCHEMA

from waiaas.errors import FieldMessage, WAIaaSError
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
    choice_field,
    integer_range,
)
from waiaas.schemas.page import PageRequestSchema, PageResponseSchema
from waiaas.schemas.session_wallet import SessionWalletResponseSchema
from waiaas.vocabularies import SESSION_STATUSES

#: The minimum time to live of a request, in seconds: 5 minutes.
MIN_TTL_SECONDS: Final = 300

#: The maximum time to live of a request, in seconds: 7 days.
MAX_TTL_SECONDS: Final = 604_800

#: The maximum number of wallets with which a session can be created.
MAX_WALLETS: Final = 100

#: The maximum size of constraints as JSON in UTF-8 without spaces, in bytes: 64 KiB.
MAX_CONSTRAINTS_BYTES: Final = 65_536

_IGNORED: Final = {"description": "Clients of the daemon send it; it has no effect."}


class CreateSessionRequest(TypedDict):
    """The result of :class:`CreateSessionRequestSchema`.

    ``wallet_ids``: the wallets in the order of the request, in lower case, each once.
    ``default_wallet_id``: the default wallet; the first one unless another was named.
    ``ttl``: the time to live in seconds, or None for the default of the service.
    ``constraints``: the object of the request, or None.
    """

    wallet_ids: list[str]
    default_wallet_id: str
    ttl: int | None
    constraints: dict[str, Any] | None


class CreateSessionRequestSchema(RequestSchema[CreateSessionRequest]):
    """The request to create a session for one wallet or many.

    The result is the same whether the request has ``walletId`` or ``walletIds``. UUIDs that differ only in case name
    the same wallet. With ``partial``, wallets can be left out.

    >>> schema = CreateSessionRequestSchema()
    >>> request = schema.load({"walletId": "0190A3F0-1111-7ABC-8DEF-0123456789AB", "ttl": 3600})
    >>> request["wallet_ids"], request["default_wallet_id"]
    (['0190a3f0-1111-7abc-8def-0123456789ab'], '0190a3f0-1111-7abc-8def-0123456789ab')
    >>> request["ttl"], request["constraints"]
    (3600, None)
    >>> schema.validate({"ttl": 1}) == {
    ...     "ttl": ["Must be an integer from 300 to 604800 (seconds)."],
    ...     "walletIds": ["Name at least one wallet, in walletIds or in walletId."],
    ... }
    True
    """

    wallet_id = UUIDText(metadata={"description": "The wallet of the session. Give either this or `walletIds`."})
    wallet_ids = StrictList(
        UUIDText(),
        max_items=MAX_WALLETS,
        validate=validate.Length(min=1, error=FieldMessage("some_wallet")),
        # `uniqueItems` is for the OpenAPI document; here, two that differ in case are equal, too.
        metadata={"uniqueItems": True, "description": f"The wallets of the session: 1 to {MAX_WALLETS}, each once."},
    )
    default_wallet_id = UUIDText(
        metadata={"description": "One of the wallets named; the first one if this is left out."}
    )
    ttl = StrictInteger(
        load_default=None,
        allow_none=False,  # The default would allow null.
        **integer_range("seconds_range", MIN_TTL_SECONDS, MAX_TTL_SECONDS),
        metadata={"description": f"The time to live in seconds, {MIN_TTL_SECONDS} to {MAX_TTL_SECONDS}."},
    )
    constraints = JSONObject(
        load_default=None,
        allow_none=True,
        max_bytes=MAX_CONSTRAINTS_BYTES,
        error_messages={"invalid": FieldMessage("object_or_null")},
        metadata={"description": f"An object of at most {MAX_CONSTRAINTS_BYTES:,} bytes as JSON, or null."},
    )
    expires_in = fields.Raw(allow_none=True, metadata=_IGNORED)
    source = fields.Raw(allow_none=True, metadata=_IGNORED)

    # Runs despite errors of single fields, so that all errors are in one response. It normalizes the wallets, too: a
    # second hook would make a load a fifth slower.
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
        # If there are no wallets here, those of the request had errors, or `partial` allows them to be left out.
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
        raise RequestValidationError({"walletIds": [FieldMessage("wallet_missing")]})
    try:
        _settle_default(arguments, arguments["wallet_ids"])
    except ValidationError as error:
        raise RequestValidationError(error.messages_dict) from None


def _check_form(original: Mapping[str, Any], partial: bool | Collection[str] | None) -> None:
    """Raise unless the request has one of the two keys for wallets; with `partial` both may be missing."""
    if "walletId" in original:
        if "walletIds" in original:
            both = [FieldMessage("one_wallet_key")]
            raise ValidationError({"walletId": both, "walletIds": both})
    elif "walletIds" not in original:
        is_optional = "wallet_ids" in partial if isinstance(partial, Collection) else partial
        if not is_optional:
            raise ValidationError({"walletIds": [FieldMessage("wallet_missing")]})


def _settle_default(data: dict[str, Any], wallet_ids: list[str]) -> None:
    """Check the wallets and the default wallet, which is the first wallet unless another is named."""
    errors = {}
    if len(set(wallet_ids)) < len(wallet_ids):
        repeated = [wallet for wallet, count in Counter(wallet_ids).items() if count > 1]
        errors["walletIds"] = [FieldMessage("repeated_wallets", wallets=repeated)]
    if data.setdefault("default_wallet_id", wallet_ids[0]) not in wallet_ids:
        errors["defaultWalletId"] = [FieldMessage("default_not_named")]
    if errors:
        raise ValidationError(errors)


class RenewSessionRequest(TypedDict, total=False):
    """The result of :class:`RenewSessionRequestSchema`; ``token`` is a :class:`waiaas.schemas.Secret`."""

    token: str


class RenewSessionRequestSchema(RequestSchema[RenewSessionRequest]):
    """The request to exchange the token of a session for a new one.

    No ``repr`` shows the token, and an error does not contain the input: ``data`` and ``valid_data`` are None, and
    unknown keys are refused without their names, because a name may be the token.

    >>> RenewSessionRequestSchema().load({"token": "wai_sess_..."})
    {'token': <secret>}
    >>> RenewSessionRequestSchema().validate({"wai_sess_...": None, "token": None})
    {'token': ['Must be text.'], '_schema': ['Must have the key token and no other.']}
    """

    token = SecretText(
        max_length=MAX_TOKEN_LENGTH,
        metadata={"description": "The whole token with its prefix `wai_sess_`; left out if it is in the header."},
    )

    def _refusal(self, messages: dict[Any, Any], *, data: Any, valid_data: Any = None) -> RequestValidationError:
        return RequestValidationError(_without_names(messages))


def _without_names(messages: dict[Any, Any]) -> dict[Any, Any]:
    """Return the messages about a renewal, or about a list of them, without the names of unknown keys."""
    safe: dict[Any, Any] = {}
    for key, texts in messages.items():
        if isinstance(texts, dict):
            safe[key] = _without_names(texts)
        elif key in ("token", SCHEMA):
            safe[key] = texts
        else:
            safe[SCHEMA] = [FieldMessage("token_alone")]
    return safe


class ListSessionsRequest(TypedDict):
    """The result of :class:`ListSessionsRequestSchema`; None means no filter, or the first page."""

    wallet_id: str | None
    status: str | None
    limit: int
    after: str | None


class ListSessionsRequestSchema(PageRequestSchema[ListSessionsRequest]):
    """The query parameters of a list of sessions, all optional.

    >>> ListSessionsRequestSchema().load({"status": "ACTIVE", "limit": "10"}) == {
    ...     "wallet_id": None, "status": "ACTIVE", "limit": 10, "after": None,
    ... }
    True
    """

    wallet_id = UUIDText(
        load_default=None, allow_none=False, metadata={"description": "Only sessions with a link to this wallet."}
    )
    status = choice_field(
        SESSION_STATUSES,
        load_default=None,
        allow_none=False,
        metadata={"description": "Only sessions of this status."},
    )


class SessionResponseSchema(ResponseSchema):
    """A session with its wallets.

    ``dump`` takes a :class:`waiaas.SessionDetails`.
    """

    id = UUIDText(required=True)
    status = choice_field(SESSION_STATUSES, required=True)
    wallet_id = UUIDText(
        required=True, allow_none=True, metadata={"description": "The default wallet; null if there is none."}
    )
    wallet_name = StrictText(
        required=True,
        allow_none=True,
        metadata={"description": "The name of the default wallet; null if there is none."},
    )
    default_wallet_id = UUIDText(required=True, allow_none=True, metadata={"description": "The same as `walletId`."})
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
        """Return the value of an attribute; constraints that cannot be read are shown as such, not as null."""
        try:
            return super().get_attribute(obj, attr, default)
        except WAIaaSError:
            if attr != "constraints":
                raise
            return {"unreadable": True}


class IssuedSessionResponseSchema(SessionResponseSchema):
    """A session that was just created or renewed, with its token.

    ``dump`` takes a :class:`waiaas.IssuedSession`.
    """

    token = SecretText(required=True, metadata={"description": "Shown only here, and not stored."})


class SessionListResponseSchema(PageResponseSchema):
    """A page of sessions.

    ``dump`` takes a :class:`waiaas.Page`.
    """

    sessions = StrictList(fields.Nested(SessionResponseSchema), required=True, attribute="items")
