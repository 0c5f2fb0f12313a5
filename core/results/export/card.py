"""The model card: what a model is, what it was trained on, how well it does and where it ends (arXiv:1810.03993)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from core.backbones import catalogue
from core.backbones.pretrained import bundled_file
from core.events import Event
from core.results.export.script import CONSTRUCT, new_head
from core.training.kept_model import KeptModel


@dataclass(frozen=True)
class Facts:
    """What the store knows of a run: `title` is a line, `data` a sentence, `figures` names with values.

    `events` are all that it said, but for progress.
    """

    title: str
    figures: tuple[tuple[str, str], ...]
    data: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Taken:
    """What an export is made of: a run's kept model with its file, and what the store knows of it."""

    kept: KeptModel
    facts: Facts
    weights_file: Path
    features_folder: Path


def card(kept: KeptModel, facts: Facts, checked: Sequence[str] = ()) -> str:
    """The card as Markdown; `checked` are sentences about what was tried with the very file that it goes with."""
    preprocessing = kept.preprocessing
    lines = [
        f"# {literal(facts.title)}",
        "",
        f"A classifier of pictures into {len(kept.classes)} classes: {', '.join(map(literal, kept.classes))}.",
        "",
        "## What it is",
        "",
        f"- {literal(catalogue.get(kept.recipe.backbone).title)} with a new last layer, after epoch {kept.epoch}",
        f"- trained: {literal(_blocks(kept))}",
        f"- started from: {literal(started_from(kept))}",
        f"- sees the middle of a picture, {preprocessing.crop} × {preprocessing.crop} pixels, once its shorter side "
        f"has {preprocessing.resize}",
        "",
        "## What it was trained on",
        "",
        literal(facts.data),
        "",
        "## How well it does",
        "",
        *(f"- {literal(name)}: {literal(value)}" for name, value in facts.figures),
        *(f"- {literal(sentence)}" for sentence in checked),
        "",
        "The epoch was chosen by the validation pictures, so that their figure is a little too good. The interval is "
        "for other pictures of the same kind, taken in the same way.",
        "",
        "## Where it ends",
        "",
        "- It knows its classes only: it gives every picture to one of them, also a picture of something else.",
        "- Other cameras, light, or backgrounds than those of its pictures may lower its accuracy, unseen.",
        "- It must not decide alone about people.",
        "",
        "## Licences",
        "",
        literal(licence_of(kept)),
        "The pictures have licences of their own, which may bind what was trained on them.",
        "",
    ]
    return "\n".join(lines)


def literal(text: str) -> str:
    """Text in which Markdown and HTML have no meaning, in one line."""
    kept = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!~" else sign for sign in kept)


def _blocks(kept: KeptModel) -> str:
    trainable = kept.recipe.trainable
    return "all blocks" if trainable == "all" else ", ".join(trainable)


def started_from(kept: KeptModel) -> str:
    """What its weights were before training."""
    return {"pretrained": "weights that learnt ImageNet's 1.3 million photos", "random": "random weights"}.get(
        kept.recipe.weights, f"weights of one's own ({Path(kept.recipe.weights).name})"
    )


def licence_of(kept: KeptModel) -> str:
    """Where the weights that training started from come from, and their licence."""
    backbone = catalogue.get(kept.recipe.backbone)
    if kept.recipe.weights == "random":
        return "It started from random weights."
    if kept.recipe.weights != "pretrained":
        return "The weights that it started from are one's own; see what licence they have."
    if file := bundled_file(backbone):
        with safe_open(file, framework="numpy") as opened:
            about: Mapping[str, str] = opened.metadata() or {}
        return (
            f"Its pretrained weights: {about.get('source', file.name)}; licence: {about.get('licence', 'see there')}."
        )
    url = backbone.weights.url if backbone.weights else ""
    return (
        f"Its pretrained weights: {url}; torchvision is under the BSD 3-Clause licence, ImageNet's terms are its own."
    )


def about_model(kept: KeptModel) -> str:
    """model.json: what predict.py needs to know."""
    backbone = catalogue.get(kept.recipe.backbone)
    without_auxiliary = CONSTRUCT.get(backbone.name)
    construct = without_auxiliary | {"init_weights": False} if without_auxiliary else {}
    preprocessing = kept.preprocessing
    values = {
        "backbone": backbone.name,
        "construct": construct,
        "head": backbone.head.path,
        "classes": list(kept.classes),
        "resize": preprocessing.resize,
        "crop": preprocessing.crop,
        "interpolation": preprocessing.interpolation,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
    return json.dumps(values, indent=1, ensure_ascii=False)


def loading_lines(kept: KeptModel) -> str:
    """The lines that load a plain state_dict, as tutorials do."""
    backbone = catalogue.get(kept.recipe.backbone)
    more = ", aux_logits=False, transform_input=True" if backbone.name in ("googlenet", "inception_v3") else ""
    return "\n".join(
        (
            f'model = torchvision.models.get_model("{backbone.name}", weights=None{more})',
            f'model.set_submodule("{backbone.head.path}", torch.{new_head(backbone, len(kept.classes))})',
            'model.load_state_dict(torch.load("weights.pt", weights_only=True))',
        )
    )
