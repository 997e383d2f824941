"""The base of all schemas: camelCase wire keys, strict fields, one error.

marshmallow is lenient on purpose: its UUID field accepts bytes and braces, its integer field accepts strings, its list
field accepts sets. A request is JSON, so a field of this module accepts one JSON form and refuses every other one.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from marshmallow import EXCLUDE, INCLUDE, RAISE, Schema, ValidationError, fields, validate
from marshmallow.exceptions import SCHEMA
from marshmallow.types import UnknownOption

from waiaas.errors import FieldMessage, WAIaaSError
from waiaas.errors.texts import translate

#: The maximum depth of objects and lists in a JSON object of a request.
MAX_DEPTH: Final = 64

#: The maximum length of a public key, an address or an id, in characters (Unicode code points).
MAX_KEY_LENGTH: Final = 256

#: The maximum length of a session token, in characters. The daemon's tokens have about 350.
MAX_TOKEN_LENGTH: Final = 4096

#: The maximum number of keys in a request.
MAX_KEYS: Final = 100

_MAX_KEY_SHOWN: Final = 64

_Item = TypeVar("_Item")
_Loaded = TypeVar("_Loaded")
_Value = TypeVar("_Value")

# Not `\d` or IGNORECASE, which match more than ASCII digits.
_UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LARGEST = sys.float_info.max

# UTF-8 has no lone surrogates and PostgreSQL's text no NUL; JSON can express both.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# An unknown key `wallet_ids` would be loaded, unchecked, in place of the checked value of `walletIds`.
_NO_INCLUDE = "A WireSchema cannot include unknown keys: one may have the name of an attribute."


class RequestValidationError(WAIaaSError, ValidationError):
    """A request breaks a rule of its schema (code ``ACTION_VALIDATION_FAILED``).

    It is a :class:`waiaas.WAIaaSError`, with the messages in ``details["fields"]``, and a
    ``marshmallow.ValidationError``, with the messages in ``messages``. They are in English there;
    ``to_dict("ko")`` returns them in Korean.

    :param messages: the messages by wire key. Messages about the whole input are under ``_schema``, those about an
        item of a list under its index.
    :param data: the input.
    :param valid_data: the part of the input that could be loaded.

    >>> error = RequestValidationError({"ttl": [FieldMessage("integer")]})
    >>> error.code, error.details
    ('ACTION_VALIDATION_FAILED', {'fields': {'ttl': ['Must be an integer.']}})
    >>> error.to_dict("ko")["details"]
    {'fields': {'ttl': ['정수여야 합니다.']}}
    """

    def __init__(self, messages: dict[Any, Any], *, data: Any = None, valid_data: Any = None) -> None:
        # WAIaaSError's super().__init__() may already call that of ValidationError with the code; the second call
        # sets the real messages.
        WAIaaSError.__init__(self, "ACTION_VALIDATION_FAILED", details={"fields": messages})
        ValidationError.__init__(self, messages, data=data, valid_data=valid_data)

    def to_dict(self, lang: str = "en") -> dict[str, object]:
        """Return the error as :meth:`waiaas.WAIaaSError.to_dict` does, with messages about fields in the language.

        The message of your own rule is not translated, unless it is a :class:`waiaas.errors.FieldMessage`.
        """
        details = {**(self.details or {}), "fields": translate(self.messages, lang)}
        return {**super().to_dict(lang), "details": details}

    def __str__(self) -> str:
        """Return the message of the code and the messages about fields."""
        return f"{self.message} {self.messages}"


class _LeanField(fields.Field[_Value]):
    """A field that stops at the first failing validator.

    marshmallow builds a compound validator for each value, which is a large part of the time of a load.
    """

    def _validate(self, value: Any) -> None:
        for validator in self.validators:
            validator(value)


def _expected(key: str, **values: object) -> dict[str, Any]:
    """Return one message for a value of the wrong type and for null."""
    return dict.fromkeys(("invalid", "null"), FieldMessage(key, **values))


class UUIDText(_LeanField[str], fields.String):
    """A UUID as text of 36 characters, of any version and case; loaded in lower case.

    >>> UUIDText().deserialize("0190A3F0-1111-7ABC-8DEF-0123456789AB")
    '0190a3f0-1111-7abc-8def-0123456789ab'
    """

    default_error_messages = _expected("uuid")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or _UUID_TEXT.fullmatch(value) is None:
            raise self.make_error("invalid")
        return value.lower()


class StrictText(_LeanField[str], fields.String):
    """Text that every database can store, without NUL characters and lone surrogates; loaded unchanged.

    :param max_length: the maximum number of characters (Unicode code points), checked first.

    >>> StrictText().deserialize(" 지갑 1 ")
    ' 지갑 1 '
    """

    default_error_messages = {
        **_expected("text"),
        "unstorable": FieldMessage("storable_text"),
        "too_long": FieldMessage("max_characters"),
    }

    def __init__(self, *, max_length: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.max_length = max_length

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if self.max_length is not None and len(value) > self.max_length:
            raise self.make_error("too_long", count=self.max_length)
        if _UNSTORABLE.search(value) is not None:
            raise self.make_error("unstorable")
        return value


# White space in Python or in JavaScript, so that the pattern means the same in the OpenAPI document.
_SPACE = r"\s\u001c-\u001f\u0085\ufeff"

#: A validator: the text has a character that is not white space.
not_blank = validate.Regexp(rf"^[{_SPACE}]*[^{_SPACE}]", error=FieldMessage("not_blank"))


def choice_field(choices: Sequence[str], **options: Any) -> StrictText:
    """Return a field for a closed vocabulary, with one message for every other value."""
    expected = FieldMessage("one_of", choices=", ".join(choices))
    return StrictText(
        validate=validate.OneOf(choices, error=expected),
        max_length=max(map(len, choices)),
        error_messages=dict.fromkeys(("invalid", "null", "unstorable", "too_long"), expected),
        **options,
    )


class Secret(str):
    """Text whose ``repr`` does not show it, so that it does not get into a log.

    >>> token = Secret("wai_sess_...")
    >>> {"token": token}
    {'token': <secret>}
    >>> token == "wai_sess_..."
    True
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


class SecretText(StrictText):
    """Text that is loaded as a :class:`Secret`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Secret:
        return Secret(super()._deserialize(value, attr, data, **kwargs))


class StrictInteger(_LeanField[int], fields.Integer):
    """A JSON integer; as in JSON, ``300.0`` is the number 300. Booleans, strings and fractions are refused.

    >>> StrictInteger().deserialize(300.0)
    300
    """

    default_error_messages = _expected("integer")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        try:
            return _integer(value)
        except TypeError:
            raise self.make_error("invalid") from None


def integer_range(key: str, least: int, most: int) -> dict[str, Any]:
    """Return the options of an integer field for a range, with one message for every other value."""
    expected = FieldMessage(key, min=least, max=most)
    return {
        "validate": validate.Range(least, most, error=expected),
        "error_messages": dict.fromkeys(("invalid", "null"), expected),
    }


class StrictList(_LeanField[list[_Item | None]], fields.List[_Item]):
    """A JSON list; loaded completely or not at all. Sets and generators are refused.

    :param max_items: the maximum number of items, checked before the items.

    >>> StrictList(StrictInteger()).deserialize((1, 2.0))
    [1, 2]
    """

    default_error_messages = {**_expected("list"), "too_many": FieldMessage("max_items")}

    def __init__(self, inner: fields.Field[_Item], *, max_items: int | None = None, **options: Any) -> None:
        super().__init__(inner, **options)
        self.max_items = max_items

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[_Item | None]:
        if not isinstance(value, (list, tuple)):
            raise self.make_error("invalid")
        if self.max_items is not None and len(value) > self.max_items:
            raise self.make_error("too_many", count=self.max_items)
        items: list[_Item | None] = []
        errors = {}
        for index, item in enumerate(value):
            try:
                items.append(self.inner.deserialize(item, **kwargs))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            # Without valid_data marshmallow leaves the field out, so that a rule over several fields does not see
            # half a list.
            raise ValidationError(errors)
        return items


class StrictBoolean(_LeanField[bool], fields.Boolean):
    """``true`` or ``false``; text and numbers are refused.

    >>> StrictBoolean().deserialize(True)
    True
    """

    default_error_messages = _expected("boolean")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class JSONObject(_LeanField[dict[str, Any]], fields.Dict):
    """A JSON object of at most 64 levels (:data:`waiaas.schemas.MAX_DEPTH`); loaded as a new ``dict``.

    NaN and numbers beyond the range of a ``float``, which only Python's ``json`` reads, are refused.

    :param max_bytes: the maximum size as JSON in UTF-8 without spaces. A larger object is not read to its end.

    >>> JSONObject().deserialize({"spend": {"max": "10"}})
    {'spend': {'max': '10'}}
    """

    default_error_messages = {
        **_expected("object"),
        "content": FieldMessage("json", depth=MAX_DEPTH),
        "too_many_bytes": FieldMessage("max_bytes"),
    }

    def __init__(self, *, max_bytes: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.max_bytes = max_bytes

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        most = math.inf if self.max_bytes is None else self.max_bytes
        try:
            is_too_large = _least_size(value, MAX_DEPTH, most) > most
        except TypeError:
            raise self.make_error("content") from None
        if is_too_large or (self.max_bytes is not None and _size(value) > self.max_bytes):
            raise self.make_error("too_many_bytes", count=self.max_bytes)
        return dict(value)


class UnixTime(_LeanField[datetime], fields.Field[datetime]):
    """A time: Unix seconds (an integer) on the wire, an aware UTC ``datetime`` in Python.

    :raises ValueError: if a naive ``datetime`` is dumped, because its meaning depends on the timezone of the machine.

    >>> UnixTime().deserialize(2_147_483_648)
    datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.timezone.utc)
    """

    default_error_messages = _expected("time")

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> int | None:
        if value is None:
            return None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise ValueError(f"{attr} must be a timezone-aware datetime, not {value!r}")
        return (value - _EPOCH) // timedelta(seconds=1)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return _EPOCH + timedelta(seconds=_integer(value))
        except (TypeError, OverflowError):
            raise self.make_error("invalid") from None


class WireSchema(Schema):
    """A schema for the wire: camelCase keys outside, snake_case attributes inside.

    A field ``wallet_id`` has the key ``walletId`` unless it has a ``data_key``. Unknown keys are errors.

    >>> class Renewal(WireSchema):
    ...     session_id = UUIDText(required=True)
    >>> Renewal().load({"sessionId": "0190a3f0-1111-7abc-8def-0123456789ab"})
    {'session_id': '0190a3f0-1111-7abc-8def-0123456789ab'}
    >>> Renewal().validate({"sessionID": "x"})["sessionID"]
    ['Unknown field.']
    """

    error_messages = {
        "type": FieldMessage("object"),
        "collection": FieldMessage("list_of_objects"),
        "unknown": FieldMessage("unknown"),
    }

    class Meta(Schema.Meta):
        """Unknown keys are errors."""

        unknown: ClassVar[UnknownOption] = RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)
        self._wire_keys = frozenset(field.data_key for field in self.load_fields.values())

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Set the wire key of a field, and make marshmallow's own messages translatable."""
        if field_obj.data_key is None:
            field_obj.data_key = wire_key(field_name)
        inner = [field_obj.inner] if isinstance(field_obj, fields.List) else []
        for field in (field_obj, *inner):
            for key in ("required", "null"):
                if field.error_messages[key] == fields.Field.default_error_messages[key]:
                    field.error_messages[key] = FieldMessage(key)

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        """Raise marshmallow's error as a :class:`RequestValidationError`."""
        messages = _shortened(error.messages_dict)
        raise self._refusal(messages, data=error.data, valid_data=error.valid_data)

    def load(
        self,
        data: Any,
        *,
        many: bool | None = None,
        partial: Any = None,
        unknown: Any = None,
    ) -> Any:
        """Check an object, or a list of objects with ``many``; see :meth:`marshmallow.Schema.load`.

        :raises RequestValidationError: if a rule is broken (code ``ACTION_VALIDATION_FAILED``).
        :raises ValueError: if unknown keys are to be included.
        """
        if unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)
        # Nearly every request is one plain dict with known keys, for which the other checks can be skipped.
        is_plain = isinstance(data, dict) and not (many or self.many)
        if is_plain and unknown is None and data.keys() <= self._wire_keys:
            unknown = EXCLUDE
        elif errors := self._shape_errors(data, many):
            raise self._refusal(errors, data=data)
        return super().load(data, many=many, partial=partial, unknown=unknown)

    def validate(self, data: Any, *, many: bool | None = None, partial: Any = None) -> dict[str, list[str]]:
        """Return the messages that :meth:`load` would raise, by wire key; empty if the input is valid."""
        return self._shape_errors(data, many) or _shortened(super().validate(data, many=many, partial=partial))

    def _refusal(self, messages: dict[Any, Any], *, data: Any, valid_data: Any = None) -> RequestValidationError:
        return RequestValidationError(messages, data=data, valid_data=valid_data)

    def _shape_errors(self, data: Any, many: bool | None) -> dict[Any, Any]:
        """Return errors about values that are not objects or have too many keys, before any rule is applied.

        marshmallow applies rules over several fields to such values, too, and fails with other exceptions.
        """
        many = self.many if many is None else many
        if not many:
            if not isinstance(data, Mapping):
                return {SCHEMA: [self.error_messages["type"]]}
            is_too_large = self.unknown == RAISE and len(data) > MAX_KEYS
            return {SCHEMA: [FieldMessage("max_keys", count=MAX_KEYS)]} if is_too_large else {}
        if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
            return {SCHEMA: [self.error_messages["collection"]]}
        return {index: errors for index, item in enumerate(data) if (errors := self._shape_errors(item, many=False))}


class RequestSchema(WireSchema, Generic[_Loaded]):
    """A schema for what a client sends; ``load`` returns the arguments of a method of a service.

    :raises RequestValidationError: if a rule is broken (code ``ACTION_VALIDATION_FAILED``).
    """

    if TYPE_CHECKING:

        def load(  # type: ignore[override]  # A request is one object: `many` has no use here.
            self, data: Any, *, partial: bool | Collection[str] | None = None, unknown: UnknownOption | None = None
        ) -> _Loaded:
            """Return the arguments."""


class ResponseSchema(WireSchema):
    """A schema for a response: ``dump`` takes an object or a mapping, and every key is always present.

    A client can ``load`` a response; keys that it does not know, of a later version, are left out.

    :raises AttributeError: if the object lacks the attribute of a key.
    :raises KeyError: if the mapping lacks it.
    """

    class Meta(WireSchema.Meta):
        """Unknown keys are left out."""

        unknown: ClassVar[UnknownOption] = EXCLUDE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Return the value of an attribute; marshmallow would leave out a key without one."""
        return obj[attr] if isinstance(obj, Mapping) else getattr(obj, attr)


def check_as_loaded(schema: WireSchema, arguments: Mapping[str, object]) -> None:
    """Refuse arguments that are not in the form in which the fields of a schema load them.

    None is valid if it is what the schema returns for a key that was left out.

    :raises RequestValidationError: the messages are under the wire keys.
    """
    errors: dict[str, Any] = {}
    for name, value in arguments.items():
        field = schema.load_fields[name]
        if value is None and field.load_default is None:
            continue
        try:
            loaded = field.deserialize(value)
        except ValidationError as error:
            errors[wire_key(name)] = error.messages
        else:
            if (type(loaded), loaded) != (type(value), value):
                errors[wire_key(name)] = [FieldMessage("as_loaded", schema=type(schema).__name__)]
    if errors:
        raise RequestValidationError(errors)


def wire_key(name: str) -> str:
    """Return the wire key of an attribute: ``default_wallet_id`` is ``defaultWalletId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _integer(value: object) -> int:
    """Return a JSON number as an integer, or raise TypeError."""
    # `bool` is a subclass of `int`; NaN and the infinities are not `is_integer()`.
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError


def _least_size(value: object, depth: int, most: float) -> int:
    """Return the minimum number of characters of a value as JSON, or some number above `most`, where it stops.

    Raises TypeError for values that JSON does not have, and for more than `depth` levels.
    """
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, (dict, list, tuple)):
        return _least_size_of_parts(value, depth - 1, most)
    if value is None or (isinstance(value, (int, float)) and -_LARGEST <= value <= _LARGEST):  # False for NaN, too.
        return 1
    raise TypeError


def _least_size_of_parts(value: Mapping[object, object] | Sequence[object], depth: int, most: float) -> int:
    if depth < 0:
        raise TypeError
    size = 2
    parts = value.items() if isinstance(value, Mapping) else (("", each) for each in value)
    for key, each in parts:
        if not isinstance(key, str):
            raise TypeError
        size += len(key) + 1 + _least_size(each, depth, most - size)
        if size > most:
            break
    return size


def _size(value: object) -> int:
    """Return the number of bytes of a value as JSON in UTF-8 without spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


def _shortened(messages: dict[Any, Any]) -> dict[Any, Any]:
    """Shorten unknown keys, which can have any length."""
    return {
        f"{key[:_MAX_KEY_SHOWN]}…" if isinstance(key, str) and len(key) > _MAX_KEY_SHOWN else key: texts
        for key, texts in messages.items()
    }
