"""The road from a zip to a model at home: `python -m tests.benchmarks.road` from the project's root.

A person with an archive of pictures opens a new Thaw, brings them in, trains, tries a picture and takes the model home:
clicks and seconds, in a real browser, offline. Choosing a file counts as a click. At the end, other pictures are tried,
which a warm worker answers.
"""

import argparse
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Locator, Page, expect, sync_playwright

from core.home import SAMPLE_DATA
from tests.benchmarks import machine
from tests.browser.conftest import HOW_TO_GET_ONE, QUIET, Dashboard, executable

MOST_CLICKS, MOST_SECONDS = 10, 60.0
FIRST, NEXT = 2.0, 0.5
"""Seconds that are wanted until the first answer about a picture, and until the next."""
PICTURES = sorted((SAMPLE_DATA / "stamps").rglob("*.jpg"))[::20]


class Person:
    """Counts its clicks."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def click(self, what: Locator) -> None:
        """Wait for a thing and click it."""
        expect(what).to_be_visible(timeout=60_000)
        what.click()
        self.clicks += 1

    def choose(self, file: Path) -> None:
        """Choose a file in the only box that takes one."""
        self.page.locator("input[type=file]").first.set_input_files(file)
        self.clicks += 1

    def button(self, name: str) -> Locator:
        """By the end of its name, before which an icon may stand."""
        return self.page.get_by_role("button", name=re.compile(f"{name}$")).first

    def radio(self, name: str) -> Locator:
        """The same for one of several."""
        return self.page.get_by_role("radio", name=re.compile(f"{name}$")).first


def main() -> None:
    """Go the road once and print what it took."""
    argparse.ArgumentParser(prog="python -m tests.benchmarks.road", description="From a zip to home.").parse_args()
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as scratch, a_page(Path(scratch)) as page:
        archive = Path(shutil.make_archive(f"{scratch}/mine", "zip", SAMPLE_DATA / "stamps"))
        person, began = Person(page), time.monotonic()
        stages = {}
        for stage, go in (("in Thaw", bring_in), ("trained", train), ("tried", try_it), ("at home", take_home)):
            go(person, archive)
            stages[stage] = (person.clicks, time.monotonic() - began)
        first, others = answers(person)
    print("| | clicks so far | seconds so far |\n| --- | ---: | ---: |")
    for stage, (clicks, seconds) in stages.items():
        print(f"| {stage} | {clicks} | {seconds:.1f} |")
    print(
        f"\nAn upload is answered after {first:.2f} s, others after {median(others):.2f} s (median of {len(others)})."
    )
    met = stages["at home"][0] <= MOST_CLICKS and stages["at home"][1] <= MOST_SECONDS
    print(f"\n{MOST_CLICKS} clicks and {MOST_SECONDS:.0f} s: **{'met' if met else 'not met'}**. ", end="")
    quick = first <= FIRST and median(others) <= NEXT
    print(f"Answers within {FIRST} and {NEXT} s: **{'met' if quick else 'not met'}**.")
    print(f"\n{machine.describe(packages=('torch', 'streamlit'))}")


@contextmanager
def a_page(home: Path) -> Iterator[Page]:
    """A new dashboard, opened."""
    path = executable()
    if path is None:
        raise SystemExit(HOW_TO_GET_ONE)
    os.environ |= {"THAW_HOME": str(home / "home"), "THAW_WORKER_IDLE": "20"}
    (home / "home").mkdir()
    dashboard = Dashboard(home / "home")
    dashboard.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{dashboard.url}/data")
        yield page
        browser.close()
    dashboard.stop()


def bring_in(person: Person, archive: Path) -> None:
    """The archive becomes a data set, which is then chosen."""
    person.choose(archive)
    if person.button("Import").is_visible():
        person.click(person.button("Import"))
    expect(person.page.get_by_text(re.compile("156 pictures|156 images")).first).to_be_visible(timeout=60_000)


def train(person: Person, _archive: Path) -> None:
    """With what the page proposes."""
    person.click(person.page.get_by_role("link", name=re.compile("Train")).first)
    person.click(person.button("Train"))
    expect(person.radio("Try it")).to_be_visible(timeout=60_000)


def try_it(person: Person, _archive: Path) -> None:
    """On a picture from outside."""
    person.click(person.radio("Try it"))
    person.click(person.radio("Upload"))
    person.choose(PICTURES[0])
    answered(person, PICTURES[0])


def take_home(person: Person, archive: Path) -> None:
    """The model."""
    person.click(person.radio("Take it home"))
    person.click(person.button("Prepare"))
    with person.page.expect_download() as downloaded:
        person.click(person.button("Download model.zip"))
    downloaded.value.save_as(archive.with_name("model.zip"))


def answers(person: Person) -> tuple[float, list[float]]:
    """Seconds until a picture is answered that nobody has asked about: the first once the tab is opened, and others."""
    person.click(person.radio("Try it"))
    person.click(person.radio("Upload"))
    seconds = []
    for picture in PICTURES[1:]:
        began = time.monotonic()
        person.choose(picture)
        answered(person, picture)
        seconds.append(time.monotonic() - began)
    return seconds[0], seconds[1:]


def answered(person: Person, picture: Path) -> None:
    """Until the answer about that very file is on the page."""
    expect(person.page.get_by_text(picture.name).first).to_be_visible(timeout=60_000)
    person.page.wait_for_function(
        """() => document.querySelector('[data-test-script-state]')?.dataset.testScriptState === 'notRunning'
            && document.body.innerText.includes('The training pictures most like it')""",
        timeout=60_000,
    )


if __name__ == "__main__":
    main()
