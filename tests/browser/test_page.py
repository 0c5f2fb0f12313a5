"""The page itself: text stays text, keyboard works, nothing is cut off, in both themes."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, block, wait_until
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


def test_keys_and_switches_do_the_same_as_clicks(page: Page) -> None:
    stage = block(page, "stage7")
    expect(stage).to_have_attribute("aria-pressed", "false")
    stage.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("480,325 trainable")).to_be_visible()
    expect(stage).to_have_attribute("aria-pressed", "true")
    expect(stage).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_text("6,405 trainable")).to_be_visible()
    expect(stage).to_have_attribute("aria-pressed", "false")

    page.get_by_text("Layers", exact=True).click()
    page.get_by_text("stage7", exact=True).last.click()
    expect(page.get_by_text("480,325 trainable")).to_be_visible()
    expect(stage).to_have_attribute("aria-pressed", "true")


def test_the_place_of_the_curves_is_drawn_before_anybody_trains(page: Page) -> None:
    """So plotly is loaded when Train is pressed."""
    for name in ("loss", "accuracy"):
        chart = page.locator(f".st-key-{name}-none .chart")
        expect(chart.get_by_text("Press Train: the curve grows here.")).to_be_visible()
    assert page.evaluate("typeof window.Plotly") == "object"


def fits(page: Page, width: int) -> bool:
    """Whether nothing is wider than the screen, and no block of the network is out of sight."""
    screen, content = page.evaluate("[window.innerWidth, document.documentElement.scrollWidth]")
    all_in_sight = page.locator("ol.network").evaluate("list => list.scrollWidth <= list.clientWidth")
    return screen == width and content <= screen and all_in_sight


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 23, 30)")])
def test_everything_fits(open_page: OpenPage, scheme: str, background: str) -> None:
    page = open_page(color_scheme=scheme)
    expect(block(page, "head")).to_be_visible()
    expect(page.locator(".stApp")).to_have_css("background-color", background)
    for width in (1920, 1440, 1280):  # From wide to narrow: what stays as wide as it was does not fit.
        page.set_viewport_size({"width": width, "height": 800})
        assert wait_until(lambda width=width: fits(page, width), seconds=30)

    choices = page.locator(".stSidebar [data-testid=stButtonGroup]")
    expect(choices.first.get_by_role("radio").last).to_have_text("L-BFGS")
    for choice in choices.all():
        buttons = choice.get_by_role("radio")
        assert len({button.bounding_box()["y"] for button in buttons.all()}) == 1, buttons.all_inner_texts()

    box = page.get_by_role("combobox", name=re.compile("Backbone"))
    box.fill("ViT-L/16")  # A network of many blocks.
    page.get_by_role("option", name="ViT-L/16").click()
    expect(block(page, "layer24")).to_be_visible()
    assert wait_until(lambda: fits(page, 1280), seconds=30)
