"""Requests of the daemon's clients are accepted, and responses contain the keys that they read."""

from __future__ import annotations

from typing import Any

import pytest

from waiaas import schemas
from waiaas.schemas import RequestValidationError

A, B = (f"0190a3f0-{group}-7abc-8def-0123456789ab" for group in ("1111", "2222"))
NEW_WALLET = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}

#: The keys of the daemon's responses, by schema; keys of nested objects are in parentheses.
ANSWERS: dict[str, str] = {
    "IssuedSessionResponseSchema": "id token expiresAt walletId renewalCount wallets(id name isDefault)",
    "SessionResponseSchema": "id walletId walletName status renewalCount maxRenewals expiresAt absoluteExpiresAt"
    " createdAt lastRenewedAt source wallets(id name isDefault)",
    "SessionWalletResponseSchema": "sessionId walletId isDefault createdAt",
    "SessionWalletListResponseSchema": "wallets(id name chain isDefault createdAt)",
    "DefaultWalletResponseSchema": "sessionId defaultWalletId",
    "CreatedWalletResponseSchema": "id name chain network environment publicKey status ownerAddress ownerState"
    " createdAt session(id token expiresAt)",
    "WalletListResponseSchema": "items(id name chain network environment publicKey status ownerAddress ownerState"
    " createdAt)",
    "WalletResponseSchema": "id name chain network environment publicKey status ownerAddress ownerState createdAt"
    " defaultNetwork ownerVerified approvalMethod updatedAt",
    "ErrorResponseSchema": "code message retryable details hint",
}


def keys_of(schema: Any) -> set[str]:
    """Return the keys that a schema dumps, including those of nested objects."""
    found = set()
    for field in schema.dump_fields.values():
        nested = getattr(getattr(field, "inner", field), "schema", None)
        found.add(field.data_key)
        found |= {f"{field.data_key}.{key}" for key in keys_of(nested)} if nested else set()
    return found


def keys_in(text: str) -> set[str]:
    """Return the keys named in a text of `ANSWERS`."""
    outer, _, inner = text.partition("(")
    parent = outer.split()[-1]
    return {*outer.split(), *(f"{parent}.{key}" for key in inner.rstrip(")").split())}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_response_has_the_keys_of_the_daemons_response(name: str) -> None:
    """A client of the daemon finds each key that it reads."""
    assert keys_in(ANSWERS[name]) - keys_of(getattr(schemas, name)()) == set()


@pytest.mark.parametrize("key", ["expiresIn", "source"])
@pytest.mark.parametrize("value", [3600, "cli", None, True, {"a": [1]}, "x" * 1000])
def test_a_key_without_effect_is_accepted(key: str, value: Any) -> None:
    """Two keys that clients of the daemon send with a new session are accepted and have no effect."""
    schema = schemas.CreateSessionRequestSchema()
    request = {"walletIds": [A, B], "ttl": 300}
    assert schema.load(request | {key: value}) == schema.load(request)
    assert schema.validate(request | {key: value}) == {}


@pytest.mark.parametrize("key", ["constraint", "Constraints", "expires_in", "expiresin", "wallets", "ttL"])
def test_a_misspelt_key_is_still_refused(key: str) -> None:
    """Every other key is refused by name, even next to the accepted ones."""
    request = {"walletId": A, key: {}, "expiresIn": 5, "source": "cli"}
    with pytest.raises(RequestValidationError) as caught:
        schemas.CreateSessionRequestSchema().load(request)
    assert caught.value.messages == {key: ["Unknown field."]}


def test_a_renewal_may_be_empty() -> None:
    """Clients of the daemon renew with `{}`, because the token is in the header."""
    assert schemas.RenewSessionRequestSchema().load({}) == {}


@pytest.mark.parametrize(
    ("sent", "wanted"), [({}, False), ({"createSession": False}, False), ({"createSession": True}, True)]
)
def test_a_session_can_be_requested_with_a_wallet(sent: dict[str, Any], wanted: bool) -> None:
    """The request to create a wallet may ask for a session too."""
    schema = schemas.CreateWalletRequestSchema()
    assert schema.load(NEW_WALLET | sent) == schema.load(NEW_WALLET)
    assert schema.wants_session(NEW_WALLET | sent) is wanted


@pytest.mark.parametrize("value", [None, 0, 1, "true", "", [], {}])
def test_only_a_boolean_asks_for_a_session(value: Any) -> None:
    """Only a boolean asks for a session; text and numbers are refused."""
    errors = schemas.CreateWalletRequestSchema().validate(NEW_WALLET | {"createSession": value})
    assert errors == {"createSession": ["Must be true or false."]}
