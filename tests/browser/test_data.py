"""People bring their own pictures: an archive, a bad one, files, a folder, the camera; they tidy up, and train."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from core.data import datasets
from core.data.scan import read_image_folder
from tests.browser.conftest import Dashboard, OpenPage, wait_for_points
from tests.conftest import MakeFolder
from tests.core.intake.bad_archives import picture, zipped

ARCHIVE = "A zip or tar of class folders"
NASTY = "<img src=x onerror=alert(1)><b>bold"


def open_data(page: Page) -> None:
    page.get_by_role("link", name="Data").click()
    expect(page.get_by_text("No damaged pictures, no copies")).to_be_visible()


def sets(dashboard: Dashboard) -> list[datasets.DataSet]:
    return datasets.list_datasets(dashboard.home / "data")


def archive(tmp_path: Path, *labels: str, count: int = 12) -> Path:
    files = {
        f"{label}/{n}.png": picture((40, 40), seed=100 * k + n) for k, label in enumerate(labels) for n in range(count)
    }
    return zipped(tmp_path / "mine.zip", files | {f"{labels[0]}/notes.txt": b"hello"})


def upload(page: Page, into: str, *files: Path) -> None:
    """Put files where the page asks for them. While a page changes, the field of before may still be there."""
    field = page.get_by_test_id("stFileUploader").filter(has_text=into)
    field.locator("input[type=file]").set_input_files(files)


def choose_way(page: Page, way: str) -> None:
    page.get_by_role("radio", name=way).click()


def test_upload_a_zip_tidy_it_up_and_train_on_it(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    open_data(page)
    upload(page, ARCHIVE, archive(tmp_path, NASTY, "plain", "tiny"))
    expect(page.get_by_role("heading", name="mine")).to_be_visible()
    expect(page.get_by_text("1 files were left out when the pictures came in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="mine")).to_be_visible()
    # A class's name is text, in the chart, in the table and on the Train page.
    expect(page.locator(".chart").get_by_text("<b>bold")).to_be_visible()
    expect(page.get_by_text("No damaged pictures, no copies")).to_be_visible()
    page.get_by_role("button", name="Train on these").click()
    expect(page.get_by_text("<b>bold").first).to_be_visible()
    assert page.locator("b", has_text="bold").count() == 0
    assert page.locator("img[src=x]").count() == 0
    page.locator(".st-key-train button").click()
    wait_for_points(page, 1)
    expect(page.get_by_text("Finished")).to_be_visible(timeout=90_000)
    (run,) = dashboard.store.runs.all()
    (data,) = sets(dashboard)
    assert (run.status, run.recipe.data) == ("finished", str(data.folder))
    expect(page.get_by_text(re.compile("20 epochs · mine"))).to_be_visible()

    page.get_by_role("link", name="Data").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Made with it: run 1.")).to_be_visible()
    page.get_by_role("button", name="Delete the pictures").click()
    expect(page.get_by_role("heading", name="Stamps")).to_be_visible()
    assert sets(dashboard) == []
    assert datasets.read_dataset(data.folder).name == "mine"


def test_a_bad_zip_shows_its_sentence_and_a_remedy_is_one_click_away(
    page: Page, dashboard: Dashboard, tmp_path: Path
) -> None:
    open_data(page)
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4 nothing good")
    upload(page, ARCHIVE, tmp_path / "bad.zip")
    expect(page.get_by_text("bad.zip is damaged, or no zip or tar archive")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    assert sets(dashboard) == []
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("is damaged, or no zip or tar archive")).to_have_count(0)
    upload(page, ARCHIVE, archive(tmp_path, "a", "b", "c"))
    expect(page.get_by_role("heading", name="mine")).to_be_visible()

    (data,) = sets(dashboard)
    choose_way(page, "Files")
    label = page.get_by_role("textbox", name="Class of these pictures")
    label.fill("few")
    label.press("Enter")
    files = [tmp_path / f"{n}.png" for n in range(3)]
    for n, file in enumerate(files):
        file.write_bytes(picture((40, 40), seed=900 + n))
    upload(page, "Pictures of one class", *files)
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("too few to learn from or to measure by: few (3)")).to_be_visible()
    assert read_image_folder(data.folder).counts() == (12, 12, 12, 3)
    page.get_by_role("button", name="Leave out this class").click()
    expect(page.get_by_text("No damaged pictures, no copies")).to_be_visible()
    assert read_image_folder(data.folder).classes == ("a", "b", "c")


def test_a_whole_folder_is_picked(page: Page, dashboard: Dashboard, make_folder: MakeFolder) -> None:
    open_data(page)
    choose_way(page, "Files")
    choose_way(page, "Whole folder")
    upload(page, "A folder that holds one folder per class", make_folder(red=12, blue=12))
    page.get_by_role("button", name="Add them").click()
    expect(page.get_by_text("24 pictures in 2 classes")).to_be_visible()
    (data,) = sets(dashboard)
    assert read_image_folder(data.folder).classes == ("blue", "red")


def test_two_classes_come_from_the_camera(with_camera: Browser, open_page: OpenPage, dashboard: Dashboard) -> None:
    page = open_page(browser=with_camera)
    open_data(page)
    choose_way(page, "Camera")
    for number, label in enumerate(("cup", "spoon")):
        box = page.get_by_role("textbox", name="Class that the camera sees")
        box.fill(label)
        box.press("Enter")
        if not number:
            page.get_by_role("button", name="Turn on the camera").click()
        take = page.get_by_role("button", name="Take 10 pictures")
        expect(take).to_be_enabled()
        take.click()
        expect(page.locator(".chart").get_by_text(label, exact=True)).to_be_visible()
    (data,) = sets(dashboard)
    assert read_image_folder(data.folder).counts() == (10, 10)


def test_no_other_folder_can_be_named(page: Page, dashboard: Dashboard, make_folder: MakeFolder) -> None:
    open_data(page)
    choose_way(page, "Folder")
    path = page.get_by_role("textbox", name="Folder, or zip or tar archive")
    path.fill("/etc")
    path.press("Enter")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("/etc is outside the folders that this page may use")).to_be_visible()
    path.fill(str(make_folder(a=12, b=12)))
    path.press("Enter")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("heading", name="pictures")).to_be_visible()
    (data,) = sets(dashboard)
    assert data.root is not None
