"""Everything that decides a run, as one frozen value: TOML on disk, JSON in the store.

`Recipe` holds the rules of single fields and of fields that belong together. Whether the backbone, its blocks and the
image folder exist is a question about the world, and `core.training.validate` answers it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, ValidationError

from core.errors import BadRecipe, Fault
from core.messages import Message
from core.optimizers import (
    NO_SUCH_OPTIMIZER,
    OPTIMIZER_NAME,
    OPTIMIZERS,
    Adam,
    ChosenOptimizer,
    defaults,
    optimizer_settings,
)
from core.recipe_fields import About, Choice, Count, Frozen, Number, OneOf, Setting, alternatives, beside, described


class Penalties(Frozen):
    """Factors of the terms l1·Σ|w| and l2·Σw² over the trainable weights."""

    l1: Annotated[
        Number,
        Field(ge=0),
        About("L1 penalty", "Factor of the sum of absolute weights: pushes weights to exactly zero.", step=1e-4),
    ] = 0.0
    l2: Annotated[
        Number,
        Field(ge=0),
        About("L2 penalty", "Factor of the sum of squared weights: keeps all weights small.", step=1e-4),
    ] = 0.0


WEIGHTS = {"pretrained": Choice("Pretrained weights"), "random": Choice("Random")}
DEVICES = {
    "auto": Choice("Automatic"),
    "cpu": Choice("CPU"),
    "cuda": Choice("NVIDIA GPU"),
    "mps": Choice("Apple GPU"),
}
PRECISIONS = {"auto": Choice("Automatic"), "fp32": Choice("32 bits"), "bf16": Choice("bfloat16")}
AUGMENTATIONS = {
    "none": Choice("None"),
    "flip": Choice("Flip", "Flip mirrors them at random."),
    "standard": Choice("Standard", "Standard takes random crops, mirrors them, and varies colours a little."),
}
"""The ways to vary training pictures; `core.data.transforms` has a row for each, which says how."""


class Recipe(Frozen):
    """Everything that decides a run."""

    version: Annotated[
        Literal[1],
        About("Version", "Of the recipe's own form.", expected="must be 1, the only version there is"),
    ] = 1
    data: Annotated[
        str,
        Field(min_length=1),
        About(
            "Pictures",
            "What the network learns from: a sample, or pictures of your own, which the Data page takes in.",
            expected="must be the path of a folder that holds one folder of pictures per class",
            example="sample_data/stamps",
        ),
    ]
    val_fraction: Annotated[
        Number,
        Field(gt=0, lt=1),
        About(
            "Held out for validation",
            "Share of each class that the network never trains on, so that one sees how it does on new pictures.",
            step=0.05,
        ),
    ] = 0.25
    backbone: Annotated[
        str,
        About(
            "Backbone",
            "A network that has already learnt to see, on 1.3 million photos. Type to search.",
            expected="must be the name of a backbone; `python -m core backbones` lists them",
        ),
    ] = "mobilenet_v2"
    weights: Annotated[
        str,
        OneOf(WEIGHTS),
        About(
            "Start from",
            "Pretrained weights have learnt to see already; random ones have to learn everything from your pictures.",
        ),
    ] = "pretrained"
    trainable: Annotated[
        Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)],
        About(
            "Blocks",
            'What learns: blocks, layers inside them ("layer4.1.conv2"), or "all".',
            expected='must be "all" or a list of at least one block or layer, such as ["head"]',
        ),
    ] = ("head",)
    image_size: Annotated[
        Count | None,
        Field(ge=10, le=1024),
        About(
            "Image size",
            "Side of the square that the network sees, in pixels; smaller is faster. Empty: the weights' own.",
            unit="pixels",
            example=224,
        ),
    ] = None
    epochs: Annotated[Count, Field(ge=1, le=10_000), About("Epochs", "How often all training pictures are seen.")] = 10
    batch_size: Annotated[Count, Field(ge=1, le=4096), About("Batch size", "Pictures per step.")] = 32
    seed: Annotated[Count, Field(ge=0, le=2**53 - 1), About("Seed", "The same seed gives the same run.")] = 0
    device: Annotated[
        str, OneOf(DEVICES), About("Device", "What computes. Automatic takes a GPU where there is one.", advanced=True)
    ] = "auto"
    precision: Annotated[
        str,
        OneOf(PRECISIONS),
        About(
            "Precision",
            "How exact numbers are. bfloat16 is faster where the hardware has it; automatic finds out.",
            advanced=True,
        ),
    ] = "auto"
    augment: Annotated[
        str,
        OneOf(AUGMENTATIONS),
        About("Variation", "Vary training pictures, so that there seem to be more."),
    ] = "none"
    views: Annotated[
        Count, Field(ge=0, le=64), About("Variations kept", "Of each picture; 0 makes new ones every epoch.")
    ] = 8
    optimizer: ChosenOptimizer = Adam()
    penalties: Penalties = Penalties()


SETTINGS: dict[str, Setting] = {
    **described(Recipe),
    OPTIMIZER_NAME.path: OPTIMIZER_NAME,
    **{path: one for name in reversed(OPTIMIZERS) for path, one in optimizer_settings(name).items()},
    **described(Penalties, "penalties"),
}
"""Every setting that a recipe can have, by its path. Of those that several optimizers have, the first one's."""


def title(path: str) -> str:
    """What people call the setting at a path; the path itself where there is none."""
    return SETTINGS[path].title if path in SETTINGS else path


def faults(settings: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Every fault of `settings` that can be seen without looking at the disk or at the catalogue."""
    try:
        Recipe.model_validate(settings)
    except ValidationError as error:
        found = [_fault(settings, details["loc"], details["type"]) for details in error.errors(include_url=False)]
        return tuple({fault.field: fault for fault in found}.values())
    return ()


def _fault(settings: Mapping[str, Any], loc: tuple[int | str, ...], kind: str) -> Fault:
    """One of pydantic's findings in our words; `loc` is its path."""
    section, *inside = map(str, (*loc, "name") if kind == NO_SUCH_OPTIMIZER else loc)
    nested = section in SECTIONS and bool(inside)
    field = f"{section}.{inside[0]}" if nested else section
    value = settings[section].get(inside[0]) if nested else settings.get(section)
    known = _known(settings, section) if nested else described(Recipe)
    if kind == "extra_forbidden":
        return Fault(field, value, _no_such_setting(field, known if nested else (*known, *SECTIONS)))
    return Fault(field, value, SECTIONS[field] if field in SECTIONS else known[field].expected)


def _known(settings: Mapping[str, Any], section: str) -> dict[str, Setting]:
    """What can be set in a section, which is a table in `settings`."""
    if section == "penalties":
        return described(Penalties, section)
    named = settings[section].get("name", OPTIMIZER_NAME.default)
    own = optimizer_settings(named) if isinstance(named, str) and named in OPTIMIZERS else {}
    return {OPTIMIZER_NAME.path: OPTIMIZER_NAME, **own}


SECTIONS = {
    "optimizer": Message("must be a table whose name is {names}", names=alternatives(tuple(OPTIMIZERS))),
    "penalties": Message("must be a table with {names}", names=" and ".join(Penalties.model_fields)),
}
"""The parts of a recipe that have settings of their own, and what is right for each."""


def _no_such_setting(field: str, known: Iterable[str]) -> Message:
    *_, name = field.split(".")
    names = [path.split(".")[-1] for path in known]
    if nearest := difflib.get_close_matches(name, names, n=1):
        return Message("is not a setting; did you mean {nearest}?", nearest=nearest[0])
    return Message("is not a setting; there are {known}", known=names)


def parse(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that `settings` describes. Raises BadRecipe with every fault of its fields."""
    if found := faults(settings):
        raise BadRecipe(found)
    return Recipe.model_validate(settings)


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, unchecked. Raises BadRecipe when it is not there or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecipe(
            [Fault("recipe", str(path), Message("cannot be read ({cause}); check the path", cause=str(error.strerror)))]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRecipe(
            [Fault("recipe", str(path), Message("is not a TOML file: {cause}", cause=str(error)))]
        ) from error


def to_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values for JSON or TOML, without the fields that are None; `parse` takes them back."""
    return recipe.model_dump(mode="json", exclude_none=True)


def flat_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as one flat row: {"optimizer.lr": 0.001, "trainable": "stage7 head", …}."""
    flat: dict[str, Any] = {}
    for name, value in to_settings(recipe).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[name] = value
    return {name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in flat.items()}


def to_toml(recipe: Recipe) -> str:
    """The recipe as the text of a TOML file that `python -m core train` takes."""
    return tomli_w.dumps(to_settings(recipe))


def example_toml() -> str:
    """A recipe as an example: all defaults, and what each setting does."""
    name = OPTIMIZER_NAME.default
    others = (beside("", f'or "{other}": {defaults(other)}') for other in OPTIMIZERS if other != name)
    sections = [
        [setting.as_toml() for path, setting in SETTINGS.items() if "." not in path and path != "version"],
        ["[optimizer]", beside(f'name = "{name}"', defaults(name)), *others],
        ["[penalties]", *(setting.as_toml() for setting in described(Penalties, "penalties").values())],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"
