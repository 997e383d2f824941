"""How much a request may hold: what is larger is refused before it costs anything."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

import waiaas
from waiaas import CreateSessionRequestSchema, CreateWalletRequestSchema, schemas

WALLET = "0190a3f0-1111-7abc-8def-0123456789ab"
SMALLEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
SESSION = CreateSessionRequestSchema()


def ids(count: int) -> list[str]:
    return [str(uuid.UUID(int=number)) for number in range(count)]


class CountedList(list[Any]):
    """A list that counts how many of its items were taken."""

    taken = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            self.taken += 1
            yield item


class CountedDict(dict[str, Any]):
    """A dictionary that counts how many of its items were taken."""

    taken = 0

    def items(self) -> Any:
        for item in super().items():
            self.taken += 1
            yield item


class TestWallets:
    def test_100_are_taken(self) -> None:
        """A session can be created with 100 wallets."""
        assert len(SESSION.load({"walletIds": ids(100)})["wallet_ids"]) == schemas.MAX_WALLETS == 100

    @pytest.mark.parametrize("count", [101, 100_000])
    def test_more_are_refused_unseen(self, count: int) -> None:
        """A longer list is refused without a look at its items."""
        wallets = CountedList(["x"] * count)
        assert SESSION.validate({"walletIds": wallets}) == {"walletIds": ["Must have at most 100 items."]}
        assert wallets.taken == 0

    def test_five_repeated_ids_are_named(self) -> None:
        """Of the ids that a request repeats, an error names five."""
        named = ids(50)
        ((message,),) = SESSION.validate({"walletIds": named * 2}).values()
        assert message == f"Must not name a wallet twice: {', '.join(named[:5])} … (+45)."


class TestConstraints:
    @staticmethod
    def of_size(size: int) -> dict[str, Any]:
        """An object of so many bytes as JSON."""
        return {"지갑": ["x" * (size - len('{"":[""]}') - len("지갑".encode()))]}

    def test_64_kib_are_taken(self) -> None:
        """Constraints of 65,536 bytes as JSON in UTF-8 are taken, one byte more is refused."""
        largest = self.of_size(schemas.MAX_CONSTRAINTS_BYTES)
        assert len(json.dumps(largest, ensure_ascii=False, separators=(",", ":")).encode()) == 65_536
        assert SESSION.load({"walletId": WALLET, "constraints": largest})["constraints"] == largest
        too_large = self.of_size(schemas.MAX_CONSTRAINTS_BYTES + 1)
        assert SESSION.validate({"walletId": WALLET, "constraints": too_large}) == {
            "constraints": ["Must have at most 65536 bytes as JSON."]
        }

    @pytest.mark.parametrize("value", ["\0", '"', "\n"])
    def test_escapes_count(self, value: str) -> None:
        """What JSON escapes counts as it is escaped."""
        size = len(json.dumps(value)) - 2
        most = (65_536 - len('{"a":""}')) // size
        for count, good in ((most, True), (most + 1, False)):
            assert (SESSION.validate({"walletId": WALLET, "constraints": {"a": value * count}}) == {}) is good

    def test_a_large_object_is_not_read_to_its_end(self) -> None:
        """The look at a large object ends where it is known to be too large."""
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
        """The error about something large is short."""
        with pytest.raises(waiaas.WAIaaSError) as caught:
            SESSION.load({"walletId": WALLET, "constraints": value})
        assert len(str(caught.value)) + len(str(caught.value.to_dict("ko"))) < 1000

    def test_an_answer_of_another_service_may_be_larger(self) -> None:
        """A client reads whatever constraints the service stored."""
        field = schemas.SessionResponseSchema().fields["constraints"]
        assert field.deserialize(self.of_size(100_000)) == self.of_size(100_000)


class TestTexts:
    @pytest.mark.parametrize(
        ("key", "most"), [("name", 100), ("publicKey", schemas.MAX_KEY_LENGTH), ("ownerAddress", 256)]
    )
    def test_of_a_wallet(self, key: str, most: int) -> None:
        """A text of the longest length is taken, a longer one refused for its length, whatever is in it."""
        schema = CreateWalletRequestSchema()
        assert schema.validate(SMALLEST | {key: "가" * most}) == {}
        for longer in ("가" * (most + 1), " " * 1_000_000, "\0" * 1_000_000):
            assert schema.validate(SMALLEST | {key: longer}) == {key: [f"Must have at most {most} characters."]}

    def test_of_a_token(self) -> None:
        """A token of 4,096 characters is passed on to the service, a longer one refused."""
        schema = schemas.RenewSessionRequestSchema()
        assert schema.validate({"token": "x" * schemas.MAX_TOKEN_LENGTH}) == {}
        assert schema.validate({"token": "x" * 4097}) == {"token": ["Must have at most 4096 characters."]}

    def test_of_a_vocabulary(self) -> None:
        """A long text in the place of a word is refused with the words."""
        assert CreateWalletRequestSchema().validate(SMALLEST | {"chain": "x" * 1_000_000}) == {
            "chain": ["Must be one of: solana, ethereum."]
        }


class TestKeys:
    @pytest.mark.parametrize("schema", [SESSION, CreateWalletRequestSchema(), schemas.ListSessionsRequestSchema()])
    def test_more_than_100_are_refused_at_once(self, schema: schemas.WireSchema) -> None:
        """An object with more than 100 keys is refused without a look at them."""
        request = CountedDict(dict.fromkeys(map(str, range(1000))))
        assert schema.validate(request) == {"_schema": ["Must have at most 100 keys."]}
        with pytest.raises(schemas.RequestValidationError):
            schema.load(request)
        assert request.taken == 0

    def test_a_long_unknown_key_is_shortened(self) -> None:
        """An unknown key is named with its first 64 characters."""
        request = {"walletId": WALLET, "x" * 1_000_000: 1}
        expected = {"x" * 64 + "…": ["Unknown field."]}
        assert SESSION.validate(request) == expected
        with pytest.raises(schemas.RequestValidationError) as caught:
            SESSION.load(request)
        assert caught.value.messages == expected

    def test_an_answer_may_have_keys_of_a_later_version(self) -> None:
        """A client skips unknown keys, however many there are."""
        body = waiaas.WAIaaSError("INVALID_TOKEN").to_dict()
        assert schemas.ErrorResponseSchema().load({**dict.fromkeys(map(str, range(200))), **body}) == body
