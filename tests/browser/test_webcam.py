"""The webcam component on a page of its own, in a Chromium that has a made-up camera and lets every page use it."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Browser, JSHandle, Page, expect

from dashboard.components.webcam import bursts_in
from tests.browser.conftest import Dashboard

PAGE = """
import time
from pathlib import Path

import streamlit as st

from dashboard.components.webcam import webcam

HERE = Path(__file__).parent


def camera():
    taken = st.session_state.setdefault("taken", [])
    taken += webcam(key="webcam", pictures=4, every=0.05, disabled=disabled)
    for number, picture in enumerate(taken):
        (HERE / f"{number}.jpg").write_bytes(picture)
    st.write(f"Arrived: {len(taken)}.")


st.button("Run again")
if st.checkbox("Move it down"):
    st.write("Above the camera.")
disabled = st.checkbox("Disabled")
in_a_fragment = st.checkbox("In a fragment")
if st.checkbox("On the page", value=True):
    st.fragment(camera)() if in_a_fragment else camera()
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.write(f"Run {st.session_state.runs}.")
while (HERE / "busy").exists():
    time.sleep(0.01)
"""
REFUSE = "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('refused', name); }; }"
SIZE_TAKEN = (640, 360)


class WebcamPage(Dashboard):
    """A server of the page above."""

    def pictures(self, count: int) -> list[Image.Image]:
        """What the script has written down last."""
        return [Image.open(self.log.with_name(f"{number}.jpg")) for number in range(count)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebcamPage]:
    running = WebcamPage(tmp_path_factory.mktemp("webcam"))
    script = running.log.with_name("page.py")
    script.write_text(PAGE, encoding="utf-8")
    running.start(str(script))
    yield running
    running.stop()
    assert "Traceback" not in running.log.read_text(encoding="utf-8")


@pytest.fixture
def page(with_camera: Browser, server: WebcamPage) -> Iterator[Page]:
    context = with_camera.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    yield page
    context.close()
    assert errors == []


def turn_on(page: Page) -> JSHandle:
    """Press the button, wait for the picture, and return the camera's tracks."""
    page.get_by_role("button", name="Turn on the camera").click()
    expect(page.get_by_role("button", name="Take 4 pictures")).to_be_enabled()
    return page.locator(".webcam video").evaluate_handle("video => video.srcObject.getTracks()")


def take(page: Page) -> None:
    page.get_by_role("button", name="Take 4 pictures").click()
    expect(page.get_by_text("4 pictures taken.")).to_be_visible()


def wait_until_ended(page: Page, tracks: JSHandle) -> None:
    page.wait_for_function("tracks => tracks.length > 0 && tracks.every(t => t.readyState === 'ended')", arg=tracks)


def is_red_on_the_left(picture: Image.Image) -> bool:
    row = np.asarray(picture.convert("RGB"))[picture.height // 2].astype(int)
    redder = row[:, 0] > row[:, 2]
    return bool(redder[picture.width // 4] and not redder[picture.width * 3 // 4])


def test_every_press_brings_a_burst_of_pictures_exactly_once(page: Page, server: WebcamPage) -> None:
    turn_on(page)
    said = page.locator(".webcam .status").evaluate_handle(
        """status => {
            const said = [];
            const note = (records) => said.push(...records.map((record) => record.addedNodes[0].data));
            new MutationObserver(note).observe(status, { childList: true });
            return said;
        }"""
    )
    take(page)
    expect(page.get_by_text("Arrived: 4.")).to_be_visible()
    assert said.json_value() == ["1 of 4", "2 of 4", "3 of 4", "4 of 4", "4 pictures taken."]
    for picture in server.pictures(4):
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", SIZE_TAKEN)
        assert is_red_on_the_left(picture)
    on_screen = Image.open(BytesIO(page.locator(".webcam video").screenshot()))
    assert is_red_on_the_left(ImageOps.mirror(on_screen))

    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Run 3.")).to_be_visible()
    expect(page.get_by_text("Arrived: 4.")).to_be_visible()

    page.get_by_role("button", name="Take 4 pictures").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Arrived: 8.")).to_be_visible()


def test_no_burst_is_lost_while_the_script_is_busy(page: Page, server: WebcamPage) -> None:
    page.get_by_text("In a fragment").click()  # Where bursts cannot cut short the run that is busy, and wait for it.
    expect(page.get_by_text("Run 2.")).to_be_visible()
    turn_on(page)
    busy = server.log.with_name("busy")
    busy.touch()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Run 3.")).to_be_visible()
    take(page)
    take(page)
    busy.unlink()
    expect(page.get_by_text("Arrived: 8.")).to_be_visible()


def test_the_camera_is_off_when_turned_off_disconnected_or_no_longer_on_the_page(page: Page) -> None:
    tracks = turn_on(page)
    page.get_by_text("Move it down").click()
    expect(page.get_by_text("Above the camera.")).to_be_visible()
    assert page.locator(".webcam video").evaluate("video => !video.paused")
    page.get_by_role("button", name="Turn off").click()
    wait_until_ended(page, tracks)
    expect(page.get_by_text("The camera is off.")).to_be_visible()
    expect(page.get_by_role("button", name="Take 4 pictures")).to_be_hidden()

    tracks = turn_on(page)
    tracks.evaluate("([track]) => track.dispatchEvent(new Event('ended'))")
    expect(page.get_by_text("The camera was disconnected.")).to_be_visible()
    wait_until_ended(page, tracks)

    tracks = turn_on(page)
    page.get_by_text("On the page").click()
    wait_until_ended(page, tracks)


def test_disabled_it_can_only_be_turned_off(page: Page) -> None:
    turn_on(page)
    page.get_by_text("Disabled").click()
    expect(page.get_by_role("button", name="Take 4 pictures")).to_be_disabled()
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_role("button", name="Turn on the camera")).to_be_disabled()


def test_without_a_camera_a_sentence_says_what_to_do(page: Page) -> None:
    power = page.get_by_role("button", name="Turn on the camera")
    power.wait_for()
    for name, sentence in {
        "NotAllowedError": "The browser does not let this page use the camera.",
        "NotFoundError": "No camera was found.",
        "NotReadableError": "The camera is in use by another program or page.",
        "AbortError": "The camera could not be turned on: refused",
    }.items():
        page.evaluate(REFUSE, name)
        power.click()
        expect(page.get_by_text(sentence)).to_be_visible()
    page.evaluate("delete navigator.mediaDevices.getUserMedia")
    turn_on(page)


def test_where_pages_have_no_live_camera_the_device_takes_the_picture(page: Page, server: WebcamPage) -> None:
    """As a phone does, and turned as phones turn them: by EXIF."""
    page.add_init_script("delete Navigator.prototype.mediaDevices")
    page.reload()
    expect(page.get_by_text("The camera works live only at localhost or over https")).to_be_visible()
    expect(page.locator(".webcam button")).to_have_count(0)
    photo = Image.new("RGB", (600, 800), (30, 30, 200))
    photo.paste((200, 30, 30), (0, 400, 600, 800))
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned clockwise: what is below comes to the left.
    file = BytesIO()
    photo.save(file, "JPEG", exif=exif)
    input_ = page.get_by_label("Take a picture")
    expect(input_).to_have_attribute("capture", "environment")
    input_.set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})
    expect(page.get_by_text("Arrived: 1.")).to_be_visible()
    (picture,) = server.pictures(1)
    assert picture.size == (640, 480)
    assert is_red_on_the_left(picture)
    input_.set_input_files({"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"})
    expect(page.get_by_text("That file could not be opened as a picture.")).to_be_visible()
    expect(page.get_by_text("Arrived: 1.")).to_be_visible()
    page.get_by_text("Disabled").click()
    expect(input_).to_be_disabled()


JPEG = "data:image/jpeg;base64,/9j/"


@pytest.mark.parametrize(
    ("sent", "bursts"),
    [
        (None, []),
        ("text", []),
        ([[1]], []),
        ([["1", [JPEG]]], []),
        ([[1, [JPEG, JPEG]], [2, [JPEG]]], [(1, [b"\xff\xd8\xff"] * 2), (2, [b"\xff\xd8\xff"])]),
        ([[1, [JPEG] * 5]], [(1, [])]),
        ([[1, [JPEG, 5]]], [(1, [])]),
        ([[1, ["data:image/png;base64,/9j/"]]], [(1, [])]),
        ([[1, ["data:image/jpeg;base64,/9j"]]], [(1, [])]),
        ([[1, [JPEG + "/9j/" * 500_000]]], [(1, [])]),
    ],
)
def test_only_as_many_jpegs_as_agreed_are_taken_from_a_browser(
    sent: object, bursts: list[tuple[int, list[bytes]]]
) -> None:
    assert list(bursts_in(sent, at_most=4)) == bursts
