"""A real browser that looks at a run: seconds from asking for a refresh to having drawn it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, async_playwright

from tests.browser.conftest import HOW_TO_GET_ONE, QUIET, executable

WATCH = """
window.drawn = [];
let asked = null, changed = null;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (changed !== null) window.drawn.push((changed - asked) / 1000);
  asked = performance.now();
  changed = null;
  return send.call(this, data);
};
const look = (records) => {
  const inChart = (node) => (node.nodeType === 1 ? node : node.parentElement)?.closest(".chart");
  if (asked !== null && records.some((record) => inChart(record.target)))
    requestAnimationFrame(() => { changed = performance.now(); });
};
new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
"""
"""A refresh is drawn when the last change of a chart before the next refresh has reached a frame."""


@asynccontextmanager
async def screen(url: str) -> AsyncIterator[Page]:
    """A page at `url`; `seconds` says what it measured."""
    path = executable()
    if path is None:
        raise SystemExit(HOW_TO_GET_ONE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.add_init_script(WATCH)
        await page.goto(url)
        yield page
        await browser.close()


async def seconds(page: Page) -> list[float]:
    """Of every refresh but the first two, in which the page was still being made."""
    drawn: list[float] = await page.evaluate("window.drawn")
    return drawn[2:]
