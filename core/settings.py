"""All settings from the environment, as one frozen value: THAW_MAX_FILES is `settings().max_files`.

They are read and checked together, so that a person hears of every misspelt one at once. The README's list and
`python -m core settings` are made from the same descriptions.
"""

import dataclasses
import functools
import itertools
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BadSettings, Fault
from core.messages import Message

PREFIX = "THAW_"
LARGEST = 1_000_000_000
"""The most that an amount (seconds, GB) may be, so that it is still a number in bytes or nanoseconds."""


def _setting(default: Any, read: Callable[[str], Any], about: str) -> Any:
    """A field of `Settings`: what holds when it is not set, how its text is read, and a line about it."""
    return dataclasses.field(default=default, metadata={"read": read, "about": about})


class _Wrong(Exception):
    """A text that is not what a setting may be; `rule` says what would be right."""

    def __init__(self, rule: Message) -> None:
        self.rule = rule
        super().__init__(str(rule))


def _count(text: str) -> int:
    """A whole number above 0. Raises _Wrong."""
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 16 and int(text) > 0):
        raise _Wrong(Message("must be a whole number above 0"))
    return int(text)


def _amount(text: str) -> float:
    """A number from 0 up to LARGEST. Raises _Wrong."""
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount <= LARGEST:
        raise _Wrong(Message("must be a number from 0 to {largest:,}", largest=LARGEST))
    return amount


def _folder(text: str) -> Path:
    """An absolute path; ~ is the user's own folder. Raises _Wrong where no folder can have that name."""
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise _Wrong(Message("must be the path of a folder ({cause})", cause=str(error))) from error


def _database(text: str) -> str:
    """The address of a database; whether there can be one, and is, the store says. Raises _Wrong."""
    if "://" not in text:
        raise _Wrong(Message("must be an address like postgresql+psycopg://user:password@host/database"))
    return text


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(_folder(part) for part in text.split(os.pathsep) if part)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """MB are 10⁶ bytes, GB are 10⁹. `workers` 0 stands for one per GPU, or one on the CPU."""

    home: Path = _setting(Path("~/.thaw"), _folder, "folder of runs, weights, features and data sets")
    database_url: str = _setting("", _database, "another database for the list of runs (postgresql+psycopg://…)")
    workers: int = _setting(0, _count, "runs that train at the same time; one per GPU, or one, when not set")
    worker_idle: float = _setting(600.0, _amount, "seconds that a worker process waits for more work")
    features_gb: float = _setting(10.0, _amount, "room for kept features, in GB")
    track: str = _setting("", str, "other tools to tell of every run (tensorboard:DIR, mlflow, mlflow:URI)")
    data_roots: tuple[Path, ...] = _setting(
        (), _folders, "folders that the page may use in place, separated as in PATH"
    )
    max_archive_mb: int = _setting(200, _count, "largest archive, in MB (uploads also need --server.maxUploadSize)")
    max_unpacked_mb: int = _setting(2_000, _count, "most that one import may unpack, in MB")
    max_file_mb: int = _setting(20, _count, "largest picture file, in MB")
    max_files: int = _setting(20_000, _count, "most files in one import")
    max_ratio: int = _setting(200, _count, "most times its packed size that a file may unpack to")
    max_depth: int = _setting(4, _count, "most folders inside each other in an import")
    max_name: int = _setting(120, _count, "longest name of a file or folder in an import, in characters")
    max_side: int = _setting(10_000, _count, "longest side of a picture, in pixels")
    max_megapixels: int = _setting(40, _count, "largest picture, in millions of pixels")
    max_aspect: int = _setting(20, _count, "most times that a side of a picture may be longer than the other")
    max_classes: int = _setting(1_000, _count, "most classes in a data set")

    @property
    def feature_bytes(self) -> int:
        """Bytes that kept features may take before those unused for longest make room for new ones."""
        return int(self.features_gb * 1e9)


FIELDS = dataclasses.fields(Settings)


def variable(field: str) -> str:
    """The environment's name of a setting: "max_files" → "THAW_MAX_FILES"."""
    return PREFIX + field.upper()


def settings() -> Settings:
    """The settings of this process. Raises BadSettings with every variable that is wrong."""
    return _parsed(tuple(os.environ.get(variable(field.name), "") for field in FIELDS))


@functools.lru_cache(maxsize=8)
def _parsed(texts: tuple[str, ...]) -> Settings:
    """Remembered, since some are asked for at every picture. An empty variable counts as not set."""
    values: dict[str, Any] = {"home": _folder(str(Settings.home))}
    faults: list[Fault] = []
    for field, text in zip(FIELDS, texts, strict=True):
        if not text:
            continue
        try:
            values[field.name] = field.metadata["read"](text)
        except _Wrong as wrong:
            advice = wrong.rule
            if isinstance(field.default, int | float) and field.default:
                advice = Message("{rule}, such as {example:g}", rule=wrong.rule, example=field.default)
            faults.append(Fault(variable(field.name), text, advice))
    if faults:
        raise BadSettings(faults)
    return Settings(**values)


@dataclass(frozen=True)
class Description:
    """A setting for people: its variable, its value now and its default as text, and a line about it."""

    variable: str
    value: str
    default: str
    about: str


def described() -> list[Description]:
    """Every setting. Raises BadSettings."""
    now = settings()
    return [
        Description(
            variable(field.name), _shown(getattr(now, field.name)), _shown(field.default), field.metadata["about"]
        )
        for field in FIELDS
    ]


def readme_table() -> str:
    """The list of settings in the README, as a Markdown table."""
    rows = [f"| `{variable(field.name)}` | {_shown(field.default)} | {field.metadata['about']} |" for field in FIELDS]
    return "\n".join(["| setting | default | what it is |", "| --- | --- | --- |", *rows])


def _shown(value: object) -> str:
    """A value as text."""
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    return without_password(f"{value:g}" if isinstance(value, float) else "" if value == 0 else str(value))


def without_password(text: str) -> str:
    """A text in which passwords in addresses are not shown."""
    return re.sub(r"(?<=://)([^:/@]*):[^@]*@", r"\1:***@", text)


def torch_cache() -> Path:
    """Where PyTorch keeps downloaded weights, as torch.hub finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get("TORCH_HOME", cache / "torch")).expanduser() / "hub" / "checkpoints"


CARDS = "CUDA_VISIBLE_DEVICES"
"""CUDA's own variable: the GPUs that a process may use, by number or name, up to the first that is none."""


def named_cards() -> tuple[str, ...] | None:
    """The GPUs that this process may use; None where nobody has said which."""
    named = os.environ.get(CARDS)
    if named is None:
        return None
    return tuple(itertools.takewhile(lambda card: card not in ("", "-1"), map(str.strip, named.split(","))))


def take_card(card: str) -> None:
    """Have this process, whose torch is not loaded yet, use one GPU alone."""
    os.environ[CARDS] = card
