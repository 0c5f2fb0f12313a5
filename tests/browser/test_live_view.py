"""The live view of a run that a worker trains: zoom, legend, other browsers, stop, restart of the server."""

import re

import pytest
from playwright.sync_api import Page, expect

from core.jobs.process import ensure_training
from core.recipe_settings import parse
from tests.browser.conftest import Dashboard, OpenPage, block, epoch, wait_for_epoch, wait_for_points
from tests.conftest import MakeFolder


@pytest.fixture
def long_run(dashboard: Dashboard, make_folder: MakeFolder) -> int:
    """A run of many short epochs, under way in a worker process."""
    recipe = {"data": str(make_folder(size=64, a=12, b=12)), "backbone": "squeezenet1_1", "image_size": 64}
    run = dashboard.store.runs.queue(parse(recipe | {"epochs": 3000, "batch_size": 6}))
    ensure_training()
    return run


@pytest.fixture
def page(open_page: OpenPage, long_run: int) -> Page:
    """A page that shows the run."""
    page = open_page(f"?run={long_run}")
    wait_for_points(page, 3)
    return page


def zoom_into_loss(page: Page) -> list[float]:
    """Drag over the middle of the loss chart; returns the range of epochs that it shows then."""
    area = page.locator(".chart").first.locator(".nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.8, steps=8)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.chart').layout.xaxis.range[0] > 0")
    return ranges(page)


def ranges(page: Page) -> list[float]:
    found: list[float] = page.evaluate(
        "(({xaxis, yaxis}) => [...xaxis.range, ...yaxis.range])(document.querySelector('.chart').layout)"
    )
    return found


def test_zoom_and_hidden_curves_survive_updates(page: Page) -> None:
    page.evaluate("document.querySelector('.chart').dataset.witness = 'the same chart'")
    zoomed = zoom_into_loss(page)
    page.locator(".chart").first.locator(".legendtoggle").nth(1).click()
    page.wait_for_function("document.querySelector('.chart')._fullData[1].visible === 'legendonly'")
    before = epoch(page)
    wait_for_epoch(page, before + 7)
    assert ranges(page) == pytest.approx(zoomed)
    assert page.evaluate("document.querySelector('.chart')._fullData[1].visible") == "legendonly"
    assert page.evaluate("document.querySelector('.chart').dataset.witness") == "the same chart"


def test_training_outlives_the_server(page: Page, dashboard: Dashboard, long_run: int) -> None:
    before = epoch(page)
    dashboard.stop()
    assert dashboard.store.runs.get(long_run).status == "running"
    dashboard.start()
    page.reload()
    wait_for_epoch(page, before + 4)


def test_a_second_browser_finds_the_run_in_the_list_and_stop_keeps_what_was_learnt(
    page: Page, open_page: OpenPage, dashboard: Dashboard, long_run: int
) -> None:
    other = open_page()
    other.get_by_role("link", name="Runs").click()
    expect(other.get_by_role("heading", name="Runs")).to_be_visible()
    table = other.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    box = table.bounding_box()
    assert box is not None
    other.mouse.click(box["x"] + 75, box["y"] + 52)  # The first column has the ticks.
    expect(other).to_have_url(f"{dashboard.url}/?run={long_run}")
    wait_for_points(other, 3)
    expect(other.get_by_text(f"Run {long_run}")).to_be_visible()
    expect(block(other, "fire9")).to_be_visible()

    page.get_by_role("button", name=re.compile("Stop$")).click()
    expect(page.get_by_text("Stopped")).to_be_visible()
    run = dashboard.store.runs.get(long_run)
    assert run.status == "stopped"
    assert (dashboard.home / "runs" / str(long_run) / "model.safetensors").is_file()
