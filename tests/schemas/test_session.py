"""Requests and responses about sessions, rule by rule."""

import copy
import json
import pickle
import traceback
import uuid
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import EXCLUDE, ValidationError

from waiaas.errors import WAIaaSError
from waiaas.schemas import (
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    CreateSessionRequest,
    CreateSessionRequestSchema,
    IssuedSessionResponseSchema,
    ListSessionsRequest,
    ListSessionsRequestSchema,
    RenewSessionRequest,
    RenewSessionRequestSchema,
    RequestValidationError,
    SessionListResponseSchema,
    SessionResponseSchema,
    check_create_session_request,
)
from waiaas.services import IssuedSession, LinkedWallet, Page, SessionDetails
from waiaas.vocabularies import SESSION_STATUSES

A = "0190a3f0-aaaa-7abc-8def-0123456789ab"
B = "0190a3f0-bbbb-7abc-8def-0123456789ab"
C = "0190a3f0-cccc-7abc-8def-0123456789ab"

TTL = "Must be an integer from 300 to 604800 (seconds)."
NONE_GIVEN = "Name at least one wallet, in walletIds or in walletId."
BOTH_GIVEN = "Give either walletId or walletIds, not both."
NO_UUID = "Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens."
FOREIGN_DEFAULT = "Must be one of the wallets named in the request."

SCHEMA = CreateSessionRequestSchema()

BAD_IDS = [
    pytest.param("", id="empty"),
    pytest.param(f"{{{A}}}", id="braces"),
    pytest.param(f"urn:uuid:{A}", id="urn"),
    pytest.param(A.encode(), id="bytes"),
    pytest.param(uuid.UUID(A), id="uuid-object"),
    pytest.param(f" {A}", id="leading-blank"),
    pytest.param(f"{A} ", id="trailing-blank"),
    pytest.param(f"{A}\n", id="trailing-newline"),
    pytest.param(A.replace("-", ""), id="32-digits"),
    pytest.param("\uff10" + A[1:], id="fullwidth-digit"),
    pytest.param("0190a3f-0aaaa-7abc-8def-0123456789ab", id="wrong-grouping"),
    pytest.param(f"{A}0", id="37-characters"),
    pytest.param(5, id="number"),
    pytest.param(True, id="boolean"),
    pytest.param([A], id="list"),
    pytest.param(None, id="null"),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(A),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
wire_keys = st.sampled_from(["walletId", "walletIds", "defaultWalletId", "ttl", "constraints"])
wallets = st.lists(st.uuids(), min_size=1, max_size=6, unique=True)


def in_mixed_case(draw, text):
    """Return a text with each letter in a random case."""
    return "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in text)


def errors_of(data, schema=SCHEMA, **options):
    """Return the messages with which a request is refused, the same from `load` and `validate`."""
    with pytest.raises(ValidationError) as caught:
        schema.load(data, **options)
    assert schema.validate(data, **options) == caught.value.messages
    return caught.value.messages


class TestResult:
    """Every accepted form loads as one normalised value."""

    def test_single_form(self):
        """One wallet loads as a list of it, and as the default."""
        assert SCHEMA.load({"walletId": A}) == {
            "wallet_ids": [A],
            "default_wallet_id": A,
            "ttl": None,
            "constraints": None,
        }

    def test_both_forms_load_alike(self):
        """The form for one wallet and the form for many load as the same value."""
        assert SCHEMA.load({"walletId": A}) == SCHEMA.load({"walletIds": [A]})

    def test_all_keys(self):
        """Every key is loaded."""
        request = {
            "walletIds": [A, B],
            "defaultWalletId": B,
            "ttl": 3600,
            "constraints": {"maxAmount": "10"},
        }
        assert SCHEMA.load(request) == {
            "wallet_ids": [A, B],
            "default_wallet_id": B,
            "ttl": 3600,
            "constraints": {"maxAmount": "10"},
        }

    @pytest.mark.parametrize("form", [{"walletId": A}, {"walletIds": [A, B]}])
    def test_has_exactly_the_keys_of_its_type(self, form):
        """The result is a `dict` with exactly the keys of `CreateSessionRequest`."""
        result = SCHEMA.load(form)
        assert type(result) is dict
        assert set(result) == CreateSessionRequest.__required_keys__

    def test_first_wallet_is_the_default(self):
        """Without a default, the first wallet is the default."""
        assert SCHEMA.load({"walletIds": [C, A, B]})["default_wallet_id"] == C

    def test_default_in_the_single_form(self):
        """The single form may name its wallet as the default."""
        assert SCHEMA.load({"walletId": A, "defaultWalletId": A.upper()})["wallet_ids"] == [A]

    def test_input_is_not_changed(self):
        """Neither the input nor its contents are changed, not even when the result is."""
        for form in ({"walletId": A.upper()}, {"walletIds": [A.upper(), B]}):
            request = form | {"constraints": {"a": {"b": [1]}}, "ttl": 300.0}
            before = copy.deepcopy(request)
            result = SCHEMA.load(request)
            result["wallet_ids"].append(C)
            result["constraints"]["new"] = 1
            assert request == before

    def test_loads_are_independent(self):
        """A refused request does not affect the next one."""
        errors_of({"walletIds": [A, A], "ttl": 1})
        assert SCHEMA.load({"walletId": B})["wallet_ids"] == [B]

    @pytest.mark.slow
    @given(wallets, st.data())
    @settings(derandomize=True, deadline=None)
    def test_ids_load_in_lower_case_and_order(self, identifiers, data):
        """Wallet ids in any case load in lower case and in the given order."""
        texts = [str(identifier) for identifier in identifiers]
        default = data.draw(st.sampled_from(texts))
        request = {
            "walletIds": [in_mixed_case(data.draw, text) for text in texts],
            "defaultWalletId": in_mixed_case(data.draw, default),
        }
        result = SCHEMA.load(request)
        assert result["wallet_ids"] == texts
        assert result["default_wallet_id"] == default


class TestWhichWallets:
    """A request has exactly one of `walletId` and `walletIds`."""

    def test_none_given(self):
        """A request without wallets is refused under `walletIds`."""
        assert errors_of({}) == {"walletIds": [NONE_GIVEN]}

    def test_only_a_default_given(self):
        """A default does not replace the wallets, and is not reported as an error."""
        assert errors_of({"defaultWalletId": A}) == {"walletIds": [NONE_GIVEN]}

    @pytest.mark.parametrize("default", [{}, {"defaultWalletId": C}])
    def test_both_given(self, default):
        """Both forms at once are refused under both keys, even if they agree."""
        request = {"walletId": A, "walletIds": [A]} | default
        assert errors_of(request) == {"walletId": [BOTH_GIVEN], "walletIds": [BOTH_GIVEN]}

    def test_both_given_and_one_invalid(self):
        """Both forms at once are reported even if one of them is invalid."""
        assert errors_of({"walletId": None, "walletIds": [A]}) == {
            "walletId": [NO_UUID, BOTH_GIVEN],
            "walletIds": [BOTH_GIVEN],
        }
        assert errors_of({"walletId": A, "walletIds": ["x"]}) == {
            "walletId": [BOTH_GIVEN],
            "walletIds": {0: [NO_UUID], "_schema": [BOTH_GIVEN]},
        }

    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_bad_single_wallet(self, bad):
        """A `walletId` that is not a UUID is refused with one message only."""
        assert errors_of({"walletId": bad}) == {"walletId": [NO_UUID]}

    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_bad_wallet_in_a_list(self, bad):
        """An invalid item of `walletIds` is reported by its index."""
        assert errors_of({"walletIds": [A, bad, B]}) == {"walletIds": {1: [NO_UUID]}}

    @pytest.mark.parametrize("bad", [A, None, {}, {"0": A}, {A, B}, 1, True, A.encode()])
    def test_not_a_list(self, bad):
        """`walletIds` that is not a list is refused."""
        assert errors_of({"walletIds": bad}) == {"walletIds": ["Must be a list."]}

    def test_empty_list(self):
        """An empty list of wallets is refused."""
        assert errors_of({"walletIds": []}) == {"walletIds": ["Must name at least one wallet."]}

    @pytest.mark.parametrize("again", [A, A.upper(), A.replace("aaaa", "aAaA")])
    def test_duplicates(self, again):
        """A repeated wallet is refused, even in another case."""
        assert errors_of({"walletIds": [A, B, again]}) == {"walletIds": [f"Must not name a wallet twice: {A}."]}

    def test_each_duplicate_is_reported_once(self):
        """Every repeated wallet is reported once."""
        assert errors_of({"walletIds": [B, A, B, C, B, A]}) == {
            "walletIds": [f"Must not name a wallet twice: {B}, {A}."]
        }


class TestDefault:
    """The default is one of the given wallets."""

    @pytest.mark.parametrize("wallets_named", [{"walletId": A}, {"walletIds": [A, B]}])
    def test_default_that_is_not_listed(self, wallets_named):
        """A default that is not among the wallets is refused in either form."""
        request = wallets_named | {"defaultWalletId": C}
        assert errors_of(request) == {"defaultWalletId": [FOREIGN_DEFAULT]}

    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_bad_default(self, bad):
        """A default that is not a UUID is refused with one message only."""
        assert errors_of({"walletIds": [A], "defaultWalletId": bad}) == {"defaultWalletId": [NO_UUID]}

    @pytest.mark.parametrize("wallets_named", [{"walletIds": [A, "x"]}, {"walletId": "x"}])
    def test_default_is_not_checked_with_invalid_wallets(self, wallets_named):
        """If a wallet is invalid, the default may be that wallet and is not reported."""
        request = wallets_named | {"defaultWalletId": C}
        assert set(errors_of(request)) == set(wallets_named)

    def test_default_is_checked_with_duplicates(self):
        """A default that is not among the wallets is reported together with duplicates."""
        assert set(errors_of({"walletIds": [A, A], "defaultWalletId": C})) == {
            "walletIds",
            "defaultWalletId",
        }

    @given(wallets, st.uuids(), st.booleans())
    @settings(derandomize=True, deadline=None)
    def test_any_default_that_is_not_listed_is_refused(self, identifiers, default, upper):
        """Any UUID that is not listed is refused as the default."""
        texts = [str(identifier) for identifier in identifiers if identifier != default]
        if not texts:
            return
        other = str(default).upper() if upper else str(default)
        request = {"walletIds": texts, "defaultWalletId": other}
        assert errors_of(request) == {"defaultWalletId": [FOREIGN_DEFAULT]}


class TestTtl:
    """The time to live in seconds."""

    @pytest.mark.parametrize("ttl", [300, 300.0, 301, 86_400, 604_800, 604_800.0])
    def test_good(self, ttl):
        """An integer from 300 to 604800 loads as an `int`."""
        loaded = SCHEMA.load({"walletId": A, "ttl": ttl})["ttl"]
        assert (type(loaded), loaded) == (int, ttl)

    @pytest.mark.parametrize(
        "ttl",
        [
            299,
            604_801,
            0,
            -300,
            300.5,
            "300",
            "",
            True,
            False,
            None,
            float("nan"),
            float("inf"),
            float("-inf"),
            pytest.param(10**400, id="10**400"),
            pytest.param(10**10_000, id="10**10000"),
            pytest.param(json.loads("1e400"), id="1e400"),
            [300],
            {"seconds": 300},
        ],
    )
    def test_bad(self, ttl):
        """Any other value is refused with the range and the unit, in one message."""
        assert errors_of({"walletId": A, "ttl": ttl}) == {"ttl": [TTL]}

    def test_bounds_are_public(self):
        """The bounds in the message equal the public constants."""
        assert f"from {MIN_TTL_SECONDS} to {MAX_TTL_SECONDS} " in TTL

    @given(st.integers() | st.floats() | st.integers(250, 700_000))
    @settings(derandomize=True, deadline=None)
    def test_any_number(self, ttl):
        """A number loads if and only if it is integral and in range."""
        good = 300 <= ttl <= 604_800 and ttl == int(ttl)
        assert SCHEMA.validate({"walletId": A, "ttl": ttl}) == ({} if good else {"ttl": [TTL]})


class TestConstraints:
    """An object or null."""

    @pytest.mark.parametrize("constraints", [None, {}, {"a": 1}, {"a": {"b": [None, {"c": 1}]}}])
    def test_good(self, constraints):
        """An object of any content loads unchanged, and null as None."""
        request = {"walletId": A, "constraints": constraints}
        assert SCHEMA.load(request)["constraints"] == constraints

    @pytest.mark.parametrize("constraints", [[], [{}], "", "{}", 0, 1.5, True])
    def test_bad(self, constraints):
        """Any other value is refused."""
        assert errors_of({"walletId": A, "constraints": constraints}) == {
            "constraints": ["Must be an object or null."]
        }

    def test_values_that_json_cannot_represent(self):
        """An object that is not JSON, such as one with Python's `NaN`, is refused before a service writes it."""
        request = {"walletId": A, "constraints": json.loads('{"max": [NaN]}')}
        assert errors_of(request) == {
            "constraints": ["Must contain only JSON: no NaN, no infinite numbers, at most 64 levels."]
        }


class TestOtherInput:
    """Unknown keys, values that are not objects, and several errors at once."""

    @pytest.mark.parametrize("key", ["walletID", "wallet_ids", "expires_in", "", "_schema", "TTL"])
    def test_unknown_key(self, key):
        """An unknown key is refused under its name."""
        assert errors_of({"walletId": A, key: 1}) == {key: ["Unknown field."]}

    def test_misspelt_wallet(self):
        """A misspelt `walletId` is reported, and so is the missing wallet."""
        assert errors_of({"walletID": A}) == {
            "walletID": ["Unknown field."],
            "walletIds": [NONE_GIVEN],
        }

    def test_unknown_key_cannot_pass_as_an_attribute(self):
        """If unknown keys are skipped, the attribute names of the result are skipped too."""
        request = {"walletId": A, "wallet_ids": ["unchecked"], "default_wallet_id": B}
        assert SCHEMA.load(request, unknown=EXCLUDE) == SCHEMA.load({"walletId": A})

    @pytest.mark.parametrize("data", [None, [], [{"walletId": A}], "walletId", A, 5, 0.5, True])
    def test_not_an_object(self, data):
        """A value that is not an object is refused as a whole."""
        assert errors_of(data) == {"_schema": ["Must be an object."]}

    def test_errors_of_all_keys_come_together(self):
        """One error contains the messages of every key."""
        request = {"defaultWalletId": "x", "ttl": 1, "constraints": [], "name": "bot"}
        assert errors_of(request) == {
            "walletIds": [NONE_GIVEN],
            "defaultWalletId": [NO_UUID],
            "ttl": [TTL],
            "constraints": ["Must be an object or null."],
            "name": ["Unknown field."],
        }

    def test_wallets_are_checked_with_an_invalid_ttl(self):
        """An error in one key does not hide errors between other keys."""
        request = {"walletIds": [A, A], "defaultWalletId": B, "ttl": "1"}
        assert set(errors_of(request)) == {"walletIds", "defaultWalletId", "ttl"}

    def test_is_an_error_of_the_library(self):
        """The error has its code, and the fields in its details."""
        with pytest.raises(WAIaaSError) as caught:
            SCHEMA.load({"walletId": A, "ttl": 1})
        assert caught.value.code == "ACTION_VALIDATION_FAILED"
        assert caught.value.details == {"fields": {"ttl": [TTL]}}

    def test_many(self):
        """A list of requests loads item by item, with errors under the index."""
        loaded = SCHEMA.load([{"walletId": A}, {"walletIds": [B]}], many=True)
        assert [request["default_wallet_id"] for request in loaded] == [A, B]
        assert errors_of([{"walletId": A}, {}, {"walletId": B, "ttl": 1}], many=True) == {
            1: {"walletIds": [NONE_GIVEN]},
            2: {"ttl": [TTL]},
        }

    @pytest.mark.slow
    @given(json_values)
    @settings(derandomize=True, deadline=None)
    def test_any_json_value(self, data):
        """No JSON value raises anything other than a ValidationError."""
        for many in (False, True):
            assert isinstance(SCHEMA.validate(data, many=many), dict)

    @pytest.mark.slow
    @given(st.dictionaries(wire_keys | st.text(max_size=3), json_values), st.booleans())
    @settings(derandomize=True, deadline=None)
    def test_any_object(self, data, partial):
        """No object with wire keys raises anything other than a ValidationError."""
        before = copy.deepcopy(data)
        try:
            SCHEMA.load(data, partial=partial)
        except ValidationError as error:
            assert error.messages
        assert repr(data) == repr(before)


class TestPartial:
    """Partial loading of a request."""

    def test_no_parameters(self):
        """An empty partial request loads as an empty dictionary."""
        assert SCHEMA.load({}, partial=True) == {}

    def test_without_wallets(self):
        """A partial request without wallets loads its keys, and its default is not checked."""
        part = {"ttl": 300, "defaultWalletId": A.upper()}
        assert SCHEMA.load(part, partial=True) == {"ttl": 300, "default_wallet_id": A}

    def test_with_wallets(self):
        """Wallets in a partial request are normalised and checked as usual."""
        assert SCHEMA.load({"walletId": A}, partial=True) == {
            "wallet_ids": [A],
            "default_wallet_id": A,
        }
        assert errors_of({"walletId": A, "walletIds": [B]}, partial=True) == {
            "walletId": [BOTH_GIVEN],
            "walletIds": [BOTH_GIVEN],
        }
        assert errors_of({"walletIds": [A, "x"]}, partial=True) == {"walletIds": {1: [NO_UUID]}}

    def test_of_named_fields(self):
        """Wallets may be omitted only if `partial` names them."""
        assert SCHEMA.load({}, partial=("wallet_ids",)) == {"ttl": None, "constraints": None}
        assert errors_of({}, partial=("ttl",)) == {"walletIds": [NONE_GIVEN]}


class TestCheck:
    """A request built without the schema, checked by the schema's rules."""

    GOOD = {"wallet_ids": [A, B], "default_wallet_id": B, "ttl": None, "constraints": None}
    NOT_AS_LOADED = ["Must be a result of CreateSessionRequestSchema().load."]

    def errors_with(self, **changes):
        """Return the messages for a valid request with some keys changed."""
        with pytest.raises(RequestValidationError) as caught:
            check_create_session_request(self.GOOD | changes)
        return caught.value.messages

    @pytest.mark.parametrize(
        "wire", [{"walletId": A}, {"walletIds": [A, B], "defaultWalletId": B, "ttl": 300, "constraints": {"a": [1]}}]
    )
    def test_a_loaded_request_passes(self, wire):
        """Every loaded request passes unchanged."""
        request = SCHEMA.load(wire)
        before = copy.deepcopy(request)
        check_create_session_request(request)
        assert request == before

    def test_a_valid_request_built_without_the_schema(self):
        """A request built without the schema passes if it obeys the rules."""
        check_create_session_request(self.GOOD)
        check_create_session_request(self.GOOD | {"ttl": 604_800, "constraints": {}})

    @pytest.mark.parametrize(
        ("changes", "errors"),
        [
            ({"wallet_ids": []}, {"walletIds": ["Must name at least one wallet."]}),
            ({"wallet_ids": [A, B, A]}, {"walletIds": [f"Must not name a wallet twice: {A}."]}),
            ({"wallet_ids": [A, "x"]}, {"walletIds": {1: [NO_UUID]}}),
            ({"wallet_ids": A}, {"walletIds": ["Must be a list."]}),
            ({"wallet_ids": None}, {"walletIds": [NONE_GIVEN]}),
            ({"default_wallet_id": C}, {"defaultWalletId": [FOREIGN_DEFAULT]}),
            ({"ttl": 299}, {"ttl": [TTL]}),
            ({"ttl": 604_801}, {"ttl": [TTL]}),
            ({"ttl": "300"}, {"ttl": [TTL]}),
            ({"constraints": []}, {"constraints": ["Must be an object or null."]}),
        ],
    )
    def test_broken_rules(self, changes, errors):
        """A broken rule is reported as by the schema, under the wire key."""
        assert self.errors_with(**changes) == errors

    @pytest.mark.parametrize(
        ("changes", "key"),
        [
            ({"wallet_ids": [A.upper(), B]}, "walletIds"),
            ({"wallet_ids": (A, B)}, "walletIds"),
            ({"default_wallet_id": B.upper()}, "defaultWalletId"),
            ({"ttl": 300.0}, "ttl"),
        ],
    )
    def test_a_value_that_is_not_normalised(self, changes, key):
        """A value that the schema would have normalised is refused."""
        assert self.errors_with(**changes) == {key: self.NOT_AS_LOADED}


class TestRenew:
    """The request that exchanges a token."""

    SCHEMA = RenewSessionRequestSchema()
    TOKEN = "wai_sess_eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"
    UNKNOWN = "Must have the key token and no other."

    def test_the_whole_token_loads(self):
        """The token loads unchanged, as secret text."""
        loaded = self.SCHEMA.load({"token": self.TOKEN})
        assert loaded == {"token": self.TOKEN}
        assert set(loaded) == RenewSessionRequest.__optional_keys__
        assert repr(loaded) == "{'token': <secret>}"

    @pytest.mark.parametrize("token", ["", "wai_sess_", "Bearer x", " ", "x" * 4096])
    def test_the_service_checks_the_token(self, token):
        """The request does not check the token, because that error has another code."""
        assert self.SCHEMA.load({"token": token})["token"] == token

    @pytest.mark.parametrize("token", [None, 5, True, b"wai_sess_x", ["wai_sess_x"], {"token": "wai_sess_x"}])
    def test_not_a_string(self, token):
        """A token that is not a string is refused."""
        assert errors_of({"token": token}, self.SCHEMA) == {"token": ["Must be text."]}

    def test_missing(self):
        """A request without a token, as clients of the daemon send it, is accepted."""
        assert self.SCHEMA.load({}) == {}

    @pytest.mark.parametrize("key", ["sessionId", "Token", "", 5])
    def test_unknown_key(self, key):
        """An unknown key is refused, without its name."""
        assert errors_of({"token": self.TOKEN, key: 1}, self.SCHEMA) == {"_schema": [self.UNKNOWN]}

    @pytest.mark.parametrize(
        ("data", "many"),
        [
            ({"token": TOKEN, "x": 1}, False),
            ({"token": [TOKEN]}, False),
            ({"token": TOKEN + "\0"}, False),
            ({"token": TOKEN.encode()}, False),
            ({TOKEN: 1}, False),
            ({"token": TOKEN, TOKEN: {TOKEN: TOKEN}}, False),
            (TOKEN, False),
            ([TOKEN], False),
            ([{"token": TOKEN}, {TOKEN: TOKEN}], True),
            ([{"token": TOKEN}, TOKEN], True),
            (TOKEN, True),
        ],
    )
    def test_no_error_shows_the_token(self, data, many):
        """No error shows a token, wherever it is in the request."""
        with pytest.raises(RequestValidationError) as caught:
            self.SCHEMA.load(data, many=many)
        error = caught.value
        shown = [
            str(error),
            repr(error),
            repr(vars(error)),
            repr(error.args),
            json.dumps(error.to_dict()),
            "".join(traceback.format_exception(type(error), error, error.__traceback__)),
            repr(pickle.dumps(error)),
            repr(self.SCHEMA.validate(data, many=many)),
        ]
        assert not [text for text in shown if "wai_sess_eyJ" in text]
        assert error.data is None
        assert error.valid_data is None

    def test_many_errors_keep_their_index(self):
        """In a list of requests, each error is under its index."""
        data = [{"token": "a"}, {"token": "b", "x": 1}, {}]
        assert errors_of(data, self.SCHEMA, many=True) == {
            1: {"_schema": [self.UNKNOWN]},
        }


class TestList:
    """The query parameters of a list of sessions."""

    SCHEMA = ListSessionsRequestSchema()
    LIMIT = ["Must be an integer from 1 to 200."]

    def test_no_parameters(self):
        """Without parameters, the first 50 of all sessions are requested."""
        loaded = self.SCHEMA.load({})
        assert loaded == {"wallet_id": None, "status": None, "limit": 50, "after": None}
        assert set(loaded) == ListSessionsRequest.__required_keys__

    def test_all_keys(self):
        """Every parameter is loaded from text."""
        query = {"walletId": A.upper(), "status": "EXPIRED", "limit": "200", "after": B.upper()}
        assert self.SCHEMA.load(query) == {"wallet_id": A, "status": "EXPIRED", "limit": 200, "after": B}

    @pytest.mark.parametrize(("limit", "number"), [("1", 1), ("007", 7), (1, 1), (200, 200), (50.0, 50)])
    def test_limit(self, limit, number):
        """A limit is decimal digits, or an integer as in JSON."""
        loaded = self.SCHEMA.load({"limit": limit})["limit"]
        assert (type(loaded), loaded) == (int, number)

    @pytest.mark.parametrize(
        "limit",
        [
            *("0", "201", "", " 1", "1 ", "+1", "-1", "1_0", "1.0", "1e2", "0x1", "\u0661", "\uff11", "\u00b2"),
            *(0, 201, -1, 1.5, True, None, ["1"], b"1", float("nan")),
            pytest.param("9" * 10_000, id="10,000 digits"),
            pytest.param("0" * 18 + "1", id="19 digits"),
        ],
    )
    def test_bad_limit(self, limit):
        """Any other limit is refused with the bounds, in one message."""
        assert errors_of({"limit": limit}, self.SCHEMA) == {"limit": self.LIMIT}

    @given(st.integers(-5, 250) | st.integers())
    def test_a_number_and_its_digits(self, number):
        """A number in range is accepted, and so are its digits."""
        errors = {} if 1 <= number <= 200 else {"limit": self.LIMIT}
        assert self.SCHEMA.validate({"limit": number}) == errors
        assert self.SCHEMA.validate({"limit": str(number)}) == errors

    @pytest.mark.parametrize("status", SESSION_STATUSES)
    def test_status(self, status):
        """Each status of a session is accepted."""
        assert self.SCHEMA.load({"status": status})["status"] == status

    @pytest.mark.parametrize("status", ["", "active", "ACTIVE,EXPIRED", None, ["ACTIVE"], 1])
    def test_bad_status(self, status):
        """An unknown status is refused with the list of statuses."""
        assert errors_of({"status": status}, self.SCHEMA) == {"status": ["Must be one of: ACTIVE, EXPIRED, REVOKED."]}

    @pytest.mark.parametrize("key", ["walletId", "after"])
    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_bad_ids(self, key, bad):
        """A wallet or cursor that is not a UUID is refused, including null, which a query string cannot express."""
        assert errors_of({key: bad}, self.SCHEMA) == {key: [NO_UUID]}

    @pytest.mark.parametrize("key", ["wallet_id", "offset", "nextAfter"])
    def test_unknown_parameter(self, key):
        """An unknown parameter is refused, because a filter must not be ignored."""
        assert errors_of({key: "1"}, self.SCHEMA) == {key: ["Unknown field."]}


def linked(identifier, **changes):
    """Return a linked wallet."""
    return LinkedWallet(
        **{
            "id": identifier,
            "name": "payments",
            "chain": "solana",
            "environment": "testnet",
            "default_network": "devnet",
            "status": "ACTIVE",
            "is_default": False,
            "linked_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "session_id": C,
        }
        | changes
    )


def details(kind=SessionDetails, **changes):
    """Return the details of a session with two wallets."""
    return kind(
        **{
            "id": C,
            "status": "ACTIVE",
            "wallets": (linked(A, is_default=True), linked(B, default_network=None)),
            "created_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "expires_at": datetime(2026, 1, 31, tzinfo=timezone.utc),
            "absolute_expires_at": datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc),
            "last_renewed_at": None,
            "revoked_at": None,
            "renewal_count": 0,
            "max_renewals": 12,
            "constraints": {"maxAmount": "10"},
            "source": "api",
        }
        | changes
    )


WIRE_WALLET = {
    "sessionId": C,
    "walletId": A,
    "id": A,
    "name": "payments",
    "chain": "solana",
    "environment": "testnet",
    "defaultNetwork": "devnet",
    "status": "ACTIVE",
    "isDefault": True,
    "linkedAt": 1_767_225_600,
    "createdAt": 1_767_225_600,
}
WIRE_SESSION = {
    "id": C,
    "status": "ACTIVE",
    "walletId": A,
    "walletName": "payments",
    "defaultWalletId": A,
    "wallets": [WIRE_WALLET, WIRE_WALLET | {"walletId": B, "id": B, "isDefault": False, "defaultNetwork": None}],
    "createdAt": 1_767_225_600,
    "expiresAt": 1_769_817_600,
    "absoluteExpiresAt": 2_147_483_648,
    "lastRenewedAt": None,
    "revokedAt": None,
    "renewalCount": 0,
    "maxRenewals": 12,
    "constraints": {"maxAmount": "10"},
    "source": "api",
}


class TestResponses:
    """A session on the wire."""

    def test_session(self):
        """A session has the wire keys, including those of old clients, and times in seconds."""
        wire = SessionResponseSchema().dump(details())
        assert wire == WIRE_SESSION
        assert json.loads(json.dumps(wire)) == wire

    def test_session_without_wallets(self):
        """A migrated session without a wallet still has every key."""
        wire = SessionResponseSchema().dump(details(wallets=(), constraints=None))
        assert set(wire) == set(WIRE_SESSION)
        assert wire["wallets"] == []
        assert [wire[key] for key in ("walletId", "walletName", "defaultWalletId", "constraints")] == [None] * 4
        assert SessionResponseSchema().validate(wire) == {}

    def test_renewed_and_revoked(self):
        """Times of renewals and revocations are in seconds."""
        moment = datetime(2024, 2, 29, tzinfo=timezone.utc)
        wire = SessionResponseSchema().dump(details(last_renewed_at=moment, revoked_at=moment))
        assert wire["lastRenewedAt"] == wire["revokedAt"] == 1_709_164_800

    def test_a_session_does_not_contain_its_token(self):
        """A session never contains its token again after it was issued."""
        assert "token" not in SessionResponseSchema().dump(details(IssuedSession, token="wai_sess_x"))

    def test_issued_session(self):
        """A new session is serialized with its token as plain text."""
        wire = IssuedSessionResponseSchema().dump(details(IssuedSession, token="wai_sess_x"))
        assert wire == WIRE_SESSION | {"token": "wai_sess_x"}
        assert type(wire["token"]) is str

    def test_an_issued_session_has_a_token(self):
        """An issued session without a token cannot be serialized."""
        with pytest.raises(AttributeError, match="token"):
            IssuedSessionResponseSchema().dump(details())

    def test_page(self):
        """A page of sessions contains the cursor of the next page."""
        page = Page(items=(details(),), next_after=C)
        assert SessionListResponseSchema().dump(page) == {"sessions": [WIRE_SESSION], "nextAfter": C}

    def test_last_page(self):
        """The last page, and an empty one, contain no cursor."""
        page = Page(items=(), next_after=None)
        assert SessionListResponseSchema().dump(page) == {"sessions": [], "nextAfter": None}

    def test_a_client_can_load_a_response(self):
        """A client can load every key of a response, and none may be missing."""
        wire = IssuedSessionResponseSchema().dump(details(IssuedSession, token="wai_sess_x"))
        loaded = IssuedSessionResponseSchema().load(wire)
        assert IssuedSessionResponseSchema().dump(loaded) == wire
        assert loaded["expires_at"] == details().expires_at
        assert "wai_sess_x" not in repr(loaded)
        assert set(IssuedSessionResponseSchema().validate({})) == set(wire)

    @pytest.mark.slow
    @given(
        st.dictionaries(
            st.sampled_from(["created_at", "expires_at", "last_renewed_at", "revoked_at"]),
            st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(timezone.utc)),
        ),
        st.integers(0),
        st.lists(st.uuids().map(str)),
    )
    def test_any_session(self, times, renewals, identifiers):
        """Any session survives a round trip over the wire, with times as their second."""
        session = details(**times, renewal_count=renewals, wallets=tuple(map(linked, identifiers)))
        loaded = SessionResponseSchema().load(json.loads(json.dumps(SessionResponseSchema().dump(session))))
        assert loaded["renewal_count"] == renewals
        assert [wallet["id"] for wallet in loaded["wallets"]] == identifiers
        assert {name: loaded[name] for name in times} == {
            name: at.replace(microsecond=0) for name, at in times.items()
        }
