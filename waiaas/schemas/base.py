"""What every schema shares: camelCase wire keys, strict fields, one error.

marshmallow is lenient on purpose: its UUID field takes bytes and braces, its integer field
takes strings, its list field takes sets. A request from the wire is JSON, so here a field
takes the one JSON form that was meant and refuses every other with a message that says what
was expected.
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

from waiaas.errors import WAIaaSError
from waiaas.schemas.messages import messages_in

__all__ = [
    "MAX_DEPTH",
    "MAX_KEYS",
    "MAX_KEY_LENGTH",
    "MAX_TOKEN_LENGTH",
    "JSONObject",
    "RequestSchema",
    "RequestValidationError",
    "ResponseSchema",
    "Secret",
    "SecretText",
    "StrictBoolean",
    "StrictInteger",
    "StrictList",
    "StrictText",
    "UUIDText",
    "UnixTime",
    "WireSchema",
]

#: The most levels of objects and lists, one in another, that a JSON object of a request may have.
MAX_DEPTH: Final = 64

#: The most characters (Unicode code points) that a public key, an address or an id may have.
MAX_KEY_LENGTH: Final = 256

#: The most characters that a session token may have; those of the daemon have about 350.
MAX_TOKEN_LENGTH: Final = 4096

#: The most keys that a request may have.
MAX_KEYS: Final = 100

# What an error repeats of an unknown key.
_KEY_SHOWN: Final = 64

_Item = TypeVar("_Item")
_Loaded = TypeVar("_Loaded")
_Value = TypeVar("_Value")

# Spelt out rather than `\d` or IGNORECASE: only ASCII digits are meant.
_UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LARGEST = sys.float_info.max

# UTF-8 has no lone surrogates and PostgreSQL's text no NUL; JSON can name both.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_UUID_EXPECTED = "Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens."


_TOO_MANY_KEYS = f"Must have at most {MAX_KEYS} keys."

# An unknown key `wallet_ids` would be taken over under that name, unchecked, where the checked
# value of `walletIds` belongs.
_NO_INCLUDE = "A WireSchema cannot include unknown keys: one may have the name of an attribute."


class RequestValidationError(WAIaaSError, ValidationError):
    """A request that broke the rules of its schema, code ``ACTION_VALIDATION_FAILED``.

    It is both errors at once: ``except WAIaaSError`` gets ``code``, ``details`` and
    ``to_dict()`` as from every other failure of the library, and ``except
    marshmallow.ValidationError`` gets ``messages`` and ``normalized_messages()`` as from every
    other schema. ``details["fields"]`` is ``messages``, in English; ``to_dict("ko")`` has them in
    Korean.

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

    def to_dict(self, lang: str = "en") -> dict[str, object]:
        """Give the error as :meth:`waiaas.WAIaaSError.to_dict` does, the messages of the fields in that language too.

        The message of a rule of your own, which the library has in no other language, stays as it is.

        >>> error = RequestValidationError({"ttl": ["Must be an integer."]})
        >>> error.to_dict("ko")["details"]
        {'fields': {'ttl': ['정수여야 합니다.']}}
        """
        details = {**(self.details or {}), "fields": messages_in(lang, self.messages)}
        return {**super().to_dict(lang), "details": details}

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

    :param max_length: the most characters (Unicode code points), counted before anything else is done with the text.
    :raises marshmallow.ValidationError: the value is anything else.

    >>> StrictText().deserialize(" 지갑 1 ")
    ' 지갑 1 '
    """

    default_error_messages = {
        "invalid": "Must be text.",
        "null": "Must be text.",
        "unstorable": "Must be text without NUL characters and lone surrogates.",
        "too_long": "Must have at most {count} characters.",
    }

    def __init__(self, *, max_length: int | None = None, **options: Any) -> None:
        """Take the longest length, and the options of :class:`marshmallow.fields.String`."""
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
        max_length=max(map(len, words)),
        error_messages=dict.fromkeys(("invalid", "null", "unstorable", "too_long"), expected),
        **options,
    )


class Secret(str):
    """Text whose ``repr`` does not show it, so that no log of a request or of a statement does.

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
    """Text that is nobody's to see, loaded as a :class:`Secret`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Secret:
        return Secret(super()._deserialize(value, attr, data, **kwargs))


class StrictInteger(_LeanField[int], fields.Integer):
    """An integer as in JSON, where ``300.0`` is the number 300: loaded as an ``int``.

    Booleans, strings, fractions, ``NaN`` and the infinities are refused.

    :raises marshmallow.ValidationError: the value is anything else.

    >>> StrictInteger().deserialize(300.0)
    300
    """

    default_error_messages = {"invalid": "Must be an integer.", "null": "Must be an integer."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        try:
            return _integer(value)
        except TypeError:
            raise self.make_error("invalid") from None


class StrictList(_LeanField[list[_Item | None]], fields.List[_Item]):
    """A list whose items are all good, or an error: never the part that could be loaded.

    A ``list`` or a ``tuple`` is taken and a new ``list`` is given; sets and generators, which
    marshmallow takes, are refused, for they have no order or can be read only once.

    :param max_items: the most items, counted before any item is looked at.
    :raises marshmallow.ValidationError: the value is no list, or an item is wrong; then the
        messages stand under the index of the item.

    >>> StrictList(StrictInteger()).deserialize((1, 2.0))
    [1, 2]
    """

    default_error_messages = {
        "invalid": "Must be a list.",
        "null": "Must be a list.",
        "too_many": "Must have at most {count} items.",
    }

    def __init__(self, inner: fields.Field[_Item], *, max_items: int | None = None, **options: Any) -> None:
        """Take the field of the items, their greatest number, and the options of :class:`marshmallow.fields.List`."""
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
            # Without valid_data marshmallow leaves the field out, so that a rule over several
            # fields does not judge half a list.
            raise ValidationError(errors)
        return items


class StrictBoolean(_LeanField[bool], fields.Boolean):
    """A boolean as in JSON; text and numbers, which marshmallow takes, are refused.

    :raises marshmallow.ValidationError: the value is anything else.

    >>> StrictBoolean().deserialize(True)
    True
    """

    default_error_messages = {"invalid": "Must be true or false.", "null": "Must be true or false."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class JSONObject(_LeanField[dict[str, Any]], fields.Dict):
    """A JSON object: a ``dict`` of what JSON has, loaded as a new, shallow ``dict``.

    That is: keys that are ``str``; values that are None, ``bool``, ``str``, ``int``, ``float``, lists, tuples
    and such dictionaries, at most 64 levels deep (:data:`waiaas.schemas.MAX_DEPTH`). NaN and numbers beyond the
    range of a ``float``, which Python's ``json`` reads but no other does, are refused.

    :param max_bytes: the most bytes of the object as JSON in UTF-8 without spaces. What is larger is not looked at
        any further.
    :raises marshmallow.ValidationError: the value is no such ``dict``.

    >>> JSONObject().deserialize({"spend": {"max": "10"}})
    {'spend': {'max': '10'}}
    """

    default_error_messages = {
        "invalid": "Must be an object.",
        "null": "Must be an object.",
        "content": f"Must contain only JSON: no NaN, no infinite numbers, at most {MAX_DEPTH} levels.",
        "too_many_bytes": "Must have at most {count} bytes as JSON.",
    }

    def __init__(self, *, max_bytes: int | None = None, **options: Any) -> None:
        """Take the largest size, and the options of :class:`marshmallow.fields.Dict`."""
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
    """A moment: Unix seconds (an integer) on the wire, an aware UTC ``datetime`` in Python.

    An aware ``datetime`` of any timezone is dumped, rounded down to whole seconds.

    :raises marshmallow.ValidationError: what is loaded is no integer, or outside the years 1 to 9999.
    :raises ValueError: what is dumped is no aware ``datetime``: which moment a naive one means depends on the
        machine that asks.

    >>> UnixTime().deserialize(2_147_483_648)
    datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.timezone.utc)
    """

    default_error_messages = dict.fromkeys(("invalid", "null"), "Must be a time: an integer, in Unix seconds.")

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
    """A schema for what comes over the wire: camelCase outside, snake_case inside.

    A field ``wallet_id`` reads and writes the key ``walletId`` unless it was given a
    ``data_key`` of its own. An unknown key is refused under its own name; one that a ``pre_load``
    hook adds is left out.

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

        unknown: ClassVar[UnknownOption] = RAISE

    def __init__(self, **options: Any) -> None:
        """Take the options of :class:`marshmallow.Schema`.

        :raises ValueError: unknown keys are to be included.
        """
        super().__init__(**options)
        if self.unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)
        self._wire_keys = frozenset(field.data_key for field in self.load_fields.values())

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Give the field its wire key, unless it has one."""
        if field_obj.data_key is None:
            field_obj.data_key = wire_key(field_name)

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        """Raise marshmallow's error again as one that is a ``WAIaaSError`` too."""
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
        """Give the checked value of `data`: an object, or a list of objects where `many`.

        The parameters are those of :meth:`marshmallow.Schema.load`.

        :raises RequestValidationError: `data` breaks a rule (``ACTION_VALIDATION_FAILED``).
        :raises ValueError: unknown keys are to be included.
        """
        if unknown == INCLUDE:
            raise ValueError(_NO_INCLUDE)
        # Nearly every request is one plain dict of known keys; the looks at others cost more.
        is_plain = isinstance(data, dict) and not (many or self.many)
        if is_plain and unknown is None and data.keys() <= self._wire_keys:
            unknown = EXCLUDE
        elif errors := self._shape_errors(data, many):
            raise self._refusal(errors, data=data)
        return super().load(data, many=many, partial=partial, unknown=unknown)

    def validate(self, data: Any, *, many: bool | None = None, partial: Any = None) -> dict[str, list[str]]:
        """Give the messages that :meth:`load` would raise, by wire key; empty where all is well.

        The parameters are those of :meth:`marshmallow.Schema.validate`.
        """
        return self._shape_errors(data, many) or _shortened(super().validate(data, many=many, partial=partial))

    def _refusal(self, messages: dict[Any, Any], *, data: Any, valid_data: Any = None) -> RequestValidationError:
        return RequestValidationError(messages, data=data, valid_data=valid_data)

    def _shape_errors(self, data: Any, many: bool | None) -> dict[Any, Any]:
        """Find what is no object, or has too many keys, before any rule looks into it.

        marshmallow runs rules over several fields even on items that are no objects, and pairs
        its results with an input that may be no list; both end in other errors than its own.
        """
        many = self.many if many is None else many
        if not many:
            if not isinstance(data, Mapping):
                return {SCHEMA: [self.error_messages["type"]]}
            is_too_large = self.unknown == RAISE and len(data) > MAX_KEYS
            return {SCHEMA: [_TOO_MANY_KEYS]} if is_too_large else {}
        if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
            return {SCHEMA: [self.error_messages["collection"]]}
        return {index: errors for index, item in enumerate(data) if (errors := self._shape_errors(item, many=False))}


class RequestSchema(WireSchema, Generic[_Loaded]):
    """A schema for what a client sends; `load` returns the arguments of a method of a service.

    :raises RequestValidationError: ``load`` was given anything that breaks the rules (code
        ``ACTION_VALIDATION_FAILED``).
    """

    if TYPE_CHECKING:

        def load(  # type: ignore[override]  # A request is one object: `many` has no use here.
            self, data: Any, *, partial: bool | Collection[str] | None = None, unknown: UnknownOption | None = None
        ) -> _Loaded:
            """Return the arguments."""


class ResponseSchema(WireSchema):
    """A schema for what the service answers: made by ``dump`` from an object or a mapping.

    Every key is always there. ``load`` takes an answer apart again, on the side of a client; keys that it does not
    know, of a later version, are left out.

    :raises AttributeError: the object lacks an attribute that a key is made from.
    :raises KeyError: the mapping lacks it.
    """

    class Meta(WireSchema.Meta):
        """Unknown keys are skipped."""

        unknown: ClassVar[UnknownOption] = EXCLUDE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Give the value of an attribute; marshmallow would leave the key of a missing one out in silence."""
        return obj[attr] if isinstance(obj, Mapping) else getattr(obj, attr)


def check_as_loaded(schema: WireSchema, arguments: Mapping[str, object]) -> None:
    """Refuse arguments that are not in the form in which the fields of `schema` load them.

    None is good if it is what the schema returns for a key that was left out.

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
                errors[wire_key(name)] = [f"Must be a result of {type(schema).__name__}().load."]
    if errors:
        raise RequestValidationError(errors)


def wire_key(name: str) -> str:
    """Give the wire key of an attribute: ``default_wallet_id`` is ``defaultWalletId``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _integer(value: object) -> int:
    """Give the integer that a JSON number is, or raise TypeError."""
    # `bool` is a subclass of `int`; NaN and the infinities are not `is_integer()`.
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError


def _least_size(value: object, depth: int, most: float) -> int:
    """Return how many characters a value has at least as JSON, or some number above `most`: it stops counting there.

    Raises TypeError for what JSON does not have, and for more than `depth` levels.
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
    """Return how many bytes a value has as JSON in UTF-8 without spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


def _shortened(messages: dict[Any, Any]) -> dict[Any, Any]:
    """Shorten unknown keys, which may have any length."""
    return {
        f"{key[:_KEY_SHOWN]}…" if isinstance(key, str) and len(key) > _KEY_SHOWN else key: texts
        for key, texts in messages.items()
    }
