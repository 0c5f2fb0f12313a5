"""The Train page's logic: defaults, presets, toggles, faults, one run per press."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.backbones.catalogue import FILE
from core.jobs.process import process_id
from core.jobs.store import Store
from core.optimizers import OPTIMIZER, OPTIMIZERS, SCHEDULES
from core.presets import PRESETS, expand
from core.recipe_settings import SETTINGS, TABLES, parse
from dashboard.text import JOINER
from tests.conftest import SAMPLE_DATA, MakeFolder
from tests.core.jobs.by_number import claim

OpenPage = Callable[..., AppTest]


def text_of(page: AppTest) -> str:
    return "\n".join(element.value for kind in ("markdown", "text", "info") for element in page.get(kind))


def captions_of(page: AppTest) -> str:
    return "\n".join(caption.value for caption in page.caption)


def press_train(page: AppTest) -> AppTest:
    return page.button(key="train").click().run()


def test_open_the_page_press_train_and_it_works(open_page: OpenPage, store: Store, started: list[int]) -> None:
    test = press_train(open_page())
    assert not test.exception
    (run,) = store.runs.all()
    assert run.recipe == parse(expand({"data": str(SAMPLE_DATA / "stamps"), "preset": "feature_extraction"})[0])
    assert test.query_params["run"] in (str(run.id), [str(run.id)])
    assert set(started) == {1}  # When the page was opened, and when Train was pressed.


def test_a_double_click_is_one_run_and_two_settings_are_two(open_page: OpenPage, store: Store) -> None:
    test = press_train(press_train(open_page()))
    assert len(store.runs.all()) == 1
    test.number_input(key="draft.epochs").set_value(3).run()
    press_train(test)
    assert [run.recipe.epochs for run in store.runs.all()] == [3, 20]


def test_settings_reach_the_recipe(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.session_state["draft"]["optimizer.name"] = "sgd"
    test.run()
    test.number_input(key="draft.optimizer.lr").set_value(0.05)
    test.number_input(key="draft.optimizer.momentum").set_value(0.8)
    test.toggle(key="draft.optimizer.nesterov").set_value(True)
    test.number_input(key="draft.penalties.l2").set_value(0.001)
    test.selectbox(key="backbone").set_value("squeezenet1_1").run()
    press_train(test)
    (run,) = store.runs.all()
    assert run.recipe.optimizer.model_dump() == {"name": "sgd", "lr": 0.05, "momentum": 0.8, "nesterov": True}
    assert (run.recipe.backbone, run.recipe.penalties.l2) == ("squeezenet1_1", 0.001)


def test_variations_say_what_they_cost(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.session_state["draft"]["augment"] = "standard"
    test.run()
    assert "over 975 looks at 156 pictures" in captions_of(test)
    test.number_input(key="draft.views").set_value(0).run()
    assert "Every epoch runs the whole network over new variations" in "".join(
        caption.value for caption in test.caption
    )
    press_train(test)
    assert (store.runs.all()[0].recipe.augment, store.runs.all()[0].recipe.views) == ("standard", 0)


def test_the_machine_reaches_the_recipe_and_comes_back(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.selectbox(key="draft.device").set_value("cpu")
    test.selectbox(key="draft.precision").set_value("fp32").run()
    press_train(test)
    (run,) = store.runs.all()
    assert (run.recipe.device, run.recipe.precision) == ("cpu", "fp32")
    assert open_page(run=str(run.id)).selectbox(key="draft.precision").value == "fp32"


def test_toggles_freeze_and_thaw_blocks_and_layers(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.toggle(key="show layers").set_value(True).run()
    test.toggle(key="toggle.stage7").set_value(True).run()
    assert "480,325 trainable" in text_of(test)
    test.selectbox(key="opened").set_value("stage6").run()
    test.toggle(key="toggle.features.16.conv.2").set_value(True).run()
    press_train(test)
    assert store.runs.all()[0].recipe.trainable == ("features.16.conv.2", "stage7", "head")


def test_a_fault_is_said_and_blocks_train(open_page: OpenPage) -> None:
    test = open_page()
    test.number_input(key="draft.optimizer.lr").set_value(-1.0).run()
    assert test.button(key="train").disabled
    assert test.text[0].value.startswith("Learning rate -1: must be a finite number above 0")
    test.number_input(key="draft.optimizer.lr").set_value(0.001).run()
    assert not test.button(key="train").disabled


def test_everything_frozen_blocks_train(open_page: OpenPage) -> None:
    test = open_page()
    test.toggle(key="show layers").set_value(True).run()
    test.toggle(key="toggle.head").set_value(False).run()
    assert test.button(key="train").disabled
    assert "Every block is frozen" in text_of(test)


def test_a_folder_that_cannot_be_used_is_said(open_page: OpenPage, tmp_path: Path) -> None:
    test = open_page()
    test.session_state["draft"]["data"] = str(tmp_path / "nowhere")
    test.run()
    assert not test.exception
    assert "is not a folder" in text_of(test)


def test_nasty_class_names_stay_text(open_page: OpenPage, make_folder: MakeFolder) -> None:
    nasty = "![x](http:evil) <b>$y$ :red[z]"
    test = open_page()
    test.session_state["draft"]["data"] = str(make_folder(**{nasty: 2, "b": 2}))
    test.run()
    assert not test.exception
    assert not any("![" in str(element.proto) for element in test.get("imgs"))


def test_a_run_in_the_address_is_shown_with_its_settings(open_page: OpenPage, store: Store) -> None:
    run = store.runs.queue(parse({"data": str(SAMPLE_DATA / "digits"), "backbone": "squeezenet1_1", "epochs": 4}))
    test = open_page(run=str(run))
    assert test.number_input(key="draft.epochs").value == 4
    assert test.selectbox(key="backbone").value == "squeezenet1_1"
    assert f"Run {run}" in text_of(test)


def test_a_queued_run_says_what_it_waits_for(open_page: OpenPage, store: Store) -> None:
    first, second = (store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps")})) for _ in range(2))
    assert "Loading PyTorch" in str(open_page(run=str(first)).get("progress")[0].proto)
    claim(store, process_id())
    assert "Waiting: next in the queue" in str(open_page(run=str(second)).get("progress")[0].proto)


def test_a_run_that_is_opened_brings_its_settings_and_edits_stay(open_page: OpenPage, store: Store) -> None:
    first, second = (store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps"), "epochs": n})) for n in (3, 4))
    test = open_page(run=str(first))
    test.number_input(key="draft.epochs").set_value(9).run()
    assert test.number_input(key="draft.epochs").value == 9
    test.query_params["run"] = str(second)
    test.run()
    assert test.number_input(key="draft.epochs").value == 4


def test_the_run_is_still_there_after_a_look_at_the_list(open_page: OpenPage, store: Store) -> None:
    run = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps")}))
    test = open_page(run=str(run)).switch_page("runs/page.py").run()
    test.query_params.clear()
    test.switch_page("train/page.py").run()
    assert f"Run {run}" in text_of(test)


def test_a_run_that_ended_before_it_began_says_so(open_page: OpenPage, store: Store) -> None:
    run = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps")}))
    store.runs.request_stop(run)
    test = open_page(run=str(run))
    assert "**Stopped** before training began" in text_of(test)
    assert not test.get("progress")


@pytest.mark.parametrize("settings", [{"val_fraction": 0.97}, {"val_fraction": 0.001}, {"seed": 2**53 - 1}])
def test_every_recipe_that_can_be_trained_can_be_shown(
    open_page: OpenPage, store: Store, settings: dict[str, float]
) -> None:
    run = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps")} | settings))
    test = open_page(run=str(run))
    assert not test.exception
    assert not test.button(key="train").disabled


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("epochs", 10**9), ("batch_size", 0), ("seed", -1)])
def test_whole_numbers_that_cannot_be_are_said(open_page: OpenPage, field: str, value: int) -> None:
    test = open_page()
    test.number_input(key=f"draft.{field}").set_value(value).run()
    assert test.button(key="train").disabled
    assert f"{value}: must be a whole number from" in text_of(test)


@pytest.mark.parametrize("number", ["77", "abc", "", "-1", "9" * 30])
def test_an_address_with_no_such_run(open_page: OpenPage, number: str) -> None:
    test = open_page(run=number)
    assert not test.exception
    assert test.button(key="train")


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_has_its_widgets_and_they_reach_the_recipe(
    open_page: OpenPage, store: Store, name: str
) -> None:
    test = open_page()
    test.session_state["draft"]["optimizer.name"] = name
    test.run()
    assert not test.exception
    settings = OPTIMIZER.settings(name).values()
    shown = {widget.key: widget for kind in ("number_input", "toggle") for widget in test.get(kind)}
    for one in (part for setting in settings for part in setting.parts or (setting,)):
        assert (shown[f"draft.{one.path}"].label, shown[f"draft.{one.path}"].help) == (one.title, one.help)
    test.number_input(key="draft.optimizer.lr").set_value(0.125).run()
    press_train(test)
    assert store.runs.all()[0].recipe.optimizer == OPTIMIZERS[name].model_validate({"lr": 0.125})
    assert f"{OPTIMIZERS[name].label} 0.125" in text_of(test).replace(JOINER, "").replace("\\", "")


def widgets_of(page: AppTest) -> dict[str, str]:
    """The label of each widget that is tied to the draft, by its setting's path."""
    kinds = ("number_input", "toggle", "selectbox", "button_group")
    tied = [widget for kind in kinds for widget in page.get(kind) if (widget.key or "").startswith("draft.")]
    assert len({widget.key for widget in tied}) == len(tied)
    return {widget.key.removeprefix("draft."): widget.label for widget in tied}


OWN_WIDGETS = {"version", "data", "backbone", "trainable", "fold"}
"""Settings without a generated widget; that of the fold comes with folds."""


def test_every_setting_has_a_widget(open_page: OpenPage) -> None:
    test = open_page()
    test.session_state["draft"]["augment"] = "flip"
    test.run()
    shown: dict[str, str] = {}
    for section, table in TABLES.items():
        for row in table.rows:
            test.session_state["draft"][f"{section}.name"] = row
            shown |= widgets_of(test.run())
            assert not test.exception
    parts = [part for one in SETTINGS.values() for part in one.parts or (one,)]
    expected = {one.path: one.title for one in parts if one.path not in OWN_WIDGETS}
    assert {path: shown.get(path) for path in expected} == expected


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_sets_does_not_count_as_changed(open_page: OpenPage, name: str) -> None:
    test = open_page()
    draft = test.session_state["draft"]
    draft.take(PRESETS[name].settings(draft.chosen_backbone()))
    assert "Changed in more settings" not in captions_of(test.run())
    test.number_input(key="draft.rates.early").set_value(0.7).run()
    assert "Changed in more settings: Rate of early blocks" in captions_of(test)


def test_other_settings_reach_the_recipe_and_are_said_to_be_changed(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    assert "Changed in more settings" not in captions_of(test)
    test.number_input(key="draft.test_fraction").set_value(0.2)
    test.number_input(key="draft.patience").set_value(3)
    test.number_input(key="draft.split_seed").set_value(7)
    test.selectbox(key="draft.keep").set_value("last")
    test.number_input(key="draft.rates.early").set_value(0.5).run()
    assert "Changed in more settings: Held out for a test, Weights to keep, Patience, Seed of the split, " in (
        captions_of(test)
    )
    press_train(test)
    recipe = store.runs.all()[0].recipe
    assert (recipe.test_fraction, recipe.patience, recipe.split_seed) == (0.2, 3, 7)
    assert (recipe.keep, recipe.rates.early, recipe.init_seed) == ("last", 0.5, None)
    test.number_input(key="draft.split_seed").set_value(None).run()
    press_train(test)
    assert store.runs.all()[0].recipe.split_seed is None


def test_a_fold_is_asked_for_where_there_are_folds(open_page: OpenPage) -> None:
    test = open_page()
    assert "fold" not in widgets_of(test)
    test.number_input(key="draft.folds").set_value(4).run()
    test.number_input(key="draft.fold").set_value(3).run()
    test.number_input(key="draft.folds").set_value(1).run()
    assert "fold" in widgets_of(test)  # What is wrong can be seen, and mended.
    assert test.button(key="train").disabled


def test_a_schedule_reaches_the_recipe(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.session_state["draft"]["schedule.name"] = "step"
    test.run()
    test.number_input(key="draft.schedule.every").set_value(4).run()
    press_train(test)
    assert store.runs.all()[0].recipe.schedule == SCHEDULES["step"].model_validate({"every": 4})


def test_weights_of_a_run_of_ones_own_can_be_typed(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    start = test.selectbox(key="draft.weights")
    assert (start.value, start.options) == ("pretrained", ["Pretrained weights", "Random"])
    test.session_state["draft"]["weights"] = "run:12"  # AppTest cannot type into a list.
    test.run()
    assert not test.exception
    assert test.selectbox(key="draft.weights").value == "run:12"
    assert test.session_state["draft"].settings()["weights"] == "run:12"
    assert store.runs.all() == []


def test_weights_are_named_so_that_a_worker_finds_them(
    open_page: OpenPage, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file by its whole path, a family by its first run, which the page says."""
    monkeypatch.chdir(tmp_path)
    family = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps"), "repeats": 2}))
    kept = home.run_folder(family + 1) / "model.safetensors"
    for file in (kept, tmp_path / "mine.safetensors"):
        shutil.copy(FILE.parent / "weights" / "mobilenet_v2.safetensors", file)
    for typed, found in (("./mine.safetensors", str(tmp_path / "mine.safetensors")), (f"run:{family}", "run:2")):
        test = open_page()
        test.session_state["draft"]["weights"] = typed
        press_train(test.run())
        assert not test.exception
        assert store.runs.all()[0].recipe.weights == found
        said = f"Run {family} is a family of runs; training starts from its first, run {family + 1}."
        assert (said in text_of(test)) == typed.startswith("run:")


def test_equal_classes_are_proposed_where_they_differ(open_page: OpenPage, make_folder: MakeFolder) -> None:
    test = open_page()
    test.session_state["draft"]["data"] = str(make_folder(name="even", a=12, b=8))
    assert not any(button.key == "balance" for button in test.run().button)  # 9 and 6 to train on.
    test.session_state["draft"]["data"] = str(make_folder(name="uneven", a=16, b=8))
    test.run()
    assert "The largest class has 2.0 times as many training pictures as the smallest" in captions_of(test)
    test.button(key="balance").click().run()
    assert test.selectbox(key="draft.class_weights").value == "balanced"
    assert not any(button.key == "balance" for button in test.button)


def test_the_parts_are_counted(open_page: OpenPage, make_folder: MakeFolder) -> None:
    test = open_page()
    assert "156 pictures in 5 classes: 117 train, 39 val" in captions_of(test)
    root = make_folder("all/train", a=8, b=8).parent
    make_folder("all/test", a=2, b=3)
    test.session_state["draft"]["data"] = str(root)
    assert "21 pictures in 2 classes, with a test/ of its own: 12 train, 4 val, 5 test" in captions_of(test.run())


def test_a_wrong_number_stays_until_it_is_mended(open_page: OpenPage) -> None:
    test = open_page()
    test.number_input(key="draft.optimizer.betas.0").set_value(1.0).run()
    test.session_state["draft"]["optimizer.name"] = "sgd"
    assert not test.run().button(key="train").disabled
    test.session_state["draft"]["optimizer.name"] = "adam"
    assert test.run().button(key="train").disabled
    assert "beta 1 and beta 2" in text_of(test)


def test_repeats_are_one_line_with_a_way_to_each_run(open_page: OpenPage, store: Store) -> None:
    test = open_page()
    test.session_state["draft"]["repeats"] = 2
    test.run()
    press_train(test)
    assert not test.exception
    family, first, second = store.runs.all()
    assert (test.query_params["run"] in (str(family.id), [str(family.id)]), family.is_family) == (True, True)
    assert "2 repeats" in text_of(test).replace(JOINER, "").replace("\\", "")
    test.button(key=f"open-{first.id}").click().run()
    assert test.query_params["run"] in (str(first.id), [str(first.id)])
    test.button(key=f"open-{family.id}").click().run()
    assert test.query_params["run"] in (str(family.id), [str(family.id)])
    test.button(key=f"cancel-{family.id}").click().run()
    assert {run.status for run in store.runs.all()} == {"stopped"}
    test.button(key=f"resume-{family.id}").click().run()
    assert store.runs.waiting() == [first.id, second.id]


def test_a_family_has_a_place_in_the_queue_and_moves_as_one(open_page: OpenPage, store: Store) -> None:
    first = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps")}))
    family = store.runs.queue(parse({"data": str(SAMPLE_DATA / "stamps"), "repeats": 2}))
    test = open_page(run=str(family))
    assert test.button(key=f"arrow_downward-{family}").disabled
    test.button(key=f"arrow_upward-{family}").click().run()
    assert not test.exception
    assert store.runs.waiting() == [family + 1, family + 2, first]


def test_a_file_of_weights_outside_the_allowed_folders_is_not_even_looked_for(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_DATA_ROOTS", str(tmp_path / "allowed"))
    (tmp_path / "there.pth").write_bytes(b"weights")
    test = open_page()
    for name in ("there.pth", "nowhere.pth"):
        test.session_state["draft"]["weights"] = str(tmp_path / name)
        test.run()
        assert test.button(key="train").disabled
        assert "is outside the folders that this page may use" in text_of(test), name
