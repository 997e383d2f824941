"""The HTTP interface of sessions and wallets, described as an OpenAPI 3.1 document.

The library serves no HTTP; an application that does uses the schemas on the way in and out and the services between.
This is the description of such an application, made from the same schemas, for the people and programs that call it.

Needs apispec: ``pip install 'waiaas[openapi]'``.
"""

from __future__ import annotations

import inspect
import re
from copy import deepcopy
from http import HTTPStatus
from typing import Any, NamedTuple

from marshmallow.fields import Field

from waiaas import __version__, schemas
from waiaas.errors import ALL_CODES, WAIaaSError
from waiaas.schemas import (
    RequestValidationError,
    SecretText,
    StrictList,
    StrictText,
    UnixTime,
    UUIDText,
    WireSchema,
)
from waiaas.schemas.wallet import NETWORKS_OF_CHAIN

try:
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin
except ImportError as error:
    raise ImportError("waiaas.openapi needs apispec: pip install 'waiaas[openapi]'") from error

__all__ = ["document"]

_JSON = "application/json"

_DESCRIPTION = """\
Sessions of AI agents, and the wallets that they reach.

Times are Unix seconds (UTC). Ids are UUIDs. Every error has the one form `ErrorResponse`. What JSON Schema cannot say
holds all the same: UUIDs that differ in case name the same wallet, the default is one of the wallets named, text has
no NUL characters and no lone surrogates, and objects are at most 64 levels deep.
"""


class _Operation(NamedTuple):
    """One row a thing that can be asked of the service."""

    method: str
    path: str
    id: str
    summary: str
    #: What the services refuse it with.
    codes: str
    answer: type[WireSchema] | None
    status: HTTPStatus = HTTPStatus.OK
    body: type[WireSchema] | None = None
    query: type[WireSchema] | None = None
    security: str = "admin"


_OPERATIONS = (
    _Operation(
        "post",
        "/v1/sessions",
        "createSession",
        "Create a session for one wallet or many, and show its token this once.",
        "ACTION_VALIDATION_FAILED SESSION_LIMIT_EXCEEDED SYSTEM_LOCKED WALLET_NOT_FOUND WALLET_TERMINATED",
        schemas.IssuedSessionResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.CreateSessionRequestSchema,
    ),
    _Operation(
        "get",
        "/v1/sessions",
        "listSessions",
        "List sessions, a page at a time.",
        "ACTION_VALIDATION_FAILED",
        schemas.SessionListResponseSchema,
        query=schemas.ListSessionsRequestSchema,
    ),
    _Operation(
        "post",
        "/v1/sessions/renew",
        "renewSession",
        "Exchange the token of a session for a new one. The token that is replaced is the one in the body or, without "
        "one there, in the header; from then on it is void.",
        "ACTION_VALIDATION_FAILED SESSION_REQUIRES_WALLET INVALID_TOKEN TOKEN_EXPIRED SESSION_REVOKED SESSION_EXPIRED "
        "SESSION_RENEWAL_MISMATCH RENEWAL_LIMIT_REACHED SESSION_ABSOLUTE_LIFETIME_EXCEEDED RENEWAL_TOO_EARLY "
        "SESSION_NOT_FOUND SYSTEM_LOCKED",
        schemas.IssuedSessionResponseSchema,
        body=schemas.RenewSessionRequestSchema,
        security="sessionToken",
    ),
    _Operation(
        "get",
        "/v1/sessions/{sessionId}",
        "getSession",
        "Show a session with its wallets.",
        "SESSION_NOT_FOUND",
        schemas.SessionResponseSchema,
    ),
    _Operation(
        "delete",
        "/v1/sessions/{sessionId}",
        "revokeSession",
        "End a session for good. One that is revoked already stays as it is.",
        "SESSION_NOT_FOUND",
        schemas.SessionResponseSchema,
    ),
    _Operation(
        "get",
        "/v1/sessions/{sessionId}/wallets",
        "listSessionWallets",
        "List the wallets of a session, the default first.",
        "SESSION_NOT_FOUND",
        schemas.SessionWalletListResponseSchema,
    ),
    _Operation(
        "post",
        "/v1/sessions/{sessionId}/wallets",
        "linkWallet",
        "Let a session reach one more wallet.",
        "ACTION_VALIDATION_FAILED SESSION_LIMIT_EXCEEDED SESSION_NOT_FOUND WALLET_NOT_FOUND WALLET_ALREADY_LINKED "
        "WALLET_TERMINATED SYSTEM_LOCKED",
        schemas.SessionWalletResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.LinkWalletRequestSchema,
    ),
    _Operation(
        "delete",
        "/v1/sessions/{sessionId}/wallets/{walletId}",
        "unlinkWallet",
        "Take a wallet, which is not its default, from a session.",
        "CANNOT_REMOVE_DEFAULT_WALLET SESSION_REQUIRES_WALLET WALLET_ACCESS_DENIED SESSION_NOT_FOUND",
        None,
        HTTPStatus.NO_CONTENT,
    ),
    _Operation(
        "put",
        "/v1/sessions/{sessionId}/default-wallet",
        "setDefaultWallet",
        "Make one of the wallets of a session its default.",
        "ACTION_VALIDATION_FAILED WALLET_ACCESS_DENIED SESSION_NOT_FOUND",
        schemas.DefaultWalletResponseSchema,
        body=schemas.SetDefaultWalletRequestSchema,
    ),
    _Operation(
        "post",
        "/v1/wallets",
        "createWallet",
        "Register a wallet by its public key.",
        "ACTION_VALIDATION_FAILED ENVIRONMENT_NETWORK_MISMATCH SYSTEM_LOCKED",
        schemas.CreatedWalletResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.CreateWalletRequestSchema,
    ),
    _Operation(
        "get",
        "/v1/wallets",
        "listWallets",
        "List wallets, a page at a time.",
        "ACTION_VALIDATION_FAILED",
        schemas.WalletListResponseSchema,
        query=schemas.ListWalletsRequestSchema,
    ),
    _Operation(
        "get",
        "/v1/wallets/{walletId}",
        "getWallet",
        "Show a wallet.",
        "WALLET_NOT_FOUND",
        schemas.WalletResponseSchema,
    ),
    _Operation(
        "delete",
        "/v1/wallets/{walletId}",
        "terminateWallet",
        "End a wallet for good. Sessions that have others keep those; a session that has no other is revoked.",
        "WALLET_NOT_FOUND WALLET_TERMINATED",
        schemas.WalletResponseSchema,
    ),
    _Operation(
        "post",
        "/v1/wallets/{walletId}/suspend",
        "suspendWallet",
        "Suspend an active wallet.",
        "ACTION_VALIDATION_FAILED WALLET_NOT_FOUND WALLET_SUSPENDED INVALID_STATE_TRANSITION WALLET_TERMINATED",
        schemas.WalletResponseSchema,
        body=schemas.SuspendWalletRequestSchema,
    ),
    _Operation(
        "post",
        "/v1/wallets/{walletId}/resume",
        "resumeWallet",
        "Make a suspended wallet active again.",
        "WALLET_NOT_FOUND INVALID_STATE_TRANSITION SYSTEM_LOCKED WALLET_TERMINATED",
        schemas.WalletResponseSchema,
    ),
)

# The services take ids as they give them.
_ID_IN_A_PATH = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "description": "The id as the service gave it, in lower case.",
}

# Every operation asks the database, which may be busy, full or damaged.
_OF_EVERY_OPERATION = "DATABASE_BUSY DATABASE_UNAVAILABLE SCHEMA_INCOMPATIBLE"

_SECURITY = {
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "description": "An administrator of the service; how one is known is for the application to say.",
    },
    "sessionToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "wai_sess_ and a JWT",
        "description": "The agent of a session, by its whole token.",
    },
}

_FIRST, _SECOND, _SESSION = (f"0190a3f0-{group}-7abc-8def-0123456789ab" for group in ("1111", "2222", "aaaa"))
_TOKEN = "wai_sess_eyJhbGciOiJIUzI1NiJ9.e30.2PNLs0kvVbpy2TBrUQUv8IfiqLDmCtvtyPCBDHGGjkY"
_LINK = {
    "sessionId": _SESSION,
    "walletId": _FIRST,
    "id": _FIRST,
    "name": "payments",
    "chain": "solana",
    "environment": "testnet",
    "defaultNetwork": "devnet",
    "status": "ACTIVE",
    "isDefault": True,
    "linkedAt": 1_767_225_600,
    "createdAt": 1_767_225_600,
}
_ONE_SESSION = {
    "id": _SESSION,
    "status": "ACTIVE",
    "walletId": _FIRST,
    "walletName": "payments",
    "defaultWalletId": _FIRST,
    "wallets": [_LINK, _LINK | {"walletId": _SECOND, "id": _SECOND, "name": "savings", "isDefault": False}],
    "createdAt": 1_767_225_600,
    "expiresAt": 1_769_817_600,
    "absoluteExpiresAt": 1_798_761_600,
    "lastRenewedAt": None,
    "revokedAt": None,
    "renewalCount": 0,
    "maxRenewals": 12,
    "constraints": {"maxAmount": "10"},
    "source": "api",
}
_NEW_SESSION = {"id": _SESSION, "token": _TOKEN, "expiresAt": 1_769_817_600}
_WALLET_REQUEST = {
    "name": "payments",
    "chain": "solana",
    "environment": "testnet",
    "publicKey": "7xKXtg2CW87d97TXJSDpbD",
}
_ONE_WALLET = {
    "id": _FIRST,
    **_WALLET_REQUEST,
    "defaultNetwork": "devnet",
    "network": "devnet",
    "status": "ACTIVE",
    "ownerAddress": None,
    "ownerState": "NONE",
    "ownerVerified": False,
    "approvalMethod": None,
    "createdAt": 1_767_225_600,
    "updatedAt": 1_767_225_600,
    "suspendedAt": None,
    "suspensionReason": None,
}


def _networks_of(chain: str) -> dict[str, Any]:
    return {
        "if": {"properties": {"chain": {"const": chain}}, "required": ["chain"]},
        "then": {"properties": {"defaultNetwork": {"enum": [*NETWORKS_OF_CHAIN[chain], None]}}},
    }


# What the fields of a schema do not say by themselves: rules over several of them, and examples.
_BESIDE_THE_FIELDS: dict[type[WireSchema], dict[str, Any]] = {
    schemas.CreateSessionRequestSchema: {
        "oneOf": [{"required": ["walletId"]}, {"required": ["walletIds"]}],
        "examples": [
            {"walletId": _FIRST},
            {"walletIds": [_FIRST, _SECOND], "defaultWalletId": _SECOND, "ttl": 3600, "constraints": {"max": "10"}},
        ],
    },
    schemas.RenewSessionRequestSchema: {"examples": [{"token": _TOKEN}, {}]},
    schemas.LinkWalletRequestSchema: {"examples": [{"walletId": _SECOND}]},
    schemas.SetDefaultWalletRequestSchema: {"examples": [{"walletId": _SECOND}]},
    schemas.CreateWalletRequestSchema: {
        "allOf": [_networks_of(chain) for chain in NETWORKS_OF_CHAIN],
        "examples": [_WALLET_REQUEST, _WALLET_REQUEST | {"defaultNetwork": "devnet", "ownerAddress": "9aE476sH"}],
    },
    schemas.SuspendWalletRequestSchema: {"examples": [{}, {"reason": "audit"}]},
    schemas.SessionWalletResponseSchema: {"examples": [_LINK]},
    schemas.DefaultWalletResponseSchema: {"examples": [_LINK | {"defaultWalletId": _FIRST}]},
    schemas.SessionWalletListResponseSchema: {"examples": [{"wallets": [_LINK]}]},
    schemas.SessionResponseSchema: {"examples": [_ONE_SESSION]},
    schemas.IssuedSessionResponseSchema: {"examples": [_ONE_SESSION | {"token": _TOKEN}]},
    schemas.SessionListResponseSchema: {"examples": [{"sessions": [_ONE_SESSION], "nextAfter": None}]},
    schemas.WalletResponseSchema: {"examples": [_ONE_WALLET]},
    schemas.WalletSessionResponseSchema: {"examples": [_NEW_SESSION]},
    schemas.CreatedWalletResponseSchema: {"examples": [_ONE_WALLET | {"session": _NEW_SESSION}]},
    schemas.WalletListResponseSchema: {
        "examples": [{"items": [_ONE_WALLET], "wallets": [_ONE_WALLET], "nextAfter": _FIRST}]
    },
    schemas.ErrorResponseSchema: {"examples": [WAIaaSError("SESSION_NOT_FOUND").to_dict()]},
}


def document() -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of a service for sessions and wallets.

    :returns: the document as a new ``dict`` of JSON values: put in it what is your application's own, such as
        ``servers``, or how an administrator is known (``components.securitySchemes.admin``).

    A session is renewed by ``POST /v1/sessions/renew``, with the token in the body. The token names its session: an
    id in the path beside it, as in the daemon's ``PUT /v1/sessions/{id}/renew``, could only say the same or be an
    error that needs a rule of its own.

    >>> described = document()
    >>> described["openapi"], described["paths"]["/v1/wallets"]["post"]["operationId"]
    ('3.1.0', 'createWallet')
    >>> described["components"]["schemas"]["CreateSessionRequest"]["oneOf"]
    [{'required': ['walletId']}, {'required': ['walletIds']}]
    """
    plugin = MarshmallowPlugin()
    spec = APISpec("WAIaaS", __version__, "3.1.0", plugins=[plugin], info={"description": _DESCRIPTION})
    plugin.map_to_openapi_type(UnixTime, "integer", "int64")
    plugin.map_to_openapi_type(SecretText, "string", "password")
    assert plugin.converter is not None  # APISpec has made it.
    plugin.converter.add_attribute_function(_properties_of)
    for schema, parts in _BESIDE_THE_FIELDS.items():
        spec.components.schema(_name(schema), {"description": _summary(schema), **parts}, schema=schema)
    for code in _codes(*(operation.codes for operation in _OPERATIONS)):
        spec.components.example(code, {"value": _example(code).to_public_dict()})
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for operation in _OPERATIONS:
        spec.path(operation.path, operations={operation.method: _described(operation)})
    return deepcopy(spec.to_dict())


def _properties_of(self: Any, field: Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Give what is particular to a field of this library; apispec's converter calls it as its method."""
    # None stands for a key that was left out, also where null may not be given.
    if ret.get("default", ...) is None:
        del ret["default"]
    properties: dict[str, Any] = {}
    if isinstance(field, StrictText) and field.max_length is not None and "enum" not in ret:
        properties["maxLength"] = field.max_length
    if isinstance(field, StrictList) and field.max_items is not None:
        properties["maxItems"] = field.max_items
    if isinstance(field, UnixTime):
        properties["description"] = "Unix seconds (UTC)."
    text = _texts_of_keys(type(field.parent)).get(str(field.data_key))
    if text is not None:
        properties["description"] = text
    if isinstance(field, UUIDText):
        properties["format"] = "uuid"
        # Validators need not look at a format. The length keeps off a line feed at the end, which `$` does not in
        # every language.
        properties["pattern"] = "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
        properties["maxLength"] = 36
    return properties


def _name(schema: type[WireSchema]) -> str:
    return schema.__name__.removesuffix("Schema")


def _summary(schema: type[WireSchema]) -> str:
    return (inspect.getdoc(schema) or "").partition("\n")[0]


def _texts_of_keys(schema: type) -> dict[str, str]:
    """Find what the docstrings of a schema and its bases say of each wire key, in their lists of definitions."""
    texts = "\n".join(inspect.cleandoc(each.__doc__ or "") for each in reversed(schema.__mro__))
    found = re.findall(r"^``(\w+)``\n((?: {4}.+\n?)+)", texts, re.MULTILINE)
    return {key: " ".join(text.split()) for key, text in found}


def _described(operation: _Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": _ID_IN_A_PATH}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query is not None:
        parameters.append({"in": "query", "schema": operation.query})
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[2]],
        "security": [{operation.security: []}],
        "parameters": parameters,
        "responses": {str(operation.status.value): _answer(operation), **_refusals(operation)},
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": operation.body}}}
    return described


def _answer(operation: _Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": "Done."}
    return {"description": _summary(operation.answer), "content": {_JSON: {"schema": operation.answer}}}


def _refusals(operation: _Operation) -> dict[str, Any]:
    """Describe the refusals of an operation, by their HTTP status."""
    by_status: dict[int, list[str]] = {}
    for code in _codes(operation.codes):
        by_status.setdefault(ALL_CODES[code].http_status, []).append(code)
    return {str(status): _refusal(by_status[status]) for status in sorted(by_status)}


def _refusal(codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [schemas.ErrorResponseSchema, {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": " ".join(f"`{code}`: {WAIaaSError(code).message}" for code in codes),
        "content": {_JSON: {"schema": schema, "examples": {code: code for code in codes}}},
    }


def _codes(*lists: str) -> list[str]:
    """Give the codes of lists, each once, and those of every operation."""
    return list(dict.fromkeys(" ".join([*lists, _OF_EVERY_OPERATION]).split()))


def _example(code: str) -> WAIaaSError:
    if code == "ACTION_VALIDATION_FAILED":
        return RequestValidationError({"walletID": ["Unknown field."]})
    return WAIaaSError(code)
