"""A finished run is tried, played again and taken home, by the mouse and by the keyboard alone."""

import csv
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from core import home
from core.recipe_settings import read_toml
from core.results.export.formats import FORMATS
from core.training.plan import check
from tests.browser.conftest import Dashboard, OpenPage, wait_until
from tests.browser.test_mistakes import trained
from tests.conftest import MakeFolder

MOST_TABS = 150
"""Presses of the tab key after which something counts as out of the keyboard's reach."""
FOCUSED = """() => { let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    return e ? (e.getAttribute('aria-label') || e.innerText || '') : ''; }"""


@pytest.fixture
def pictures(make_folder: MakeFolder) -> Path:
    return make_folder(size=64, a=16, b=16)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "mug.jpg"
    Image.new("RGB", (300, 200), (200, 90, 40)).save(file)
    return file


def tab(page: Page, name: str) -> None:
    """Choose a tab of the run."""
    page.get_by_role("radio", name=re.compile(f"{re.escape(name)}$")).click()


def answered(page: Page, count: int) -> None:
    """Until so many runs have answered."""
    expect(page.get_by_text("The training pictures most like it")).to_have_count(count)


def test_two_runs_answer_side_by_side_about_a_new_picture(
    dashboard: Dashboard, open_page: OpenPage, pictures: Path, photo: Path
) -> None:
    trained(dashboard, pictures)
    run = trained(dashboard, pictures)
    page = open_page(f"?run={run}&view=try")
    answered(page, 1)
    page.get_by_role("radio", name="Upload").click()
    page.locator("input[type=file]").set_input_files(photo)
    answered(page, 1)
    page.get_by_label("Beside it").click()
    page.keyboard.press("ArrowDown")
    page.get_by_role("option", name=re.compile("^Run 1 ")).click()
    answered(page, 2)
    expect(page.get_by_text("As it was shown")).to_have_count(2)
    expect(page.get_by_text(re.compile(r"(a|b), \d+%"))).to_have_count(2)
    page.locator("input[type=file]").set_input_files({"name": "x.jpg", "mimeType": "image/jpeg", "buffer": b"no"})
    expect(page.get_by_text(re.compile(r"x\.jpg is not a picture"))).to_be_visible()


def test_a_training_picture_is_asked_about_and_pointed_at_on_the_map(
    dashboard: Dashboard, open_page: OpenPage, pictures: Path
) -> None:
    run = trained(dashboard, pictures)
    page = open_page(f"?run={run}&view=try")
    page.get_by_role("radio", name="A training picture").click()
    answered(page, 1)
    expect(page.get_by_text(re.compile("^Where it looked, for "))).to_have_count(1)
    tab(page, "Map")
    page.locator(f".st-key-map-after-{run} .points path").first.hover(force=True)
    thumbnail = page.locator(f".st-key-map-after-{run} .thumbnail")
    expect(thumbnail).to_be_visible()
    expect(thumbnail).to_have_css("background-image", re.compile("data:image/jpeg"))
    page.mouse.move(0, 0)
    expect(thumbnail).to_be_hidden()


@pytest.mark.slow
def test_everything_is_taken_home_and_works_there(
    dashboard: Dashboard, open_page: OpenPage, pictures: Path, photo: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    run = trained(dashboard, pictures)
    page = open_page(f"?run={run}&view=home")
    taken = {name: tmp_path / "home" / name for name in FORMATS}
    for name, folder in taken.items():
        page.get_by_role("button", name="Prepare").first.click()
        file = FORMATS[name].file
        with page.expect_download() as downloaded:
            page.get_by_role("button", name=f"Download {file}").click()
        assert downloaded.value.suggested_filename == f"run-{run}-{file}"
        folder.mkdir(parents=True)
        downloaded.value.save_as(folder / file)
        if file.endswith(".zip"):
            with zipfile.ZipFile(folder / file) as archive:
                archive.extractall(folder)
    assert check(read_toml(taken["recipe"] / "recipe.toml")) == dashboard.store.runs.get(run).recipe
    assert f"run {run}" in (taken["report"] / "report.html").read_text(encoding="utf-8")
    said = run_alone(taken["model"], "predict.py", str(photo))
    assert set(json.loads(said)["probabilities"]) == {"a", "b"}
    assert "kept: " in run_alone(taken["train"], "train.py")
    with (taken["notebook"] / "split.csv").open(encoding="utf-8", newline="") as table:
        assert len(list(csv.DictReader(table))) == 32
    session = runtime.InferenceSession(str(taken["onnx"] / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["images"]
    page.goto(f"{dashboard.url}/runs")
    page.get_by_role("button", name=re.compile("Open a bundle")).click()
    page.locator("input[type=file]").set_input_files(taken["bundle"] / "bundle.zip")
    page.get_by_role("button", name="Open it").click()
    expect(page.get_by_text("Out of a bundle")).to_be_visible()
    tab(page, "Mistakes")
    expect(page.get_by_role("radio", name=re.compile("^Wrong: "))).to_be_visible()
    tab(page, "Map")
    expect(page.get_by_text(re.compile("has its held-out pictures only"))).to_be_visible()
    tab(page, "Take it home")
    expect(page.get_by_text(re.compile("this run came out of a bundle"))).to_have_count(4)


def run_alone(folder: Path, program: str, *arguments: str) -> str:
    """What a program says in its own folder, which knows nothing of Thaw's."""
    command = [sys.executable, "-I", program, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_run_plays_again(dashboard: Dashboard, open_page: OpenPage, pictures: Path) -> None:
    run = trained(dashboard, pictures)
    page = open_page(f"?run={run}&view=replay")
    page.get_by_role("button", name=re.compile("Play$")).click()
    steps = len(dashboard.store.runs.steps(run))
    page.wait_for_function("n => document.querySelector('.chart')?.data?.[0].x.length === n", arg=steps)
    expect(page.get_by_role("button", name=re.compile("Play$"))).to_be_visible()  # It has come to the end.


@pytest.mark.slow
def test_the_keyboard_alone_goes_from_opening_to_a_tried_picture(dashboard: Dashboard, open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_role("button", name=re.compile("Train$"))).to_be_visible()
    tab_to(page, r"Train$", role="button")
    page.keyboard.press("Enter")
    assert wait_until(lambda: len(dashboard.store.runs.all("finished")) == 1)
    expect(page.get_by_role("radio", name=re.compile("Try it$"))).to_be_visible()
    tab_to(page, r"Curves$")
    while not re.search("Try it$", page.evaluate(FOCUSED)):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    answered(page, 1)
    assert "view=try" in page.url


def tab_to(page: Page, name: str, role: str = "") -> None:
    """Press the tab key until what is so called has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        is_role = not role or page.evaluate(f"document.activeElement.matches('{role}')")
        if is_role and re.search(name, page.evaluate(FOCUSED)):
            return
    raise AssertionError(f"the keyboard does not reach {name}")


@pytest.fixture
def open_to_all(thaw_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard that other computers reach."""
    monkeypatch.setenv("THAW_WORKER_IDLE", "30")
    monkeypatch.setenv("THAW_DATA_ROOTS", str(tmp_path))
    thaw_home.mkdir()
    running = Dashboard(thaw_home)
    running.start("dashboard/app.py", "--server.address=0.0.0.0", "--server.allowedHosts=*")
    yield running
    running.stop()
    running.store.database.close()
    assert "Traceback" not in running.log.read_text(encoding="utf-8")


def test_a_phone_sends_its_picture_to_the_other_screen(
    browser: Browser, open_to_all: Dashboard, pictures: Path, photo: Path
) -> None:
    run = trained(open_to_all, pictures)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    screen = context.new_page()
    screen.goto(f"{open_to_all.url}/?run={run}&view=try")
    screen.get_by_role("radio", name="Phone").click()
    expect(screen.get_by_text("Scan this with a phone")).to_be_visible()
    address = screen.locator("code", has_text="/phone?code=").inner_text()
    assert "localhost" not in address
    phone = context.new_page()
    phone.set_viewport_size({"width": 390, "height": 800})
    phone.goto(address)
    phone.get_by_label("Take a picture").set_input_files(photo)
    expect(phone.get_by_text("It is on the other screen.")).to_be_visible()
    answered(screen, 1)
    (sent,) = home.uploads_folder().glob("phone-*/picture-*.jpg")
    with Image.open(sent) as picture:
        assert picture.size == (300, 200)
    phone.goto(f"{address[:-3]}xyz")
    expect(phone.get_by_text("This code is not open any more.")).to_be_visible()
    context.close()


def test_where_no_phone_reaches_the_page_it_says_so(dashboard: Dashboard, open_page: OpenPage, pictures: Path) -> None:
    page = open_page(f"?run={trained(dashboard, pictures)}&view=try")
    page.get_by_role("radio", name="Phone").click()
    expect(page.get_by_text("Phones cannot reach this page")).to_be_visible()


VIEWS = ("mistakes", "confusion", "two", "try", "home", "moved", "map", "hurt", "replay", "more")


@pytest.mark.slow
def test_the_tabs_bring_no_fault_of_accessibility(dashboard: Dashboard, open_page: OpenPage, pictures: Path) -> None:
    """What axe-core finds in the curves' tab is Streamlit's; the others must add nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    run = trained(dashboard, pictures)
    page = open_page(f"?run={run}")
    expect(page.get_by_role("radio", name=re.compile("Mistakes$"))).to_be_visible()

    def found() -> set[str]:
        settled(page)
        return {one["id"] for one in axe.run(page).response["violations"]}

    usual = found()
    for view in VIEWS:
        page.goto(f"{dashboard.url}/?run={run}&view={view}")
        assert wait_until(lambda: found() <= usual, 30), view  # What fades in or out is passing.


def settled(page: Page) -> None:
    """Until no script runs and no job is waited for."""
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_role("progressbar", name=re.compile("…$"))).to_have_count(0)
