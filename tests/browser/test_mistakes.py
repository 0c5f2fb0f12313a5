"""From a run to its mistakes: a cell of the confusion table, its pictures, one mended, and trained again."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.data.scan import scan
from core.jobs.process import ensure_training
from core.recipe_settings import parse
from core.results.answers import Evaluation
from tests.browser.conftest import Dashboard, OpenPage, wait_until
from tests.conftest import MakeFolder

FIRST_CELL = {"x": 110, "y": 54}
"""A place in the first cell of the confusion table, beside the names and below the header."""


@pytest.fixture
def mislabelled(make_folder: MakeFolder) -> Path:
    """Two classes, of which the first has eight pictures of the second among its own."""
    folder = make_folder(size=64, a=16, b=24)
    for file in sorted((folder / "b").iterdir())[:8]:
        file.rename(folder / "a" / f"from-b-{file.name}")
    return folder


def trained(dashboard: Dashboard, data: Path) -> int:
    settings = {"data": str(data), "backbone": "squeezenet1_1", "image_size": 64, "epochs": 5}
    run = dashboard.store.runs.queue(parse(settings))
    ensure_training()
    assert wait_until(lambda: dashboard.store.runs.get(run).status == "finished")
    return run


def answers(dashboard: Dashboard) -> Evaluation:
    """The answers that the page has asked for."""
    found = [job for job in dashboard.store.jobs.ended("run:1") if job.kind == "evaluate" and job.result]
    return Evaluation.from_json(found[0].result or {})


def choose_cell(page: Page, row: int, column: int) -> None:
    """With a click on the first cell and the arrow keys."""
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    table.click(position=FIRST_CELL)  # type: ignore[arg-type]
    for key, times in (("ArrowDown", row), ("ArrowRight", column)):
        for _ in range(times):
            page.keyboard.press(key)


def test_from_the_confusion_to_trained_again_in_three_clicks(
    dashboard: Dashboard, open_page: OpenPage, mislabelled: Path
) -> None:
    run = trained(dashboard, mislabelled)
    page = open_page(f"?run={run}&view=confusion")
    expect(page.get_by_text("Rows are what the pictures are")).to_be_visible()
    wrong = answers(dashboard).mistakes()[0]
    choose_cell(page, wrong.label, wrong.said)
    own, said = (("a", "b")[label] for label in (wrong.label, wrong.said))
    expect(page.get_by_text(re.compile(f"^{own}, taken for {said}: "))).to_be_visible()
    page.get_by_role("button", name=re.compile(f"It is {said}$")).first.click()
    expect(page.get_by_text("1 mended")).to_be_visible()
    page.get_by_role("button", name=re.compile("Train again$")).click()
    assert wait_until(lambda: len(dashboard.store.runs.all("finished")) == 2)
    expect(page.get_by_text(re.compile("Run 2"))).to_be_visible()
    labels = [picture.label for picture in scan(Path(dashboard.store.runs.get(2).recipe.data)).pictures]
    before = {"a": 24, "b": 16}
    assert (labels.count(own), labels.count(said)) == (before[own] - 1, before[said] + 1)


def test_mistakes_are_filtered_left_out_and_brought_back(
    dashboard: Dashboard, open_page: OpenPage, mislabelled: Path
) -> None:
    run = trained(dashboard, mislabelled)
    page = open_page(f"?run={run}")
    page.get_by_role("radio", name=re.compile("Mistakes$")).click()
    expect(page.get_by_role("radio", name=re.compile("^Wrong: "))).to_be_visible()
    assert "view=mistakes" in page.url
    wrong = answers(dashboard).mistakes()
    cards = page.get_by_text(re.compile(r"taken for [ab], \d+%"))
    expect(cards).to_have_count(len(wrong))
    page.get_by_role("button", name=re.compile("Leave out$")).first.click()
    expect(page.get_by_text("Left out since.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Undo$")).click()
    expect(page.get_by_text("Left out since.")).to_have_count(0)
    expect(page.get_by_text("mended")).to_have_count(0)
    page.get_by_role("radio", name=re.compile("^Right, but unsure: ")).click()
    expect(cards).to_have_count(0)
    page.reload()
    expect(page.get_by_role("radio", name=re.compile("^Wrong: "))).to_be_visible()
