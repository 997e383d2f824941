"""The response to a request that was refused."""

from __future__ import annotations

from waiaas.errors import ALL_CODES
from waiaas.schemas.base import JSONObject, ResponseSchema, StrictBoolean, StrictInteger, StrictText, choice_field


class ErrorResponseSchema(ResponseSchema):
    """The response to a request that was refused.

    ``dump`` takes the result of :meth:`waiaas.WAIaaSError.to_public_dict` or ``to_dict``, or the error itself, which
    is dumped as by ``to_dict`` in English.

    >>> from waiaas.errors import WAIaaSError
    >>> body = WAIaaSError("SESSION_NOT_FOUND").to_dict("ko")
    >>> ErrorResponseSchema().dump(body) == body
    True
    """

    code = choice_field(tuple(ALL_CODES), required=True)
    domain = StrictText(required=True)
    # Not camelCase, because `to_dict` has it so.
    http_status = StrictInteger(
        required=True, data_key="http_status", metadata={"description": "The HTTP status of the response."}
    )
    retryable = StrictBoolean(
        required=True,
        metadata={"description": "Whether the same request may succeed later."},
    )
    message = StrictText(required=True)
    details = JSONObject(
        required=True,
        allow_none=True,
        metadata={
            "description": "Values for programs, or null. `fields` has the messages about the keys of a request, in "
            "the language of the message."
        },
    )
    hint = StrictText(required=True, metadata={"description": "What to do next."})
