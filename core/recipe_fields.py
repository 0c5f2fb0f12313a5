"""How one setting of a recipe is described: once, on its field. All that people read of it is made from there.

The type of the field and its bounds say what may stand there; `About` says what it is called and what it does.
`described` reads both as a `Setting`. The sentences of the check, the widgets of the page, labels and the README's
example come from it.
"""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from core.messages import Message

Kind = Literal["number", "count", "switch", "choice", "pair", "text"]
"""A number, a whole number, true or false, one name of several, two numbers; "text" for anything else."""


COMMENT_AT, WIDTH = 34, 115
"""Where comments begin in an example, and where its lines end, in characters."""


def _number(value: Any) -> Any:
    """Refuse True and "0.1" as numbers: pydantic would turn both into one without a word."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]


class Frozen(BaseModel):
    """A group of settings: frozen, and closed to misspelt fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Choice:
    """One of the values that a setting may have: the word that people read, and a sentence about it."""

    label: str
    help: str = ""


@dataclass(frozen=True)
class OneOf:
    """The annotation of a field that takes one name of a table, or also a text that `pattern` matches."""

    choices: Mapping[str, Choice]
    pattern: str = ""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """For pydantic: any of the names."""
        names = core_schema.literal_schema(list(self.choices))
        if not self.pattern:
            return names
        return core_schema.union_schema([names, core_schema.str_schema(pattern=self.pattern, strict=True)])


class Row(Frozen):
    """A group of settings that is a row of a table: a recipe names the row, and has its settings beside the name.

    `label` is the name on the page, `help` a sentence about it.
    """

    label: ClassVar[str]
    help: ClassVar[str]
    name: str


@dataclass(frozen=True)
class About:
    """The annotation that says what people read of a field.

    `help` is one sentence, or two. `unit` is what a number counts, `step` how far one click on the page goes.
    `advanced` settings lie in a part of the page that is closed at first. `expected` is the end of the sentence that
    names a fault, where type and bounds do not say it. `example` stands in the README for a field without a default.
    """

    title: str
    help: str
    unit: str = ""
    step: float | None = None
    advanced: bool = False
    expected: str = ""
    example: Any = None


@dataclass(frozen=True)
class Setting:
    """A setting as everything else reads it. `path` is "epochs" or "optimizer.lr", `bounds` are pydantic's ("gt": 0).

    `parts` are the two numbers of a pair, each described as a setting of its own. An `open` choice takes other texts
    too.
    """

    path: str
    kind: Kind
    about: About
    default: Any = None
    bounds: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=dict)
    parts: tuple["Setting", ...] = ()
    open: bool = False

    @property
    def title(self) -> str:
        """What it is called on the page and in tables."""
        return self.about.title

    @property
    def help(self) -> str:
        """What it does, with a sentence about each of its choices that has one."""
        return " ".join(filter(None, (self.about.help, *(choice.help for choice in self.choices.values()))))

    @property
    def step(self) -> float:
        """How far a click goes: a tenth of the default of a number, where nothing else is said."""
        if self.kind == "count":
            return 1
        return self.about.step or (self.default / 10 if self.default else 0.1)

    @property
    def expected(self) -> Message:
        """What is right, as the end of a sentence that begins with the setting and its value."""
        if self.about.expected:
            return Message(self.about.expected)
        match self.kind:
            case "choice":
                return Message("must be {choices}", choices=alternatives(tuple(self.choices)))
            case "switch":
                return Message("must be true or false")
            case "pair":
                first = self.parts[0]
                example = json.dumps(self.default)
                return Message(_PAIRS[tuple(first.bounds)], **first.bounds, example=example)
            case "count":
                template = _UNITS if self.about.unit else _COUNTS
                return Message(template, **self.bounds, unit=self.about.unit)
            case _:
                return Message(_NUMBERS[tuple(self.bounds)], **self.bounds, example=self.default)

    def as_toml(self) -> str:
        """Its line, or lines, in an example of a recipe: name, default, and what it does as a comment."""
        value = self.about.example if self.default is None else self.default
        # JSON's text, numbers and lists are TOML too, and stand on one line.
        line = f"{self.path.split('.')[-1]} = {json.dumps(value)}"
        if self.default is None and self.about.example is not None and self.bounds:
            line = f"# {line}"
        return beside(line, self._in_short())

    def _in_short(self) -> str:
        if self.choices:
            return f"{self.title}: {alternatives(tuple(self.choices))}"
        first = self.about.help.split(". ")[0].rstrip(".")
        return f"{self.title}: {first[0].lower()}{first[1:]}"


_NUMBERS: dict[tuple[str, ...], str] = {
    ("gt",): "must be a finite number above {gt:g}, such as {example:g}",
    ("ge",): "must be a finite number, {ge:g} or more",
    ("gt", "lt"): "must be a number above {gt:g} and below {lt:g}, such as {example:g}",
    ("ge", "lt"): "must be a number from {ge:g} up to, but not including, {lt:g}, such as {example:g}",
    ("ge", "le"): "must be a number from {ge:g} to {le:g}, such as {example:g}",
}
_PAIRS: dict[tuple[str, ...], str] = {
    ("ge", "lt"): "must be two numbers from {ge:g} up to, but not including, {lt:g}, such as {example}"
}
_COUNTS = "must be a whole number from {ge:,} to {le:,}"
_UNITS = "must be a whole number of {unit} from {ge} to {le}, or be left out for the weights' own"


NO_SUCH_ROW = "no_such_row"
"""What pydantic calls the fault of a name that is in no row."""


@dataclass(frozen=True)
class TableOf:
    """The annotation of a field that takes the settings of one row of a table; `about` is of its name.

    Where no name is given it is `default`, so that `--set optimizer.lr=0.01` is enough.
    """

    section: str
    about: About
    default: str
    rows: Mapping[str, type[Row]]

    @property
    def name(self) -> Setting:
        """The name of the row, as a setting."""
        choices = {name: Choice(row.label, row.help) for name, row in self.rows.items()}
        return Setting(f"{self.section}.name", "choice", self.about, default=self.default, choices=choices)

    def settings(self, name: str) -> dict[str, Setting]:
        """The settings of one row, by their path ("optimizer.lr"); its name is not among them."""
        return described(self.rows[name], self.section)

    def defaults(self, name: str) -> str:
        """A row's settings in a line: "lr 0.001, betas [0.9, 0.999], eps 1e-08"."""
        return ", ".join(f"{s.path.split('.')[-1]} {json.dumps(s.default)}" for s in self.settings(name).values())

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """For pydantic: the settings of any row, under its name."""
        write = core_schema.plain_serializer_function_ser_schema(lambda row: row.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(self._chosen, serialization=write)

    def _chosen(self, settings: Any) -> Row:
        if isinstance(settings, Row):
            return settings
        if not isinstance(settings, Mapping):
            raise ValueError("a table")
        name = settings.get("name", self.default)
        if not isinstance(name, str) or name not in self.rows:
            raise PydanticCustomError(NO_SUCH_ROW, "no such row")
        return self.rows[name].model_validate(settings)


def alternatives(names: tuple[str, ...]) -> Message:
    """Names in quotes: "auto", "cpu" or "cuda"."""
    quoted = [f'"{name}"' for name in names]
    if len(quoted) == 1:
        return Message(quoted[0])
    return Message("{others} or {last}", others=quoted[:-1], last=quoted[-1])


def beside(line: str, comment: str) -> str:
    """A line of TOML with a comment beside it, which goes on below where it is long."""
    words = textwrap.wrap(comment, WIDTH - COMMENT_AT - 2)
    lines = [line, *[""] * (len(words) - 1)]
    return "\n".join(f"{start:<{COMMENT_AT}}# {part}" for start, part in zip(lines, words, strict=True))


def described(model: type[BaseModel], section: str = "") -> dict[str, Setting]:
    """The settings of a model by their path, in its order: all fields that have an `About`."""
    fields = {f"{section}.{name}" if section else name: info for name, info in model.model_fields.items()}
    settings = {path: _setting(path, info) for path, info in fields.items()}
    return {path: setting for path, setting in settings.items() if setting}


def _setting(path: str, info: FieldInfo) -> Setting | None:
    about = next((one for one in info.metadata if isinstance(one, About)), None)
    if about is None:
        return None
    one_of = next((one for one in info.metadata if isinstance(one, OneOf)), OneOf({}))
    parts: tuple[Setting, ...] = ()
    if get_origin(info.annotation) is tuple:
        numbers = [(f"{path}.{n}", FieldInfo.from_annotation(part)) for n, part in enumerate(get_args(info.annotation))]
        parts = tuple(filter(None, (_setting(place, part) for place, part in numbers)))
    default = None if info.is_required() else info.default
    kind: Kind = "choice" if one_of.choices else "pair" if parts else _kind(info.annotation)
    return Setting(path, kind, about, default, _bounds(info), one_of.choices, parts, bool(one_of.pattern))


def _kind(annotation: Any) -> Kind:
    kinds: dict[Any, Kind] = {float: "number", int: "count", bool: "switch"}
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Union:  # A number that may be left out.
        return _kind(get_args(annotation)[0])
    return kinds.get(annotation, "text")


def _bounds(info: FieldInfo) -> dict[str, float]:
    names = ("gt", "ge", "lt", "le")
    return {name: getattr(one, name) for one in info.metadata for name in names if hasattr(one, name)}
