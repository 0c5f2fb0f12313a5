"""The field's usual ways to train, as a table: which blocks learn, from what, and how fast.

A preset is a set of settings that fit together, for the input of a recipe: `preset = "full_fine_tuning"` in a file, or
a click on the page. What stands beside it wins. It is no part of a recipe: a recipe has its settings only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.errors import BadRecipe, Fault
from core.messages import Message
from core.recipe import Recipe
from core.recipe_fields import alternatives
from core.recipe_settings import TABLES, to_settings


@dataclass(frozen=True, kw_only=True)
class Preset:
    """`blocks` is how many blocks learn, the head included and counted from the end; None for all of them.

    `rates` are factors on the optimizer's own rate (`core.recipe.Rates`). `help` is a sentence about it.
    """

    label: str
    help: str
    blocks: int | None
    weights: str = "pretrained"
    rates: Mapping[str, float] = field(default_factory=lambda: {"head": 1.0, "late": 1.0, "early": 1.0})
    schedule: str = "constant"
    epochs: int = 10
    batchnorm: str = "learn"

    def trainable(self, backbone: Backbone) -> list[str]:
        """The names of the blocks that learn."""
        return [block.name for block in backbone.blocks[-self.blocks if self.blocks else 0 :]]

    def settings(self, backbone: Backbone) -> dict[str, Any]:
        """Its settings in a recipe with that backbone."""
        return {
            "weights": self.weights,
            "trainable": "all" if self.blocks is None else self.trainable(backbone),
            "epochs": self.epochs,
            "batchnorm": self.batchnorm,
            "schedule": {"name": self.schedule},
            "rates": dict(self.rates),
        }


PRESETS: dict[str, Preset] = {
    "feature_extraction": Preset(
        label="Feature extraction",
        help="Only the new head learns, on what the frozen network has learnt to see.",
        blocks=1,
        rates={"head": 5.0, "late": 1.0, "early": 1.0},
        epochs=20,
    ),
    "fine_tuning": Preset(
        label="Fine-tuning",
        help="The last blocks learn too, more slowly than the head.",
        blocks=3,
        rates={"head": 5.0, "late": 0.1, "early": 0.1},
        schedule="cosine",
        epochs=20,
        batchnorm="keep",
    ),
    "full_fine_tuning": Preset(
        label="Full fine-tuning",
        help="All blocks learn, the pretrained ones far more slowly than the head.",
        blocks=None,
        rates={"head": 1.0, "late": 0.1, "early": 0.02},
        schedule="cosine",
        batchnorm="keep",
    ),
    "from_scratch": Preset(
        label="From scratch",
        help="All blocks learn from random weights: nothing is transferred.",
        blocks=None,
        weights="random",
        schedule="cosine",
    ),
}
"""By the name that a recipe's input has for it. `tests.benchmarks.quality` measures what they reach."""


def expand(settings: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """`settings` with those of the preset that they name, where they have none of their own, and the preset's name.

    Raises BadRecipe when there is no such preset or no such backbone.
    """
    given = dict(settings)
    name = given.pop("preset", None)
    if name is None:
        return given, None
    if name not in PRESETS:
        advice = Message("must be {names}", names=alternatives(tuple(PRESETS)))
        raise BadRecipe([Fault("preset", name, advice)])
    backbone = catalogue.get(given.get("backbone", Recipe.model_fields["backbone"].default))
    return _laid_over(PRESETS[name].settings(backbone), given), name


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, where `above` wins; the settings of another row of a table leave none of the row below."""
    merged = dict(below) | dict(above)
    for name, value in below.items():
        own = above.get(name)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            is_other_row = name in TABLES and own.get("name", value["name"]) != value["name"]
            merged[name] = dict(own) if is_other_row else _laid_over(value, own)
    return merged


def changed(name: str, recipe: Recipe) -> tuple[str, ...]:
    """The paths of a preset's settings that are others in a recipe."""
    backbone = catalogue.get(recipe.backbone)
    chosen, actual = PRESETS[name].settings(backbone), to_settings(recipe)
    chosen["trainable"] = sorted(catalogue.select(backbone, chosen["trainable"]))
    actual["trainable"] = sorted(catalogue.select(backbone, recipe.trainable))
    return tuple(_differing(chosen, actual))


def _differing(chosen: Mapping[str, Any], actual: Mapping[str, Any], section: str = "") -> Iterator[str]:
    for name, value in chosen.items():
        if isinstance(value, Mapping):
            yield from _differing(value, actual[name], f"{section}{name}.")
        elif actual[name] != value:
            yield f"{section}{name}"


def nearest(recipe: Recipe) -> str | None:
    """The preset that a recipe follows, by its weights and blocks; None where it follows none."""
    backbone = catalogue.get(recipe.backbone)
    return followed(backbone, recipe.weights, catalogue.select(backbone, recipe.trainable))


def followed(backbone: Backbone, weights: str, layers: frozenset[str]) -> str | None:
    """The preset that begins with those weights, and in which those layers learn; None where there is none."""
    starts = ((name, one.weights, catalogue.select(backbone, one.trainable(backbone))) for name, one in PRESETS.items())
    return next((name for name, *start in starts if start == [weights, layers]), None)
