"""Requests about wallets."""

from __future__ import annotations

from typing import Any, TypedDict

from marshmallow import ValidationError, validate, validates_schema

from waiaas.enums import (
    CHAIN_TYPES,
    ENVIRONMENT_TYPES,
    EVM_NETWORK_TYPES,
    NETWORK_TYPES,
    SOLANA_NETWORK_TYPES,
)
from waiaas.schemas.base import StrictText, WireSchema, not_blank, word

__all__ = [
    "MAX_NAME_LENGTH",
    "CreateWalletRequest",
    "CreateWalletRequestSchema",
]

#: The most characters (Unicode code points) that the name of a wallet may have.
MAX_NAME_LENGTH = 100

NETWORKS_OF_CHAIN = {"solana": SOLANA_NETWORK_TYPES, "ethereum": EVM_NETWORK_TYPES}


class CreateWalletRequest(TypedDict):
    """A request to create a wallet, checked.

    ``name``: 1 to 100 characters, not blank, as it came.
    ``chain``: one of :data:`waiaas.enums.CHAIN_TYPES`.
    ``environment``: one of :data:`waiaas.enums.ENVIRONMENT_TYPES`.
    ``public_key``: not blank, as it came.
    ``default_network``: a network of the chain, or None. Whether it is one of the environment, the service checks.
    ``owner_address``: not blank, as it came, or None.
    """

    name: str
    chain: str
    environment: str
    public_key: str
    default_network: str | None
    owner_address: str | None


class CreateWalletRequestSchema(WireSchema):
    """The request that registers a wallet.

    ``load`` takes an object with these wire keys and gives a :class:`CreateWalletRequest`:

    ``name``
        text of 1 to 100 characters, not blank.
    ``chain``
        ``solana`` or ``ethereum``.
    ``environment``
        ``testnet`` or ``mainnet``.
    ``publicKey``
        text, not blank.
    ``defaultNetwork``
        a network of the chain, or null; optional.
    ``ownerAddress``
        text, not blank, or null; optional.

    :raises RequestValidationError: a rule is broken (code ``ACTION_VALIDATION_FAILED``); every
        message stands under the wire key that it is about.

    >>> request = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
    >>> CreateWalletRequestSchema().load(request | {"defaultNetwork": "devnet"})["default_network"]
    'devnet'
    >>> CreateWalletRequestSchema().validate(request | {"defaultNetwork": "base-sepolia"})
    {'defaultNetwork': ['Must be a network of solana: mainnet, devnet, testnet.']}
    """

    name = StrictText(
        required=True,
        validate=[
            not_blank,
            validate.Length(max=MAX_NAME_LENGTH, error=f"Must have at most {MAX_NAME_LENGTH} characters."),
        ],
    )
    chain = word(CHAIN_TYPES, required=True)
    environment = word(ENVIRONMENT_TYPES, required=True)
    public_key = StrictText(required=True, validate=not_blank)
    default_network = word(NETWORK_TYPES, load_default=None, allow_none=True)
    owner_address = StrictText(load_default=None, allow_none=True, validate=not_blank)

    # Runs despite errors of single fields, so that all are reported in one answer.
    @validates_schema(skip_on_field_errors=False)
    def _check_network(self, data: dict[str, Any], **kwargs: Any) -> None:
        network = data.get("default_network")
        if network is None or "chain" not in data:
            return
        networks = NETWORKS_OF_CHAIN[data["chain"]]
        if network not in networks:
            expected = f"Must be a network of {data['chain']}: {', '.join(networks)}."
            raise ValidationError({"defaultNetwork": [expected]})
