"""A phone's page takes pictures for codes that are open, and for no others."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core import home
from dashboard import phone


def phone_page(code: str) -> AppTest:
    page = AppTest.from_string("from dashboard.phone import phone_page\n\nphone_page()")
    page.query_params["code"] = code
    return page.run()


@pytest.mark.parametrize("code", ["", "short", "../../../../etc/x", "x" * 16, "x" * 17, "ä" * 16])
def test_a_code_that_is_not_open_is_said_to_be_gone(thaw_home: Path, code: str) -> None:
    home.uploads_folder().mkdir(parents=True)
    page = phone_page(code)
    assert [one.value for one in page.warning] == [phone.GONE]
    assert list(home.uploads_folder().iterdir()) == []
    assert thaw_home.is_dir()


def test_an_open_code_shows_the_camera(thaw_home: Path) -> None:
    code = phone.new_code()
    phone.open_code(code)
    page = phone_page(code)
    assert not page.warning
    assert not page.exception
    assert phone.newest(code) is None
    assert thaw_home.is_dir()


def test_codes_differ_and_fit_into_an_address() -> None:
    codes = {phone.new_code() for _ in range(100)}
    assert len(codes) == 100
    assert all(phone.CODE.fullmatch(code) for code in codes)


def test_the_code_is_a_square_with_a_margin_that_readers_need() -> None:
    with Image.open(BytesIO(phone.as_squares("http://192.168.1.20:8501/phone?code=abc"))) as image:
        grey = image.convert("L")
    assert grey.width == grey.height
    assert grey.crop((0, 0, 32, grey.height)).getextrema() == (255, 255)  # Four squares of 8 pixels.
    assert grey.crop((32, 32, 33, 33)).getextrema() == (0, 0)
