"""The answer to a request that was refused."""

from __future__ import annotations

from waiaas.errors import ALL_CODES
from waiaas.schemas.base import JSONObject, ResponseSchema, StrictBoolean, StrictInteger, StrictText, word

__all__ = ["ErrorResponseSchema"]


class ErrorResponseSchema(ResponseSchema):
    """What is answered to a request that was refused, whatever it was.

    Its keys are those of :meth:`waiaas.WAIaaSError.to_public_dict`. ``dump`` takes what ``to_public_dict`` or
    ``to_dict`` returns, in either language, or the error itself for the English text of ``to_dict``.

    ``http_status``
        the HTTP status of the answer.
    ``retryable``
        whether the same request may succeed later with nothing changed.
    ``details``
        what the error is about, for programs, or null; ``fields`` holds the messages for a request that broke its
        rules, by key, in the language of the message.
    ``hint``
        what to do next.

    >>> from waiaas.errors import WAIaaSError
    >>> body = WAIaaSError("SESSION_NOT_FOUND").to_dict("ko")
    >>> ErrorResponseSchema().dump(body) == body
    True
    """

    code = word(tuple(ALL_CODES), required=True)
    domain = StrictText(required=True)
    # The one key of the wire that is not camelCase: `to_dict` has had it from the beginning.
    http_status = StrictInteger(required=True, data_key="http_status")
    retryable = StrictBoolean(required=True)
    message = StrictText(required=True)
    details = JSONObject(required=True, allow_none=True)
    hint = StrictText(required=True)
