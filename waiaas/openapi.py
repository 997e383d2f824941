"""The daemon's HTTP interface for sessions and wallets as an OpenAPI 3.1 document.

The library serves no HTTP. An application that does loads requests and dumps responses with the schemas, and calls the
services in between. The document describes such an application, and is made from the same schemas.

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
from waiaas.errors import ALL_CODES, FieldMessage, WAIaaSError
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
Sessions of AI agents, and the wallets that they use.

Times are Unix seconds (UTC). Ids are UUIDs. Every error has the form `ErrorResponse`. Some rules are not in the
schemas: UUIDs that differ in case name the same wallet, the default is one of the wallets named, text has no NUL
characters and no lone surrogates, and objects are at most 64 levels deep.
"""


class _Operation(NamedTuple):
    """A route, and what it does."""

    #: The method and the path.
    route: str
    id: str
    summary: str
    #: The error codes of its service.
    codes: str
    #: The schema of the response, or what it is made of; None: the response is empty.
    answer: type[WireSchema] | dict[str, Any] | None
    status: HTTPStatus = HTTPStatus.OK
    body: type[WireSchema] | None = None
    query: WireSchema | None = None
    security: str = "admin"

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    @property
    def takes_input(self) -> bool:
        return "{" in self.route or self.body is not None or self.query is not None


_OPERATIONS = (
    _Operation(
        "post /v1/sessions",
        "createSession",
        "Create a session for one wallet or many, and show its token this once.",
        "SESSION_LIMIT_EXCEEDED SYSTEM_LOCKED WALLET_NOT_FOUND WALLET_TERMINATED",
        schemas.IssuedSessionResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.CreateSessionRequestSchema,
    ),
    _Operation(
        "get /v1/sessions",
        "listSessions",
        "List all sessions that are not revoked, or those of one wallet; the newest first.",
        "",
        {"type": "array", "items": schemas.SessionResponseSchema},
        query=schemas.ListSessionsRequestSchema(only=["wallet_id"]),
    ),
    _Operation(
        "put /v1/sessions/{sessionId}/renew",
        "renewSession",
        "Replace the token of a session with a new one. The old token is the one in the body, or else in the header; "
        "it is no longer valid.",
        "SESSION_REQUIRES_WALLET INVALID_TOKEN TOKEN_EXPIRED SESSION_REVOKED SESSION_EXPIRED "
        "SESSION_RENEWAL_MISMATCH RENEWAL_LIMIT_REACHED SESSION_ABSOLUTE_LIFETIME_EXCEEDED RENEWAL_TOO_EARLY "
        "SESSION_NOT_FOUND SYSTEM_LOCKED",
        schemas.IssuedSessionResponseSchema,
        body=schemas.RenewSessionRequestSchema,
        security="sessionToken",
    ),
    _Operation(
        "get /v1/sessions/{sessionId}",
        "getSession",
        "Show a session with its wallets.",
        "SESSION_NOT_FOUND",
        schemas.SessionResponseSchema,
    ),
    _Operation(
        "delete /v1/sessions/{sessionId}",
        "revokeSession",
        "Revoke a session. A session that is revoked already stays unchanged.",
        "SESSION_NOT_FOUND",
        schemas.SessionResponseSchema,
    ),
    _Operation(
        "get /v1/sessions/{sessionId}/wallets",
        "listSessionWallets",
        "List the wallets of a session, the default first.",
        "SESSION_NOT_FOUND",
        schemas.SessionWalletListResponseSchema,
    ),
    _Operation(
        "post /v1/sessions/{sessionId}/wallets",
        "linkWallet",
        "Link one more wallet to a session.",
        "SESSION_LIMIT_EXCEEDED SESSION_NOT_FOUND WALLET_NOT_FOUND WALLET_ALREADY_LINKED "
        "WALLET_TERMINATED SYSTEM_LOCKED",
        schemas.SessionWalletResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.LinkWalletRequestSchema,
    ),
    _Operation(
        "delete /v1/sessions/{sessionId}/wallets/{walletId}",
        "unlinkWallet",
        "Unlink a wallet, which is not the default, from a session.",
        "CANNOT_REMOVE_DEFAULT_WALLET SESSION_REQUIRES_WALLET WALLET_ACCESS_DENIED SESSION_NOT_FOUND",
        None,
        HTTPStatus.NO_CONTENT,
    ),
    _Operation(
        "patch /v1/sessions/{sessionId}/wallets/{walletId}/default",
        "setDefaultWallet",
        "Make one of the wallets of a session its default.",
        "WALLET_ACCESS_DENIED SESSION_NOT_FOUND",
        schemas.DefaultWalletResponseSchema,
    ),
    _Operation(
        "post /v1/wallets",
        "createWallet",
        "Register a wallet by its public key.",
        "ENVIRONMENT_NETWORK_MISMATCH SYSTEM_LOCKED",
        schemas.CreatedWalletResponseSchema,
        HTTPStatus.CREATED,
        body=schemas.CreateWalletRequestSchema,
    ),
    _Operation(
        "get /v1/wallets",
        "listWallets",
        "List all wallets.",
        "",
        {
            "type": "object",
            "properties": {"items": {"type": "array", "items": schemas.WalletResponseSchema}},
            "required": ["items"],
        },
    ),
    _Operation(
        "get /v1/wallets/{walletId}",
        "getWallet",
        "Show a wallet.",
        "WALLET_NOT_FOUND",
        schemas.WalletResponseSchema,
    ),
    _Operation(
        "delete /v1/wallets/{walletId}",
        "terminateWallet",
        "Terminate a wallet. A session that has other wallets keeps those; a session that has no other is revoked.",
        "WALLET_NOT_FOUND WALLET_TERMINATED",
        schemas.WalletResponseSchema,
    ),
    _Operation(
        "post /v1/wallets/{walletId}/suspend",
        "suspendWallet",
        "Suspend an active wallet.",
        "WALLET_NOT_FOUND WALLET_SUSPENDED INVALID_STATE_TRANSITION WALLET_TERMINATED",
        schemas.WalletResponseSchema,
        body=schemas.SuspendWalletRequestSchema,
    ),
    _Operation(
        "post /v1/wallets/{walletId}/resume",
        "resumeWallet",
        "Make a suspended wallet active again.",
        "WALLET_NOT_FOUND INVALID_STATE_TRANSITION SYSTEM_LOCKED WALLET_TERMINATED",
        schemas.WalletResponseSchema,
    ),
)

# Services compare ids unchanged.
_ID_IN_A_PATH = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "description": "The id in lower case, as returned.",
}

# Every operation uses the database, which may be busy, full or damaged.
_OF_EVERY_OPERATION = "DATABASE_BUSY DATABASE_UNAVAILABLE SCHEMA_INCOMPATIBLE"
_OF_AN_ADMINISTRATOR = "INVALID_MASTER_PASSWORD SYSTEM_LOCKED"

_SECURITY = {
    "admin": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Master-Password",
        "description": "The administrator of the service, by the master password.",
    },
    "sessionToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "wai_sess_ and a JWT",
        "description": "The agent of a session, by its token.",
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


# What is not in the fields of a schema: rules for several fields, and examples.
_RULES_AND_EXAMPLES: dict[type[WireSchema], dict[str, Any]] = {
    schemas.CreateSessionRequestSchema: {
        "oneOf": [{"required": ["walletId"]}, {"required": ["walletIds"]}],
        "examples": [
            {"walletId": _FIRST},
            {"walletIds": [_FIRST, _SECOND], "defaultWalletId": _SECOND, "ttl": 3600, "constraints": {"max": "10"}},
        ],
    },
    schemas.RenewSessionRequestSchema: {"examples": [{"token": _TOKEN}, {}]},
    schemas.LinkWalletRequestSchema: {"examples": [{"walletId": _SECOND}]},
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
    schemas.WalletResponseSchema: {"examples": [_ONE_WALLET]},
    schemas.WalletSessionResponseSchema: {"examples": [_NEW_SESSION]},
    schemas.CreatedWalletResponseSchema: {"examples": [_ONE_WALLET | {"session": _NEW_SESSION}]},
    schemas.ErrorResponseSchema: {"examples": [WAIaaSError("SESSION_NOT_FOUND").to_dict()]},
}


def document() -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of a service with the daemon's routes for sessions and wallets.

    :returns: the document as a new ``dict`` of JSON values. Add what is specific to your application: ``servers``,
        more ``paths``, or another way to authenticate an administrator (``components.securitySchemes.admin``).

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
    for schema, parts in _RULES_AND_EXAMPLES.items():
        spec.components.schema(_name(schema), {"description": _summary(schema), **parts}, schema=schema)
    for code in dict.fromkeys(code for operation in _OPERATIONS for code in _codes_of(operation)):
        spec.components.example(code, {"value": _example(code).to_public_dict()})
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for operation in _OPERATIONS:
        spec.path(operation.path, operations={operation.route.partition(" ")[0]: _described(operation)})
    return deepcopy(spec.to_dict())


def _properties_of(self: Any, field: Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Return the properties that apispec does not know; it calls this as a method of its converter."""
    # None is the default of a key that is left out, even if null is not allowed.
    if ret.get("default", ...) is None:
        del ret["default"]
    properties: dict[str, Any] = {}
    if isinstance(field, StrictText) and field.max_length is not None and "enum" not in ret:
        properties["maxLength"] = field.max_length
    if isinstance(field, StrictList) and field.max_items is not None:
        properties["maxItems"] = field.max_items
    if isinstance(field, UnixTime):
        properties["description"] = " ".join(["Unix seconds (UTC).", *filter(None, [ret.get("description")])])
    if isinstance(field, UUIDText):
        properties["format"] = "uuid"
        # Validators may ignore a format. In some languages `$` matches before a line feed; the length excludes it.
        properties["pattern"] = "^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
        properties["maxLength"] = 36
    return properties


def _name(schema: type[WireSchema]) -> str:
    return schema.__name__.removesuffix("Schema")


def _summary(schema: type[WireSchema]) -> str:
    return (inspect.getdoc(schema) or "").partition("\n")[0]


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
    description = operation.summary if isinstance(operation.answer, dict) else _summary(operation.answer)
    return {"description": description, "content": {_JSON: {"schema": operation.answer}}}


def _refusals(operation: _Operation) -> dict[str, Any]:
    """Describe the errors of an operation, by their HTTP status."""
    by_status: dict[int, list[str]] = {}
    for code in _codes_of(operation):
        by_status.setdefault(ALL_CODES[code].http_status, []).append(code)
    return {str(status): _refusal(by_status[status]) for status in sorted(by_status)}


def _refusal(codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [schemas.ErrorResponseSchema, {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": " ".join(f"`{code}`: {WAIaaSError(code).message}" for code in codes),
        "content": {_JSON: {"schema": schema, "examples": {code: code for code in codes}}},
    }


def _codes_of(operation: _Operation) -> list[str]:
    """Return the error codes of an operation, each once."""
    codes = ["ACTION_VALIDATION_FAILED"] if operation.takes_input else []
    codes += [operation.codes, _OF_EVERY_OPERATION]
    if operation.security == "admin":
        codes.append(_OF_AN_ADMINISTRATOR)
    return list(dict.fromkeys(" ".join(codes).split()))


def _example(code: str) -> WAIaaSError:
    if code == "ACTION_VALIDATION_FAILED":
        return RequestValidationError({"walletID": [FieldMessage("unknown")]})
    return WAIaaSError(code)
