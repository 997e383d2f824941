"""What every request schema shares: camelCase wire keys, strict fields, one error.

marshmallow is lenient on purpose: its UUID field takes bytes and braces, its integer field
takes strings, its list field takes sets. A request from the wire is JSON, so here a field
takes the one JSON form that was meant and refuses every other with a message that says what
was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields, validate
from marshmallow.exceptions import SCHEMA

from waiaas.errors import WAIaaSError

__all__ = [
    "JSONObject",
    "RequestValidationError",
    "StrictInteger",
    "StrictList",
    "StrictText",
    "UUIDText",
    "WireSchema",
]

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")

# Spelt out rather than `\d` or IGNORECASE: only ASCII digits are meant.
_UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# UTF-8 has no lone surrogates and PostgreSQL's text no NUL; JSON can name both.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_UUID_EXPECTED = "Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens."


# An unknown key `wallet_ids` would be taken over under that name, unchecked, where the checked
# value of `walletIds` belongs.
_NO_INCLUDE = "A WireSchema cannot include unknown keys: one may have the name of an attribute."


class RequestValidationError(WAIaaSError, ValidationError):
    """A request that broke the rules of its schema, code ``ACTION_VALIDATION_FAILED``.

    It is both errors at once: ``except WAIaaSError`` gets ``code``, ``details`` and
    ``to_dict()`` as from every other failure of the library, and ``except
    marshmallow.ValidationError`` gets ``messages`` and ``normalized_messages()`` as from every
    other schema. ``details["fields"]`` is ``messages``.

    :param messages: the messages by wire key; what concerns the whole input stands under
        ``_schema``, what concerns one item of a list under its index (an ``int``).
        ``str()`` gives them after the message of the code.
    :param data: the input as it was given.
    :param valid_data: what of it could be loaded.

    >>> error = RequestValidationError({"ttl": ["Must be an integer."]})
    >>> error.code
    'ACTION_VALIDATION_FAILED'
    >>> error.messages
    {'ttl': ['Must be an integer.']}
    >>> error.details
    {'fields': {'ttl': ['Must be an integer.']}}
    """

    def __init__(self, messages: dict[Any, Any], *, data: Any = None, valid_data: Any = None) -> None:
        """Take the messages, and the input that they are about."""
        # WAIaaSError comes first in the MRO, so its own super().__init__() may already run
        # ValidationError's with the text alone; the second call puts the real messages in place.
        WAIaaSError.__init__(self, "ACTION_VALIDATION_FAILED", details={"fields": messages})
        ValidationError.__init__(self, messages, data=data, valid_data=valid_data)

    def __str__(self) -> str:
        """Give the message and the fields, as the text of a ``ValidationError`` does."""
        return f"{self.message} {self.messages}"


class _LeanField(fields.Field[_Value]):
    """A field whose first failing validator speaks alone.

    marshmallow builds a compound validator anew for each value, even out of none, only to
    collect the messages of all; that is a large part of what a load costs.
    """

    def _validate(self, value: Any) -> None:
        for validator in self.validators:
            validator(value)


class UUIDText(_LeanField[str], fields.String):
    """A UUID as text: ``xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx``, loaded in lower case.

    Hexadecimal digits of either case, any version. Braces, ``urn:uuid:``, blanks, a trailing
    newline, 32 digits without hyphens, ``bytes`` and ``uuid.UUID`` objects are refused.

    :raises marshmallow.ValidationError: the value is anything else.

    >>> UUIDText().deserialize("0190A3F0-1111-7ABC-8DEF-0123456789AB")
    '0190a3f0-1111-7abc-8def-0123456789ab'
    """

    default_error_messages = {"invalid": _UUID_EXPECTED, "null": _UUID_EXPECTED}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or _UUID_TEXT.fullmatch(value) is None:
            raise self.make_error("invalid")
        return value.lower()


class StrictText(_LeanField[str], fields.String):
    """Text that every database can hold: a ``str`` without NUL characters and lone surrogates, loaded as it is.

    ``bytes``, which marshmallow decodes, are refused.

    :raises marshmallow.ValidationError: the value is anything else.

    >>> StrictText().deserialize(" 지갑 1 ")
    ' 지갑 1 '
    """

    default_error_messages = {
        "invalid": "Must be text.",
        "null": "Must be text.",
        "unstorable": "Must be text without NUL characters and lone surrogates.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if _UNSTORABLE.search(value) is not None:
            raise self.make_error("unstorable")
        return value


# The characters that either Python or JavaScript takes for white space: the pattern, which goes into the
# OpenAPI document too, means the same in both.
_SPACE = r"\s\u001c-\u001f\u0085\ufeff"

#: A validator of text: it has at least one character that is not white space.
not_blank = validate.Regexp(rf"^[{_SPACE}]*[^{_SPACE}]", error="Must not be blank.")


def word(words: Sequence[str], **options: Any) -> StrictText:
    """Make a field for one of the words of a vocabulary, with one message for whatever else comes."""
    expected = f"Must be one of: {', '.join(words)}."
    return StrictText(
        validate=validate.OneOf(words, error=expected),
        error_messages=dict.fromkeys(("invalid", "null", "unstorable"), expected),
        **options,
    )


class StrictInteger(_LeanField[int], fields.Integer):
    """An integer as in JSON, where ``300.0`` is the number 300: loaded as an ``int``.

    Booleans, strings, fractions, ``NaN`` and the infinities are refused.

    :raises marshmallow.ValidationError: the value is anything else.

    >>> StrictInteger().deserialize(300.0)
    300
    """

    default_error_messages = {"invalid": "Must be an integer.", "null": "Must be an integer."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        # `bool` is a subclass of `int`; NaN and the infinities are not `is_integer()`.
        if isinstance(value, int) and not isinstance(value, bool):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise self.make_error("invalid")


class StrictList(_LeanField[list[_Item | None]], fields.List[_Item]):
    """A list whose items are all good, or an error: never the part that could be loaded.

    A ``list`` or a ``tuple`` is taken and a new ``list`` is given; sets and generators, which
    marshmallow takes, are refused, for they have no order or can be read only once.

    :raises marshmallow.ValidationError: the value is no list, or an item is wrong; then the
        messages stand under the index of the item.

    >>> StrictList(StrictInteger()).deserialize((1, 2.0))
    [1, 2]
    """

    default_error_messages = {"invalid": "Must be a list.", "null": "Must be a list."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[_Item | None]:
        if not isinstance(value, (list, tuple)):
            raise self.make_error("invalid")
        items: list[_Item | None] = []
        errors = {}
        for index, item in enumerate(value):
            try:
                items.append(self.inner.deserialize(item, **kwargs))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            # Without valid_data marshmallow leaves the field out, so that a rule over several
            # fields does not judge half a list.
            raise ValidationError(errors)
        return items


class JSONObject(_LeanField[dict[str, Any]], fields.Dict):
    """A JSON object: a ``dict`` whose keys are all ``str``, loaded as a new, shallow ``dict``.

    :raises marshmallow.ValidationError: the value is no ``dict``, or has a key that is no string.

    >>> JSONObject().deserialize({"spend": {"max": "10"}})
    {'spend': {'max': '10'}}
    """

    default_error_messages = {"invalid": "Must be an object.", "null": "Must be an object."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.make_error("invalid")
        return dict(value)


class WireSchema(Schema):
    """A schema for what comes over the wire: camelCase outside, snake_case inside.

    A field ``wallet_id`` reads and writes the key ``walletId`` unless it was given a
    ``data_key`` of its own. An unknown key is refused under its own name.

    :raises RequestValidationError: ``load`` was given anything that breaks the rules (code
        ``ACTION_VALIDATION_FAILED``). ``validate`` returns the messages instead.
    :raises ValueError: unknown keys are to be included; one could pose as a checked attribute.

    >>> class Renewal(WireSchema):
    ...     session_id = UUIDText(required=True)
    >>> Renewal().load({"sessionId": "0190a3f0-1111-7abc-8def-0123456789ab"})
    {'session_id': '0190a3f0-1111-7abc-8def-0123456789ab'}
    >>> Renewal().validate({"sessionID": "x"})["sessionID"]
    ['Unknown field.']
    """

    error_messages = {
        "type": "Must be an object.",
        "collection": "Must be a list of objects.",
    }

    class Meta(Schema.Meta):
        """Unknown keys are errors."""

        unknown = RAISE

    def __init__(self, **options: Any) -> None:
        """Take the options of :class:`marshmallow.Schema`.

        :raises ValueError: unknown keys are to be included.
        """
        super().__init__(**options)
        if self.unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Give the field its wire key, unless it has one."""
        if field_obj.data_key is None:
            field_obj.data_key = wire_key(field_name)

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        """Raise marshmallow's error again as one that is a ``WAIaaSError`` too."""
        raise RequestValidationError(error.messages_dict, data=error.data, valid_data=error.valid_data)

    def load(
        self,
        data: Any,
        *,
        many: bool | None = None,
        partial: Any = None,
        unknown: Any = None,
    ) -> Any:
        """Give the checked value of `data`: an object, or a list of objects where `many`.

        The parameters are those of :meth:`marshmallow.Schema.load`.

        :raises RequestValidationError: `data` breaks a rule (``ACTION_VALIDATION_FAILED``).
        :raises ValueError: unknown keys are to be included.
        """
        if unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)
        # Nearly every request is one plain dict; the look at others costs more.
        plain = isinstance(data, dict) and not (many or self.many)
        if not plain and (errors := self._shape_errors(data, many)):
            raise RequestValidationError(errors, data=data)
        return super().load(data, many=many, partial=partial, unknown=unknown)

    def validate(self, data: Any, *, many: bool | None = None, partial: Any = None) -> dict[str, list[str]]:
        """Give the messages that :meth:`load` would raise, by wire key; empty where all is well.

        The parameters are those of :meth:`marshmallow.Schema.validate`.
        """
        return self._shape_errors(data, many) or super().validate(data, many=many, partial=partial)

    def _shape_errors(self, data: Any, many: bool | None) -> dict[Any, Any]:
        """Find what is no object before any rule looks into it.

        marshmallow runs rules over several fields even on items that are no objects, and pairs
        its results with an input that may be no list; both end in other errors than its own.
        """
        many = self.many if many is None else many
        if not many:
            return {} if isinstance(data, Mapping) else {SCHEMA: [self.error_messages["type"]]}
        if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
            return {SCHEMA: [self.error_messages["collection"]]}
        return {index: errors for index, item in enumerate(data) if (errors := self._shape_errors(item, many=False))}


def wire_key(name: str) -> str:
    """Give the wire key of an attribute: ``default_wallet_id`` is ``defaultWalletId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
