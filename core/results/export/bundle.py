"""A run in one file, for another Thaw to look at: its model, all that it said, and its answers with small pictures.

Who opens one does not know who packed it. So nothing of it is relied on: sizes are bounded as an archive's, only names
that a bundle has are read, weights are safetensors, pictures are decoded and written anew, values are checked against
what they must be, and every text is plain text, never the template of a sentence.
"""

import json
import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from core import events, files
from core.data.images import decode
from core.data.structure import short_name
from core.errors import BadData, BadImage
from core.events import ArtifactSaved, EpochEnded, Event, KeptTested, Notice, Progress, RunStarted, StepEnded
from core.intake.archive import Member, Unreadable, damaged, demand_small
from core.intake.zip import zip_members
from core.messages import Message
from core.recipe import Recipe
from core.results.answers import Answer, Evaluation
from core.results.export.card import Taken
from core.results.predict import evaluate
from core.settings import settings
from core.training.kept_model import KeptModel, load_model, save_model

VERSION = 1
SIDE = 320
"""Pixels of the longer side of a picture in a bundle."""
LONGEST = 100_000_000
"""Bytes of the texts in a bundle: about as much as half a million steps take."""
MOST = 2**31
"""Numbers are below it: larger ones fit into no database."""
SQUARE = 2048
"""Pixels of the largest picture that a network may ask for."""
TITLE, NOTE = 200, 2000
"""Characters that are kept of a run's title, and of what is said of its pictures."""
PICTURE = re.compile(r"pictures/\d{6}\.jpg")
HEAD, EVENTS, ANSWERS, MODEL = "run.json", "events.jsonl", "answers.json", "model.safetensors"
OPENING = Message("Opening the bundle")


def write_bundle(taken: Taken, target: Path) -> Generator[Event, None, None]:
    """Pack a run. Where its pictures are gone, its answers are left out. Raises BadCheckpoint."""
    evaluation: Evaluation | None = None
    with suppress(BadData, BadImage):
        evaluation = yield from evaluate(taken.weights_file, taken.features_folder)
    model = target.with_name(MODEL)
    save_model(taken.kept, model)
    contents: dict[str, str | bytes | Path] = {
        HEAD: json.dumps({"version": VERSION, "title": taken.facts.title, "data": taken.facts.data}),
        EVENTS: "\n".join(json.dumps(_told(event)) for event in taken.facts.events),
        MODEL: model,
    }
    if evaluation:
        named = [replace(one, path=Path(f"pictures/{number:06}.jpg")) for number, one in enumerate(evaluation.answers)]
        contents[ANSWERS] = json.dumps(replace(evaluation, answers=tuple(named)).to_json())
        contents |= {
            new.path.as_posix(): _small(decode(old.path, least=SIDE))
            for new, old in zip(named, evaluation.answers, strict=True)
        }
    files.write_zip(target, contents)
    model.unlink()


def _told(event: Event) -> dict[str, Any]:
    """An event as JSON, its sentences put into words."""
    plain = Notice(Message(str(event.text))) if isinstance(event, Notice) else event
    return {"event": events.name(plain), **events.to_dict(plain)}


def _small(picture: Image.Image) -> bytes:
    picture.thumbnail((SIDE, SIDE))
    file = BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


@dataclass(frozen=True)
class Opened:
    """What was in a bundle; its model and pictures lie in the folder that it was opened into."""

    title: str
    data: str
    recipe: Recipe
    said: tuple[Event, ...]
    evaluation: Evaluation | None


def read_bundle(file: Path, title: str, folder: Path) -> Generator[Event, None, Opened]:
    """Check a bundle and unpack it into `folder`, which is a run's; people call its file `title`.

    Raises BadData, BadCheckpoint or BadImage.
    """
    name = short_name(title)
    yield Progress(OPENING, 0, 1)
    texts: dict[str, bytes] = {}
    for member in _members(file, name):
        if member.name == MODEL:
            files.write_bytes(folder / MODEL, _content(member, name))
        elif PICTURE.fullmatch(member.name):
            content = _small(decode(_content(member, name), member.name))
            files.write_bytes(folder / member.name, content)
        elif member.name in (HEAD, EVENTS, ANSWERS):
            texts[member.name] = _content(member, name)
            if sum(map(len, texts.values())) > LONGEST:
                raise _foreign(name, Message("it says too much"))
        else:
            raise _foreign(name, Message("no bundle holds {member}", member=short_name(member.name)))
        yield Progress(OPENING, round(100 * member.share), 100)
    if not {HEAD, EVENTS} <= texts.keys() or not (folder / MODEL).is_file():
        raise _foreign(name, Message("its model or its history is missing"))
    kept = load_model(folder / MODEL)
    if not _is_plausible(kept):
        raise _foreign(name, Message("its model asks for what no network of Thaw's does"))
    recipe = kept.recipe.model_copy(update={"data": str(folder / "pictures"), "repeats": 1, "fold": None, "folds": 1})
    save_model(replace(kept, recipe=recipe), folder / MODEL)
    try:
        head = _strict(texts[HEAD])
        said = tuple(_checked_events(texts[EVENTS].decode().splitlines(), kept.classes))
        evaluation = _checked_answers(_strict(texts[ANSWERS]), folder, kept.classes) if ANSWERS in texts else None
        words, data = (Message(str(head[key])).one for key in ("title", "data"))
        if head["version"] != VERSION:
            raise _foreign(name, Message("another version of Thaw has packed it"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _foreign(name, Message("its texts are not a bundle's")) from error
    return Opened(words[:TITLE], data[:NOTE], recipe, said, evaluation)


def _members(file: Path, name: str) -> Iterator[Member]:
    """The files in it; a single one that is not as it should be spoils it all."""
    allowed, size = settings(), file.stat().st_size
    demand_small(size, name, allowed)
    # Weights are larger than pictures: a file may be as large as all may be together.
    allowed = replace(allowed, max_file_mb=allowed.max_unpacked_mb)
    with file.open("rb") as opened:
        for member in zip_members(opened, name, size, allowed):
            if not isinstance(member, Member):
                raise damaged(name, member.reason)
            yield member


def _content(member: Member, name: str) -> bytes:
    try:
        return member.read()
    except Unreadable as error:
        raise damaged(name, error.reason) from error


def _checked_events(lines: Iterable[str], classes: tuple[str, ...]) -> Iterator[Event]:
    """The events, which the pages can then show. Raises ValueError, KeyError or TypeError for other things."""
    steps = 0
    for line in lines:
        values = _strict(line)
        event = events.from_dict(values.pop("event"), values)
        match event:
            case Notice():
                if event.text.values or event.text.many is not None:
                    raise ValueError("a template where a text should be")
            case StepEnded():
                _demand(event.step > steps and event.epoch >= 0)
                steps = event.step
            case EpochEnded() | KeptTested():
                _demand(event.epoch >= 0)
                for own, told, count in event.confusion:
                    _demand(max(own, told) < len(classes) and min(own, told) >= 0 and count >= 0)
            case RunStarted():
                _demand(event.classes == classes and event.steps_done >= 0 and event.epochs_done >= 0)
            case ArtifactSaved():
                continue  # A path on another machine.
        yield event


def _strict(text: str | bytes) -> Any:
    """JSON whose numbers are finite and fit into a database. Raises ValueError or RecursionError for another text."""
    return json.loads(text, parse_float=_number, parse_int=lambda digits: int(_number(digits)), parse_constant=_number)


def _number(digits: str) -> float:
    value = float(digits)
    _demand(math.isfinite(value) and abs(value) < MOST)
    return value


def _is_plausible(kept: KeptModel) -> bool:
    """Whether its names are texts, and its pictures no larger than a network takes."""
    sides = (kept.preprocessing.crop, kept.preprocessing.resize)
    return all(isinstance(name, str) for name in kept.classes) and all(0 < side <= SQUARE for side in sides)


def _demand(holds: bool) -> None:
    if not holds:
        raise ValueError("a value beyond what a run can have")


def _checked_answers(values: Mapping[str, Any], folder: Path, classes: tuple[str, ...]) -> Evaluation:
    """The answers, with the pictures where they lie now. Raises ValueError, KeyError or TypeError for other things."""
    evaluation = Evaluation.from_json(values)
    _demand(evaluation.classes == classes and evaluation.epoch >= 0)
    for score in (evaluation.untrained, evaluation.guessing):
        _demand(score is None or 0 <= score.right <= score.images)
    return replace(evaluation, answers=tuple(_checked_answer(one, folder, len(classes)) for one in evaluation.answers))


def _checked_answer(answer: Answer, folder: Path, classes: int) -> Answer:
    _demand(isinstance(answer.label, int) and 0 <= answer.label < classes and len(answer.shares) == classes)
    _demand(all(isinstance(share, int | float) and 0 <= share <= 1 for share in answer.shares))
    _demand(bool(PICTURE.fullmatch(answer.path.as_posix())) and (folder / answer.path).is_file())
    return replace(answer, path=folder / answer.path)


def _foreign(name: str, why: Message) -> BadData:
    return BadData("{name} is no bundle of a run that Thaw can open: {why}.", name=name, why=why)
