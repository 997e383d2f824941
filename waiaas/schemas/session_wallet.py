"""Requests and responses about the wallets of a session."""

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
    choice_field,
)
from waiaas.vocabularies import CHAIN_TYPES, ENVIRONMENT_TYPES, NETWORK_TYPES, WALLET_STATUSES


class LinkWalletRequest(TypedDict):
    """The result of :class:`LinkWalletRequestSchema`."""

    wallet_id: str


class LinkWalletRequestSchema(RequestSchema[LinkWalletRequest]):
    """The request to link one more wallet to a session.

    >>> LinkWalletRequestSchema().load({"walletId": "0190A3F0-1111-7ABC-8DEF-0123456789AB"})
    {'wallet_id': '0190a3f0-1111-7abc-8def-0123456789ab'}
    """

    wallet_id = UUIDText(required=True, metadata={"description": "The wallet to link."})


class SetDefaultWalletRequest(TypedDict):
    """The result of :class:`SetDefaultWalletRequestSchema`."""

    wallet_id: str


class SetDefaultWalletRequestSchema(RequestSchema[SetDefaultWalletRequest]):
    """The request to make one of a session's wallets its default."""

    wallet_id = UUIDText(required=True, metadata={"description": "One of the wallets of the session."})


class SessionWalletResponseSchema(ResponseSchema):
    """A wallet of a session.

    ``dump`` takes a :class:`waiaas.LinkedWallet`.
    """

    session_id = UUIDText(required=True)
    wallet_id = UUIDText(
        required=True,
        attribute="id",
        dump_only=True,
        metadata={"description": "The same as `id`, for clients of the daemon."},
    )
    id = UUIDText(required=True)
    name = StrictText(required=True)
    chain = choice_field(CHAIN_TYPES, required=True)
    environment = choice_field(ENVIRONMENT_TYPES, required=True)
    default_network = choice_field(NETWORK_TYPES, required=True, allow_none=True)
    status = choice_field(WALLET_STATUSES, required=True)
    is_default = StrictBoolean(required=True)
    linked_at = UnixTime(required=True)
    created_at = UnixTime(
        required=True,
        attribute="linked_at",
        dump_only=True,
        metadata={"description": "The same as `linkedAt`, for clients of the daemon."},
    )


class DefaultWalletResponseSchema(SessionWalletResponseSchema):
    """The wallet that is now the default of a session.

    ``dump`` takes a :class:`waiaas.LinkedWallet`.
    """

    default_wallet_id = UUIDText(
        required=True,
        attribute="id",
        dump_only=True,
        metadata={"description": "The same as `id`, for clients of the daemon."},
    )


class SessionWalletListResponseSchema(ResponseSchema):
    """All wallets of a session, the default first.

    ``dump`` takes a list of :class:`waiaas.LinkedWallet`.
    """

    wallets = StrictList(fields.Nested(SessionWalletResponseSchema), required=True)

    @pre_dump
    def _name(self, links: Any, **kwargs: Any) -> dict[str, Any]:
        return {"wallets": links}
