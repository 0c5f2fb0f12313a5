"""Sentences keep template and values, and are put into words in any language without a way to do harm."""

import ast
import json
import math
import re
import string
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from core import events
from core.events import Notice, Progress
from core.messages import DEEPEST, FORMAT, LONGEST, Message, in_words, percent

PLAIN = st.text() | st.integers() | st.floats() | st.booleans()
NAMES = st.text(max_size=8)


def _message(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(
        lambda one, many, named: Message(one, many, **named),
        st.text(),
        st.none() | st.text(),
        st.dictionaries(NAMES, values, max_size=4),
    )


MESSAGES = st.recursive(PLAIN, lambda inner: _message(inner) | st.lists(inner, max_size=3), max_leaves=8)
"""Values of messages: some are messages themselves, or lists."""


def nested(depth: int, template: str = "{inner}") -> Message:
    """`depth` messages, each inside the one before it."""
    message = Message("core")
    for _ in range(depth):
        message = Message(template, inner=message)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Message("{n:,} pictures", n=1234567), "1,234,567 pictures"),
        (Message("{n:,.2f} MB", n=1234.5), "1,234.50 MB"),
        (Message("{x:.1f} %", x=83.33), "83.3 %"),
        (Message("{x:.1f} %", x=83), "83.0 %"),
        (Message("{x:g} and {y:g}", x=0.001, y=1e-7), "0.001 and 1e-07"),
        (Message("{n:d}", n=7), "7"),
        (Message("{n} of {n}", n=3), "3 of 3"),
        (Message("{name:,} stays text", name="cats"), "cats stays text"),
        (Message("{{{name}}}", name="cats"), "{cats}"),
        (Message("{yes} and {no}", yes=True, no=False), "True and False"),
        (Message("{size:,}", size=10**30), "1" + ",000" * 10),
    ],
)
def test_values_are_written_into_the_template(message: Message, words: str) -> None:
    assert str(message) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 pictures"),
        (1, "1 picture"),
        (2, "2 pictures"),
        (1000, "1,000 pictures"),
        (np.int64(1), "1 picture"),
        (np.int64(2), "2 pictures"),
    ],
)
def test_the_count_chooses_the_form(count: int, words: str) -> None:
    assert str(Message("{count:,} picture", "{count:,} pictures", count=count)) == words


def test_a_form_for_many_needs_a_count() -> None:
    assert str(Message("{n} picture", "{n} pictures", n=5)) == "5 picture"
    assert str(Message("{count} picture", "{count} pictures", count="five")) == "five picture"


def test_braces_in_a_template_without_values_mean_nothing() -> None:
    for text in ("{name}", "{", "}", "{{}}", "{0.__class__}", "a {b!r} c"):
        assert str(Message(text)) == text


def test_braces_in_values_mean_nothing() -> None:
    assert str(Message("{name} is empty", name="{other} {name} {{")) == "{other} {name} {{ is empty"


def test_messages_are_written_into_messages() -> None:
    pictures = Message("{count} picture", "{count} pictures", count=2)
    assert str(Message("{what} in {folder}", what=pictures, folder="cats")) == "2 pictures in cats"


def test_lists_are_written_with_commas_or_on_lines_of_their_own() -> None:
    parts = ["a", 2, 0.5, Message("{x} c", x="b")]
    assert str(Message("These: {parts}.", parts=parts)) == "These: a, 2, 0.5, b c."
    assert str(Message("{parts:lines}", parts=parts)) == "a\n2\n0.5\nb c"
    assert str(Message("{parts} or {parts:lines}", parts=["a", "b"])) == "a, b or a\nb"
    assert str(Message("[{parts}]", parts=[])) == "[]"
    assert str(Message("{parts}", parts=[["a", "b"], ["c"]])) == "a, b, c"


def test_what_json_does_not_have_becomes_text() -> None:
    message = Message("{a} {b} {c} {d}", a=math.nan, b=math.inf, c=-math.inf, d=Path("folder") / "file")
    assert dict(message.values) == {"a": "nan", "b": "inf", "c": "-inf", "d": str(Path("folder") / "file")}
    assert str(Message("{a:.1f}", a=math.nan)) == "nan"


def test_numbers_of_numpy_become_those_of_python() -> None:
    values = dict(Message("", a=np.int64(3), b=np.float32(0.5)).values)
    assert values == {"a": 3, "b": 0.5}
    assert [type(value) for value in values.values()] == [int, float]


def test_text_that_no_database_takes_is_mended() -> None:
    message = Message("a\0b {name}", name="x\0y\ud800")
    assert str(message) == "a\N{REPLACEMENT CHARACTER}b x\N{REPLACEMENT CHARACTER}y?"


MISFITS = """
{x.__class__} {x.__class__.__mro__[1]} {x[0]} {x!r} {x!s} {n!a} {unknown} {} {0} { } {x x} {x!}
{n:{n}} {n:1000000000} {n:0>999999999} {n:.999999999f} {n:.1f}{huge:.1f} {n:x} {n:b} {n:_} {n:lines} {n:.1d}
"""


@pytest.mark.parametrize("template", MISFITS.split())
def test_a_template_that_does_not_fit_is_shown_as_it_is(template: str) -> None:
    assert str(Message(template, x="text", n=5, huge=10**400)) == template


def test_text_takes_no_width_from_a_template() -> None:
    assert str(Message("{x:>999999999}{m:>999999999}", x="a", m=Message("b"))) == "ab"


def test_a_value_that_does_not_fit_spoils_only_its_own_message() -> None:
    inner = Message("{x.real} {n}", n=1)
    assert str(Message("Told: {inner}", inner=inner)) == "Told: {x.real} {n}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Message("{x}" * 30_000, x="y" * 100_000),
        lambda: Message("{x}" * 30_000, x=["y" * 1000] * 100),
        lambda: Message("{x}", x=[Message("{y}" * 1000, y="z" * 1000)] * 1000),
        lambda: nested(DEEPEST, "{inner}" * 1000),
        lambda: Message("{inner}", inner=nested(DEEPEST, "{inner}{inner:lines}{inner:a}" * 1000)),
    ],
)
def test_a_sentence_can_neither_fill_the_memory_nor_take_for_ever(make: Callable[[], Message]) -> None:
    message = make()
    tracemalloc.start()
    words = str(message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(words) == LONGEST + 1
    assert words.endswith("…")
    assert peak < 20 * LONGEST


def test_an_empty_message_that_is_named_often_in_many_layers_is_put_into_words_once() -> None:
    asked: list[str] = []

    def listen(one: str, _many: str | None, _count: int) -> str:
        asked.append(one)
        return one

    message = Message("")
    for _ in range(DEEPEST):
        message = Message("{inner}" * 1000, inner=message)
    assert in_words(message, listen) == ""
    assert len(asked) == DEEPEST + 1


def test_a_sentence_of_the_greatest_length_is_whole() -> None:
    assert str(Message("{x}!", x="y" * (LONGEST - 1))) == "y" * (LONGEST - 1) + "!"
    assert str(Message("{x}!", x="y" * LONGEST)) == "y" * LONGEST + "…"
    assert str(Message("{x}", x=["y" * (LONGEST - 3), "z"])) == "y" * (LONGEST - 3) + ", z"


@given(st.text(), st.dictionaries(NAMES, MESSAGES, max_size=4))
def test_no_template_raises(template: str, values: dict[str, Any]) -> None:
    assert isinstance(str(Message(template, template, **values)), str)


@given(st.lists(st.sampled_from(["{", "}", "x", "!", "r", ":", ",", ".", "9", "f", "[", "]", "count"])).map("".join))
def test_no_template_made_of_pieces_of_templates_raises(template: str) -> None:
    assert isinstance(str(Message(template, x=1.5, r="text", count=2)), str)


@given(_message(MESSAGES))
def test_json_and_back(message: Message) -> None:
    again = Message.parse(json.loads(json.dumps(message.to_json(), allow_nan=False)))
    assert again == message
    assert str(again) == str(message)
    assert hash(again) == hash(message)


def test_messages_are_compared_by_template_and_values() -> None:
    message = Message("{a} {b}", a=1, b=["x", Message("y")])
    assert message == Message("{a} {b}", b=("x", Message("y")), a=1)
    others = {Message("{a}", a=1), Message("{a}", a=2), Message("{b}", b=1), Message("{a}", "{a}", a=1), Message("1")}
    assert len(others) == 5
    assert len({message, Message("{a} {b}", b=("x", Message("y")), a=1)}) == 1


def test_text_of_old_is_a_template_without_values() -> None:
    assert Message.parse("100 % {of} it") == Message("100 % {of} it")
    assert str(Message.parse("100 % {of} it")) == "100 % {of} it"
    assert Message.parse(Message("x")) == Message("x")


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        1,
        1.5,
        True,
        b"x",
        [],
        ["x"],
        {},
        {"one": "x"},
        {"one": "x", "many": None},
        {"one": "x", "values": {}},
        {"one": 1, "many": None, "values": {}},
        {"one": "x", "many": 1, "values": {}},
        {"one": "x", "many": None, "values": []},
        {"one": "{a}", "many": None, "values": {"a": {"two": "x"}}},
        {"one": "{a}", "many": None, "values": {"a": [{}]}},
    ],
)
def test_rubbish_is_no_message(rubbish: object) -> None:
    with pytest.raises(ValueError, match="neither a message nor text"):
        Message.parse(rubbish)


def test_values_of_a_stored_message_may_not_lie_too_deep() -> None:
    assert Message.parse(nested(DEEPEST).to_json()) == nested(DEEPEST)
    assert str(nested(DEEPEST)) == "core"
    with pytest.raises(ValueError, match=f"more than {DEEPEST} values inside each other"):
        Message.parse(nested(DEEPEST + 1).to_json())
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(ValueError, match=f"more than {DEEPEST} values inside each other"):
        Message.parse({"one": "{a}", "many": None, "values": {"a": deep}})


class _Model(BaseModel):
    text: Message
    reason: Message | None = None


@dataclass(frozen=True)
class _Value:
    told: tuple[Message, ...]


def test_a_field_of_a_pydantic_model() -> None:
    model = _Model(text=Message("{a}", a=1), reason=Message("b"))
    assert _Model.model_validate_json(model.model_dump_json()) == model
    assert _Model.model_validate({"text": "plain {old}"}) == _Model(text=Message("plain {old}"))
    with pytest.raises(ValidationError, match="neither a message nor text"):
        _Model.model_validate({"text": 5})


def test_a_field_of_a_dataclass_that_pydantic_reads() -> None:
    kind = TypeAdapter(_Value)
    value = _Value((Message("{a}", a=1), Message("b")))
    assert kind.validate_json(kind.dump_json(value)) == value


@given(_message(MESSAGES))
def test_a_field_of_events(message: Message) -> None:
    for event in (Notice(message), Progress(message, 1, 2)):
        stored = json.loads(json.dumps(events.to_dict(event)))
        assert events.from_dict(events.name(event), stored) == event


def _shouted(one: str, many: str | None, count: int) -> str:
    """A made-up language: its words are in capitals, two of a thing have a form of their own."""
    english = one if many is None or count == 1 else many
    words = english.replace("picture", "PIC").replace("left out", "OUT").replace("because", "FOR")
    return words.replace("PICs", "PIC-PIC") if count == 2 else words


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 PIC OUT FOR bad, 1 PIC"), (2, "2 PIC-PIC OUT FOR bad, 1 PIC"), (3, "3 PICs OUT FOR bad, 1 PIC")],
)
def test_another_language_reaches_messages_inside_messages(count: int, words: str) -> None:
    pictures = Message("{count} picture", "{count} pictures", count=count)
    reasons = ["bad", Message("{count} picture", "{count} pictures", count=1)]
    message = Message("{what} left out because {reasons}", what=pictures, reasons=reasons)
    assert in_words(message, _shouted) == words
    assert in_words(Message("picture"), _shouted) == "PIC"


def test_a_damaged_translation_is_shown_as_it_is() -> None:
    assert in_words(Message("{a}", a=1), lambda _one, _many, _count: "{a.real} {b}") == "{a.real} {b}"


def test_shares_are_percentages() -> None:
    assert (percent(0.8333), percent(1), percent(None)) == ("83.3 %", "100.0 %", "–")


def test_every_template_in_the_source_asks_for_formats_that_exist() -> None:
    for path in (Path(__file__).parents[2] / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\{\w+:[^}]", node.value):
                formats = [spec for _, name, spec, _ in string.Formatter().parse(node.value) if name and spec]
                assert all(spec == "lines" or FORMAT.fullmatch(spec) for spec in formats), (path, node.lineno)
