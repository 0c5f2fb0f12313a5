"""Sentences for people: a template and its values, so that a stored sentence can be read in any language.

    Message("{name} has {count:,} picture.", "{name} has {count:,} pictures.", name="cats", count=3)

The core makes messages, the store keeps template and values as JSON, and the edges (page, command line) put them into
words with `str` or `in_words`. A template names its values in braces. A number may have a format: `{size:,}`,
`{share:.0%}`, `{rate:g}`; a list may have `{names:lines}`. Nothing else is a format, so that a damaged or hostile
template can neither reach into objects nor fill the memory.
"""

import functools
import math
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Union

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Value = str | int | float | bool | Union["Message", tuple["Value", ...]]
Given = Value | PurePath | Sequence["Given"]
"""What a caller may give: paths become text, lists become tuples."""
Translate = Callable[[str, str | None, int], str]
"""From a template, its form for many, and the count, to the template in the reader's language."""

DEEPEST = 8
"""How many messages a stored message may hold inside each other. Ours hold three at most."""
LONGEST = 100_000
"""Characters of a sentence with values; what is longer is cut off."""
FORMAT = re.compile(r",?(\.\d\d?)?[dfg%]?")
"""The formats that a number may have."""
_CUT_OFF = "…"


@dataclass(frozen=True, init=False)
class Message:
    """`one` is the template; `many` stands in for it where the value called `count` is not 1.

    A number that is not finite, a path, and an object of another kind are kept as text. A list is written with commas;
    with the format `lines`, on lines of its own. A template without values is plain text: braces in it mean nothing.
    """

    one: str
    many: str | None
    values: tuple[tuple[str, Value], ...]

    def __init__(self, one: str, many: str | None = None, /, **values: Given) -> None:
        object.__setattr__(self, "one", _text(one))
        object.__setattr__(self, "many", None if many is None else _text(many))
        kept = {_text(name): _plain(value) for name, value in values.items()}
        object.__setattr__(self, "values", tuple(sorted(kept.items())))

    def __str__(self) -> str:
        return in_words(self)

    def to_json(self) -> dict[str, Any]:
        """Template and values as JSON has them; `parse` takes them back."""
        return {"one": self.one, "many": self.many, "values": {name: _json(value) for name, value in self.values}}

    @classmethod
    def parse(cls, value: object) -> "Message":
        """What `to_json` gave. Text alone is a template without values. Raises ValueError for anything else."""
        return _parsed_message(value, DEEPEST)

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
        return _filled(template, values, translate)
    except (KeyError, ValueError, OverflowError):
        return template


def _filled(template: str, values: Mapping[str, Value], translate: Translate) -> str:
    """The template with its values. Raises KeyError, ValueError or OverflowError where they do not fit.

    A message or a list that the template names many times is put into words once: a few that hold each other would
    otherwise take for ever.
    """

    @functools.cache
    def words(name: str, form: str) -> str:
        return _worded(values[name], form, translate)

    def parts() -> Iterator[str]:
        for text, name, form, conversion in string.Formatter().parse(template):
            yield text
            if conversion is not None:
                raise ValueError("a template converts nothing")
            if name is not None:
                yield words(name, form or "")

    return _joined(parts())


def _worded(value: Value, form: str, translate: Translate) -> str:
    """A value as text; a format is for numbers, text stays as it is. Raises ValueError for another format."""
    if isinstance(value, Message):
        return in_words(value, translate)
    if isinstance(value, tuple):
        return _joined((_worded(inner, "", translate) for inner in value), "\n" if form == "lines" else ", ")
    if isinstance(value, str):
        return value
    if not FORMAT.fullmatch(form):
        raise ValueError("no format for numbers")
    return format(value, form)


def _joined(parts: Iterable[str], between: str = "") -> str:
    """The parts in a row. Reads no more of them than LONGEST characters need, and cuts off what is longer."""
    kept: list[str] = []
    length = 0
    for part in parts:
        kept.append(part)
        length += len(between) + len(part)
        if length - len(between) > LONGEST:
            return between.join(kept)[:LONGEST] + _CUT_OFF
    return between.join(kept)


def percent(share: float | None) -> str:
    """0.8333 → "83.3 %"; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.1f} %"


def _text(text: str) -> str:
    """Text that every database takes: no zero bytes, no halves of characters (names of files may have them)."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _plain(value: object) -> Value:
    """A value as it is kept. NumPy's numbers become Python's, so that a `count` of theirs counts."""
    match value:
        case str():
            return _text(value)
        case bool() | Message():
            return value
        case Integral():
            return int(value)
        case Real() if math.isfinite(value):
            return float(value)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return tuple(_plain(inner) for inner in value)
        case _:
            return _text(str(value))


def _json(value: Value) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    return [_json(inner) for inner in value] if isinstance(value, tuple) else value


def _parsed_message(value: object, depth: int) -> Message:
    """A message from JSON, with at most `depth` values inside each other. Raises ValueError."""
    match value:
        case Message():
            return value
        case str():
            return Message(value)
        case {"one": str(one), "many": str() | None as many, "values": dict(values)}:
            return Message(one, many, **{str(name): _parsed(inner, depth) for name, inner in values.items()})
    raise ValueError("neither a message nor text")


def _parsed(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise ValueError(f"a message with more than {DEEPEST} values inside each other")
    return _parsed_message(value, depth - 1) if isinstance(value, dict) else [_parsed(one, depth - 1) for one in value]
