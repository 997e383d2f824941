"""Requests from the wire: camelCase dictionaries in, checked and normalised values out."""

from waiaas.schemas.base import (
    JSONObject,
    RequestValidationError,
    StrictInteger,
    StrictList,
    UUIDText,
    WireSchema,
)
from waiaas.schemas.session import (
    MAX_TTL_SECONDS,
    MIN_TTL_SECONDS,
    CreateSessionRequest,
    CreateSessionRequestSchema,
)

__all__ = [
    "MAX_TTL_SECONDS",
    "MIN_TTL_SECONDS",
    "CreateSessionRequest",
    "CreateSessionRequestSchema",
    "JSONObject",
    "RequestValidationError",
    "StrictInteger",
    "StrictList",
    "UUIDText",
    "WireSchema",
]
