"""Requests and responses about the wallets of one session."""

from __future__ import annotations

from typing import Any, TypedDict

from marshmallow import fields, pre_dump

from waiaas.schemas.base import (
    RequestSchema,
    ResponseSchema,
    StrictBoolean,
    StrictList,
    StrictText,
    UnixTime,
    UUIDText,
    word,
)
from waiaas.vocabularies import CHAIN_TYPES, ENVIRONMENT_TYPES, NETWORK_TYPES, WALLET_STATUSES

__all__ = [
    "DefaultWalletResponseSchema",
    "LinkWalletRequest",
    "LinkWalletRequestSchema",
    "SessionWalletListResponseSchema",
    "SessionWalletResponseSchema",
    "SetDefaultWalletRequest",
    "SetDefaultWalletRequestSchema",
]


class LinkWalletRequest(TypedDict):
    """A request to link a wallet to a session, checked: ``wallet_id`` is a UUID in lower case."""

    wallet_id: str


class LinkWalletRequestSchema(RequestSchema[LinkWalletRequest]):
    """The request that links one more wallet to a session.

    ``load`` takes an object with one wire key and gives a :class:`LinkWalletRequest`:

    ``walletId``
        a UUID.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).

    >>> LinkWalletRequestSchema().load({"walletId": "0190A3F0-1111-7ABC-8DEF-0123456789AB"})
    {'wallet_id': '0190a3f0-1111-7abc-8def-0123456789ab'}
    """

    wallet_id = UUIDText(required=True)


class SetDefaultWalletRequest(TypedDict):
    """A request to make a wallet the default of a session, checked: ``wallet_id`` is a UUID in lower case."""

    wallet_id: str


class SetDefaultWalletRequestSchema(RequestSchema[SetDefaultWalletRequest]):
    """The request that makes one of a session's wallets its default.

    ``load`` takes an object with one wire key and gives a :class:`SetDefaultWalletRequest`:

    ``walletId``
        a UUID.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).
    """

    wallet_id = UUIDText(required=True)


class SessionWalletResponseSchema(ResponseSchema):
    """A wallet as one session sees it: the wallet, whether it is the default, and since when it is linked.

    ``dump`` takes a linked wallet, as the services return it. Times are in Unix seconds. ``walletId`` is ``id``, and
    ``createdAt`` is ``linkedAt``, under the names that clients of the daemon know.
    """

    session_id = UUIDText(required=True)
    wallet_id = UUIDText(required=True, attribute="id", dump_only=True)
    id = UUIDText(required=True)
    name = StrictText(required=True)
    chain = word(CHAIN_TYPES, required=True)
    environment = word(ENVIRONMENT_TYPES, required=True)
    default_network = word(NETWORK_TYPES, required=True, allow_none=True)
    status = word(WALLET_STATUSES, required=True)
    is_default = StrictBoolean(required=True)
    linked_at = UnixTime(required=True)
    created_at = UnixTime(required=True, attribute="linked_at", dump_only=True)


class DefaultWalletResponseSchema(SessionWalletResponseSchema):
    """The wallet that is now the default of a session.

    ``dump`` takes a linked wallet, as the services return it. ``defaultWalletId`` is ``id``, under the name that
    clients of the daemon know.
    """

    default_wallet_id = UUIDText(required=True, attribute="id", dump_only=True)


class SessionWalletListResponseSchema(ResponseSchema):
    """All wallets of a session, the default first.

    ``dump`` takes the linked wallets, in their order; ``wallets`` holds them.
    """

    wallets = StrictList(fields.Nested(SessionWalletResponseSchema), required=True)

    @pre_dump
    def _name(self, links: Any, **kwargs: Any) -> dict[str, Any]:
        return {"wallets": links}
