"""Errors on the wire."""

import json

import pytest

from waiaas.errors import ALL_CODES, LANGUAGES, WAIaaSError, refusal
from waiaas.schemas import CreateSessionRequestSchema, ErrorResponseSchema, RequestValidationError

SCHEMA = ErrorResponseSchema()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", ALL_CODES)
def test_every_code(code, lang):
    """An error of any code and language is serialized as `to_dict` returns it, and loads as that."""
    body = WAIaaSError(code, details={"sessionId": "s-1"}).to_dict(lang)
    assert SCHEMA.dump(body) == body
    assert SCHEMA.load(json.loads(json.dumps(body))) == body


def test_an_error_itself():
    """An error object is dumped in English."""
    error = refusal("database_busy", path="wallet.db", seconds=5)
    assert SCHEMA.dump(error) == error.to_dict()


def test_a_refused_request():
    """The field errors of a refused request are in the details."""
    with pytest.raises(RequestValidationError) as caught:
        CreateSessionRequestSchema().load({"walletIds": ["x"], "ttl": 1})
    body = json.loads(json.dumps(SCHEMA.dump(caught.value)))
    assert set(body["details"]["fields"]) == {"walletIds", "ttl"}
    assert SCHEMA.validate(body) == {}


def test_every_key_is_there():
    """A response without one of the keys is refused."""
    assert set(SCHEMA.validate({})) == set(WAIaaSError("INVALID_TOKEN").to_dict())
