"""What people take home of a run is written here: a table with a row for each of `core.results.export.formats`."""

import io
from collections.abc import Callable, Generator
from pathlib import Path

import torch
from safetensors.torch import save

from core import files
from core.backbones import catalogue
from core.backbones.build import build
from core.data.scan import read_image_folder
from core.data.split import Split, draw_of, split
from core.events import Event, Progress
from core.messages import Message
from core.recipe_settings import to_toml
from core.results.export.bundle import write_bundle
from core.results.export.card import Facts, Taken, about_model, card, literal, loading_lines
from core.results.export.formats import format_of
from core.results.export.onnx_file import write_onnx
from core.results.export.report import write_report
from core.results.export.script import notebook, split_table, start_file, train_script
from core.training.kept_model import load_model

PREDICT = Path(__file__).with_name("predict_alone.py")
PACKING = Message("Packing the files")

Contents = dict[str, str | bytes | Path]
"""Texts, bytes and files, by their names in an archive."""
Steps = Generator[Event, None, None]


def export(
    name: str, weights_file: Path, facts: Facts, folder: Path, features_folder: Path
) -> Generator[Event, None, Path]:
    """Write one of FORMATS into `folder`; returns the file.

    Raises BadCheckpoint, BadData, BadRecipe or TrackerUnavailable.
    """
    target = folder / format_of(name).file
    yield Progress(PACKING, 0, 1)
    yield from WRITERS[name](Taken(load_model(weights_file), facts, weights_file, features_folder), target)
    return target


def _model(taken: Taken, target: Path) -> Steps:
    state = {name: tensor.contiguous() for name, tensor in taken.kept.state.items()}
    contents: Contents = {
        "README.md": card(taken.kept, taken.facts),
        "model.json": about_model(taken.kept),
        "model.safetensors": save(state, metadata={"format": "pt"}),
        "predict.py": PREDICT,
        "recipe.toml": to_toml(taken.kept.recipe),
        "requirements.txt": "torch\ntorchvision\npillow\nsafetensors\n",
    }
    files.write_zip(target, contents)
    yield Progress(PACKING, 1, 1)


def _weights(taken: Taken, target: Path) -> Steps:
    file = io.BytesIO()
    torch.save(dict(taken.kept.state), file)
    text = f"{card(taken.kept, taken.facts)}\n## Loading the weights\n\n```python\n{loading_lines(taken.kept)}\n```\n"
    files.write_zip(target, {"weights.pt": file.getvalue(), "README.md": text})
    yield Progress(PACKING, 1, 1)


def _script(taken: Taken, target: Path) -> Steps:
    files.write_zip(target, _of_script(taken) | {"train.py": _text_of_script(taken)})
    yield Progress(PACKING, 1, 1)


def _notebook(taken: Taken, target: Path) -> Steps:
    files.write_zip(
        target, _of_script(taken) | {"train.ipynb": notebook(_text_of_script(taken), literal(taken.facts.title))}
    )
    yield Progress(PACKING, 1, 1)


def _text_of_script(taken: Taken) -> str:
    return train_script(taken.kept.recipe, taken.kept.classes, _parts(taken), taken.facts.title)


def _of_script(taken: Taken) -> Contents:
    """The split, and the weights to start from, where they are none that torchvision downloads."""
    recipe = taken.kept.recipe
    contents: Contents = {"split.csv": split_table(taken.kept.classes, _parts(taken))}
    if start_file(recipe):
        backbone = catalogue.get(recipe.backbone)
        contents["start.safetensors"] = save(build(backbone, len(taken.kept.classes), recipe.weights).state_dict())
    return contents


def _parts(taken: Taken) -> Split:
    recipe = taken.kept.recipe
    return split(read_image_folder(Path(recipe.data)), draw_of(recipe))


def _recipe(taken: Taken, target: Path) -> Steps:
    files.write_text(target, to_toml(taken.kept.recipe))
    yield Progress(PACKING, 1, 1)


WRITERS: dict[str, Callable[[Taken, Path], Steps]] = {
    "model": _model,
    "weights": _weights,
    "onnx": write_onnx,
    "train": _script,
    "notebook": _notebook,
    "report": write_report,
    "bundle": write_bundle,
    "recipe": _recipe,
}
"""What writes each of FORMATS."""
