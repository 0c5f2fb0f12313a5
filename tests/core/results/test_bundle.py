"""A run goes from one Thaw to another in a file, and a file of anybody's does no harm."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import files, home
from core.errors import NotNow, ThawError, UnknownRun
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import shared_key
from core.jobs.kinds import request
from core.jobs.process import process_id
from core.jobs.run_files import everything_said
from core.jobs.run_kinds import EVALUATE, EXPORT, MAP, OPEN, ExportArguments, OpenArguments, RunArguments
from core.jobs.store import Store, open_store
from core.results.answers import Evaluation
from core.results.export.formats import FORMATS
from core.results.predict import classifier
from core.training.kept_model import load_model
from tests.conftest import MakeFolder, small_recipe


def done(store: Store, kind: Any, given: Any) -> Any:
    """The result of a job, done here and now; the sentence why there is none as ThawError."""
    job = request(store, kind, given, worker=process_id())
    list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended
    if ended.status != "finished":
        assert ended.traceback is None, ended.traceback
        raise ThawError(str(ended.message))
    return results.read(ended)


@pytest.fixture
def here(thaw_home: Path) -> Store:
    assert thaw_home
    return open_store()


@pytest.fixture
def packed(here: Store, make_folder: MakeFolder, tmp_path: Path) -> Path:
    """A bundle of run 1."""
    recipe = small_recipe(make_folder(**{"a": 8, "<b>&": 8}), epochs=3, precision="fp32")
    run = here.runs.start(recipe, process_id())
    list(drive(here, run.job))
    made = done(here, EXPORT, ExportArguments(run=run.id, to="bundle"))["made"]
    copy = tmp_path / "taken.zip"
    copy.write_bytes(Path(made).read_bytes())
    return copy


def opened(store: Store, file: Path) -> int:
    number: int = done(store, OPEN, OpenArguments(file=file, title=file.name))["run"]
    return number


def test_another_thaw_shows_what_the_run_was(
    here: Store, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, known = list(everything_said(here, 1)), here.runs.get(1)
    picture = next(Path(known.recipe.data).rglob("*.png"))
    answered = classifier(load_model(home.weights_file(1)))(picture)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "other"))
    there = open_store()
    run = there.runs.get(opened(there, packed))
    assert (run.status, run.val, run.kept_epoch, run.balanced_accuracy) == (
        "finished",
        known.val,
        known.kept_epoch,
        known.balanced_accuracy,
    )
    assert run.name.startswith("run 1: ")
    kinds = [type(event).__name__ for event in said if type(event).__name__ != "ArtifactSaved"]
    assert [type(event).__name__ for event in everything_said(there, run.id)] == kinds
    assert (there.runs.steps(run.id) == here.runs.steps(1)).all()
    kept = load_model(home.weights_file(run.id))
    assert kept.classes == ("<b>&", "a")
    assert classifier(kept)(picture) == answered
    job = there.jobs.shared(shared_key(EVALUATE, RunArguments(run=run.id)) or "")
    assert job
    evaluation = Evaluation.from_json(results.read(job) or {})
    assert known.val
    assert (sum(one.is_right for one in evaluation.answers), len(evaluation.answers)) == (
        known.val.right,
        known.val.images,
    )
    assert all(one.path.is_relative_to(home.run_folder(run.id)) for one in evaluation.answers)
    assert Path(run.recipe.data).is_relative_to(home.run_folder(run.id))


def test_it_is_looked_at_and_not_trained_further(here: Store, packed: Path) -> None:
    number = opened(here, packed)
    with pytest.raises(NotNow, match="came out of a bundle"):
        here.runs.resume(number, epochs=9)
    again = opened(here, Path(done(here, EXPORT, ExportArguments(run=number, to="bundle"))["made"]))
    assert here.runs.get(again).val == here.runs.get(number).val


def test_what_needs_the_training_pictures_is_refused_in_a_sentence(here: Store, packed: Path) -> None:
    number = opened(here, packed)
    exports = [ExportArguments(run=number, to=name) for name, kind in FORMATS.items() if kind.of_pictures]
    for kind, given in [(MAP, RunArguments(run=number)), *((EXPORT, export) for export in exports)]:
        with pytest.raises(ThawError, match="has its held-out pictures only"):
            done(here, kind, given)


def changed(packed: Path, name: str, change: Callable[[bytes], bytes | None]) -> Path:
    """The bundle with a file of it changed, added or, for None, left out."""
    with zipfile.ZipFile(packed) as archive:
        contents = {one: archive.read(one) for one in archive.namelist()}
    new = change(contents.get(name, b""))
    contents.pop(name, None)
    files.write_zip(packed, contents if new is None else contents | {name: new})
    return packed


def with_event(**values: Any) -> Callable[[bytes], bytes]:
    """Change the first event of the kind that `values` name."""

    def change(text: bytes) -> bytes:
        lines = [json.loads(line) for line in text.splitlines()]
        at = next(number for number, line in enumerate(lines) if line["event"] == values["event"])
        lines[at] |= values
        return "\n".join(map(json.dumps, lines)).encode()

    return change


def with_answers(**values: Any) -> Callable[[bytes], bytes]:
    return lambda text: json.dumps(json.loads(text) | values).encode()


def pickled(_content: bytes) -> bytes:
    return b"\x80\x05cposix\nsystem\n(S'touch pwned'\ntR."


HOSTILE: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "another file": ("../../evil.py", lambda _: b"print()"),
    "a file beside": ("run.py", lambda _: b"print()"),
    "no history": ("events.jsonl", lambda _: None),
    "no model": ("model.safetensors", lambda _: None),
    "a pickle": ("model.safetensors", pickled),
    "a flipped byte": ("model.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "no picture": ("pictures/000000.jpg", lambda _: b"GIF89a"),
    "a picture less": ("pictures/000000.jpg", lambda _: None),
    "no JSON": ("run.json", lambda _: b"{"),
    "deep JSON": ("run.json", lambda _: b"[" * 100_000),
    "another version": ("run.json", lambda _: b'{"version": 2, "title": "", "data": ""}'),
    "nothing said": ("run.json", lambda _: b"[]"),
    "an unknown event": ("events.jsonl", lambda text: text + b'\n{"event": "exec"}'),
    "a template": ("events.jsonl", lambda text: text + b'\n{"event": "notice", "text": {"one": "{x}", "many": null, '
                   b'"values": {"x": "y"}}}'),
    "not a number": ("events.jsonl", lambda text: text.replace(b'"loss": ', b'"loss": NaN, "x": ', 1)),
    "an endless number": ("events.jsonl", lambda text: text.replace(b'"loss": ', b'"loss": 1e999, "x": ', 1)),
    "a step beyond": ("events.jsonl", with_event(event="step_ended", step=2**40)),
    "a step twice": ("events.jsonl", lambda text: text + b"\n" + text.splitlines()[0]),
    "other classes": ("events.jsonl", with_event(event="run_started", classes=["x"])),
    "a class beyond": ("events.jsonl", with_event(event="epoch_ended", confusion=[[0, 7, 1]])),
    "answers of others": ("answers.json", with_answers(classes=["x", "y"])),
    "an answer beyond": ("answers.json", with_answers(answers=[["pictures/000000.jpg", 5, [0.5, 0.5]]])),
    "a share too many": ("answers.json", with_answers(answers=[["pictures/000000.jpg", 0, [0.5, 0.5, 0]]])),
    "a picture elsewhere": ("answers.json", with_answers(answers=[["/etc/passwd", 0, [0.5, 0.5]]])),
    "a picture above": ("answers.json", with_answers(answers=[["pictures/../../1.jpg", 0, [0.5, 0.5]]])),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_of_anybodys_is_refused_and_leaves_nothing(here: Store, packed: Path, case: str) -> None:
    file = changed(packed, *HOSTILE[case])
    with pytest.raises(ThawError, match=r"\w"):
        opened(here, file)
    with pytest.raises(UnknownRun):
        here.runs.get(2)
    assert [path.name for path in home.thaw_home().glob("runs/*")] == ["1"]
    assert not list(home.thaw_home().rglob("pwned"))


def test_what_is_no_archive_or_too_large_is_said(
    here: Store, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(ThawError, match=r"x\.zip is damaged"):
        opened(here, tmp_path / "x.zip")
    monkeypatch.setenv("THAW_MAX_ARCHIVE_MB", "1")
    with pytest.raises(ThawError, match="THAW_MAX_ARCHIVE_MB"):
        opened(here, packed)
