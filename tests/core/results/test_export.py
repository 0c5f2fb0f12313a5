"""What people take home works without Thaw: each file is used in an empty folder, by a program of its own."""

import csv
import json
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from core.data.scan import read_image_folder
from core.data.split import draw_of, split
from core.errors import BadRecipe, TrackerUnavailable
from core.optimizers import OPTIMIZERS, SCHEDULES
from core.recipe import AUGMENTATIONS
from core.recipe_settings import parse, read_toml
from core.results.export.card import Facts, literal
from core.results.export.formats import FORMATS
from core.results.export.packing import WRITERS, export
from core.results.export.script import OPTIMIZERS as SCRIPTED
from core.results.export.script import SCHEDULES as SCRIPTED_SCHEDULES
from core.results.export.script import VARIATIONS, train_script
from core.results.predict import classifier
from core.training.kept_model import load_model
from core.training.loop import train
from tests.conftest import MakeFolder, result_of, small_recipe

FACTS = Facts("run 7: ResNet-18 on <b>mine</b>", (("Validation", "75.0 % (3 of 4)"),), "12 pictures, from here.")


def trained(folder: Path, data: Path, **settings: Any) -> Path:
    file = folder / "model.safetensors"
    list(train(small_recipe(data, precision="fp32", **settings), file, folder / "features"))
    return file


def taken(name: str, weights: Path, folder: Path) -> Path:
    """What an export has in it, in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = result_of(export(name, weights, FACTS, folder, weights.parent / "features"))
    if made.suffix != ".zip":
        return made
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / name)
    return folder / name


def run_here(program: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run a program in its own folder, in this process: torch is loaded already."""
    monkeypatch.chdir(program.parent)
    monkeypatch.setattr("sys.argv", [program.name, *arguments])
    runpy.run_path(str(program), run_name="__main__")


def test_every_format_has_a_writer() -> None:
    assert list(WRITERS) == list(FORMATS)
    assert set(VARIATIONS) == set(AUGMENTATIONS)
    assert set(SCRIPTED_SCHEDULES) == set(SCHEDULES)
    assert set(SCRIPTED) == set(OPTIMIZERS) - {"lbfgs"}


def test_what_there_is_not_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrackerUnavailable, match="pdf is nothing to export to; take model or"):
        result_of(export("pdf", tmp_path / "none", FACTS, tmp_path, tmp_path))


def odd_pictures(folder: Path) -> list[Path]:
    """Turned by EXIF, transparent, CMYK, 16 bits, grey, large."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    noise = Image.fromarray(torch.randint(0, 256, (90, 60, 3), dtype=torch.uint8).numpy())
    exif = Image.Exif()
    exif[0x0112] = 6
    noise.save(folder / "turned.jpg", exif=exif)
    clear = noise.convert("RGBA")
    clear.putalpha(noise.convert("L"))
    clear.save(folder / "clear.png")
    noise.convert("CMYK").save(folder / "cmyk.jpg")
    deep = Image.fromarray((torch.arange(90 * 60).view(90, 60) * 12).to(torch.uint16).numpy())
    deep.save(folder / "deep.png")
    noise.convert("L").save(folder / "grey.png")
    noise.resize((1200, 900)).save(folder / "large.jpg")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("backbone", ["resnet18", "squeezenet1_1", "mnasnet0_5", "googlenet"])
def test_the_program_answers_as_thaw_does(
    make_folder: MakeFolder,
    tmp_path: Path,
    backbone: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = trained(tmp_path, make_folder(a=4, b=4), backbone=backbone, epochs=1, image_size=64)
    folder = taken("model", weights, tmp_path / "empty")
    pictures = odd_pictures(tmp_path / "odd")
    capsys.readouterr()
    run_here(folder / "predict.py", monkeypatch, *map(str, pictures))
    said = capsys.readouterr().out.splitlines()
    classify = classifier(load_model(weights))
    for line, picture in zip(map(json.loads, said), pictures, strict=True):
        assert line["probabilities"] == pytest.approx(classify(picture), abs=1e-4), picture.name
    assert len((folder / "predict.py").read_text(encoding="utf-8").splitlines()) <= 100
    assert read_toml(folder / "recipe.toml")["backbone"] == backbone
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "75.0 %" in card
    assert "<b>" not in card


def test_the_program_needs_no_thaw(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = trained(tmp_path, make_folder(a=4, b=4), epochs=1)
    folder = taken("model", weights, tmp_path / "empty")
    (picture, *_) = odd_pictures(tmp_path / "odd")
    command = [sys.executable, "-I", str(folder / "predict.py"), str(picture)]  # -I: this folder's core is not found.
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["probabilities"] == pytest.approx(classifier(load_model(weights))(picture), abs=1e-4)


def test_the_same_run_gives_the_same_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = trained(tmp_path, make_folder(a=4, b=4), epochs=1)
    one, other = (result_of(export("model", weights, FACTS, tmp_path / name, tmp_path)) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_plain_weights_load_by_the_lines_in_their_card(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = trained(tmp_path, make_folder(a=4, b=4), epochs=1)
    folder = taken("weights", weights, tmp_path / "empty")
    lines = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    code = f"import torch, torchvision\n{lines}\nprint(float(sum(p.double().sum() for p in model.parameters())))"
    said = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    state = load_model(weights).state
    learnt = [tensor for name, tensor in state.items() if "running" not in name and "tracked" not in name]
    assert float(said.stdout) == pytest.approx(float(sum(tensor.double().sum() for tensor in learnt)))


@pytest.mark.parametrize("text", ["<script>", "a`b", "[x](y)", "# x", "1*2*3", "two\nlines"])
def test_names_mean_nothing_in_a_card(text: str) -> None:
    shown = literal(text)
    assert "\n" not in shown
    assert shown.replace("\\", "") == text.replace("\n", " ")
    assert not any(sign in shown.replace(f"\\{sign}", "") for sign in "<>`[]#*")


EVERYTHING = [
    {},
    {"trainable": ["layer4", "head"], "rates": {"late": 0.2}, "schedule": {"name": "cosine", "warm_up": 1}},
    {"trainable": "all", "weights": "random", "schedule": {"name": "one_cycle"}, "augment": "standard", "views": 0},
    {"trainable": ["stage7", "head"], "backbone": "mobilenet_v2", "weights": "pretrained", "batchnorm": "keep"},
    {"augment": "flip", "class_weights": "balanced"},
    {"optimizer": {"name": "sgd"}, "penalties": {"l1": 1e-3, "l2": 1e-4}, "label_smoothing": 0.1, "keep": "last"},
    {"optimizer": {"name": "adamw"}, "penalties": {"l1": 1e-3}, "schedule": {"name": "step", "warm_up": 1}},
    {"trainable": "all", "penalties": {"l1": 1e-4}, "augment": "standard", "schedule": {"name": "one_cycle"}},
]


@pytest.mark.parametrize("settings", EVERYTHING, ids=str)
def test_the_program_trains(
    make_folder: MakeFolder,
    tmp_path: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = trained(tmp_path, make_folder(a=12, b=8), **settings)
    folder = taken("train", weights, tmp_path / "empty")
    script = (folder / "train.py").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 120
    assert max(map(len, script.splitlines())) <= 120
    run_here(folder / "train.py", monkeypatch)
    assert capsys.readouterr().out.splitlines()[-1].startswith("kept: ")
    assert (folder / "trained.pt").is_file()
    recipe = load_model(weights).recipe
    with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = split(read_image_folder(Path(recipe.data)), draw_of(recipe))
    assert [row["path"] for row in rows if row["part"] == "val"] == [str(one.path) for one in parts.val]


def test_what_is_frozen_stays_as_it_was_in_the_program(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = {"backbone": "mobilenet_v2", "weights": "pretrained", "trainable": ["stage7", "head"], "image_size": 32}
    weights = trained(tmp_path, make_folder(a=12, b=8), **recipe)
    folder = taken("train", weights, tmp_path / "empty")
    subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, check=True)
    after = torch.load(folder / "trained.pt", weights_only=True)
    kept = load_model(weights).state
    frozen = [name for name in kept if name.startswith("features.") and int(name.split(".")[1]) < 14]
    assert frozen
    assert all(torch.equal(after[name].cpu(), kept[name]) for name in frozen)


@pytest.mark.parametrize(
    "settings",
    [{"optimizer": {"name": "lbfgs"}}, {"patience": 3}, {"head_first": 1}],
    ids=["lbfgs", "patience", "first"],
)
def test_what_has_no_place_in_a_plain_program_is_said(make_folder: MakeFolder, settings: dict[str, Any]) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), **settings)
    with pytest.raises(BadRecipe, match="plain script"):
        train_script(recipe, ("a", "b"), split(read_image_folder(Path(recipe.data)), draw_of(recipe)), "x")


def test_a_title_cannot_break_out_of_the_program(make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4))
    parts = split(read_image_folder(Path(recipe.data)), draw_of(recipe))
    text = train_script(recipe, ('a"""', "b\\"), parts, 'x"""\nimport os\n"""\\')
    scope: dict[str, Any] = {"__name__": "read", "__file__": __file__}
    exec(compile(text, "train.py", "exec"), scope)
    assert scope["CLASSES"] == ['a"""', "b\\"]
    assert "os" not in scope


def test_a_notebook_runs_from_top_to_bottom(make_folder: MakeFolder, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    weights = trained(tmp_path, make_folder(a=4, b=4))
    folder = taken("notebook", weights, tmp_path / "empty")
    book = nbformat.read(folder / "train.ipynb", as_version=4)
    nbformat.validate(book)
    code = "\n\n".join(cell["source"] for cell in book["cells"] if cell["cell_type"] == "code")
    said = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "kept: " in said.stdout


def test_a_report_is_one_file_in_which_names_are_text(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = trained(tmp_path, make_folder(**{"a": 8, "<img src=x onerror=alert(1)>": 8}))
    report = taken("report", weights, tmp_path / "empty").read_text(encoding="utf-8")
    assert "<img src=x" not in report
    assert "&lt;img src=x" in report
    assert "<b>mine" not in report
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?https?:", report)
    assert "Plotly.newPlot" in report


def test_a_recipe_comes_back(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = trained(tmp_path, make_folder(a=4, b=4), epochs=1)
    file = taken("recipe", weights, tmp_path / "empty")
    assert parse(read_toml(file)) == load_model(weights).recipe


@pytest.mark.parametrize("backbone", ["resnet18", "squeezenet1_1"])
def test_onnx_is_tried_before_it_is_handed_out(
    make_folder: MakeFolder, tmp_path: Path, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    weights = trained(tmp_path, make_folder(a=12, b=12), backbone=backbone, epochs=1, image_size=64)
    folder = taken("onnx", weights, tmp_path / "empty")
    session = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": torch.zeros(5, 3, 64, 64).numpy()})
    assert logits.shape == (5, 2)
    assert "on 20 pictures" in (folder / "README.md").read_text(encoding="utf-8")

    from core.results.export import onnx_file

    monkeypatch.setattr(onnx_file, "MOST", -1.0)
    with pytest.raises(onnx_file.BadCheckpoint, match="not handed out"):
        result_of(export("onnx", weights, FACTS, tmp_path / "other", tmp_path))
    assert not list((tmp_path / "other").glob("*.zip"))
