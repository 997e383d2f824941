"""Korean messages about the fields of a request: every message of the library has a translation, and no other does."""

import copy
import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError, fields, validate

import waiaas
from waiaas import WAIaaSError, schemas
from waiaas.errors import FieldMessage
from waiaas.errors.texts import texts_in, translate
from waiaas.schemas import RequestValidationError, WireSchema
from waiaas.services import AuditService, WalletService

SCHEMAS = {
    name: value
    for name, value in vars(schemas).items()
    if inspect.isclass(value) and issubclass(value, WireSchema) and not re.match("(Wire|Page|Request|Response)", name)
}
REQUESTS = {name: schema() for name, schema in SCHEMAS.items() if name.endswith("RequestSchema")}

#: Messages of marshmallow that no field of these schemas can return: they override `_deserialize`, no validator
#: returns False, and no nested schema is one of many.
NEVER_SAID = {"validator_failed", "invalid_utf8", "too_large"}

HANGUL = re.compile("[가-힣]")
WALLET, OTHER = "0190a3f0-1111-7abc-8def-0123456789ab", "0190a3f0-2222-7abc-8def-0123456789ab"
SMALLEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}

#: Messages with placeholders, in English and in Korean.
FILLED = {
    "Must be printable text, not int.": "출력할 수 있는 문자로만 된 문자열이어야 합니다. int 값은 쓸 수 없습니다.",
    "Must have at most 100 characters.": "최대 100자까지 쓸 수 있습니다.",
    "Must have at most 100 items.": "최대 100개까지 쓸 수 있습니다.",
    "Must have at most 100 keys.": "항목은 최대 100개까지 쓸 수 있습니다.",
    "Must have at most 65536 bytes as JSON.": "JSON으로 나타냈을 때 최대 65536바이트까지 쓸 수 있습니다.",
    "Must be one of: testnet, mainnet.": "다음 중 하나여야 합니다: testnet, mainnet.",
    "Must be an integer from 1 to 200.": "1 이상 200 이하의 정수여야 합니다.",
    "Must be an integer from 300 to 604800 (seconds).": "300 이상 604800 이하의 정수(초)여야 합니다.",
    "Must contain only JSON: no NaN, no infinite numbers, at most 64 levels.": (
        "JSON 값만 담을 수 있습니다. NaN과 무한대는 쓸 수 없고 중첩은 최대 64단계까지입니다."
    ),
    "Must be a result of CreateSessionRequestSchema().load.": (
        "CreateSessionRequestSchema().load 결과와 같은 형태여야 합니다."
    ),
    f"Must not name a wallet twice: {WALLET}, {OTHER}.": (f"같은 지갑을 두 번 지정할 수 없습니다: {WALLET}, {OTHER}."),
    "Must be a network of solana: mainnet, devnet, testnet.": (
        "solana 체인의 네트워크여야 합니다: mainnet, devnet, testnet."
    ),
}


def leaves(messages):
    """Return the messages without their keys."""
    if isinstance(messages, str):
        return [messages]
    return [leaf for each in (messages.values() if isinstance(messages, dict) else messages) for leaf in leaves(each)]


def keys(messages):
    """Return the keys, with the number of messages under each."""
    return {key: keys(each) if isinstance(each, dict) else len(each) for key, each in messages.items()}


def messages_of(field):
    """Return every message of a field, including fields inside it."""
    messages = [text for key, text in field.error_messages.items() if key not in NEVER_SAID]
    messages += [validator.error for validator in field.validators]
    if isinstance(field, fields.Nested):
        # The schema reports this itself.
        messages = [text for text in messages if text != field.error_messages["type"]]
    inner = getattr(field, "inner", None)
    return messages + (messages_of(inner) if inner else [])


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_message_of_every_field_has_a_translation(name):
    """Every message of a field, its validators or its schema has a Korean translation."""
    schema = SCHEMAS[name]()
    texts = [text for field in schema.fields.values() for text in messages_of(field)]
    texts += schema.error_messages.values()
    assert [text for text in texts if not isinstance(text, FieldMessage)] == []


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([WALLET, "solana"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
def test_every_refusal_of_a_request_is_in_korean(name, data):
    """Every refusal of a request is in Korean, under the same keys."""
    schema = REQUESTS[name]
    names = st.sampled_from([field.data_key for field in schema.fields.values()]) | st.text(max_size=5)
    request = data.draw(st.dictionaries(names, VALUES) | VALUES)
    messages = schema.validate(request)
    korean = translate(messages, "ko")
    assert keys(korean) == keys(messages)
    assert [text for text in leaves(korean) if not HANGUL.search(text)] == []


def provoked():
    """Return the messages, in English and in Korean, for an invalid value of every kind."""
    database = waiaas.connect(":memory:").peewee
    wallets = WalletService(database)
    good = schemas.CreateWalletRequestSchema().load(SMALLEST)
    wallets.create(**good, actor="admin")
    session, wallet, time = REQUESTS["CreateSessionRequestSchema"], REQUESTS["CreateWalletRequestSchema"], Measured()
    answer = schemas.SessionWalletResponseSchema()
    too_deep = []
    for _ in range(65):
        too_deep = [too_deep]
    calls = [
        (session.load, {}),
        (session.load, []),
        (lambda data: session.load(data, many=True), {}),
        (session.load, {"walletId": "x", "walletIds": None, "ttl": 1, "constraints": 1, "defaultWalletId": WALLET}),
        (session.load, {"walletIds": [], "constraints": {"a": too_deep}, "walletID": WALLET}),
        (session.load, {"walletIds": [WALLET, OTHER, WALLET, OTHER], "defaultWalletId": WALLET[::-1]}),
        (session.load, {"walletIds": [WALLET], "defaultWalletId": OTHER}),
        (session.load, {"walletIds": [WALLET] * 101, "constraints": {"a": "x" * 65_536}}),
        (session.load, dict.fromkeys(map(str, range(101)))),
        (REQUESTS["RenewSessionRequestSchema"].load, {"token": None, "key": 1}),
        (REQUESTS["ListWalletsRequestSchema"].load, {"limit": 0}),
        (
            wallet.load,
            SMALLEST | {"name": "x" * 101, "publicKey": " ", "ownerAddress": "\0", "defaultNetwork": "base-sepolia"},
        ),
        (wallet.load, SMALLEST | {"environment": "prod", "createSession": 1}),
        (time.load, {"count": "1", "since": "x", "rules": []}),
        (schemas.SessionWalletListResponseSchema().load, {"wallets": [None]}),
        (answer.load, {"isDefault": "maybe"}),
        (schemas.SessionWalletListResponseSchema().load, {"wallets": "x"}),
        (schemas.check_create_session_request, session.load({"walletId": WALLET}) | {"ttl": 300.0}),
        (lambda request: wallets.create(**request, actor="admin"), good),
        (lambda since: AuditService(database).list(since=since), 5),
        (lambda after: wallets.list(after=after), 5),
        (wallets.get, 5),
        (wallets.get, "\0"),
    ]
    translations = {}
    for call, argument in calls:
        with pytest.raises(RequestValidationError) as caught:
            call(argument)
        english, korean = (caught.value.to_dict(lang)["details"]["fields"] for lang in ("en", "ko"))
        assert keys(english) == keys(korean)
        translations |= dict(zip(leaves(english), leaves(korean), strict=True))
    database.close_all()
    return translations


class Measured(WireSchema):
    """A schema of a program that uses the library's fields."""

    count = schemas.StrictInteger()
    since = schemas.UnixTime()
    rules = schemas.JSONObject()


def test_each_translation_is_used():
    """Each Korean text is used, and only for its own English text."""
    translations = provoked()
    english, korean = ([text.message for text in texts_in(lang).fields.values()] for lang in ("en", "ko"))
    texts = dict(zip(english, korean, strict=True))
    plain = {english: korean for english, korean in texts.items() if "{" not in english}
    assert {english: korean for english, korean in translations.items() if english in plain} == plain
    assert {english: korean for english, korean in translations.items() if english in FILLED} == FILLED
    assert len(plain) + len(FILLED) == len(texts)
    assert [korean for korean in translations.values() if not HANGUL.search(korean)] == []


class TestOwnRules:
    """A rule that the library does not know."""

    class Order(WireSchema):
        price = schemas.StrictInteger(validate=validate.Range(max=9, error="Too dear: {input}."))
        site = fields.Url()

    def test_stays_unchanged(self):
        """A message without a translation is shown unchanged next to translated ones."""
        with pytest.raises(WAIaaSError) as caught:
            self.Order().load({"price": 10, "site": "x", "colour": "red"})
        assert caught.value.to_dict("ko")["details"]["fields"] == {
            "price": ["Too dear: 10."],
            "site": ["Not a valid URL."],
            "colour": ["알 수 없는 항목입니다."],
        }

    @pytest.mark.parametrize("message", ["Must be an integer.", "", 5, None])
    def test_text_of_a_program_is_not_translated(self, message):
        """A program's own text stays unchanged, even if it has the words of the library."""
        assert translate(message, "ko") == message

    def test_can_use_a_message_of_the_library(self):
        """A program that raises a message of the library gets it in both languages."""

        class Order(WireSchema):
            price = schemas.StrictInteger(validate=validate.Range(1, 9, error=FieldMessage("integer_range")))

        with pytest.raises(RequestValidationError) as caught:
            Order().load({"price": 10})
        assert caught.value.messages == {"price": ["Must be an integer from 1 to 9."]}
        assert caught.value.to_dict("ko")["details"]["fields"] == {"price": ["1 이상 9 이하의 정수여야 합니다."]}


class TestFieldMessage:
    """A message with its key and its values."""

    def test_braces_in_a_value_are_text(self):
        """A value that looks like a placeholder is not filled."""
        message = FieldMessage("one_of", choices="{0}, {min}")
        assert (message, message.in_language("ko")) == (
            "Must be one of: {0}, {min}.",
            "다음 중 하나여야 합니다: {0}, {min}.",
        )

    def test_keeps_only_shown_values(self):
        """Only values that the message shows are kept, because the input, which may be secret, is passed too."""
        assert FieldMessage("integer_range").format(min=1, max=2, input="s3cret").values == {"min": 1, "max": 2}

    def test_is_plain_text_in_a_response(self):
        """Serialized messages are plain `str` in every language, so that every serializer accepts them."""
        error = RequestValidationError({"ttl": [FieldMessage("integer")]})
        assert {type(error.to_dict(lang)["details"]["fields"]["ttl"][0]) for lang in ("en", "ko")} == {str}


class TestError:
    """The error that carries the messages."""

    ERROR = RequestValidationError({"walletIds": {1: [FieldMessage("text")]}, "ttl": [FieldMessage("integer")]})

    def test_can_be_shown_in_each_language(self):
        """One error can be shown in Korean to one reader and in English to another."""
        korean = {"walletIds": {1: ["문자열이어야 합니다."]}, "ttl": ["정수여야 합니다."]}
        for lang, expected in (("ko", korean), ("en", self.ERROR.messages), ("ko", korean)):
            assert self.ERROR.to_dict(lang)["details"] == {"fields": expected}

    @pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_can_be_shown_in_korean_after_a_copy(self, travel):
        """A copy, even from another process, can be shown in Korean too."""
        assert travel(self.ERROR).to_dict("ko") == self.ERROR.to_dict("ko")

    def test_keeps_other_details(self):
        """Details that a program adds are serialized with the fields."""
        error = copy.copy(self.ERROR)
        error.details = {**self.ERROR.details, "requestId": 7}
        assert error.to_dict("ko")["details"]["requestId"] == 7

    def test_returns_a_new_dictionary(self):
        """Changing the returned dictionary does not change the error."""
        for lang in ("en", "ko"):
            self.ERROR.to_dict(lang)["details"]["fields"]["walletIds"].clear()
        assert self.ERROR.messages["walletIds"] == {1: ["Must be text."]}

    def test_refuses_an_unknown_language(self):
        """An unknown language is refused with the list of known ones."""
        with pytest.raises(ValueError, match=r"'fr'.*en, ko"):
            self.ERROR.to_dict("fr")

    def test_is_a_validation_error_in_english(self):
        """The attributes that marshmallow's handlers read stay English."""
        assert isinstance(self.ERROR, ValidationError)
        assert self.ERROR.normalized_messages() == self.ERROR.messages
        assert "Must be text." in str(self.ERROR)
