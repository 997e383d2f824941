"""Requests from the wire: camelCase dictionaries in, checked and normalised values out."""

from waiaas.schemas.base import (
    JSONObject,
    RequestValidationError,
    StrictInteger,
    StrictList,
    StrictText,
    UUIDText,
    WireSchema,
)
from waiaas.schemas.session import (
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    CreateSessionRequest,
    CreateSessionRequestSchema,
    check_create_session_request,
)
from waiaas.schemas.wallet import MAX_NAME_LENGTH, CreateWalletRequest, CreateWalletRequestSchema

__all__ = [
    "MAX_NAME_LENGTH",
    "MAX_TTL_SECONDS",
    "MIN_TTL_SECONDS",
    "CreateSessionRequest",
    "CreateSessionRequestSchema",
    "CreateWalletRequest",
    "CreateWalletRequestSchema",
    "JSONObject",
    "RequestValidationError",
    "StrictInteger",
    "StrictList",
    "StrictText",
    "UUIDText",
    "WireSchema",
    "check_create_session_request",
]
