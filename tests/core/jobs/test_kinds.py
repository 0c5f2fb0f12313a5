"""Every row of the table of kinds: its arguments, what it is asked for, and that it is carried out."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from core import home
from core.data import datasets
from core.data.scan import scan
from core.errors import BadData, BadRecipe, JobFailed
from core.events import Progress
from core.intake.archive import Member, store_upload
from core.intake.importer import create_dataset
from core.jobs import results
from core.jobs.drive import drive
from core.jobs.job import Job, Kind, shared_key
from core.jobs.kinds import KINDS, cancel, request
from core.jobs.picture_kinds import (
    CAMERA,
    IMPORTS,
    INSPECT,
    PREVIEW,
    PUBLIC,
    ArchiveArguments,
    DataArguments,
    InspectArguments,
    PreviewArguments,
    PublicArguments,
    UploadArguments,
)
from core.jobs.process import process_id
from core.jobs.results import tidy
from core.jobs.run_kinds import EXPORT, RATES, AskArguments, ExportArguments, OpenArguments, RunArguments
from core.jobs.store import Store, open_store
from core.messages import Message
from tests.conftest import MakeFolder, result_of, small_recipe
from tests.core.intake.bad_archives import GOOD, zipped

Ask = Callable[[str], BaseModel]
RESULTS = {
    "train": set(),
    "archive": {"data"},
    "upload": {"data"},
    "camera": {"data"},
    "public": {"data"},
    "inspect": {"issues", "infos", "fault"},
    "preview": {"images", "labels"},
    "rates": {"rates", "losses", "suggested", "sentence"},
    "evaluate": {"classes", "epoch", "answers", "untrained", "guessing"},
    "map": {"classes", "paths", "labels", "said", "held_out", "before", "after", "explained", "sheet"},
    "ask": {"classes", "shares", "label", "maps", "rarity", "nearest", "square"},
    "doubts": {"classes", "pictures", "doubts"},
    "more": {"points", "held_out", "next", "sentence"},
    "shortcuts": {"classes", "shortcuts"},
    "export": {"made"},
    "open": {"run"},
}
"""What each kind returns."""


@pytest.fixture
def store() -> Store:
    return open_store()


@pytest.fixture
def ask(tmp_path: Path, make_folder: MakeFolder) -> Ask:
    """Arguments for a kind, by its name, that are good."""

    def made(kind: str) -> BaseModel:
        match kind:
            case "train":
                return small_recipe(make_folder(a=4, b=4), epochs=1)
            case "archive":
                return ArchiveArguments(name="mine", source="ä", file=zipped(tmp_path / "x.zip", GOOD), title="x.zip")
            case "upload" | "camera":
                return UploadArguments(name="mine", source="", upload=uploaded(kind))
            case "public":
                return PublicArguments(name="CIFAR10", per_class=3)
            case "inspect":
                return InspectArguments(data=make_folder(a=4, b=4), val_fraction=0.25, seed=3)
            case "preview":
                return PreviewArguments(settings=small_recipe(make_folder(a=4, b=4)).model_dump(mode="json"))
            case "rates" | "doubts" | "more":
                return small_recipe(make_folder(a=4, b=4))
            case "evaluate" | "map":
                return RunArguments(run=trained())
            case "ask":
                return AskArguments(run=trained(), picture=next(make_folder(a=4, b=4).rglob("*.png")))
            case "export":
                return ExportArguments(run=trained(), to="recipe")
            case "open":
                store = open_store()
                job = request(store, EXPORT, ExportArguments(run=trained(), to="bundle"), process_id())
                list(drive(store, job))
                made = (results.read(store.jobs.get(job.id) or job) or {})["made"]
                return OpenArguments(file=Path(made), title="bundle.zip")
            case "shortcuts":
                return DataArguments(data=make_folder(a=4, b=4))
        raise AssertionError(f"give an example of {kind}")

    def trained() -> int:
        store = open_store()
        run = store.runs.start(small_recipe(make_folder(a=4, b=4), epochs=1), process_id())
        list(drive(store, run.job))
        return run.id

    return made


def uploaded(name: str) -> Path:
    folder = home.uploads_folder() / name
    if not folder.exists():
        store_upload(folder, list(GOOD.items()))
    return folder


def carried_out(store: Store, kind: Kind[Any], given: BaseModel) -> Job:
    if kind.lane == "training":
        job = store.runs.start(given, process_id()).job  # type: ignore[arg-type]
    else:
        job = request(store, kind, given, process_id())
    list(drive(store, job))
    ended = store.jobs.get(job.id)
    assert ended is not None
    return ended


@pytest.mark.parametrize("name", KINDS)
def test_arguments_cross_the_border_between_processes(name: str, ask: Ask) -> None:
    kind, given = KINDS[name], ask(name)
    assert (kind.name, isinstance(given, kind.arguments)) == (name, True)
    crossed = json.loads(json.dumps(given.model_dump(mode="json")))
    assert kind.arguments.model_validate(crossed) == given


@pytest.mark.parametrize("name", [name for name in KINDS if name != "public"])
def test_a_job_of_the_kind_is_carried_out(name: str, ask: Ask, store: Store) -> None:
    job = carried_out(store, KINDS[name], ask(name))
    assert (job.status, job.message, job.progress) == ("finished", None, None)
    assert set(results.read(job) or {}) == RESULTS[name]
    assert not list(home.uploads_folder().glob("*"))
    if KINDS[name] in IMPORTS:
        assert job.result is not None
        assert len(scan(Path(job.result["data"])).pictures) == len(GOOD)
        assert job.about == f"data:{job.result['data']}"


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.lane == "light"])
def test_arguments_that_are_wrong_are_a_sentence(name: str, ask: Ask, store: Store) -> None:
    arguments = ask(name).model_dump(mode="json") | {"colour": "green"}
    job = store.jobs.submit(name, "light", arguments, home=home.installation_id(), worker=process_id())
    with pytest.raises(JobFailed) as raised:
        list(drive(store, job))
    assert str(raised.value) == "colour = 'green': Extra inputs are not permitted"


def test_several_wrong_arguments_are_said_at_once(store: Store) -> None:
    job = store.jobs.submit("inspect", "light", {"data": 7, "val_fraction": "x", "seed": 1}, worker=process_id())
    with pytest.raises(JobFailed) as raised:
        list(drive(store, job))
    lines = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["data = 7", "val_fraction = 'x'"]


def test_a_preview_of_no_recipe_is_a_sentence(store: Store) -> None:
    with pytest.raises(BadRecipe, match="data"):
        request(store, PREVIEW, PreviewArguments(settings={"backbone": "resnet18"}))


def test_a_preview_of_no_folder_is_a_sentence(store: Store, tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path / "nowhere").model_dump(mode="json")
    with pytest.raises(BadData, match="nowhere is not a folder"):
        request(store, PREVIEW, PreviewArguments(settings=recipe))


@pytest.mark.parametrize("name", KINDS)
def test_shared_kinds_say_what_they_read_and_what_they_are_about(name: str, ask: Ask, store: Store) -> None:
    kind, given = KINDS[name], ask(name)
    shared = kind.is_shared
    assert shared == (name not in ("train", "export", "open", *(one.name for one in IMPORTS)))
    assert (shared_key(kind, given) is not None) == shared
    assert (kind.about(given, None) is not None) == (shared or name == "export")
    if kind.lane == "light":
        first, second = request(store, kind, given), request(store, kind, given)
        assert (first.id == second.id, first.home) == (shared, home.installation_id())


@pytest.mark.parametrize("kind", [INSPECT, PREVIEW, RATES])
def test_what_a_request_depends_on_is_in_its_key(kind: Kind[Any], ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ask(kind.name)
    key = shared_key(kind, given)
    assert shared_key(kind, given) == key
    assert shared_key(dataclasses.replace(kind, version=kind.version + 1), given) != key
    assert shared_key(dataclasses.replace(kind, name="other"), given) != key
    more = {"settings": {**given.settings, "seed": 4}} if kind is PREVIEW else {"seed": 4}  # type: ignore[attr-defined]
    assert shared_key(kind, given.model_copy(update=more)) != key
    monkeypatch.setenv("THAW_HOME", str(home.thaw_home() / "another"))
    assert shared_key(kind, given) != key


@pytest.fixture
def data(thaw_home: Path) -> Path:
    incoming = [Member(name, lambda content=content: content, 1.0) for name, content in GOOD.items()]
    return result_of(create_dataset(thaw_home / "data", "mine", "", incoming, "1" * 32)).folder


def swap(file: Path, aside: bool) -> None:
    """Other bytes, of the same number and date."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-20] ^= 255
    if aside:
        file.with_suffix(".new").write_bytes(content)
        file.with_suffix(".new").replace(file)
    else:
        file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_the_digest_of_pictures_changes_with_all_that_is_seen_of_them(data: Path) -> None:
    given = InspectArguments(data=data, val_fraction=0.25, seed=0)
    pictures = scan(data).pictures
    seen = [shared_key(INSPECT, given)]
    datasets.leave_out(data, [pictures[0].file])
    seen.append(shared_key(INSPECT, given))
    datasets.relabel(data, [pictures[1].file], "bb")
    seen.append(shared_key(INSPECT, given))
    swap(pictures[2].path, aside=True)
    seen.append(shared_key(INSPECT, given))
    swap(pictures[2].path, aside=False)
    seen.append(shared_key(INSPECT, given))
    pictures[3].path.unlink()
    seen.append(shared_key(INSPECT, given))
    assert len(set(seen)) == 6
    datasets.relabel(data, [pictures[1].file], pictures[1].label)
    datasets.bring_back(data, [pictures[0].file])
    assert shared_key(INSPECT, given) not in seen


def test_a_search_depends_on_weights_of_ones_own(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    recipe = small_recipe(make_folder(a=4, b=4), weights=str(weights))
    seen = [shared_key(RATES, recipe)]
    for content in (b"one", b"other"):
        weights.write_bytes(content)
        seen.append(shared_key(RATES, recipe))
    assert len(set(seen)) == 3


def test_a_search_that_cannot_be_is_a_sentence(store: Store, make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), optimizer={"name": "lbfgs"})
    job = request(store, RATES, recipe, process_id())
    with pytest.raises(JobFailed, match=r'optimizer.name = .lbfgs.: must be "adam", "sgd" or "adamw"'):
        list(drive(store, job))


def test_a_search_that_is_stopped_leaves_features_only(
    store: Store, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.drive.FLUSH_EVERY", 0.0)  # It looks for wishes after every step.
    job = request(store, RATES, small_recipe(make_folder(a=4, b=4)), process_id())
    work = drive(store, job)
    for event in work:
        if isinstance(event, Progress) and event.stage == Message("Trying learning rates"):
            store.jobs.request_stop(job.id)
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.result) == ("stopped", None)
    assert not list(home.results_folder().rglob("*"))
    assert not list(home.thaw_home().rglob("model.safetensors"))


def test_edits_that_are_taken_back_lead_to_the_old_result(data: Path) -> None:
    given = InspectArguments(data=data, val_fraction=0.25, seed=0)
    before = shared_key(INSPECT, given)
    file = scan(data).pictures[0].file
    datasets.leave_out(data, [file])
    datasets.bring_back(data, [file])
    assert shared_key(INSPECT, given) == before


def test_a_cancelled_job_that_waits_leaves_no_upload(ask: Ask, store: Store) -> None:
    job, other = request(store, CAMERA, ask("camera")), request(store, KINDS["upload"], ask("upload"))
    cancel(store, job.id)
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert ended.status == "stopped"
    assert [folder.name for folder in home.uploads_folder().iterdir()] == ["upload"]
    cancel(store, other.id)
    assert list(home.uploads_folder().iterdir()) == []
    cancel(store, "nobody knows it")


def test_an_archive_of_the_servers_stays_where_it_is(ask: Ask, store: Store, tmp_path: Path) -> None:
    job = request(store, KINDS["archive"], ask("archive"))
    cancel(store, job.id)
    assert (tmp_path / "x.zip").is_file()


def test_what_killed_processes_left_is_tidied_up(ask: Ask, store: Store, data: Path, thaw_home: Path) -> None:
    live, over = request(store, KINDS["upload"], ask("upload")), request(store, KINDS["archive"], ask("archive"))
    cancel(store, over.id)
    library = thaw_home / "data"
    unknown_and_new = library / ".staging-new"  # Perhaps an import into another database.
    kept = [library / f".staging-{live.id}", data / f".staging-{live.id}", unknown_and_new]
    unknown_and_old = library / ".staging-old"
    half = home.downloads_folder() / "cifar" / "set.tar.gz.0.partial"
    gone = [library / f".staging-{over.id}", data / f".staging-{over.id}", unknown_and_old, half]
    for folder in (*kept, *gone):
        folder.mkdir(parents=True)
    uploads = [uploaded("upload"), uploaded("fresh"), uploaded("lost")]
    for old in (unknown_and_old, half, uploads[0], uploads[2]):
        os.utime(old, (1, 1))
    tidy(store)
    assert [path.exists() for path in (*kept, *uploads[:2])] == [True] * 5
    assert [path.exists() for path in (*gone, uploads[2])] == [False] * 5


def test_a_public_data_set_says_where_it_is_from(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member(f"train/{name}", lambda content=content: content, 1.0) for name, content in GOOD.items()]
    # The downloading is tested with the real thing, in a process that can be told of another address.
    monkeypatch.setattr("core.intake.public_fetch.public_members", lambda *_: iter(members))
    job = carried_out(store, PUBLIC, PublicArguments(name="CIFAR10", per_class=2))
    assert job.result is not None
    made = datasets.read_dataset(Path(job.result["data"]))
    assert made.name == "CIFAR-10"
    assert made.source == "torchvision's CIFAR10, https://www.cs.toronto.edu/~kriz/cifar.html; licence: none stated"
