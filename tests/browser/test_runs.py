"""A run belongs to the store: pause and resume, tabs that close, the queue, the history, comparisons."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from core.jobs.process import ensure_training
from core.recipe_settings import parse
from tests.browser.conftest import Dashboard, OpenPage, epoch, wait_for_epoch, wait_for_points, wait_until
from tests.conftest import MakeFolder

STEPS = 3
"""In an epoch: 18 of the 24 pictures train, 6 at a time."""


@pytest.fixture
def data(make_folder: MakeFolder) -> Path:
    return make_folder(size=64, a=12, b=12)


def queue(dashboard: Dashboard, data: Path, **settings: Any) -> int:
    small = {"data": str(data), "backbone": "squeezenet1_1", "image_size": 64, "batch_size": 6}
    run = dashboard.store.runs.queue(parse(small | settings))
    ensure_training()
    return run


def open_run(open_page: OpenPage, run: int) -> Page:
    page = open_page(f"?run={run}")
    wait_for_points(page, 3)
    return page


def finish(dashboard: Dashboard, *runs: int) -> None:
    """Until those runs have finished."""
    assert wait_until(lambda: not any(dashboard.store.runs.get(run).live for run in runs))
    assert {dashboard.store.runs.get(run).status for run in runs} == {"finished"}


def test_pause_and_resume(open_page: OpenPage, dashboard: Dashboard, data: Path) -> None:
    run = queue(dashboard, data, epochs=3000)
    page = open_run(open_page, run)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused")).to_be_visible()
    assert dashboard.store.runs.get(run).status == "paused"
    before = len(dashboard.store.runs.steps(run))
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Training", exact=True)).to_be_visible()
    wait_for_epoch(page, (before + 10) / STEPS)
    page.get_by_role("button", name=re.compile("Stop$")).click()
    expect(page.get_by_text("Stopped")).to_be_visible()
    steps = dashboard.store.runs.steps(run)[:, 0]
    assert len(steps) > before
    assert steps.tolist() == list(range(1, len(steps) + 1))


def test_a_finished_run_can_be_continued(open_page: OpenPage, dashboard: Dashboard, data: Path) -> None:
    run = queue(dashboard, data, epochs=2)
    finish(dashboard, run)
    page = open_run(open_page, run)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("spinbutton", name="More epochs").fill("3")
    page.get_by_role("spinbutton", name="More epochs").press("Enter")
    page.get_by_test_id("stPopoverBody").get_by_role("button", name="Continue").click()
    expect(page.get_by_text("epoch 5 of 5")).to_be_visible()
    finish(dashboard, run)
    assert dashboard.store.runs.get(run).recipe.epochs == 5


def test_a_closed_tab_and_a_reload_lose_nothing(open_page: OpenPage, dashboard: Dashboard, data: Path) -> None:
    run = queue(dashboard, data, epochs=3000)
    tab = open_run(open_page, run)
    before = epoch(tab)
    tab.context.close()
    page = open_run(open_page, run)
    wait_for_epoch(page, before + 2)
    page.reload()
    wait_for_epoch(page, before + 2)
    assert dashboard.store.runs.get(run).status == "running"


def test_the_queue_shows_places_and_changes_them(open_page: OpenPage, dashboard: Dashboard, data: Path) -> None:
    queue(dashboard, data, epochs=3000)
    second, third = queue(dashboard, data, epochs=2), queue(dashboard, data, epochs=3)
    page = open_page(f"?run={third}")
    expect(page.get_by_text("2nd in the queue")).to_be_visible()
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_text("next in the queue")).to_be_visible()
    assert dashboard.store.runs.waiting() == [third, second]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("before training began")).to_be_visible()
    assert dashboard.store.runs.waiting() == [second]


def tick(page: Page, *rows: int) -> None:
    """Tick rows of the table of runs, from 0."""
    table = page.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    box = table.bounding_box()
    assert box is not None
    for row in rows:
        page.mouse.click(box["x"] + 18, box["y"] + 52 + 35 * row)
    expect(page.get_by_text(f"{len(rows)} ticked")).to_be_visible()


def test_two_runs_are_compared_and_the_address_shows_it_to_others(
    page: Page, open_page: OpenPage, dashboard: Dashboard, data: Path
) -> None:
    first, second = queue(dashboard, data, epochs=4), queue(dashboard, data, epochs=4, optimizer={"name": "sgd"})
    finish(dashboard, first, second)
    page.get_by_role("link", name="Runs").click()
    tick(page, 0, 1)
    page.get_by_role("button", name="Compare").click()
    address = re.compile(rf"compare\?runs={second}(,|%2C){first}$")
    expect(page).to_have_url(address)
    other = open_page(page.url.removeprefix(f"{dashboard.url}/"))
    for one in (page, other):
        expect(one.get_by_text("Settings")).to_be_visible()
        one.wait_for_function(
            """() => { const curves = [...document.querySelectorAll('.chart')].map(chart => chart.data ?? []);
                       return curves.length === 2 && curves.every(c => c.length === 4 && c[3].x.length === 4); }"""
        )
        dashes = one.evaluate("document.querySelector('.chart').data.map(curve => curve.line.dash)")
        assert dashes == ["dash", "solid"] * 2


def test_a_run_is_named_deleted_and_taken_back(
    page: Page, open_page: OpenPage, dashboard: Dashboard, data: Path
) -> None:
    other, run = queue(dashboard, data, epochs=1), queue(dashboard, data, epochs=1)
    finish(dashboard, other, run)
    page.get_by_role("link", name="Runs").click()
    tick(page, 0)
    page.get_by_role("button", name="Name and note").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("<b>bold</b> **star**")
    page.get_by_role("button", name="Save").click()
    assert wait_until(lambda: dashboard.store.runs.get(run).name != "")
    expect(open_run(open_page, run).get_by_text("<b>bold</b> **star**")).to_be_visible()

    page.get_by_role("button", name="Delete").click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name=f"Delete run {run}").click()
    expect(page.get_by_text(f"Deleted: run {run}.")).to_be_visible()
    assert [one.id for one in dashboard.store.runs.all()] == [other]
    # The tick must not pass on to the run that has moved up.
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text(f"Deleted: run {run}.")).not_to_be_visible()
    assert [one.id for one in dashboard.store.runs.all()] == [run, other]
