"""Requests and responses about wallets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from marshmallow import ValidationError, fields, validates_schema

from waiaas.errors import FieldMessage
from waiaas.schemas.base import (
    MAX_KEY_LENGTH,
    RequestSchema,
    RequestValidationError,
    ResponseSchema,
    SecretText,
    StrictBoolean,
    StrictList,
    StrictText,
    UnixTime,
    UUIDText,
    check_as_loaded,
    choice_field,
    not_blank,
)
from waiaas.schemas.page import PageRequestSchema, PageResponseSchema
from waiaas.vocabularies import (
    APPROVAL_METHODS,
    CHAIN_TYPES,
    ENVIRONMENT_TYPES,
    EVM_NETWORK_TYPES,
    NETWORK_TYPES,
    OWNER_STATES,
    SOLANA_NETWORK_TYPES,
    WALLET_STATUSES,
)

#: The maximum length of a wallet's name, in characters (Unicode code points).
MAX_NAME_LENGTH: Final = 100

#: The maximum length of the reason of a suspension, in characters (Unicode code points).
MAX_REASON_LENGTH: Final = 1000

#: The networks of each chain.
NETWORKS_OF_CHAIN: Final = {"solana": SOLANA_NETWORK_TYPES, "ethereum": EVM_NETWORK_TYPES}


class CreateWalletRequest(TypedDict):
    """The result of :class:`CreateWalletRequestSchema`; the service checks that the network fits the environment."""

    name: str
    chain: str
    environment: str
    public_key: str
    default_network: str | None
    owner_address: str | None


class CreateWalletRequestSchema(RequestSchema[CreateWalletRequest]):
    """The request to register a wallet.

    A client of the daemon sends no ``publicKey``, because the daemon's keystore creates the key. Add the key of your
    own keystore to such a request before you ``load`` it.

    >>> request = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
    >>> CreateWalletRequestSchema().load(request | {"defaultNetwork": "devnet"})["default_network"]
    'devnet'
    >>> CreateWalletRequestSchema().validate(request | {"defaultNetwork": "base-sepolia"})
    {'defaultNetwork': ['Must be a network of solana: mainnet, devnet, testnet.']}
    """

    name = StrictText(
        required=True,
        max_length=MAX_NAME_LENGTH,
        validate=not_blank,
        metadata={"description": f"1 to {MAX_NAME_LENGTH} characters, not blank."},
    )
    chain = choice_field(CHAIN_TYPES, required=True, metadata={"description": "`solana` or `ethereum`."})
    environment = choice_field(ENVIRONMENT_TYPES, required=True, metadata={"description": "`testnet` or `mainnet`."})
    public_key = StrictText(
        required=True,
        max_length=MAX_KEY_LENGTH,
        validate=not_blank,
        metadata={"description": f"1 to {MAX_KEY_LENGTH} characters, not blank."},
    )
    default_network = choice_field(
        NETWORK_TYPES, load_default=None, allow_none=True, metadata={"description": "A network of the chain, or null."}
    )
    owner_address = StrictText(
        load_default=None,
        allow_none=True,
        max_length=MAX_KEY_LENGTH,
        validate=not_blank,
        metadata={"description": f"1 to {MAX_KEY_LENGTH} characters, not blank, or null."},
    )
    create_session = StrictBoolean(
        metadata={"description": "Whether a session for the wallet is created, too; false if left out."}
    )

    def wants_session(self, data: Mapping[str, Any]) -> bool:
        """Return whether a request asks for a session for the wallet, too; ``load`` does not return this.

        The service creates no session: call ``SessionService.create``, and dump :class:`CreatedWalletResponseSchema`.
        """
        return bool(data.get("createSession"))

    # Runs despite errors of single fields, so that all errors are in one response.
    @validates_schema(skip_on_field_errors=False)
    def _check_network(self, data: dict[str, Any], **kwargs: Any) -> None:
        data.pop("create_session", None)
        _check_network(data)


_CREATE_WALLET = CreateWalletRequestSchema()


def check_create_wallet_request(request: Mapping[str, object]) -> None:
    """Refuse arguments that :class:`CreateWalletRequestSchema` would not return.

    :raises RequestValidationError: a value breaks a rule of the schema; the messages are under the wire keys.
    """
    check_as_loaded(_CREATE_WALLET, request)
    try:
        _check_network(request)
    except ValidationError as error:
        raise RequestValidationError(error.messages_dict) from None


def _check_network(data: Mapping[str, Any]) -> None:
    """Raise if the default network does not belong to the chain."""
    chain, network = data.get("chain"), data.get("default_network")
    if chain is None or network is None or network in NETWORKS_OF_CHAIN[chain]:
        return
    expected = FieldMessage("network_of_chain", chain=chain, networks=", ".join(NETWORKS_OF_CHAIN[chain]))
    raise ValidationError({"defaultNetwork": [expected]})


class ListWalletsRequest(TypedDict):
    """The result of :class:`ListWalletsRequestSchema`; None means no filter, or the first page."""

    status: str | None
    limit: int
    after: str | None


class ListWalletsRequestSchema(PageRequestSchema[ListWalletsRequest]):
    """The query parameters of a list of wallets, all optional."""

    status = choice_field(
        WALLET_STATUSES, load_default=None, allow_none=False, metadata={"description": "Only wallets of this status."}
    )


class SuspendWalletRequest(TypedDict):
    """The result of :class:`SuspendWalletRequestSchema`."""

    reason: str | None


class SuspendWalletRequestSchema(RequestSchema[SuspendWalletRequest]):
    """The request to suspend a wallet."""

    reason = StrictText(
        load_default=None,
        allow_none=True,
        max_length=MAX_REASON_LENGTH,
        validate=not_blank,
        metadata={"description": f"1 to {MAX_REASON_LENGTH:,} characters, not blank, or null."},
    )


class WalletResponseSchema(ResponseSchema):
    """A wallet.

    ``dump`` takes a :class:`waiaas.WalletDetails`.
    """

    id = UUIDText(required=True)
    name = StrictText(required=True)
    chain = choice_field(CHAIN_TYPES, required=True)
    environment = choice_field(ENVIRONMENT_TYPES, required=True)
    default_network = choice_field(NETWORK_TYPES, required=True, allow_none=True)
    network = choice_field(
        NETWORK_TYPES,
        required=True,
        allow_none=True,
        attribute="default_network",
        dump_only=True,
        metadata={"description": "The same as `defaultNetwork`, for clients of the daemon."},
    )
    public_key = StrictText(required=True)
    status = choice_field(WALLET_STATUSES, required=True)
    owner_address = StrictText(required=True, allow_none=True)
    owner_state = choice_field(
        OWNER_STATES,
        required=True,
        metadata={
            "description": "`NONE` without an owner address, `GRACE` with one, `LOCKED` with a verified one.",
        },
    )
    owner_verified = StrictBoolean(required=True)
    approval_method = choice_field(APPROVAL_METHODS, required=True, allow_none=True, attribute="owner_approval_method")
    created_at = UnixTime(required=True)
    updated_at = UnixTime(required=True)
    suspended_at = UnixTime(required=True, allow_none=True)
    suspension_reason = StrictText(required=True, allow_none=True)


class WalletSessionResponseSchema(ResponseSchema):
    """The session that was created with a wallet."""

    id = UUIDText(required=True)
    token = SecretText(required=True, metadata={"description": "Shown only here, and not stored."})
    expires_at = UnixTime(required=True)


class CreatedWalletResponseSchema(WalletResponseSchema):
    """A wallet that was just created, and the session that was created with it, or null.

    ``dump`` takes a mapping: ``wallet`` is a :class:`waiaas.WalletDetails`, ``session`` a
    :class:`waiaas.IssuedSession` or None.
    """

    session = fields.Nested(WalletSessionResponseSchema, required=True, allow_none=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return the session, or a value of the wallet."""
        return obj[attr] if attr == "session" else super().get_attribute(obj["wallet"], attr, default)


class WalletListResponseSchema(PageResponseSchema):
    """A page of wallets.

    ``dump`` takes a :class:`waiaas.Page`.
    """

    items = StrictList(
        fields.Nested(WalletResponseSchema),
        required=True,
        dump_only=True,
        metadata={"description": "The same as `wallets`, for clients of the daemon."},
    )
    wallets = StrictList(fields.Nested(WalletResponseSchema), required=True, attribute="items")
