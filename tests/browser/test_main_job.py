"""What a new user does: choose, click, train, watch, come back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from playwright.sync_api import Page, expect

from core.jobs.job import Run
from tests.browser.conftest import Dashboard, block, wait_for_points


def choose(page: Page, box: str, option: str) -> None:
    """Search by typing, as people do in a list of 80."""
    page.get_by_role("combobox", name=re.compile(box)).fill(option)
    page.get_by_role("option", name=re.compile(f"^{re.escape(option)}")).click()


@contextmanager
def held(run: Run) -> Iterator[None]:
    """The run's worker stands still, so that the run does not end meanwhile."""
    assert run.job.worker
    worker = psutil.Process(int(run.job.worker.split("/")[1]))
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


def test_the_main_job(page: Page, dashboard: Dashboard) -> None:
    expect(block(page, "head")).to_have_attribute("aria-pressed", "true")
    choose(page, "Backbone", "SqueezeNet 1.1")
    expect(block(page, "fire9")).to_be_visible()
    choose(page, "Backbone", "MobileNetV2")
    expect(block(page, "stage7")).to_have_attribute("aria-pressed", "false")
    block(page, "stage7").click()
    expect(page.get_by_text("480,325 trainable")).to_be_visible()
    expect(block(page, "stage7")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("radio", name="SGD").click()
    expect(page.get_by_text("Momentum")).to_be_visible()
    penalty = page.get_by_role("spinbutton", name=re.compile("L2 penalty"))
    penalty.fill("0.0001")
    penalty.press("Enter")
    epochs = page.get_by_role("spinbutton", name=re.compile("Epochs"))
    epochs.fill("20")
    epochs.press("Enter")
    page.locator(".st-key-train button").click()

    wait_for_points(page, 1)
    wait_for_points(page, 3)
    (run,) = dashboard.store.runs.all()
    assert run.live
    with held(run):
        page.reload()
        wait_for_points(page, 3)
        assert dashboard.store.runs.all()[0].live

    expect(page.get_by_text("Finished")).to_be_visible(timeout=180_000)
    (run,) = dashboard.store.runs.all()
    assert run.recipe.trainable == ("stage7", "head")
    assert run.recipe.optimizer.name == "sgd"
    assert run.recipe.penalties.l2 == 0.0001
    assert run.val is not None
    assert run.val.share > 0.7
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
