"""The common behaviour of request schemas: wire keys, strict fields, and one error."""

import copy
import json
import pickle
import sys
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import (
    EXCLUDE,
    INCLUDE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates_schema,
)

from waiaas.errors import WAIaaSError
from waiaas.schemas import (
    MAX_DEPTH,
    JSONObject,
    RequestValidationError,
    ResponseSchema,
    Secret,
    SecretText,
    StrictInteger,
    StrictList,
    StrictText,
    UnixTime,
    UUIDText,
    WireSchema,
)
from waiaas.schemas.base import choice_field, not_blank

WALLET = "0190a3f0-1111-7abc-8def-0123456789ab"
HEX_DIGITS = WALLET.replace("-", "")


class Limit(WireSchema):
    """A schema with a rule over two fields that runs even if the fields are invalid."""

    wallet_id = UUIDText(required=True)
    daily_max_count = StrictInteger()
    note = fields.String(data_key="NOTE")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _rule(self, data, original, **kwargs):
        if original.get("NOTE") == "forbidden":
            raise ValidationError({"NOTE": ["Must not be forbidden."]})


class Batch(WireSchema):
    """A schema that nests another one, once and as a list."""

    one_limit = fields.Nested(Limit)
    all_limits = fields.List(fields.Nested(Limit))


def errors_of(field, value):
    """Return the messages with which a field refuses a value."""
    with pytest.raises(ValidationError) as caught:
        field.deserialize(value)
    return caught.value.messages


class TestUUIDText:
    """A UUID as the 36 characters of its hyphenated form."""

    @pytest.mark.parametrize(
        "text",
        [
            WALLET,
            WALLET.upper(),
            "0190A3f0-1111-7aBC-8deF-0123456789Ab",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    )
    def test_loads_in_lower_case(self, text):
        """A UUID of any version and either case loads in lower case."""
        assert UUIDText().deserialize(text) == text.lower()

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param("", id="empty"),
            pytest.param(f"{{{WALLET}}}", id="braces"),
            pytest.param(f"urn:uuid:{WALLET}", id="urn"),
            pytest.param(WALLET.encode(), id="bytes"),
            pytest.param(uuid.UUID(WALLET).bytes, id="16-bytes"),
            pytest.param(uuid.UUID(WALLET), id="uuid-object"),
            pytest.param(f" {WALLET}", id="leading-blank"),
            pytest.param(f"{WALLET} ", id="trailing-blank"),
            pytest.param(f"{WALLET}\n", id="trailing-newline"),
            pytest.param(f"{WALLET}\x00", id="trailing-nul"),
            pytest.param(HEX_DIGITS, id="32-digits"),
            pytest.param("\uff10" + WALLET[1:], id="fullwidth-digit"),
            pytest.param("\u0661" + WALLET[1:], id="arabic-digit"),
            pytest.param("\uff41" + WALLET[1:], id="fullwidth-letter"),
            pytest.param(WALLET.replace("-", "\u2010"), id="unicode-hyphens"),
            pytest.param(WALLET.replace("-", "_"), id="underscores"),
            pytest.param("0190a3f-01111-7abc-8def-0123456789ab", id="wrong-grouping"),
            pytest.param("0190a3f01111-7abc-8def-0123-456789ab", id="groups-moved"),
            pytest.param(f"{WALLET}0", id="37-characters"),
            pytest.param(WALLET[:-1], id="35-characters"),
            pytest.param("g" + WALLET[1:], id="no-hex-digit"),
            pytest.param(int(HEX_DIGITS, 16), id="integer"),
            pytest.param(True, id="boolean"),
            pytest.param([WALLET], id="list"),
            pytest.param({"id": WALLET}, id="object"),
            pytest.param(None, id="null"),
        ],
    )
    def test_refuses_every_other_form(self, value):
        """A value that is not exactly those 36 characters is refused with the expected form."""
        assert errors_of(UUIDText(), value) == [
            "Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens."
        ]

    @given(st.uuids(), st.data())
    @settings(derandomize=True, deadline=None)
    def test_case_does_not_matter(self, identifier, data):
        """A UUID with letters of any case loads as Python writes it."""
        text = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in str(identifier))
        assert UUIDText().deserialize(text) == str(identifier)

    @given(st.text())
    @settings(derandomize=True, deadline=None)
    def test_loaded_text_is_a_uuid(self, text):
        """Any text is either refused or equals what Python writes for some UUID."""
        try:
            loaded = UUIDText().deserialize(text)
        except ValidationError:
            return
        assert str(uuid.UUID(loaded)) == loaded


class TestStrictText:
    """Text that every database can store."""

    @pytest.mark.parametrize("text", ["", " a ", "지갑", "\U0001f45b", "a\nb", "\ufeff", "\x7f", "\uffff"])
    def test_loads_unchanged(self, text):
        """Any other text loads unchanged."""
        assert StrictText().deserialize(text) == text

    @pytest.mark.parametrize("value", [None, b"a", bytearray(b"a"), 1, 1.5, True, ["a"], {"a": 1}])
    def test_refuses_values_that_are_not_strings(self, value):
        """A value that is not a `str` is refused, including bytes."""
        assert errors_of(StrictText(), value) == ["Must be text."]

    @pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udc00b"])
    def test_refuses_text_that_databases_cannot_store(self, text):
        """NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot encode, are refused."""
        assert errors_of(StrictText(), text) == ["Must be text without NUL characters and lone surrogates."]

    @given(st.text())
    def test_loaded_text_has_bytes(self, text):
        """Any text is either refused or has UTF-8 bytes without a zero."""
        try:
            loaded = StrictText().deserialize(text)
        except ValidationError:
            return
        assert 0 not in loaded.encode()

    @given(st.text(st.sampled_from("a \t\x1c\x85\xa0\ufeff\u200b\u2028")))
    def test_not_blank(self, text):
        """Text is blank if Python or JavaScript treats every character as white space."""
        blank = all(letter.isspace() or letter == "\ufeff" for letter in text)
        field = StrictText(validate=not_blank)
        if blank:
            assert errors_of(field, text) == ["Must not be blank."]
        else:
            assert field.deserialize(text) == text

    @pytest.mark.parametrize("value", ["c", "A", "", "a\0", None, 1, ["a"], {"a": 1}])
    def test_choice_field(self, value):
        """A value outside the vocabulary is refused with the same message, which lists the allowed values."""
        assert choice_field(("a", "b")).deserialize("b") == "b"
        assert errors_of(choice_field(("a", "b")), value) == ["Must be one of: a, b."]


class TestSecretText:
    """Text that is not shown in logs."""

    def test_loads_as_a_secret(self):
        """A secret equals its text, and hides it in the `repr` of objects."""
        loaded = SecretText().deserialize("wai_sess_x")
        assert loaded == "wai_sess_x"
        assert hash(loaded) == hash("wai_sess_x")
        assert repr({"token": loaded}) == "{'token': <secret>}"
        assert f"{loaded!r} {(loaded,)}" == "<secret> (<secret>,)"

    def test_can_be_used_as_text(self):
        """Code that needs the text itself gets it."""
        loaded = Secret("wai_sess_x")
        assert str(loaded) == f"{loaded}" == loaded.encode().decode() == "wai_sess_x"
        assert json.dumps(loaded) == '"wai_sess_x"'

    @pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
    def test_copies_are_secret(self, clone):
        """A copy, even in another process, hides the text too."""
        assert repr(clone(Secret("wai_sess_x"))) == "<secret>"

    @pytest.mark.parametrize("value", [None, 1, b"x", "a\0"])
    def test_refusals_do_not_show_it(self, value):
        """An invalid value is refused as other text is, and not shown."""
        assert errors_of(SecretText(), value) == errors_of(StrictText(), value)


class TestStrictInteger:
    """An integer as in JSON."""

    @pytest.mark.parametrize(
        ("value", "integer"),
        [(0, 0), (-5, -5), (300, 300), (300.0, 300), (-0.0, 0), (1e20, 10**20)],
    )
    def test_loads_integers(self, value, integer):
        """A number with an integral value loads as that `int`."""
        loaded = StrictInteger().deserialize(value)
        assert (type(loaded), loaded) == (int, integer)

    def test_loads_huge_integers(self):
        """An integer of any length loads unchanged."""
        assert StrictInteger().deserialize(10**10_000) == 10**10_000

    @pytest.mark.parametrize(
        "value",
        [
            True,
            False,
            None,
            "300",
            "",
            b"300",
            300.5,
            float("nan"),
            float("inf"),
            float("-inf"),
            Decimal(300),
            300 + 0j,
            [300],
            {"value": 300},
        ],
    )
    def test_refuses_everything_else(self, value):
        """Booleans, strings, fractions and numbers that are not finite are refused."""
        assert errors_of(StrictInteger(), value) == ["Must be an integer."]

    def test_only_the_first_failing_validator_returns_a_message(self):
        """If several validators fail, only the first returns a message."""
        field = StrictInteger(validate=[validate.Range(5, error="too small"), validate.Range(9, error="smaller")])
        assert errors_of(field, 1) == ["too small"]
        assert errors_of(field, 7) == ["smaller"]
        assert field.deserialize(9) == 9


class TestStrictList:
    """A list that is valid as a whole."""

    def test_returns_a_new_list(self):
        """A list loads as a new list, and a tuple as a list."""
        given_list = [1, 2]
        loaded = StrictList(StrictInteger()).deserialize(given_list)
        assert loaded == given_list
        assert loaded is not given_list
        assert StrictList(StrictInteger()).deserialize((1, 2)) == [1, 2]

    @pytest.mark.parametrize("value", ["12", b"12", {1, 2}, {1: 2}, {}, iter([1]), range(2), 1, True, None])
    def test_refuses_values_that_are_not_lists(self, value):
        """Strings, sets, objects and iterators are refused."""
        assert errors_of(StrictList(StrictInteger()), value) == ["Must be a list."]

    def test_reports_invalid_items_by_index(self):
        """The messages of items are under their indexes, and no part of the list is loaded."""
        with pytest.raises(ValidationError) as caught:
            StrictList(StrictInteger()).deserialize([1, "2", 3, None])
        assert caught.value.messages == {1: ["Must be an integer."], 3: ["Must be an integer."]}
        assert caught.value.valid_data is None


class TestJSONObject:
    """A JSON object."""

    @pytest.mark.parametrize("value", [{}, {"a": None}, {"": [1, {"b": 2}]}])
    def test_returns_a_new_dict(self, value):
        """An object loads as a new `dict` with the same content."""
        loaded = JSONObject().deserialize(value)
        assert loaded == value
        assert loaded is not value

    @pytest.mark.parametrize("value", [[], [["a", 1]], "{}", 1, True, None])
    def test_refuses_everything_else(self, value):
        """A value that is not a `dict` is refused."""
        assert errors_of(JSONObject(), value) == ["Must be an object."]

    @pytest.mark.parametrize("value", [{1: 2}, {None: 1}, {b"a": 1}, {"a": {1: 2}}])
    def test_refuses_keys_that_are_not_strings(self, value):
        """A `dict` with a key that is not a string is refused."""
        (message,) = errors_of(JSONObject(), value)
        assert message.startswith("Must contain only JSON")

    @pytest.mark.parametrize(
        "number", [0, -1.5, True, sys.float_info.max, int(sys.float_info.max), -sys.float_info.max]
    )
    def test_accepts_numbers_that_json_readers_accept(self, number):
        """Every number that a `float` can represent or approximate is accepted."""
        assert JSONObject().deserialize({"a": [number]}) == {"a": [number]}

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("inf"),
            float("-inf"),
            pytest.param(10**309, id="10**309"),
            pytest.param(-(10**5000), id="-10**5000"),
            b"bytes",
            {1, 2},
            Decimal(1),
            datetime(2026, 1, 1, tzinfo=timezone.utc),
            {1: "a"},
            {None: "a"},
            object(),
        ],
    )
    @pytest.mark.parametrize("inside", [lambda v: {"a": v}, lambda v: {"a": [1, {"b": v}]}, lambda v: {"a": (v,)}])
    def test_refuses_values_that_json_cannot_represent(self, value, inside):
        """Values that JSON cannot represent are refused at any depth, including numbers that are not finite."""
        assert errors_of(JSONObject(), inside(value)) == [
            "Must contain only JSON: no NaN, no infinite numbers, at most 64 levels."
        ]

    @pytest.mark.parametrize("wrap", [lambda v: {"a": v}, lambda v: [v]])
    def test_depth(self, wrap):
        """The maximum number of levels is accepted, and any higher number is refused."""

        def nested(levels):
            value = 1
            for _ in range(levels - 1):
                value = wrap(value)
            return {"a": value}

        assert JSONObject().deserialize(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
        for levels in (MAX_DEPTH + 1, 5000):
            assert errors_of(JSONObject(), nested(levels))[0].startswith("Must contain only JSON")

    def test_an_object_in_itself(self):
        """An object that contains itself is refused."""
        endless = {}
        endless["a"] = [endless, endless]
        assert errors_of(JSONObject(), endless)[0].startswith("Must contain only JSON")

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
    def test_loaded_objects_are_json(self, value):
        """A loaded object survives a JSON round trip, and any other value is refused."""
        try:
            loaded = JSONObject().deserialize({"a": value})
        except ValidationError:
            with pytest.raises(ValueError, match="not JSON compliant"):
                json.dumps(value, allow_nan=False)
            return
        assert json.loads(json.dumps(loaded, allow_nan=False)) == loaded


class TestUnixTime:
    """Seconds on the wire, aware datetimes in Python."""

    EXPECTED = ["Must be a time: an integer, in Unix seconds."]

    @pytest.mark.parametrize(
        ("moment", "seconds"),
        [
            (datetime(1970, 1, 1, tzinfo=timezone.utc), 0),
            (datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc), 2**31),
            (datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=timezone.utc), 1_709_251_199),
            (datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))), 1_767_225_600),
            (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=timezone.utc), -1),
            (datetime(1, 1, 1, tzinfo=timezone.utc), -62_135_596_800),
            (datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc), 253_402_300_799),
        ],
    )
    def test_dumps_seconds(self, moment, seconds):
        """A time in any timezone is dumped as its second, rounded down, which loads as UTC."""
        assert UnixTime().serialize("at", {"at": moment}) == seconds
        loaded = UnixTime().deserialize(seconds)
        assert loaded.tzinfo is timezone.utc
        assert timedelta(0) <= moment - loaded < timedelta(seconds=1)

    def test_dumps_none(self):
        """None is dumped as null."""
        assert UnixTime().serialize("at", {"at": None}) is None

    @pytest.mark.parametrize("value", [datetime(2026, 1, 1), 1_767_225_600, "2026-01-01", 1.5])
    def test_dumps_nothing_else(self, value):
        """A naive datetime, or another type, is a programming error and is raised."""
        with pytest.raises(ValueError, match="at must be a timezone-aware datetime"):
            UnixTime().serialize("at", {"at": value})

    def test_loads_a_whole_float(self):
        """A number with an integral value is a second, as everywhere in JSON."""
        assert UnixTime().deserialize(300.0) == UnixTime().deserialize(300)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            "0",
            0.5,
            float("nan"),
            float("inf"),
            -62_135_596_801,
            253_402_300_800,
            pytest.param(10**20, id="10**20"),
            pytest.param(10**400, id="10**400"),
            [0],
        ],
    )
    def test_refuses_everything_else(self, value):
        """A value that is not an integer, or a second outside Python's years, is refused."""
        assert errors_of(UnixTime(), value) == self.EXPECTED

    # A local time of the first or last year may be in the year 0 or 10000 in UTC.
    @given(
        st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),
        st.timedeltas(timedelta(hours=-23), timedelta(hours=23)),
    )
    def test_round_trip(self, local, offset):
        """A time in any timezone survives a round trip as its second in UTC."""
        moment = local.replace(tzinfo=timezone(offset))
        seconds = UnixTime().serialize("at", {"at": moment})
        assert UnixTime().deserialize(seconds) == moment.astimezone(timezone.utc).replace(microsecond=0)


class TestWireKeys:
    """Keys are camelCase on the wire and snake_case in Python."""

    def test_loads_camel_case_and_dumps_it(self):
        """An attribute is loaded and dumped under the camelCase form of its name."""
        wire = {"walletId": WALLET, "dailyMaxCount": 3}
        loaded = Limit().load(wire)
        assert loaded == {"wallet_id": WALLET, "daily_max_count": 3}
        assert Limit().dump(loaded) == wire

    def test_keeps_a_given_data_key(self):
        """A field with a `data_key` keeps it."""
        assert Limit().load({"walletId": WALLET, "NOTE": "x"})["note"] == "x"

    def test_instances_do_not_share_fields(self):
        """Binding a schema does not change the fields of its class."""
        Limit()
        assert Limit._declared_fields["wallet_id"].data_key is None

    def test_refuses_unknown_keys_by_name(self):
        """Each unknown key is refused under its own name, even if it is the attribute's name."""
        unknown = ["wallet_id", "walletID", "WalletId", " walletId", "_schema", ""]
        messages = Limit().validate({"walletId": WALLET} | dict.fromkeys(unknown, WALLET))
        assert messages == {key: ["Unknown field."] for key in unknown}

    def test_can_skip_unknown_keys(self):
        """A caller may skip unknown keys."""
        wire = {"walletId": WALLET, "more": 1}
        assert Limit().load(wire, unknown=EXCLUDE) == {"wallet_id": WALLET}

    def test_an_unknown_key_added_by_a_hook(self):
        """A key that a hook adds before loading is loaded if it has a field, and ignored otherwise."""

        class Hooked(Limit):
            @pre_load
            def _add(self, data, **kwargs):
                return data | {"dailyMaxCount": 1, "more": 2}

        assert Hooked().load({"walletId": WALLET}) == {"wallet_id": WALLET, "daily_max_count": 1}

    def test_only_some_fields(self):
        """A key is unknown if its field is excluded from the schema or dump-only."""
        assert Limit(only=["note"]).validate({"walletId": WALLET}) == {"walletId": ["Unknown field."]}
        with pytest.raises(RequestValidationError) as caught:
            Limit(dump_only=["daily_max_count"]).load({"walletId": WALLET, "dailyMaxCount": 1})
        assert caught.value.messages == {"dailyMaxCount": ["Unknown field."]}

    def test_cannot_include_unknown_keys(self):
        """Unknown keys cannot be included, because one could pass as a validated attribute."""
        with pytest.raises(ValueError, match="cannot include unknown keys"):
            Limit(unknown=INCLUDE)
        with pytest.raises(ValueError, match="cannot include unknown keys"):
            Limit().load({"wallet_id": "unchecked"}, unknown=INCLUDE)


class TestShapes:
    """A value that is not an object is refused before any rule runs."""

    @pytest.mark.parametrize("data", [None, [], [{}], "text", b"{}", 1, 1.5, True, {1}])
    def test_refuses_values_that_are_not_objects(self, data):
        """A value that is not an object is refused as a whole, by `load` and by `validate`."""
        messages = {"_schema": ["Must be an object."]}
        with pytest.raises(RequestValidationError) as caught:
            Limit().load(data)
        assert caught.value.messages == messages
        assert caught.value.data is data
        assert Limit().validate(data) == messages

    @pytest.mark.parametrize("data", [None, {}, {"walletId": WALLET}, "text", b"x", 1, {1}])
    def test_refuses_values_that_are_not_lists_of_objects(self, data):
        """With `many`, passed in any way, a value that is not a list is refused as a whole."""
        messages = {"_schema": ["Must be a list of objects."]}
        assert Limit().validate(data, many=True) == messages
        assert Limit(many=True).validate(data) == messages
        with pytest.raises(RequestValidationError):
            Limit(many=True).load(data)

    def test_reports_items_that_are_not_objects(self):
        """With `many`, each item that is not an object is reported by its index."""
        data = [{"walletId": WALLET}, None, "text", []]
        assert Limit().validate(data, many=True) == {index: {"_schema": ["Must be an object."]} for index in (1, 2, 3)}

    def test_many_can_be_turned_off_for_one_load(self):
        """A schema for lists loads one object if a call passes `many=False`."""
        assert Limit(many=True).load({"walletId": WALLET}, many=False) == {"wallet_id": WALLET}

    def test_loads_many(self):
        """A list of objects loads item by item, and invalid items are reported by index."""
        good = {"walletId": WALLET}
        assert Limit().load([good, good], many=True) == [{"wallet_id": WALLET}] * 2
        assert Limit().load([], many=True) == []
        bad = {"dailyMaxCount": "1", "NOTE": "forbidden"}
        assert set(Limit().validate([good, bad], many=True)[1]) == {
            "walletId",
            "dailyMaxCount",
            "NOTE",
        }

    def test_accepts_any_mapping(self):
        """An object need not be a `dict`."""
        assert Limit().load(MappingProxyType({"walletId": WALLET})) == {"wallet_id": WALLET}


class TestResponses:
    """Responses of the service."""

    class Answer(ResponseSchema):
        """A schema with a key of each kind."""

        wallet_id = UUIDText(required=True)
        linked_at = UnixTime(required=True, allow_none=True)

    @pytest.mark.parametrize("make", [SimpleNamespace, dict])
    def test_dumps_objects_and_mappings(self, make):
        """Attributes and items are dumped alike, under the wire keys."""
        source = make(wallet_id=WALLET, linked_at=None)
        assert self.Answer().dump(source) == {"walletId": WALLET, "linkedAt": None}

    @pytest.mark.parametrize(("make", "error"), [(SimpleNamespace, AttributeError), (dict, KeyError)])
    def test_a_missing_attribute_is_an_error(self, make, error):
        """A missing attribute raises an error instead of being omitted."""
        with pytest.raises(error, match="linked_at"):
            self.Answer().dump(make(wallet_id=WALLET))

    def test_unknown_keys_are_skipped(self):
        """A client of an older version can load the response of a newer one."""
        wire = {"walletId": WALLET, "linkedAt": 0, "newKey": 1}
        loaded = self.Answer().load(wire)
        assert loaded == {"wallet_id": WALLET, "linked_at": datetime(1970, 1, 1, tzinfo=timezone.utc)}
        assert self.Answer().dump(loaded) == {"walletId": WALLET, "linkedAt": 0}


class TestNesting:
    """Nested schemas, of this library and of marshmallow."""

    def test_nested_schemas_load(self):
        """Nested objects load with the wire keys of their own schema."""
        limit = {"walletId": WALLET, "dailyMaxCount": 1}
        loaded = {"wallet_id": WALLET, "daily_max_count": 1}
        assert Batch().load({"oneLimit": limit, "allLimits": [limit, limit]}) == {
            "one_limit": loaded,
            "all_limits": [loaded, loaded],
        }

    def test_nested_errors_are_under_the_outer_key(self):
        """Errors of nested objects are under the outer key and the index."""
        messages = Batch().validate(
            {
                "oneLimit": {"walletId": WALLET, "x": 1},
                "allLimits": [{"walletId": WALLET}, None, 5],
            }
        )
        assert messages["oneLimit"] == {"x": ["Unknown field."]}
        assert messages["allLimits"][1] == ["Field may not be null."]
        assert messages["allLimits"][2] == {"_schema": ["Must be an object."]}

    def test_works_in_a_plain_schema(self):
        """Inside a plain marshmallow schema, the error is marshmallow's own with the same messages."""
        plain = Schema.from_dict({"limit": fields.Nested(Limit)})
        with pytest.raises(ValidationError) as caught:
            plain().load({"limit": {"walletId": WALLET, "dailyMaxCount": "1"}})
        assert caught.value.messages == {"limit": {"dailyMaxCount": ["Must be an integer."]}}
        assert not isinstance(caught.value, WAIaaSError)


class TestRequestValidationError:
    """One error that handlers of marshmallow and of this library both understand."""

    MESSAGES = {"walletId": ["Missing data for required field."]}

    def raised(self):
        """Return the error of an empty request."""
        with pytest.raises(RequestValidationError) as caught:
            Limit().load({})
        return caught.value

    @pytest.mark.parametrize("kind", [ValidationError, WAIaaSError, RequestValidationError])
    def test_is_caught_as_either(self, kind):
        """`except ValidationError` and `except WAIaaSError` both catch it."""
        with pytest.raises(kind):
            Limit().load({})

    def test_has_the_attributes_of_marshmallows_error(self):
        """It has the attributes of marshmallow's error."""
        error = self.raised()
        assert error.messages == self.MESSAGES
        assert error.messages_dict == self.MESSAGES
        assert error.normalized_messages() == self.MESSAGES
        assert error.field_name == "_schema"
        assert error.data == {}
        assert error.valid_data == {}

    def test_has_the_attributes_of_the_librarys_error(self):
        """It has the attributes of every error of the library."""
        error = self.raised()
        assert error.code == "ACTION_VALIDATION_FAILED"
        assert error.http_status == 400
        assert error.retryable is False
        assert error.details == {"fields": self.MESSAGES}

    @pytest.mark.parametrize(
        ("lang", "required"), [("en", "Missing data for required field."), ("ko", "필수 항목입니다.")]
    )
    def test_dictionary_is_json(self, lang, required):
        """Its dictionary is JSON, with the messages of the code and of the fields in the requested language."""
        error = self.raised()
        body = error.to_dict(lang=lang)
        assert json.loads(json.dumps(body)) == body
        assert body["details"] == {"fields": {"walletId": [required]}}
        assert (error.messages, error.details) == (self.MESSAGES, {"fields": self.MESSAGES})
        assert body["message"] == WAIaaSError("ACTION_VALIDATION_FAILED").to_dict(lang)["message"]

    def test_text_names_the_fields(self):
        """Its text contains the messages field by field; its repr contains only the code."""
        error = self.raised()
        assert "walletId" in str(error)
        assert "Missing data for required field." in str(error)
        assert repr(error) == "RequestValidationError('ACTION_VALIDATION_FAILED')"

    def test_has_no_cause(self):
        """It has no marshmallow error as its cause."""
        error = self.raised()
        assert error.__cause__ is None
        assert error.__context__ is None

    @pytest.mark.parametrize("clone", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_survives_copy_and_pickle(self, clone):
        """A copy, even from another process, has the same text."""
        error = clone(self.raised())
        assert type(error) is RequestValidationError
        assert error.messages == self.MESSAGES
        assert error.to_dict() == self.raised().to_dict()
        assert str(error) == str(self.raised())

    def test_validate_returns_the_messages(self):
        """`validate` returns the messages and raises nothing; for a valid request it returns nothing."""
        assert Limit().validate({}) == self.MESSAGES
        assert Limit().validate({"walletId": WALLET}) == {}
