"""The Data page's logic: what can be chosen, what is said, what is allowed."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.data import datasets
from core.data.scan import pictures_digest, read_image_folder, scan
from core.jobs.store import Store
from core.recipe_settings import parse
from dashboard.charts import class_bars
from dashboard.picture_sets import name_of
from tests.conftest import MakeFolder

OpenPage = Callable[..., AppTest]


@pytest.fixture
def data(make_folder: MakeFolder) -> datasets.DataSet:
    """A data set of a folder, and one that has no use yet."""
    return datasets.link_folder(home.data_folder(), "Our *plants*", make_folder(a=12, b=12, c=12))


@pytest.fixture
def open_data(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AppTest]:
    """Opens the page with the pictures at a path chosen; tasks are not started."""
    monkeypatch.setattr("dashboard.pictures.issues.BY_ITSELF", 0)

    def opened(path: str) -> AppTest:
        test = open_page()
        test.session_state["draft"]["data"] = path
        return test.switch_page("pictures/page.py").run()

    return opened


def said(page: AppTest) -> str:
    return "\n".join(e.value for kind in ("markdown", "text", "caption", "subheader", "info") for e in page.get(kind))


def test_data_sets_are_chosen_by_name(open_data: Callable[[str], AppTest], data: datasets.DataSet) -> None:
    page = open_data(str(data.folder))
    assert not page.exception
    assert page.selectbox(key="draft.data").value == str(data.folder)
    assert "Our *plants*" in page.selectbox(key="draft.data").options
    assert page.subheader[0].value != "Our *plants*"  # Escaped, so that it is shown as it is.
    assert name_of(str(data.folder)) == "Our *plants*"


def test_the_pictures_are_looked_at_once_in_every_draw(
    open_data: Callable[[str], AppTest], data: datasets.DataSet, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the inspection and for the preview, also where one of them is asked for."""
    page = open_data(str(data.folder))
    monkeypatch.setattr("dashboard.pictures.issues.BY_ITSELF", 100)
    looked: list[Path] = []

    def counted(folder: Path) -> str:
        looked.append(folder)
        return pictures_digest(folder)

    for module in ("core.data.scan", "core.jobs.job"):
        monkeypatch.setattr(f"{module}.pictures_digest", counted)
    page.run()
    assert not page.exception
    assert [job.kind for job in store.jobs.live(home.installation_id(), ["inspect", "preview"])] == ["inspect"]
    assert page.button(key="ask-preview")
    assert looked == [data.folder]


@pytest.mark.parametrize("file", [datasets.RECORD, datasets.EDITS])
def test_a_damaged_data_set_is_said_and_hurts_no_other(
    open_data: Callable[[str], AppTest], data: datasets.DataSet, make_folder: MakeFolder, file: str
) -> None:
    (data.folder / file).write_text("{}", encoding="utf-8")
    page = open_data(str(data.folder))
    assert not page.exception
    assert f"{file} is damaged" in said(page)
    other = open_data(str(make_folder(name="other", a=12, b=12)))
    assert not other.exception
    assert "other" in said(other)


def test_one_class_is_no_reason_to_train(open_data: Callable[[str], AppTest], make_folder: MakeFolder) -> None:
    one = make_folder(name="lonely", a=3)
    page = open_data(str(one))
    assert "has pictures of one class only (a)" in said(page)
    train = page.switch_page("train/page.py").run()
    assert train.button(key="train").disabled
    assert "has pictures of one class only (a)" in said(train)


def test_other_folders_cannot_be_looked_at(
    open_data: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch, make_folder: MakeFolder, store: Store
) -> None:
    folder = make_folder(a=12, b=12)
    monkeypatch.setenv("THAW_DATA_ROOTS", str(folder.parent / "elsewhere"))
    page = open_data(str(folder))
    assert "is outside the folders that this page may use" in said(page)
    run = store.runs.queue(parse({"data": str(folder)}))  # From the command line, which may use any folder.
    train = page.switch_page("train/page.py")
    train.query_params["run"] = str(run)
    train.run()
    assert "is outside the folders that this page may use" in said(train)
    assert train.button(key="train").disabled


def test_a_link_out_of_a_root_is_followed_before_it_is_allowed(
    open_data: Callable[[str], AppTest], monkeypatch: pytest.MonkeyPatch, make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(a=12, b=12)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(folder)
    monkeypatch.setenv("THAW_DATA_ROOTS", str(root))
    assert "is outside the folders" in said(open_data(str(root / "link")))


@pytest.mark.parametrize("path", ["\0", "x" * 5000, "~nobody"])
def test_what_is_no_path_is_said(open_data: Callable[[str], AppTest], make_folder: MakeFolder, path: str) -> None:
    page = open_data(str(make_folder(a=12, b=12)))
    page.segmented_control(key="data.way").set_value("Folder").run()
    page.text_input(key="data.path").set_value(path).run()
    page.button(key="data.use").click().run()
    assert not page.exception
    assert "path" in said(page) or "is not a folder" in said(page)


def test_deleting_lists_the_runs_and_keeps_the_record(
    open_data: Callable[[str], AppTest], data: datasets.DataSet, store: Store
) -> None:
    run = store.runs.queue(parse({"data": str(data.folder)}))
    page = open_data(str(data.folder))
    assert f"Stop run {run} first" in said(page)
    assert page.button(key="data.delete").disabled
    store.runs.request_stop(run)
    page.run()
    assert f"Made with it: run {run}." in said(page)
    page.button(key="data.delete").click().run()
    assert datasets.list_datasets(home.data_folder()) == []
    assert datasets.read_dataset(data.folder).name == "Our *plants*"
    assert name_of(str(data.folder)) == "Our *plants*"


def test_a_sample_is_changed_in_a_data_set_of_its_own(
    open_data: Callable[[str], AppTest], make_folder: MakeFolder
) -> None:
    folder = make_folder(a=12, b=12)
    page = open_data(str(folder))
    listed = [found.file for found in scan(folder).pictures]
    key = next(element.key for element in page.dataframe if element.key)
    page.session_state[key] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    page.run()
    assert page.button(key="data.out").disabled is False
    page.button(key="data.out").click().run()
    (made,) = datasets.list_datasets(home.data_folder())
    assert made.root == folder
    assert datasets.read_edits(made.folder).removed == frozenset(listed[:2])
    assert read_image_folder(made.folder).counts() == (10, 12)
    assert read_image_folder(folder).counts() == (12, 12)


def test_pictures_of_a_test_are_shown_as_such(open_data: Callable[[str], AppTest], make_folder: MakeFolder) -> None:
    root = make_folder("all/train", a=8, b=8).parent
    make_folder("all/test", a=2, b=3)
    page = open_data(str(root))
    assert not page.exception
    uses = Counter(page.dataframe[0].value["Used for"])
    assert uses == {"training": 12, "validation": 4, "test": 5}
    bars = {trace["name"]: sum(trace["x"]) for trace in class_bars(scan(root))[0]["data"]}
    assert bars == {"training": 16, "test": 5}


def test_the_largest_classes_have_bars(tmp_path: Path) -> None:
    for number in range(30):
        for picture in range(1 + number % 3):
            path = tmp_path / f"class <{number}>" / f"{picture}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    figure, bars = class_bars(scan(tmp_path))
    (trace,) = figure["data"]
    assert bars == 20
    assert trace["x"][:10] == [3] * 10
    assert "class &lt;2&gt;" in trace["y"]
    assert figure["layout"]["title"]["text"] == "Pictures per class: 60 in 30 classes (the 20 largest)"
