"""The dashboard as people use it: a real server, real worker processes, and a real Chromium or Chrome."""

import functools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from core.jobs.process import end
from core.jobs.store import store_at
from core.jobs.store.database import tables
from tests.browser.serve import IDLE

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HOW_TO_GET_ONE = "no Chromium or Chrome found; install one, as in `apt install chromium` or from google.com/chrome"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

expect.set_options(timeout=30_000)


def executable() -> str | None:
    """A browser on the path, or where Windows and macOS keep Chrome."""
    places = (
        Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        Path(os.environ.get("PROGRAMFILES", "")) / "Google/Chrome/Application/chrome.exe",
    )
    found = [shutil.which(name) for name in BROWSERS] + [str(place) for place in places if place.is_file()]
    return next((path for path in found if path), None)


running = ExitStack()
"""The browser and the server, from the first test here that wants them to the last test here."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End both when no test of this folder follows: those of other folders need the memory."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        running.close()
        the_browser.cache_clear()
        the_dashboard.cache_clear()


@functools.cache
def the_browser(path: str) -> Browser:
    """Started once."""
    playwright = running.enter_context(sync_playwright())
    browser = playwright.chromium.launch(executable_path=path, args=QUIET)
    running.callback(browser.close)
    return browser


@pytest.fixture(scope="module")
def browser() -> Browser:
    path = executable()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW_TO_GET_ONE)
        pytest.skip(HOW_TO_GET_ONE)
    return the_browser(path)


@pytest.fixture(scope="module")
def with_camera(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera sees red on the left and blue on the right, 1280 × 720."""
    film = tmp_path_factory.mktemp("film") / "film.mjpeg"
    frame = Image.new("RGB", (1280, 720), (200, 30, 30))
    frame.paste((30, 30, 200), (640, 0, 1280, 720))
    frame.save(film, format="JPEG")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    film_flag = f"--use-file-for-fake-video-capture={film}"
    seeing = browser.browser_type.launch(executable_path=executable(), args=[*QUIET, *camera, film_flag])
    yield seeing
    seeing.close()


class Dashboard:
    """A running dashboard with a THAW_HOME of its own; both survive a restart of the server."""

    program = "streamlit"

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = home
        self.url = f"http://localhost:{self.port}"
        self.environment = {**os.environ, "THAW_HOME": str(home)}
        self.store = store_at(f"sqlite:///{(home / 'thaw.sqlite').as_posix()}")
        self.log = home / "server.log"

    def start(self, script: str = "dashboard/app.py", *options: str) -> None:
        command = [sys.executable, "-m", self.program, "run", script, "--server.headless=true", *options]
        with self.log.open("ab") as output:
            self.server = self._run([*command, f"--server.port={self.port}"], output)
        with urllib.request.urlopen(self._when_up(), timeout=30) as answer:
            assert answer.status == 200

    def _run(self, command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def _when_up(self) -> str:
        """The address of the health check, once the server takes connections."""
        for _attempt in range(300):
            assert self.server.poll() is None, self.log.read_text(encoding="utf-8")
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return f"{self.url}/_stcore/health"
            psutil.wait_procs([psutil.Process(self.server.pid)], timeout=0.1)
        raise AssertionError(f"no server on port {self.port}: {self.log.read_text(encoding='utf-8')}")

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait(timeout=20)


class SharedDashboard(Dashboard):
    """One for all tests of this folder, with workers that stay warm; `empty` makes it as it was at first."""

    program = "tests.browser.serve"

    def __init__(self, home: Path, variables: dict[str, str]) -> None:
        super().__init__(home)
        self.variables = variables | {"THAW_HOME": str(home)}
        self.environment |= self.variables
        self.environment.pop("THAW_DATABASE_URL", None)

    def _run(self, command: list[str], log: BinaryIO) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdin=pipe, stdout=pipe, stderr=log)

    def stop(self) -> None:
        with self.server:
            super().stop()

    def end(self) -> None:
        """Stop for good, workers too; what was logged must have no traceback."""
        self.stop()
        self.end_workers()
        self.store.database.close()
        assert "Traceback" not in self.log.read_text(encoding="utf-8")

    def empty(self) -> None:
        """Forget pages, jobs, runs and files; pages must be closed. What has not ended in time is ended, and told."""
        said = self._settle()
        if said != IDLE:
            self.stop()
            self.start()
        jobs_ended = self._end_jobs()
        if not jobs_ended:
            self.end_workers()
        with self.store.database.transaction() as connection:
            for table in reversed(tables.sorted_tables):
                connection.execute(table.delete())
            connection.exec_driver_sql("DELETE FROM sqlite_sequence")
        for folder in self.home.glob("*/"):
            shutil.rmtree(folder)
        assert (said, jobs_ended) == (IDLE, True)

    def _settle(self) -> str:
        """Have the server wait for its scripts and forget what they cached; what it says."""
        if self.server.poll() is not None:
            return "the server has ended"
        assert self.server.stdin
        assert self.server.stdout
        self.server.stdin.write(b".")
        self.server.stdin.flush()
        return self.server.stdout.readline().decode().strip()

    def _end_jobs(self) -> bool:
        """Ask all jobs to stop; whether they do. A worker has written all that it writes when its job has ended."""
        for job in self.store.jobs.live():
            self.store.jobs.request_stop(job.id)
        return wait_until(lambda: not self.store.jobs.live(), 30)

    def end_workers(self) -> None:
        """End the processes that work in this THAW_HOME, also those that are only on their way to it."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_here = process.environ().get("THAW_HOME") == str(self.home)
                if is_here and "core.jobs.worker" in process.cmdline():
                    end(process)


@functools.cache
def the_dashboard(home: Path, roots: Path) -> SharedDashboard:
    """Started once. Its pages may use the folders of all tests."""
    shared = SharedDashboard(home, {"THAW_DATA_ROOTS": str(roots), "THAW_WORKER_IDLE": "60"})
    shared.start()
    running.callback(shared.end)
    return shared


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("thaw_home")


@pytest.fixture(scope="module")
def shared_dashboard(shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> SharedDashboard:
    return the_dashboard(shared_home, tmp_path_factory.getbasetemp())


@pytest.fixture
def dashboard(
    shared_dashboard: SharedDashboard, thaw_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SharedDashboard]:
    """The dashboard, empty; workers that a test starts itself are like those of the server."""
    assert not thaw_home.exists()
    for name, value in shared_dashboard.variables.items():
        monkeypatch.setenv(name, value)
    logged = shared_dashboard.log.stat().st_size
    yield shared_dashboard
    shared_dashboard.empty()
    assert "Traceback" not in shared_dashboard.log.read_bytes()[logged:].decode(errors="replace")


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, dashboard: Dashboard) -> Iterator[OpenPage]:
    """Opens pages, each in a session of its own and of a projector's size.

    They must talk to their own server only, and report no errors.
    """
    contexts: list[BrowserContext] = []
    foreign: list[str] = []
    errors: list[str] = []

    def open_one(address: str = "", browser: Browser = browser, **options: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.on("request", lambda request: _note_foreign(request.url, dashboard.url, foreign))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{dashboard.url}/{address}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert foreign == []
    assert errors == []


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A page that shows what a new user sees."""
    return open_page()


def _note_foreign(url: str, own: str, foreign: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:", own.replace("http", "ws"))):
        foreign.append(url)


def wait_until(holds: Callable[[], bool], seconds: float = 90) -> bool:
    """Whether it comes to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True


def block(page: Page, name: str) -> Locator:
    """A block's button in the row that draws the network."""
    return page.locator("ol.network").get_by_role("button", name=re.compile(f"^{name},"))


def wait_for_points(page: Page, at_least: int) -> None:
    """Until the curves of both charts have that many steps."""
    _wait_for_curves(page, "x => x.length", at_least)


def epoch(page: Page) -> float:
    """Where the curves end. Their points are thinned once they are many, so that the number of them says little."""
    found: float = page.evaluate("document.querySelector('.chart').data[0].x.at(-1)")
    return found


def wait_for_epoch(page: Page, at_least: float) -> None:
    """Until the curves of both charts reach that far."""
    _wait_for_curves(page, "x => x.at(-1) ?? 0", at_least)


def _wait_for_curves(page: Page, measure: str, at_least: float) -> None:
    """Until the first curve of both charts comes to `at_least` by a function of its x values."""
    page.wait_for_function(
        f"""least => {{ const charts = [...document.querySelectorAll('.chart')];
                       const measure = {measure};
                       return charts.length === 2 && charts.every(c => measure(c.data?.[0].x ?? []) >= least); }}""",
        arg=at_least,
        timeout=90_000,
    )
