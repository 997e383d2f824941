"""Requests and responses about the wallets of one session."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from waiaas.schemas import (
    DefaultWalletResponseSchema,
    LinkWalletRequest,
    LinkWalletRequestSchema,
    SessionWalletListResponseSchema,
    SessionWalletResponseSchema,
    SetDefaultWalletRequest,
    SetDefaultWalletRequestSchema,
)
from waiaas.services import LinkedWallet

WALLET = "0190a3f0-aaaa-7abc-8def-0123456789ab"
SESSION = "0190a3f0-cccc-7abc-8def-0123456789ab"
NO_UUID = "Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens."


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        (LinkWalletRequestSchema(), LinkWalletRequest),
        (SetDefaultWalletRequestSchema(), SetDefaultWalletRequest),
    ],
)
class TestRequests:
    """A request that names one wallet."""

    def test_loads(self, schema, result):
        """The wallet id loads in lower case."""
        loaded = schema.load({"walletId": WALLET.upper()})
        assert loaded == {"wallet_id": WALLET}
        assert set(loaded) == result.__required_keys__

    @pytest.mark.parametrize("bad", [None, "", 5, True, [WALLET], {"id": WALLET}, f" {WALLET}", WALLET.encode()])
    def test_bad_wallet(self, schema, result, bad):
        """A value that is not a UUID is refused."""
        assert schema.validate({"walletId": bad}) == {"walletId": [NO_UUID]}

    @pytest.mark.parametrize(
        ("data", "errors"),
        [
            ({}, {"walletId": ["Missing data for required field."]}),
            ({"walletId": WALLET, "walletIds": [WALLET]}, {"walletIds": ["Unknown field."]}),
            ({"walletId": WALLET, "isDefault": True}, {"isDefault": ["Unknown field."]}),
            ([], {"_schema": ["Must be an object."]}),
            (None, {"_schema": ["Must be an object."]}),
        ],
    )
    def test_other_input(self, schema, result, data, errors):
        """Missing and unknown keys are reported by name; a value that is not an object is refused as a whole."""
        with pytest.raises(ValidationError) as caught:
            schema.load(data)
        assert caught.value.messages == schema.validate(data) == errors

    @given(identifier=st.uuids())
    def test_any_wallet(self, schema, result, identifier):
        """Any UUID loads as Python writes it."""
        assert schema.load({"walletId": str(identifier).upper()}) == {"wallet_id": str(identifier)}


LINK = LinkedWallet(
    id=WALLET,
    name="지갑",
    chain="ethereum",
    environment="mainnet",
    default_network=None,
    status="SUSPENDED",
    is_default=True,
    linked_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    session_id=SESSION,
)
WIRE = {
    "sessionId": SESSION,
    "walletId": WALLET,
    "id": WALLET,
    "name": "지갑",
    "chain": "ethereum",
    "environment": "mainnet",
    "defaultNetwork": None,
    "status": "SUSPENDED",
    "isDefault": True,
    "linkedAt": 1_767_225_600,
    "createdAt": 1_767_225_600,
}


class TestResponses:
    """A linked wallet on the wire."""

    def test_one(self):
        """A link has the wire keys, in their order, and its time in seconds."""
        wire = SessionWalletResponseSchema().dump(LINK)
        assert wire == WIRE
        assert list(wire) == list(WIRE)

    def test_all_of_a_session(self):
        """The links of a session are in one object, in the given order."""
        links = (LINK, replace(LINK, is_default=False))
        wire = {"wallets": [WIRE, WIRE | {"isDefault": False}]}
        assert SessionWalletListResponseSchema().dump(links) == wire
        assert SessionWalletListResponseSchema().dump(()) == {"wallets": []}

    def test_a_client_can_load_a_response(self):
        """Every key of a response can be loaded, and none may be missing."""
        loaded = SessionWalletResponseSchema().load(WIRE)
        assert LinkedWallet(**loaded) == LINK
        # The daemon's names repeat other keys.
        assert set(SessionWalletResponseSchema().validate({})) == set(WIRE) - {"walletId", "createdAt"}

    def test_a_default_wallet(self):
        """The response to a new default also names it under the daemon's key."""
        assert DefaultWalletResponseSchema().dump(LINK) == WIRE | {"defaultWalletId": WALLET}
