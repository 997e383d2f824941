"""Requests and responses about wallets, rule by rule."""

import copy
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from waiaas.models import Wallet
from waiaas.schemas import (
    CreateWalletRequest,
    CreateWalletRequestSchema,
    ListWalletsRequest,
    ListWalletsRequestSchema,
    RequestValidationError,
    SuspendWalletRequest,
    SuspendWalletRequestSchema,
    WalletListResponseSchema,
    WalletResponseSchema,
    check_create_wallet_request,
)
from waiaas.services import Page
from waiaas.vocabularies import EVM_NETWORK_TYPES, NETWORK_TYPES, SOLANA_NETWORK_TYPES, WALLET_STATUSES

ID = "0190a3f0-aaaa-7abc-8def-0123456789ab"

CHAIN = "Must be one of: solana, ethereum."
ENVIRONMENT = "Must be one of: testnet, mainnet."
NETWORK = f"Must be one of: {', '.join(NETWORK_TYPES)}."
BLANK = "Must not be blank."
NO_TEXT = "Must be text."
UNSTORABLE = "Must be text without NUL characters and lone surrogates."
REQUIRED = "Missing data for required field."

SMALLEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}

NO_TEXTS = [None, 5, 1.5, True, b"payments", ["payments"], {"name": "payments"}]
BLANKS = ["", " ", "\t\n\r", "\u00a0\u2003\u3000", "\ufeff", "\x1c\x85\u2028"]
UNSTORABLES = ["a\0", "\0", "\ud800", "a\udfffb"]


def errors_of(schema, data):
    """Return the messages with which a request is refused, the same from `load` and `validate`."""
    with pytest.raises(ValidationError) as caught:
        schema.load(data)
    assert schema.validate(data) == caught.value.messages
    return caught.value.messages


class TestCreateWallet:
    """The request that registers a wallet."""

    SCHEMA = CreateWalletRequestSchema()

    def errors_with(self, **changes):
        """Return the messages for the smallest request with some keys changed."""
        return errors_of(self.SCHEMA, SMALLEST | changes)

    def test_smallest_form(self):
        """Optional keys load as None if they are omitted."""
        assert self.SCHEMA.load(SMALLEST) == {
            "name": "payments",
            "chain": "solana",
            "environment": "testnet",
            "public_key": "7xKX",
            "default_network": None,
            "owner_address": None,
        }

    def test_null_is_the_same_as_omitted(self):
        """Null is the same as omitting an optional key."""
        nulls = {"defaultNetwork": None, "ownerAddress": None}
        assert self.SCHEMA.load(SMALLEST | nulls) == self.SCHEMA.load(SMALLEST)

    def test_all_keys(self):
        """Every key is loaded, and texts are unchanged."""
        wire = {
            "name": " 지갑 \U0001f45b ",
            "chain": "ethereum",
            "environment": "mainnet",
            "publicKey": "0xAbC",
            "defaultNetwork": "base-mainnet",
            "ownerAddress": "0xDeF",
        }
        before = copy.deepcopy(wire)
        loaded = self.SCHEMA.load(wire)
        assert list(loaded.values()) == list(wire.values())
        assert set(loaded) == CreateWalletRequest.__required_keys__
        assert wire == before

    def test_required_keys(self):
        """The error of an empty request names every missing key."""
        assert errors_of(self.SCHEMA, {}) == {key: [REQUIRED] for key in SMALLEST}

    @pytest.mark.parametrize("key", ["walletId", "public_key", "status", "ownerVerified"])
    def test_unknown_key(self, key):
        """An unknown key is refused under its name, including keys that only the service sets."""
        assert self.errors_with(**{key: "ACTIVE"}) == {key: ["Unknown field."]}

    @pytest.mark.parametrize("key", ["name", "publicKey", "ownerAddress"])
    @pytest.mark.parametrize(
        ("values", "message"), [(NO_TEXTS, NO_TEXT), (BLANKS, BLANK), (UNSTORABLES, UNSTORABLE)], ids=str
    )
    def test_bad_text(self, key, values, message):
        """A value that is not a string, is blank, or cannot be stored is refused with one message."""
        for value in values:
            if (key, value) != ("ownerAddress", None):
                assert self.errors_with(**{key: value}) == {key: [message]}

    @pytest.mark.parametrize("character", ["x", "가", "\U0001f45b", "é"])
    def test_length_of_the_name(self, character):
        """A name has at most 100 characters, counted as Unicode code points."""
        assert self.SCHEMA.load(SMALLEST | {"name": character * 100})["name"] == character * 100
        assert self.errors_with(name=character * 101) == {"name": ["Must have at most 100 characters."]}

    def test_long_blank_name(self):
        """A blank name of the maximum length is refused as blank, a longer one for its length."""
        assert self.errors_with(name=" " * 100) == {"name": [BLANK]}
        assert self.errors_with(name=" " * 1_000_000) == {"name": ["Must have at most 100 characters."]}

    @pytest.mark.parametrize(
        ("key", "message"), [("chain", CHAIN), ("environment", ENVIRONMENT), ("defaultNetwork", NETWORK)]
    )
    def test_value_outside_the_vocabulary(self, key, message):
        """A value outside the vocabulary is refused with the list of values."""
        for value in ["", "Solana", "MAINNET", "bitcoin", "solana ", "a\0", 1, True, ["solana"], {}]:
            assert self.errors_with(**{key: value}) == {key: [message]}

    @pytest.mark.parametrize("key", ["chain", "environment"])
    def test_null_is_refused(self, key):
        """Chain and environment cannot be null."""
        assert set(self.errors_with(**{key: None})) == {key}

    @pytest.mark.parametrize("chain", ["solana", "ethereum"])
    @pytest.mark.parametrize("network", NETWORK_TYPES)
    def test_network_of_the_chain(self, chain, network):
        """The default network belongs to the chain, in any environment."""
        networks = {"solana": SOLANA_NETWORK_TYPES, "ethereum": EVM_NETWORK_TYPES}[chain]
        errors = self.SCHEMA.validate(SMALLEST | {"chain": chain, "defaultNetwork": network})
        expected = f"Must be a network of {chain}: {', '.join(networks)}."
        assert errors == ({} if network in networks else {"defaultNetwork": [expected]})

    def test_network_with_an_invalid_chain(self):
        """If the chain is invalid, the network may be valid and is not reported."""
        assert self.errors_with(chain="bitcoin", defaultNetwork="base-sepolia") == {"chain": [CHAIN]}

    def test_errors_of_all_keys_come_together(self):
        """One error contains the messages of every key, including the rule between two keys."""
        errors = self.errors_with(name="", defaultNetwork="base-sepolia", environment="prod")
        assert set(errors) == {"name", "defaultNetwork", "environment"}

    def test_partial(self):
        """A partial request loads without the rest, and is checked as usual."""
        assert self.SCHEMA.load({"defaultNetwork": "devnet"}, partial=True) == {"default_network": "devnet"}
        part = {"chain": "solana", "defaultNetwork": "base-sepolia"}
        assert set(self.SCHEMA.validate(part, partial=True)) == {"defaultNetwork"}

    @given(st.text())
    def test_any_name(self, name):
        """A name loads unchanged if and only if it can be stored, is not blank and is not too long."""
        storable = "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)
        blank = all(letter.isspace() or letter == "\ufeff" for letter in name)
        good = storable and not blank and len(name) <= 100
        errors = self.SCHEMA.validate(SMALLEST | {"name": name})
        assert (errors == {}) == good


class TestCheck:
    """A request built without the schema, checked by the schema's rules."""

    GOOD = CreateWalletRequestSchema().load(SMALLEST)

    def errors_of(self, request):
        """Return the messages with which a request is refused."""
        with pytest.raises(RequestValidationError) as caught:
            check_create_wallet_request(request)
        return caught.value.messages

    @pytest.mark.parametrize("changes", [{}, {"default_network": "devnet", "owner_address": "9a"}])
    def test_good(self, changes):
        """A request that obeys the rules passes."""
        check_create_wallet_request(self.GOOD | changes)

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"name": " "}, "name"),
            ({"name": None}, "name"),
            ({"chain": "bitcoin"}, "chain"),
            ({"environment": "devnet"}, "environment"),
            ({"public_key": "a\0"}, "publicKey"),
            ({"default_network": "base-sepolia"}, "defaultNetwork"),
            ({"owner_address": ""}, "ownerAddress"),
        ],
    )
    def test_broken_rules(self, changes, key):
        """A broken rule is reported under the wire key."""
        assert set(self.errors_of(self.GOOD | changes)) == {key}


class TestList:
    """The query parameters of a list of wallets."""

    SCHEMA = ListWalletsRequestSchema()

    def test_no_parameters(self):
        """Without parameters, the first 50 of all wallets are requested."""
        loaded = self.SCHEMA.load({})
        assert loaded == {"status": None, "limit": 50, "after": None}
        assert set(loaded) == ListWalletsRequest.__required_keys__

    @pytest.mark.parametrize("status", WALLET_STATUSES)
    def test_all_keys(self, status):
        """Each status of a wallet is accepted, with a limit and a cursor."""
        query = {"status": status, "limit": "5", "after": ID.upper()}
        assert self.SCHEMA.load(query) == {"status": status, "limit": 5, "after": ID}

    @pytest.mark.parametrize("key", ["status", "limit", "after"])
    def test_null(self, key):
        """Null is refused, because a query string cannot express it."""
        assert set(errors_of(self.SCHEMA, {key: None})) == {key}

    def test_errors_of_all_keys_come_together(self):
        """Invalid values and unknown parameters are reported at once."""
        query = {"status": "EXPIRED", "limit": "many", "after": "x", "walletId": ID}
        errors = errors_of(self.SCHEMA, query)
        assert set(errors) == set(query)
        assert errors["status"] == [f"Must be one of: {', '.join(WALLET_STATUSES)}."]
        assert errors["limit"] == ["Must be an integer from 1 to 200."]


class TestSuspend:
    """The request that suspends a wallet."""

    SCHEMA = SuspendWalletRequestSchema()

    @pytest.mark.parametrize("wire", [{}, {"reason": None}])
    def test_without_a_reason(self, wire):
        """A reason may be omitted or null."""
        assert self.SCHEMA.load(wire) == {"reason": None}
        assert set(self.SCHEMA.load(wire)) == SuspendWalletRequest.__required_keys__

    def test_with_a_reason(self):
        """A reason loads unchanged."""
        assert self.SCHEMA.load({"reason": " 점검\n"}) == {"reason": " 점검\n"}

    @pytest.mark.parametrize(
        ("values", "message"), [(NO_TEXTS[1:], NO_TEXT), (BLANKS, BLANK), (UNSTORABLES, UNSTORABLE)], ids=str
    )
    def test_bad_reason(self, values, message):
        """A value that is not a string, is blank, or cannot be stored is refused."""
        for value in values:
            assert errors_of(self.SCHEMA, {"reason": value}) == {"reason": [message]}

    def test_unknown_key(self):
        """An unknown key is refused under its name."""
        assert errors_of(self.SCHEMA, {"Reason": "x"}) == {"Reason": ["Unknown field."]}


class TestResponses:
    """A wallet on the wire."""

    WIRE = {
        "id": ID,
        "name": "payments",
        "chain": "solana",
        "environment": "testnet",
        "defaultNetwork": "devnet",
        "network": "devnet",
        "publicKey": "7xKX",
        "status": "SUSPENDED",
        "ownerAddress": None,
        "ownerState": "NONE",
        "ownerVerified": False,
        "approvalMethod": None,
        "createdAt": 1_767_225_600,
        "updatedAt": 2_147_483_648,
        "suspendedAt": 2_147_483_648,
        "suspensionReason": "audit",
    }

    def wallet(self, **changes):
        """Return a suspended wallet."""
        return Wallet(
            **{
                "id": ID,
                "name": "payments",
                "chain": "solana",
                "environment": "testnet",
                "default_network": "devnet",
                "public_key": "7xKX",
                "status": "SUSPENDED",
                "created_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
                "updated_at": datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc),
                "suspended_at": datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc),
                "suspension_reason": "audit",
            }
            | changes
        )

    def test_wallet(self):
        """A wallet has the wire keys, in their order, and times in seconds."""
        wire = WalletResponseSchema().dump(self.wallet())
        assert wire == self.WIRE
        assert list(wire) == list(self.WIRE)

    def test_missing_values_are_null(self):
        """Missing values of a wallet are null."""
        wire = WalletResponseSchema().dump(
            self.wallet(default_network=None, suspended_at=None, suspension_reason=None)
        )
        assert [wire[key] for key in ("defaultNetwork", "suspendedAt", "suspensionReason")] == [None] * 3
        assert WalletResponseSchema().validate(wire) == {}

    @pytest.mark.parametrize(
        ("address", "verified", "state"),
        [
            (None, False, "NONE"),
            (None, True, "NONE"),
            ("", True, "NONE"),
            ("9a", False, "GRACE"),
            ("9a", True, "LOCKED"),
        ],
    )
    def test_owner(self, address, verified, state):
        """The owner state follows from the address and whether it was verified."""
        wire = WalletResponseSchema().dump(self.wallet(owner_address=address, owner_verified=verified))
        assert (wire["ownerAddress"], wire["ownerState"]) == (address, state)

    def test_page(self):
        """A page of wallets contains the cursor of the next page; the last page contains none."""
        schema = WalletListResponseSchema()
        assert schema.dump(Page(items=(self.wallet(),), next_after=ID)) == {
            "items": [self.WIRE],
            "wallets": [self.WIRE],
            "nextAfter": ID,
        }
        assert schema.dump(Page(items=(), next_after=None)) == {"items": [], "wallets": [], "nextAfter": None}

    def test_a_client_can_load_a_response(self):
        """Every key of a response can be loaded, and none may be missing."""
        loaded = WalletResponseSchema().load(json.loads(json.dumps(self.WIRE)))
        assert WalletResponseSchema().dump(loaded) == self.WIRE
        assert set(WalletResponseSchema().validate({})) == set(self.WIRE) - {"network"}
