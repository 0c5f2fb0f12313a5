"""Sentences for people: a template and its values, so that a stored sentence can be read in any language.

    Message("{name} has {count:,} picture.", "{name} has {count:,} pictures.", name="cats", count=3)

The core makes messages, the store keeps template and values as JSON, and the edges (page, command line) put them into
words with `str` or `in_words`. A template names its values in braces, with a format where one is needed
(https://docs.python.org/3/library/string.html#format-specification-mini-language).
"""

import math
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Union

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Value = str | int | float | bool | Union["Message", tuple["Value", ...]]
Given = Value | PurePath | Sequence["Given"]
"""What a caller may give: paths become text, lists become tuples."""
Translate = Callable[[str, str | None, int], str]
"""From a template, its form for many, and the count, to the template in the reader's language."""


@dataclass(frozen=True, init=False)
class Message:
    """`one` is the template; `many` stands in for it where the value called `count` is not 1.

    A number that is not finite, and a path, are kept as text. A list is written with commas; with the format `lines`,
    on lines of its own. A template without values is plain text: braces in it mean nothing.
    """

    one: str
    many: str | None
    values: tuple[tuple[str, Value], ...]

    def __init__(self, one: str, many: str | None = None, /, **values: Given) -> None:
        object.__setattr__(self, "one", _text(one))
        object.__setattr__(self, "many", many)
        object.__setattr__(self, "values", tuple((name, _plain(value)) for name, value in sorted(values.items())))

    def __str__(self) -> str:
        return in_words(self)

    def to_json(self) -> dict[str, Any]:
        """Template and values as JSON has them; `parse` takes them back."""
        return {"one": self.one, "many": self.many, "values": {name: _json(value) for name, value in self.values}}

    @classmethod
    def parse(cls, value: object) -> "Message":
        """What `to_json` gave. Text alone is a template without values. Raises ValueError for anything else."""
        match value:
            case Message():
                return value
            case str():
                return cls(value)
            case {"one": str(one), "many": str() | None as many, "values": dict(values)}:
                return cls(one, many, **{str(name): _parsed(inner) for name, inner in values.items()})
        raise ValueError("a message")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """So that pydantic reads and writes messages that are parts of other values."""
        write = core_schema.plain_serializer_function_ser_schema(cls.to_json)
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=write)


def _english(one: str, many: str | None, count: int) -> str:
    return one if many is None or count == 1 else many


def in_words(message: Message, translate: Translate = _english) -> str:
    """The sentence, its template chosen by `translate`. A template that does not fit its values is shown as it is."""
    values = dict(message.values)
    count = values.get("count", 1)
    template = translate(message.one, message.many, count if isinstance(count, int) else 1)
    if not values:
        return template
    try:
        return _Words(translate).vformat(template, (), values)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        return template


class _Words(string.Formatter):
    """Formats plain names only: no attributes, no indices."""

    def __init__(self, translate: Translate) -> None:
        self._translate = translate

    def get_field(self, field_name: str, _args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        """The value called `field_name`. Raises KeyError."""
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        """The value as text; a format is for numbers, text stays as it is."""
        if isinstance(value, Message):
            return in_words(value, self._translate)
        if isinstance(value, tuple):
            return ("\n" if format_spec == "lines" else ", ").join(self.format_field(inner, "") for inner in value)
        return value if isinstance(value, str) else format(value, format_spec)


def percent(share: float | None) -> str:
    """0.8333 → "83.3 %"; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.1f} %"


def _text(text: str) -> str:
    """Text that every database takes: no zero bytes, no halves of characters (names of files may have them)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _plain(value: Given) -> Value:
    match value:
        case str():
            return _text(value)
        case float() if not math.isfinite(value):
            return str(value)
        case bool() | int() | float() | Message():
            return value
        case PurePath():
            return _text(str(value))
        case _:
            return tuple(_plain(inner) for inner in value)


def _json(value: Value) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    return [_json(inner) for inner in value] if isinstance(value, tuple) else value


def _parsed(value: Any) -> Any:
    if isinstance(value, dict):
        return Message.parse(value)
    return [_parsed(inner) for inner in value] if isinstance(value, list) else value
