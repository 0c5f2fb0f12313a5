"""The page itself: text stays text, keyboard works, nothing is cut off, in both themes."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Dashboard, block
from tests.conftest import MakeFolder

NASTY = (
    "![](http://127.0.0.1:9/pixel.png)",
    "<img src=x onerror=alert(1)>",
    ":material/home: :red[red] $x^2$",
    "{{7*7}} `code` **bold** 🦊",
)


def test_nasty_names_are_shown_as_text(page: Page, make_folder: MakeFolder) -> None:
    # No file's name may hold a slash; the fraction slash looks like one.
    names = [name.replace("/", "\N{FRACTION SLASH}") for name in NASTY]
    data = make_folder(name="_x_ <b>", **dict.fromkeys(names, 3))
    page.get_by_role("link", name="Data").click()
    page.get_by_role("radio", name="Folder").click()
    path = page.get_by_role("textbox", name="Folder, or zip or tar archive")
    path.fill(str(data))
    path.press("Enter")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("12 pictures in 4 classes")).to_be_visible()
    # The noise of each class is the same in another colour, which is said, with the names.
    expect(page.get_by_text("too few to learn from or to measure by").filter(has_text=names[0])).to_be_visible()
    assert page.get_by_role("heading").inner_text().replace("\N{WORD JOINER}", "") == "_x_ <b>"
    page.get_by_role("button", name="Train on these").click()
    captions = page.get_by_test_id("stImageCaption")
    expect(captions).to_have_count(len(names))
    shown = captions.all_inner_texts()
    assert sorted(text.replace("\N{WORD JOINER}", "") for text in shown) == sorted(f"{name} · 3" for name in names)


def test_names_side_by_side_stand_in_one_row(page: Page) -> None:
    choices = page.locator(".stSidebar [data-testid=stButtonGroup]")
    expect(choices.first.get_by_role("radio").last).to_have_text("L-BFGS")
    for choice in choices.all():
        buttons = choice.get_by_role("radio")
        assert len({button.bounding_box()["y"] for button in buttons.all()}) == 1, buttons.all_inner_texts()


def test_the_keyboard_freezes_and_thaws(page: Page) -> None:
    stage = block(page, "stage7")
    expect(stage).to_have_attribute("aria-pressed", "false")
    stage.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("480,325 trainable")).to_be_visible()
    expect(stage).to_have_attribute("aria-pressed", "true")
    expect(stage).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_text("6,405 trainable")).to_be_visible()


def test_a_switch_does_the_same_as_a_click(page: Page) -> None:
    page.get_by_text("Layers", exact=True).click()
    page.get_by_text("stage7", exact=True).last.click()
    expect(page.get_by_text("480,325 trainable")).to_be_visible()
    expect(block(page, "stage7")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("width", [1280, 1440, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(browser: Browser, dashboard: Dashboard, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(dashboard.url)
    expect(block(page, "head")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("ol.network").evaluate("list => list.scrollWidth <= list.clientWidth")
    context.close()


def test_a_network_of_many_blocks_fits(page: Page) -> None:
    box = page.get_by_role("combobox", name=re.compile("Backbone"))
    box.fill("ViT-L/16")
    page.get_by_role("option", name="ViT-L/16").click()
    expect(block(page, "layer24")).to_be_visible()
    assert page.locator("ol.network").evaluate("list => list.scrollWidth <= list.clientWidth")
