"""The dashboard as people use it: a server of its own, real worker processes, and a real Chromium or Chrome."""

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from core.jobs.store import store_at

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = executable()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW_TO_GET_ONE)
        pytest.skip(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
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

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self.environment = {**os.environ, "THAW_HOME": str(home)}
        self.store = store_at(f"sqlite:///{(home / 'thaw.sqlite').as_posix()}")
        self.log = home / "server.log"

    def start(self, script: str = "dashboard/app.py") -> None:
        command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless=true"]
        with self.log.open("ab") as output:
            self.server = subprocess.Popen(
                [*command, f"--server.port={self.port}"], cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )
        with urllib.request.urlopen(self._when_up(), timeout=30) as answer:
            assert answer.status == 200

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


@pytest.fixture
def dashboard(thaw_home: Path) -> Iterator[Dashboard]:
    thaw_home.mkdir()
    running = Dashboard(thaw_home)
    running.start()
    yield running
    running.stop()
    for run in running.store.runs.all():
        if run.status == "running" and run.job.worker:
            psutil.Process(int(run.job.worker.split("/")[1])).kill()
    assert "Traceback" not in running.log.read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser, dashboard: Dashboard) -> Iterator[Page]:
    """A page of a projector's size that talks to its own server only, and reports no errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    foreign: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: _note_foreign(request.url, dashboard.url, foreign))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(dashboard.url)
    yield page
    context.close()
    assert foreign == []
    assert errors == []


def _note_foreign(url: str, own: str, foreign: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:", own.replace("http", "ws"))):
        foreign.append(url)


def block(page: Page, name: str) -> Locator:
    """A block's button in the row that draws the network."""
    return page.locator("ol.network").get_by_role("button", name=re.compile(f"^{name},"))


def wait_for_points(page: Page, at_least: int) -> None:
    """Until the curves of both charts have that many steps."""
    page.wait_for_function(
        """least => { const charts = [...document.querySelectorAll('.chart')];
                      return charts.length === 2 && charts.every(c => (c.data?.[0].x.length ?? 0) >= least); }""",
        arg=at_least,
        timeout=90_000,
    )
