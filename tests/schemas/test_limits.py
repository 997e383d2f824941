"""The limits on a request: larger requests are refused before they cost anything."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

import waiaas
from waiaas import schemas
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema

WALLET = "0190a3f0-1111-7abc-8def-0123456789ab"
SMALLEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
SESSION = CreateSessionRequestSchema()


def ids(count: int) -> list[str]:
    return [str(uuid.UUID(int=number)) for number in range(count)]


class CountedList(list[Any]):
    """A list that counts the items read from it."""

    taken = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            self.taken += 1
            yield item


class CountedDict(dict[str, Any]):
    """A dictionary that counts the items read from it."""

    taken = 0

    def items(self) -> Any:
        for item in super().items():
            self.taken += 1
            yield item


class TestWallets:
    def test_100_are_accepted(self) -> None:
        """A session can be created with 100 wallets."""
        assert len(SESSION.load({"walletIds": ids(100)})["wallet_ids"]) == schemas.MAX_WALLETS == 100

    @pytest.mark.parametrize("count", [101, 100_000])
    def test_more_are_refused_unread(self, count: int) -> None:
        """A longer list is refused without reading its items."""
        wallets = CountedList(["x"] * count)
        assert SESSION.validate({"walletIds": wallets}) == {"walletIds": ["Must have at most 100 items."]}
        assert wallets.taken == 0

    def test_at_most_five_repeated_ids_are_named(self) -> None:
        """If a request repeats many ids, the error names five."""
        named = ids(50)
        ((message,),) = SESSION.validate({"walletIds": named * 2}).values()
        assert message == f"Must not name a wallet twice: {', '.join(named[:5])} … (+45)."


class TestConstraints:
    @staticmethod
    def of_size(size: int) -> dict[str, Any]:
        """Return an object of this many bytes as JSON."""
        return {"지갑": ["x" * (size - len('{"":[""]}') - len("지갑".encode()))]}

    def test_64_kib_are_accepted(self) -> None:
        """Constraints of 65,536 bytes as UTF-8 JSON are accepted, and one more byte is refused."""
        largest = self.of_size(schemas.MAX_CONSTRAINTS_BYTES)
        assert len(json.dumps(largest, ensure_ascii=False, separators=(",", ":")).encode()) == 65_536
        assert SESSION.load({"walletId": WALLET, "constraints": largest})["constraints"] == largest
        too_large = self.of_size(schemas.MAX_CONSTRAINTS_BYTES + 1)
        assert SESSION.validate({"walletId": WALLET, "constraints": too_large}) == {
            "constraints": ["Must have at most 65536 bytes as JSON."]
        }

    @pytest.mark.parametrize("value", ["\0", '"', "\n"])
    def test_escapes_count(self, value: str) -> None:
        """Characters that JSON escapes count with their escapes."""
        size = len(json.dumps(value)) - 2
        most = (65_536 - len('{"a":""}')) // size
        for count, good in ((most, True), (most + 1, False)):
            assert (SESSION.validate({"walletId": WALLET, "constraints": {"a": value * count}}) == {}) is good

    def test_a_large_object_is_not_read_to_its_end(self) -> None:
        """A large object is read only until it is known to be too large."""
        large = CountedDict({str(number): None for number in range(200_000)})
        assert "constraints" in SESSION.validate({"walletId": WALLET, "constraints": large})
        assert large.taken < 20_000

    @pytest.mark.parametrize(
        "value",
        [
            {"a": "x" * 10_000_000},
            {"x" * 10_000_000: 1},
            {"a": [[]] * 1_000_000},
            {"a": [1] * 1_000_000},
            {"a": [{"b": ["y" * 1000] * 1000}] * 1000},
        ],
        ids=["text", "key", "lists", "numbers", "nested"],
    )
    def test_a_large_value_is_not_repeated(self, value: dict[str, Any]) -> None:
        """The error about a large value is short."""
        with pytest.raises(waiaas.WAIaaSError) as caught:
            SESSION.load({"walletId": WALLET, "constraints": value})
        assert len(str(caught.value)) + len(str(caught.value.to_dict("ko"))) < 1000

    def test_a_response_of_another_service_may_be_larger(self) -> None:
        """A client can load constraints of any size that the service stored."""
        field = schemas.SessionResponseSchema().fields["constraints"]
        assert field.deserialize(self.of_size(100_000)) == self.of_size(100_000)


class TestTexts:
    @pytest.mark.parametrize(
        ("key", "most"), [("name", 100), ("publicKey", schemas.MAX_KEY_LENGTH), ("ownerAddress", 256)]
    )
    def test_of_a_wallet(self, key: str, most: int) -> None:
        """Text of the maximum length is accepted, and longer text is refused for its length, whatever it contains."""
        schema = CreateWalletRequestSchema()
        assert schema.validate(SMALLEST | {key: "가" * most}) == {}
        for longer in ("가" * (most + 1), " " * 1_000_000, "\0" * 1_000_000):
            assert schema.validate(SMALLEST | {key: longer}) == {key: [f"Must have at most {most} characters."]}

    def test_of_a_token(self) -> None:
        """A token of 4,096 characters is passed to the service, and a longer one is refused."""
        schema = schemas.RenewSessionRequestSchema()
        assert schema.validate({"token": "x" * schemas.MAX_TOKEN_LENGTH}) == {}
        assert schema.validate({"token": "x" * 4097}) == {"token": ["Must have at most 4096 characters."]}

    def test_of_a_vocabulary(self) -> None:
        """A long text instead of a vocabulary value is refused with the list of values."""
        assert CreateWalletRequestSchema().validate(SMALLEST | {"chain": "x" * 1_000_000}) == {
            "chain": ["Must be one of: solana, ethereum."]
        }


class TestKeys:
    @pytest.mark.parametrize("schema", [SESSION, CreateWalletRequestSchema(), schemas.ListSessionsRequestSchema()])
    def test_more_than_100_are_refused_at_once(self, schema: schemas.WireSchema) -> None:
        """An object with more than 100 keys is refused without reading them."""
        request = CountedDict(dict.fromkeys(map(str, range(1000))))
        assert schema.validate(request) == {"_schema": ["Must have at most 100 keys."]}
        with pytest.raises(schemas.RequestValidationError):
            schema.load(request)
        assert request.taken == 0

    def test_a_long_unknown_key_is_shortened(self) -> None:
        """An unknown key is reported with its first 64 characters."""
        request = {"walletId": WALLET, "x" * 1_000_000: 1}
        expected = {"x" * 64 + "…": ["Unknown field."]}
        assert SESSION.validate(request) == expected
        with pytest.raises(schemas.RequestValidationError) as caught:
            SESSION.load(request)
        assert caught.value.messages == expected

    def test_a_response_may_have_keys_of_a_later_version(self) -> None:
        """A client skips any number of unknown keys."""
        body = waiaas.WAIaaSError("INVALID_TOKEN").to_dict()
        assert schemas.ErrorResponseSchema().load({**dict.fromkeys(map(str, range(200))), **body}) == body
