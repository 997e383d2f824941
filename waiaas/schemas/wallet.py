"""Requests and responses about wallets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from marshmallow import ValidationError, fields, validates_schema

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
    not_blank,
    word,
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

__all__ = [
    "MAX_NAME_LENGTH",
    "MAX_REASON_LENGTH",
    "CreateWalletRequest",
    "CreateWalletRequestSchema",
    "CreatedWalletResponseSchema",
    "ListWalletsRequest",
    "ListWalletsRequestSchema",
    "SuspendWalletRequest",
    "SuspendWalletRequestSchema",
    "WalletListResponseSchema",
    "WalletResponseSchema",
    "WalletSessionResponseSchema",
    "check_create_wallet_request",
]

#: The most characters (Unicode code points) that the name of a wallet may have.
MAX_NAME_LENGTH = 100

#: The most characters (Unicode code points) that the reason of a suspension may have.
MAX_REASON_LENGTH = 1000

#: The networks of each chain.
NETWORKS_OF_CHAIN = {"solana": SOLANA_NETWORK_TYPES, "ethereum": EVM_NETWORK_TYPES}


class CreateWalletRequest(TypedDict):
    """The arguments of ``WalletService.create``.

    ``name``: 1 to 100 characters, not blank, unchanged.
    ``chain``: one of ``waiaas.vocabularies.CHAIN_TYPES``.
    ``environment``: one of ``waiaas.vocabularies.ENVIRONMENT_TYPES``.
    ``public_key``: 1 to 256 characters, not blank, unchanged.
    ``default_network``: a network of the chain, or None. Whether it is one of the environment, the service checks.
    ``owner_address``: 1 to 256 characters, not blank, unchanged, or None.
    """

    name: str
    chain: str
    environment: str
    public_key: str
    default_network: str | None
    owner_address: str | None


class CreateWalletRequestSchema(RequestSchema[CreateWalletRequest]):
    """The request that registers a wallet.

    ``load`` takes an object with these wire keys and gives a :class:`CreateWalletRequest`:

    ``name``
        text of 1 to 100 characters, not blank.
    ``chain``
        ``solana`` or ``ethereum``.
    ``environment``
        ``testnet`` or ``mainnet``.
    ``publicKey``
        text of 1 to 256 characters, not blank.
    ``defaultNetwork``
        a network of the chain, or null; optional.
    ``ownerAddress``
        text of 1 to 256 characters, not blank, or null; optional.
    ``createSession``
        true or false; optional. It is not in the result: :meth:`wants_session` returns it.

    A client of the daemon sends no ``publicKey``, because the daemon's keystore makes the key. Put the key that yours
    has made into such a request before you ``load`` it.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``); every
        message stands under the wire key that it is about.

    >>> request = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
    >>> CreateWalletRequestSchema().load(request | {"defaultNetwork": "devnet"})["default_network"]
    'devnet'
    >>> CreateWalletRequestSchema().validate(request | {"defaultNetwork": "base-sepolia"})
    {'defaultNetwork': ['Must be a network of solana: mainnet, devnet, testnet.']}
    """

    name = StrictText(required=True, max_length=MAX_NAME_LENGTH, validate=not_blank)
    chain = word(CHAIN_TYPES, required=True)
    environment = word(ENVIRONMENT_TYPES, required=True)
    public_key = StrictText(required=True, max_length=MAX_KEY_LENGTH, validate=not_blank)
    default_network = word(NETWORK_TYPES, load_default=None, allow_none=True)
    owner_address = StrictText(load_default=None, allow_none=True, max_length=MAX_KEY_LENGTH, validate=not_blank)
    create_session = StrictBoolean()

    def wants_session(self, data: Mapping[str, Any]) -> bool:
        """Return whether a request that ``load`` takes asks for a session for the wallet, too.

        The service creates none: call ``SessionService.create``, and answer with :class:`CreatedWalletResponseSchema`.
        """
        return bool(data.get("createSession"))

    # Runs despite errors of single fields, so that all are reported in one answer.
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
    """Raise if the default network is not one of the chain."""
    network = data.get("default_network")
    if network is None or "chain" not in data:
        return
    networks = NETWORKS_OF_CHAIN[data["chain"]]
    if network not in networks:
        expected = f"Must be a network of {data['chain']}: {', '.join(networks)}."
        raise ValidationError({"defaultNetwork": [expected]})


class ListWalletsRequest(TypedDict):
    """A request to list wallets, checked.

    ``status``: only wallets of this status, one of ``waiaas.vocabularies.WALLET_STATUSES``; None: all.
    ``limit``: how many at most, 1 to 200.
    ``after``: only wallets whose id comes after this UUID in lower case; None: from the first.
    """

    status: str | None
    limit: int
    after: str | None


class ListWalletsRequestSchema(PageRequestSchema[ListWalletsRequest]):
    """The query parameters of a list of wallets.

    ``load`` takes an object with these wire keys, whose values may all be text, and gives a
    :class:`ListWalletsRequest`. Each key is optional:

    ``status``
        one of the statuses of a wallet.
    ``limit``
        an integer from 1 to 200, as decimal digits or as a number; 50 where it is left out.
    ``after``
        a UUID: the ``nextAfter`` of the page before.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).
    """

    status = word(WALLET_STATUSES, load_default=None, allow_none=False)


class SuspendWalletRequest(TypedDict):
    """A request to suspend a wallet, checked: ``reason`` is why, or None."""

    reason: str | None


class SuspendWalletRequestSchema(RequestSchema[SuspendWalletRequest]):
    """The request that suspends a wallet.

    ``load`` takes an object with one wire key and gives a :class:`SuspendWalletRequest`:

    ``reason``
        text of 1 to 1,000 characters, not blank, or null; optional.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``).
    """

    reason = StrictText(load_default=None, allow_none=True, max_length=MAX_REASON_LENGTH, validate=not_blank)


class WalletResponseSchema(ResponseSchema):
    """A wallet.

    ``dump`` takes a :class:`waiaas.WalletDetails`. Times are in Unix seconds. ``network`` is ``defaultNetwork``, under
    the name that clients of the daemon know. ``ownerState`` is how far the human owner is set up: ``NONE`` without an
    address, ``GRACE`` with one, ``LOCKED`` with a verified one.
    """

    id = UUIDText(required=True)
    name = StrictText(required=True)
    chain = word(CHAIN_TYPES, required=True)
    environment = word(ENVIRONMENT_TYPES, required=True)
    default_network = word(NETWORK_TYPES, required=True, allow_none=True)
    network = word(NETWORK_TYPES, required=True, allow_none=True, attribute="default_network", dump_only=True)
    public_key = StrictText(required=True)
    status = word(WALLET_STATUSES, required=True)
    owner_address = StrictText(required=True, allow_none=True)
    owner_state = word(OWNER_STATES, required=True)
    owner_verified = StrictBoolean(required=True)
    approval_method = word(APPROVAL_METHODS, required=True, allow_none=True, attribute="owner_approval_method")
    created_at = UnixTime(required=True)
    updated_at = UnixTime(required=True)
    suspended_at = UnixTime(required=True, allow_none=True)
    suspension_reason = StrictText(required=True, allow_none=True)


class WalletSessionResponseSchema(ResponseSchema):
    """The session that was created with a wallet; ``token`` is shown here once and stored nowhere."""

    id = UUIDText(required=True)
    token = SecretText(required=True)
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

    ``dump`` takes a page, as the services return it: ``wallets`` has its items, and so has ``items``, the name that
    clients of the daemon know.
    """

    items = StrictList(fields.Nested(WalletResponseSchema), required=True, dump_only=True)

    wallets = StrictList(fields.Nested(WalletResponseSchema), required=True, attribute="items")
