"""What tests share: image folders of their own, and a THAW_HOME of their own."""

import ctypes
import gc
import platform
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
from PIL import Image

from core.recipe import Recipe
from core.recipe_settings import parse

SAMPLE_DATA = Path(__file__).parents[1] / "sample_data"

GLIBC = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
FREED, GARBAGE = 50_000_000, 100_000_000
"""Bytes that may come together before freed memory goes back to the system, and before garbage is collected."""
memory = {"after it was given back": 0, "after garbage was collected": 0}
"""Bytes that this process then had."""

SLOW = (
    "tests/browser/",
    "tests/core/backbones/test_build.py::test_a_forward_pass",
    "tests/core/backbones/test_build.py::test_a_new_head_begins_near_chance",
    "tests/core/backbones/test_build.py::test_cached_weights",
    "tests/core/backbones/test_build.py::test_every_head",
    "tests/core/backbones/test_build.py::test_weights_from_the_cache",
    "tests/core/backbones/test_bundled_weights.py::test_mobilenet_features",
    "tests/core/backbones/test_bundled_weights.py::test_squeezenet_names_photos",
    "tests/core/backbones/test_catalogue.py::test_blocks_are",
    "tests/core/backbones/test_catalogue.py::test_everything",
    "tests/core/backbones/test_catalogue.py::test_sizes_that_run",
    "tests/core/backbones/test_catalogue.py::test_the_file_says_what_a_survey_says_now",
    "tests/core/backbones/test_cut.py::test_every_backbone",
    "tests/core/backbones/test_cut.py::test_prefix_then_rest",
    "tests/core/backbones/test_cut.py::test_the_catalogue_knows",
    "tests/core/backbones/test_cut.py::test_the_prefix_is_as_long",
    "tests/core/backbones/test_cut.py::test_training_from_the_first",
    "tests/core/backbones/test_freeze.py::test_dropout_is_off",
    "tests/core/backbones/test_freeze.py::test_frozen_pretrained",
    "tests/core/backbones/test_freeze.py::test_only_the_chosen",
    "tests/core/intake/test_bombs.py",
    "tests/core/intake/test_fuzz.py",
    "tests/core/intake/test_importer.py::test_long_names",
    "tests/core/jobs/test_crash.py",
    "tests/core/jobs/test_drive.py",
    "tests/core/jobs/test_family.py::test_a_worker_trains",
    "tests/core/jobs/test_family.py::test_each_picture",
    "tests/core/jobs/test_migration_faults.py",
    "tests/core/jobs/test_mishaps.py",
    "tests/core/jobs/test_store.py::test_many_processes",
    "tests/core/jobs/test_stored_messages.py::test_text_of",
    "tests/core/results/test_predict.py::test_what_was_learnt",
    "tests/core/test_command_line.py",
    "tests/core/test_messages.py::test_no_template_raises",
    "tests/core/test_settings.py::test_a_worker_says",
    "tests/core/test_settings.py::test_an_oddly_named",
    "tests/core/test_settings.py::test_every_program",
    "tests/core/tracking/test_targets.py::test_mlflow_reads",
    "tests/core/training/test_features.py",
    "tests/core/training/test_learning.py::test_the_catalogue_knows",
    "tests/core/training/test_loop.py::test_it_overfits",
    "tests/core/training/test_loop.py::test_the_kept_weights",
    "tests/core/training/test_loop.py::test_the_losses_are",
    "tests/core/training/test_loop.py::test_what_is_done_differently",
    "tests/core/training/test_own_weights.py",
    "tests/core/training/test_rate_finder.py",
    "tests/core/training/test_resume.py",
    "tests/core/training/test_setup.py::test_the_pictures_shown",
    "tests/core/training/test_stages.py",
    "tests/dashboard/test_cost_hint.py::test_as_many_features",
    "tests/dashboard/test_rate_search.py::test_what_the_page",
    "tests/dashboard/test_train_page.py::test_every_optimizer",
    "tests/dashboard/test_train_page.py::test_repeats_are",
)
"""Beginnings of the names of slow tests, or of whole files of them: `-m "not slow"` leaves them out."""
QUICK = (
    "tests/core/jobs/test_drive.py::test_a_finished_run_is_all_in_the_store",
    "tests/core/training/test_features.py::test_variations_are_for_training_only",
    "tests/core/training/test_resume.py::test_an_interrupted_run_ends_like_one_that_was_not[sgd-fp32-features]",
    "tests/core/training/test_stages.py::test_penalties_do_not_choose_the_epoch",
)
"""Those of them that stay in: a case stands for its file."""

MakeFolder = Callable[..., Path]
Result = TypeVar("Result")


def small_recipe(data: Path, **settings: Any) -> Recipe:
    """Two epochs of a small network with random weights on small pictures: under a second."""
    small = {"backbone": "resnet18", "weights": "random", "image_size": 32, "epochs": 2, "batch_size": 4}
    return parse({"data": str(data)} | small | settings)


def result_of(generator: Generator[Any, None, Result]) -> Result:
    """What a generator returns at its end; what it yields on the way is dropped."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            returned: Result = end.value
            return returned


@contextmanager
def serving(handler: Callable[..., Any]) -> Iterator[str]:
    """The address of a server on this machine, whose requests `handler` answers; at the end all are answered."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = False  # So that closing waits for requests that are still being answered.
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def calls_of(work: Callable[[], object]) -> int:
    """How many calls of functions, Python's and built-in ones, `work` makes in this thread: its cost on any machine."""
    calls = 0

    def count(_frame: object, event: str, _about: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the table of slow tests names."""
    for item in items:
        if item.nodeid.startswith(SLOW) and item.nodeid not in QUICK:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What the tests import is there to stay: collecting garbage among it takes 0.1 s with torch, and finds nothing."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def thaw_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the runs of the person who runs the tests, and no worker outlives its queue."""
    home = tmp_path / "thaw_home"
    monkeypatch.setenv("THAW_HOME", str(home))
    monkeypatch.setenv("THAW_WORKER_IDLE", "0")
    monkeypatch.setenv("THAW_DATA_ROOTS", str(tmp_path))
    monkeypatch.delenv("THAW_DATABASE_URL", raising=False)
    return home


@pytest.fixture(autouse=True)
def memory_given_back() -> Iterator[None]:
    """After a test, what it has freed goes back to the system: glibc keeps gigabytes of freed tensors otherwise.

    It does where much has come together only, because it takes 10 ms.
    """
    yield
    if _grown("after it was given back", FREED):
        _give_back()
        if _grown("after garbage was collected", GARBAGE):
            gc.collect()
            _give_back()
            memory["after garbage was collected"] = _memory()
        memory["after it was given back"] = _memory()


def _memory() -> int:
    """Bytes of this process that are in memory."""
    resident: int = psutil.Process().memory_info().rss
    return resident


def _grown(since: str, by: int) -> bool:
    return _memory() > memory[since] + by


def _give_back() -> None:
    if GLIBC:
        GLIBC.malloc_trim(0)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """A maker of image folders: `make_folder(red=5, blue=3)` has noise pictures tinted by the class's position."""

    def make(name: str = "pictures", size: int = 40, **counts: int) -> Path:
        rng = np.random.default_rng(0)
        for position, (label, count) in enumerate(counts.items()):
            folder = tmp_path / name / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 60, (size, size, 3), dtype=np.uint8)
                pixels[..., position % 3] += 150
                Image.fromarray(pixels).save(folder / f"{number}.png")
        return tmp_path / name

    return make
