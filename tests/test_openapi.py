"""The OpenAPI document matches the schemas and the services."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import waiaas
from waiaas import schemas
from waiaas.errors import ALL_CODES, ERROR_CODES
from waiaas.openapi import document
from waiaas.services import SessionService, SessionWalletService, WalletService
from waiaas.vocabularies import CHAIN_TYPES, ENVIRONMENT_TYPES, NETWORK_TYPES

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}

A = "0190a3f0-aaaa-7abc-8def-0123456789ab"
B = "0190a3f0-bbbb-7abc-8def-0123456789ab"
WALLET = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}
TEXTS = [
    "",
    " ",
    "\t",
    "\ufeff",
    "\x1c",
    "\u00a0",
    "a",
    " a",
    "\ufeffa",
    "\n\na",
    "a\n",
    "지갑",
    "\u200b",
    "\U0001f45b",
]
IDS = [A, A.upper(), f"{A}\n", f" {A}", A.replace("-", ""), f"{{{A}}}", "", "\uff10" + A[1:], f"{A}0", A[:-1]]
NO_TEXTS: list[Any] = [None, 1, True, [A], {"id": A}]

#: Operation -> method, path, status and schema of the response, schema of the request.
EXPECTED = {
    "createSession": ("post", "/v1/sessions", 201, "IssuedSessionResponse", "CreateSessionRequest"),
    "listSessions": ("get", "/v1/sessions", 200, None, None),
    "renewSession": ("put", "/v1/sessions/{sessionId}/renew", 200, "IssuedSessionResponse", "RenewSessionRequest"),
    "getSession": ("get", "/v1/sessions/{sessionId}", 200, "SessionResponse", None),
    "revokeSession": ("delete", "/v1/sessions/{sessionId}", 200, "SessionResponse", None),
    "listSessionWallets": ("get", "/v1/sessions/{sessionId}/wallets", 200, "SessionWalletListResponse", None),
    "linkWallet": ("post", "/v1/sessions/{sessionId}/wallets", 201, "SessionWalletResponse", "LinkWalletRequest"),
    "unlinkWallet": ("delete", "/v1/sessions/{sessionId}/wallets/{walletId}", 204, None, None),
    "setDefaultWallet": (
        "patch",
        "/v1/sessions/{sessionId}/wallets/{walletId}/default",
        200,
        "DefaultWalletResponse",
        None,
    ),
    "createWallet": ("post", "/v1/wallets", 201, "CreatedWalletResponse", "CreateWalletRequest"),
    "listWallets": ("get", "/v1/wallets", 200, None, None),
    "getWallet": ("get", "/v1/wallets/{walletId}", 200, "WalletResponse", None),
    "terminateWallet": ("delete", "/v1/wallets/{walletId}", 200, "WalletResponse", None),
    "suspendWallet": ("post", "/v1/wallets/{walletId}/suspend", 200, "WalletResponse", "SuspendWalletRequest"),
    "resumeWallet": ("post", "/v1/wallets/{walletId}/resume", 200, "WalletResponse", None),
}

#: Operation -> the method of a service that implements it.
DONE_BY = {
    "createSession": SessionService.create,
    "listSessions": SessionService.list,
    "renewSession": SessionService.renew,
    "getSession": SessionService.get,
    "revokeSession": SessionService.revoke,
    "listSessionWallets": SessionWalletService.list,
    "linkWallet": SessionWalletService.link,
    "unlinkWallet": SessionWalletService.unlink,
    "setDefaultWallet": SessionWalletService.set_default,
    "createWallet": WalletService.create,
    "listWallets": WalletService.list,
    "getWallet": WalletService.get,
    "terminateWallet": WalletService.terminate,
    "suspendWallet": WalletService.suspend,
    "resumeWallet": WalletService.resume,
}

REQUESTS: list[str] = [name for name in SCHEMAS if name.endswith("Request")]


def schema_of(name: str) -> schemas.WireSchema:
    """Return the marshmallow schema of a component."""
    schema: schemas.WireSchema = getattr(schemas, f"{name}Schema")()
    return schema


def validator_of(name: str) -> Draft202012Validator:
    """Return a JSON Schema validator of a component, which may refer to others."""
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


def changes(key: str, values: list[Any]) -> list[dict[str, Any]]:
    """Return a dictionary of one key for each value."""
    return [{key: value} for value in values]


def codes_of(operation: dict[str, Any]) -> dict[str, set[str]]:
    """Return the error codes of an operation, by HTTP status."""
    found = {}
    for status, answer in operation["responses"].items():
        if status >= "400":
            _, part = answer["content"]["application/json"]["schema"]["allOf"]
            found[status] = set(part["properties"]["code"]["enum"])
    return found


def references(value: Any) -> Iterator[str]:
    """Find every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


class TestDocument:
    """The document as a whole."""

    @pytest.mark.slow
    def test_is_valid(self) -> None:
        """The document is valid OpenAPI 3.1, including its defaults."""
        assert DOCUMENT["openapi"] == "3.1.0"
        assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []

    def test_is_json(self) -> None:
        """The document can be serialized as JSON."""
        assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT

    def test_is_of_this_version(self) -> None:
        """The document has the version of the library."""
        assert DOCUMENT["info"]["version"] == waiaas.__version__

    def test_is_new_each_time(self) -> None:
        """Each call returns a new document, so that an application can change it."""
        changed = document()
        changed["components"]["securitySchemes"]["admin"]["scheme"] = "basic"
        changed["components"]["schemas"]["CreateSessionRequest"]["examples"][0]["walletId"] = "x"
        changed["paths"]["/v1/sessions"].clear()
        assert document() == DOCUMENT

    def test_every_component_is_used(self) -> None:
        """Every schema and example is referenced."""
        components = {
            f"#/components/{kind}/{name}" for kind in ("schemas", "examples") for name in DOCUMENT["components"][kind]
        }
        assert set(references(DOCUMENT)) == components

    @pytest.mark.slow
    def test_without_apispec(self) -> None:
        """Without apispec the library works, and the error names what to install."""
        program = "import sys; sys.modules['apispec'] = None; import waiaas; print('works'); import waiaas.openapi"
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert run.stdout == "works\n"
        assert "ImportError: waiaas.openapi needs apispec: pip install 'waiaas[openapi]'" in run.stderr


class TestOperations:
    """The operations of the service."""

    def test_are_complete(self) -> None:
        """Each operation has its method, path, response and request, and a unique id."""
        found = {}
        for name, (method, path, operation) in OPERATIONS.items():
            ((status, answer),) = ((int(s), a) for s, a in operation["responses"].items() if s < "400")
            parts = [part.get("content") for part in (answer, operation.get("requestBody", {}))]
            references = [part and part["application/json"]["schema"].get("$ref") for part in parts]
            names = [reference and reference.rsplit("/")[-1] for reference in references]
            found[name] = (method, path, status, *names)
        assert found == EXPECTED
        assert len(OPERATIONS) == sum(len(item) for item in DOCUMENT["paths"].values())

    @pytest.mark.parametrize("name", EXPECTED)
    def test_parameters_of_the_path(self, name: str) -> None:
        """Each name in a path is a required parameter."""
        _, path, operation = OPERATIONS[name]
        declared = [part["name"] for part in operation["parameters"] if part["in"] == "path" and part["required"]]
        assert declared == re.findall(r"{(\w+)}", path)

    def test_an_id_in_a_path(self) -> None:
        """An id in a path is in lower case, because the services compare ids exactly."""
        _, _, operation = OPERATIONS["getWallet"]
        (parameter,) = operation["parameters"]
        validator = Draft202012Validator(parameter["schema"])
        assert validator.is_valid(A)
        assert not any(validator.is_valid(bad) for bad in (A.upper(), A.replace("-", ""), "renew", ""))

    def test_parameters_of_the_query(self) -> None:
        """Sessions can be listed by wallet, and no other list has parameters."""
        found = [
            (name, part["name"], part["required"], bool(part["description"]))
            for name, (_, _, operation) in OPERATIONS.items()
            for part in operation["parameters"]
            if part["in"] == "query"
        ]
        assert found == [("listSessions", "walletId", False, True)]

    def test_a_parameter_has_the_same_validity(self) -> None:
        """A wallet id is valid in the document if it is valid in the schema."""
        (parameter,) = OPERATIONS["listSessions"][2]["parameters"]
        for value in IDS:
            good = not schemas.ListSessionsRequestSchema().validate({"walletId": value})
            assert Draft202012Validator(parameter["schema"]).is_valid(value) == good, value

    def test_lists(self) -> None:
        """All sessions are in one array, and all wallets in one array under a key, as the daemon sends them."""
        answers = [OPERATIONS[name][2]["responses"]["200"] for name in ("listSessions", "listWallets")]
        sessions, wallets = (answer["content"]["application/json"]["schema"] for answer in answers)
        assert sessions == {"type": "array", "items": {"$ref": "#/components/schemas/SessionResponse"}}
        items = {"type": "array", "items": {"$ref": "#/components/schemas/WalletResponse"}}
        assert wallets == {"type": "object", "properties": {"items": items}, "required": ["items"]}

    @pytest.mark.parametrize("name", EXPECTED)
    def test_errors(self, name: str) -> None:
        """An operation has the codes of its service's docstring, of its input, of its caller and of the database."""
        _, _, operation = OPERATIONS[name]
        of_service = set(re.findall(r"`([A-Z_]+)`", str(DONE_BY[name].__doc__))) & set(ERROR_CODES)
        takes_input = "requestBody" in operation or operation["parameters"]
        of_input = {"ACTION_VALIDATION_FAILED"} if takes_input else set()
        is_for_admin = operation["security"] == [{"admin": []}]
        of_caller = {"INVALID_MASTER_PASSWORD", "SYSTEM_LOCKED"} if is_for_admin else set()
        named = codes_of(operation)
        expected = (
            of_service - {"ACTION_VALIDATION_FAILED"}
            | of_input
            | of_caller
            | {"SCHEMA_INCOMPATIBLE", "DATABASE_BUSY", "DATABASE_UNAVAILABLE"}
        )
        assert set().union(*named.values()) == expected
        for status, codes in named.items():
            assert {ALL_CODES[code].http_status for code in codes} == {int(status)}

    @pytest.mark.parametrize(
        ("name", "request_type"),
        [
            ("listSessions", schemas.ListSessionsRequest),
            ("renewSession", schemas.RenewSessionRequest),
            ("linkWallet", schemas.LinkWalletRequest),
            ("setDefaultWallet", schemas.SetDefaultWalletRequest),
            ("listWallets", schemas.ListWalletsRequest),
            ("suspendWallet", schemas.SuspendWalletRequest),
        ],
    )
    def test_a_request_matches_its_service(self, name: str, request_type: type) -> None:
        """The result of a schema has exactly the parameters of the service's method."""
        assert set(request_type.__annotations__) <= set(inspect.signature(DONE_BY[name]).parameters)

    @pytest.mark.parametrize("name", EXPECTED)
    def test_security(self, name: str) -> None:
        """An agent renews its own session, by its token; everything else requires the administrator."""
        _, _, operation = OPERATIONS[name]
        assert operation["security"] == [{"sessionToken" if name == "renewSession" else "admin": []}]
        assert set(DOCUMENT["components"]["securitySchemes"]) == {"admin", "sessionToken"}

    def test_an_unknown_error_code_is_invalid(self) -> None:
        """A response with a code that the operation does not have is invalid in the document."""
        _, _, operation = OPERATIONS["getSession"]
        schema = operation["responses"]["404"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**DOCUMENT, **schema})
        assert validator.is_valid(waiaas.WAIaaSError("SESSION_NOT_FOUND").to_dict())
        assert not validator.is_valid(waiaas.WAIaaSError("WALLET_NOT_FOUND").to_dict())


class TestSchemas:
    """Requests and responses."""

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_examples(self, name: str) -> None:
        """Each example is valid in the document and in its schema."""
        examples = SCHEMAS[name]["examples"]
        assert examples
        for example in examples:
            assert schema_of(name).validate(example) == {}
            assert list(validator_of(name).iter_errors(example)) == []

    @pytest.mark.parametrize("code", DOCUMENT["components"]["examples"])
    def test_examples_of_errors(self, code: str) -> None:
        """The example of an error is an error of that code."""
        example = DOCUMENT["components"]["examples"][code]["value"]
        assert example["code"] == code
        assert list(validator_of("ErrorResponse").iter_errors(example)) == []

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_keys(self, name: str) -> None:
        """The keys are those of the schema, in camelCase except one that errors always had."""
        properties = SCHEMAS[name]["properties"]
        assert set(properties) == {field.data_key for field in schema_of(name).fields.values()}
        assert {key for key in properties if not re.fullmatch("[a-z]+([A-Z][a-z]+)*", key)} <= {"http_status"}

    @pytest.mark.parametrize("name", SCHEMAS)
    def test_unknown_keys(self, name: str) -> None:
        """A request has no unknown keys; a response may have some in a later version."""
        assert SCHEMAS[name].get("additionalProperties", True) == (name not in REQUESTS)

    @pytest.mark.parametrize("name", sorted(set(SCHEMAS) - set(REQUESTS)))
    def test_every_key_of_a_response_is_required(self, name: str) -> None:
        """A response always has every key, in the document and in the schema."""
        schema = schema_of(name)
        read = {field.data_key for field in schema.dump_fields.values() if not field.dump_only}
        assert set(SCHEMAS[name]["required"]) == set(SCHEMAS[name]["properties"])
        assert read == set(schema.validate({}))

    @pytest.mark.parametrize("name", REQUESTS)
    def test_every_key_of_a_request_is_described(self, name: str) -> None:
        """The document describes each key as the docstring does."""
        assert [key for key, value in SCHEMAS[name]["properties"].items() if "description" not in value] == []
        assert SCHEMAS[name]["description"].endswith(".")

    def test_times(self) -> None:
        """A time is a 64-bit integer."""
        found = SCHEMAS["SessionResponse"]["properties"]
        time = {"format": "int64", "description": "Unix seconds (UTC)."}
        assert found["expiresAt"] == {"type": "integer", **time}
        assert found["revokedAt"] == {"type": ["integer", "null"], **time}

    def test_a_token_is_hidden(self) -> None:
        """Tools that show forms hide the token."""
        for name in ("RenewSessionRequest", "IssuedSessionResponse"):
            assert SCHEMAS[name]["properties"]["token"]["format"] == "password"

    @pytest.mark.parametrize(
        ("name", "payloads"),
        [
            (
                "CreateSessionRequest",
                [
                    {},
                    {"walletId": A, "walletIds": [A]},
                    {"walletId": A, "walletIds": None},
                    {"defaultWalletId": A},
                    *changes("walletId", [*IDS, *NO_TEXTS]),
                    *changes("walletIds", [[], [A], [A, B], [A, A], [A, None], ["x"], A, None, {}, {"0": A}]),
                    *({"walletIds": [A], **change} for change in changes("defaultWalletId", [A, "x", None, [A]])),
                    *({"walletId": A, **change} for change in changes("ttl", [300, 300.0, 604_800, 299, 604_801])),
                    *({"walletId": A, **change} for change in changes("ttl", [300.5, "300", True, None, [300]])),
                    *(
                        {"walletId": A, **change}
                        for change in changes("constraints", [None, {}, {"a": [1]}, [], "{}"])
                    ),
                    {"walletId": A, "wallet_id": A},
                    {"walletID": A},
                ],
            ),
            ("RenewSessionRequest", [{}, *changes("token", ["", "wai_sess_x", *NO_TEXTS]), {"token": "x", "id": A}]),
            ("LinkWalletRequest", [{}, *changes("walletId", [*IDS, *NO_TEXTS]), {"walletId": A, "isDefault": True}]),
            (
                "CreateWalletRequest",
                [
                    *({key: value for key, value in WALLET.items() if key != left_out} for left_out in WALLET),
                    *(WALLET | change for key in WALLET for change in changes(key, [*TEXTS, *NO_TEXTS])),
                    *(WALLET | {"name": letter * count} for letter in "a가\U0001f45b" for count in (100, 101)),
                    *(WALLET | change for change in changes("ownerAddress", [*TEXTS, *NO_TEXTS])),
                    *(WALLET | change for change in changes("environment", ["mainnet", "devnet"])),
                    *(
                        WALLET | {"chain": chain, "defaultNetwork": network}
                        for chain in (*CHAIN_TYPES, "bitcoin")
                        for network in (*NETWORK_TYPES, *NO_TEXTS, "")
                    ),
                    WALLET | {"id": A},
                ],
            ),
            ("SuspendWalletRequest", [{}, *changes("reason", [*TEXTS, *NO_TEXTS]), {"Reason": "x"}]),
        ],
    )
    def test_a_request_has_the_same_validity(self, name: str, payloads: list[Any]) -> None:
        """A request is valid in the document if and only if it is valid in the schema."""
        schema, validator = schema_of(name), validator_of(name)
        verdicts = [schema.validate(payload) == {} for payload in [*payloads, None, [], "x", 1]]
        assert [validator.is_valid(payload) for payload in [*payloads, None, [], "x", 1]] == verdicts
        assert {True, False} == set(verdicts)

    def test_rules_that_only_the_schema_has(self) -> None:
        """These are the only rules that the document describes in prose, and the schema has them."""
        only_in_words: list[tuple[str, dict[str, Any]]] = [
            ("CreateSessionRequest", {"walletIds": [A, A.upper()]}),
            ("CreateSessionRequest", {"walletId": A, "defaultWalletId": B}),
            ("CreateSessionRequest", {"walletId": A, "constraints": {"a": [float("nan")]}}),
            ("SuspendWalletRequest", {"reason": "a\0"}),
            ("SuspendWalletRequest", {"reason": "\ud800"}),
        ]
        for name, payload in only_in_words:
            assert validator_of(name).is_valid(payload)
            assert schema_of(name).validate(payload) != {}


ids = st.uuids().flatmap(lambda each: st.sampled_from([str(each), str(each).upper()])) | st.sampled_from([A, B])
texts = st.text(min_size=1) | st.text() | st.sampled_from(TEXTS)
values = st.none() | st.booleans() | st.integers() | st.floats() | texts | ids
json_values = st.recursive(values, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=5)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "walletId": ids,
    "walletIds": st.lists(ids, max_size=4),
    "defaultWalletId": ids,
    "ttl": st.integers(250, 700_000) | st.floats(250, 700_000).map(round).map(float),
    "constraints": st.none() | st.dictionaries(st.text(), json_values),
    "expiresIn": json_values,
    "source": json_values,
    "token": texts,
    "createSession": st.booleans(),
    "name": texts,
    "chain": st.sampled_from(CHAIN_TYPES),
    "environment": st.sampled_from(ENVIRONMENT_TYPES),
    "publicKey": texts,
    "defaultNetwork": st.none() | st.sampled_from(NETWORK_TYPES),
    "ownerAddress": st.none() | texts,
    "reason": st.none() | texts,
}
#: How the refusals begin that JSON Schema cannot express.
ONLY_IN_WORDS = (
    "Must not name a wallet twice",
    "Must be one of the wallets named",
    "Must be text without NUL",
    "Must contain only JSON",
)


def likely_requests(name: str) -> st.SearchStrategy[Any]:
    """Make requests that are often valid, sometimes invalid in one key, and sometimes anything."""
    required = {key: LIKELY[key] for key in SCHEMAS[name].get("required", [])}
    optional = {key: LIKELY[key] for key in SCHEMAS[name]["properties"] if key not in required}
    good = st.fixed_dictionaries(required, optional=optional)
    return good | st.tuples(good, st.dictionaries(st.sampled_from([*LIKELY, "x"]), json_values, max_size=1)).map(
        lambda pair: pair[0] | pair[1]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_has_the_same_validity(name: str, data: st.DataObject) -> None:
    """A request that loads is valid in the document; a valid one loads, or breaks a rule described in prose."""
    request = data.draw(likely_requests(name))
    errors = schema_of(name).validate(request)
    if validator_of(name).is_valid(request):
        messages = [message for texts in errors.values() for message in texts]
        assert all(message.startswith(ONLY_IN_WORDS) for message in messages)
    else:
        assert errors != {}


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, list[Any]]:
    """Responses of real services, serialized, by the name of their schema."""
    database = waiaas.connect(tmp_path / "wallets.db").peewee
    wallets, sessions, links = WalletService(database), SessionService(database), SessionWalletService(database)
    create = schemas.CreateWalletRequestSchema()
    made = [
        wallets.create(**create.load(WALLET | {"publicKey": key, "defaultNetwork": "devnet"}), actor="admin")
        for key in "abc"
    ]
    first, second, third = (wallet.id for wallet in made)
    request = {"walletIds": [first, second], "constraints": {"max": [1, None]}}
    issued = sessions.create(**schemas.CreateSessionRequestSchema().load(request), actor="admin")
    plain = sessions.create(**schemas.CreateSessionRequestSchema().load({"walletId": third}), actor="admin")
    linked = links.link(issued.id, third, actor="admin")
    given: dict[str, list[Any]] = {
        "IssuedSessionResponse": [issued],
        "SessionWalletResponse": [linked],
        "DefaultWalletResponse": [links.set_default(issued.id, second, actor="admin")],
        "SessionWalletListResponse": [links.list(issued.id)],
        "SessionResponse": [
            sessions.get(issued.id),
            sessions.revoke(issued.id, actor="admin"),
            sessions.get(plain.id),
        ],
        "WalletResponse": [
            made[0],
            wallets.suspend(first, "audit", actor="admin"),
            wallets.terminate(second, actor="admin"),
        ],
        "CreatedWalletResponse": [{"wallet": made[0], "session": each} for each in (issued, None)],
        "WalletSessionResponse": [issued],
    }
    database.close_all()
    return {name: [schema_of(name).dump(each) for each in some] for name, some in given.items()}


def test_responses_of_the_services(answers: dict[str, list[Any]]) -> None:
    """Results of the services are serialized as documented, with every key."""
    assert set(answers) | {"ErrorResponse"} == {name for name in SCHEMAS if name.endswith("Response")}
    for name, some in answers.items():
        for answer in some:
            sent = json.loads(json.dumps(answer))
            assert list(validator_of(name).iter_errors(sent)) == []
            assert set(sent) == set(SCHEMAS[name]["properties"])
            assert schema_of(name).validate(sent) == {}
