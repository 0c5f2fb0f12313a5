"""Everything that decides a run, as one frozen value: TOML on disk, JSON in the store.

`Recipe` holds the rules of single fields and of fields that belong together. Whether the backbone, its blocks and the
image folder exist is a question about the world, and `core.training.validate` answers it.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from core.errors import BadRecipe, Fault
from core.messages import Message

DEFAULT_LR = {"adam": 1e-3, "sgd": 1e-2}
"""Learning rates to start from: Adam's is the default of its paper (arXiv:1412.6980), SGD's is ten times that."""


def _number(value: Any) -> Any:
    """Refuse True and "0.1" as numbers: pydantic would turn both into one without a word."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]


class _Settings(BaseModel):
    """Frozen, and closed to misspelt fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Adam(_Settings):
    """Adam (arXiv:1412.6980) with the paper's defaults."""

    name: Literal["adam"] = "adam"
    lr: Annotated[Number, Field(gt=0)] = DEFAULT_LR["adam"]
    betas: tuple[Annotated[Number, Field(ge=0, lt=1)], Annotated[Number, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: Annotated[Number, Field(gt=0)] = 1e-8


class Sgd(_Settings):
    """Stochastic gradient descent with momentum, or with Nesterov's where `nesterov`."""

    name: Literal["sgd"] = "sgd"
    lr: Annotated[Number, Field(gt=0)] = DEFAULT_LR["sgd"]
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    nesterov: Annotated[bool, Field(strict=True)] = False

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("Nesterov's momentum needs a momentum above 0")
        return nesterov


def _optimizer_name(settings: Any) -> Any:
    """Adam where no name is given, so that `--set optimizer.lr=0.01` is enough."""
    return str(settings.get("name", "adam")) if isinstance(settings, Mapping) else getattr(settings, "name", None)


Optimizer = Annotated[Annotated[Adam, Tag("adam")] | Annotated[Sgd, Tag("sgd")], Discriminator(_optimizer_name)]


class Penalties(_Settings):
    """Factors of the terms l1·Σ|w| and l2·Σw² over the trainable weights."""

    l1: Annotated[Number, Field(ge=0)] = 0.0
    l2: Annotated[Number, Field(ge=0)] = 0.0


class Recipe(_Settings):
    """Everything that decides a run.

    data          a folder of class folders, or one that holds train/ and val/ of class folders
    val_fraction  share of each class held out for validation; not used where the folder has its own val/
    backbone      a name of the catalogue (`python -m core backbones`)
    weights       what the backbone starts from
    trainable     block names ("layer4") and layers inside blocks ("layer4.1.conv2"), or "all"
    image_size    side in pixels; None takes the weights' own
    device        "auto" takes a GPU where there is one
    precision     "auto" computes in bfloat16 where the hardware does so natively
    augment       how training pictures are varied: "flip", or "standard" for random crops, flips and light colours too
    views         variations of each picture that are kept as features; 0 makes new ones in every epoch, and keeps none
    """

    version: Literal[1] = 1
    data: Annotated[str, Field(min_length=1)]
    val_fraction: Annotated[Number, Field(gt=0, lt=1)] = 0.25
    backbone: str = "mobilenet_v2"
    weights: Literal["pretrained", "random"] = "pretrained"
    trainable: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)] = ("head",)
    image_size: Annotated[Count, Field(ge=10, le=1024)] | None = None
    epochs: Annotated[Count, Field(ge=1, le=10_000)] = 10
    batch_size: Annotated[Count, Field(ge=1, le=4096)] = 32
    seed: Annotated[Count, Field(ge=0, lt=2**53)] = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    augment: Literal["none", "flip", "standard"] = "none"
    views: Annotated[Count, Field(ge=0, le=64)] = 8
    optimizer: Optimizer = Adam()
    penalties: Penalties = Penalties()


OPTIMIZERS: dict[str, type[Adam] | type[Sgd]] = {"adam": Adam, "sgd": Sgd}

EXPECTED = {
    "version": "must be 1, the only version there is",
    "data": "must be the path of a folder that holds one folder of pictures per class",
    "val_fraction": "must be a number above 0 and below 1, such as 0.25",
    "backbone": "must be the name of a backbone; `python -m core backbones` lists them",
    "weights": 'must be "pretrained" or "random"',
    "trainable": 'must be "all" or a list of at least one block or layer, such as ["head"]',
    "image_size": "must be a whole number of pixels from 10 to 1024, or be left out for the weights' own",
    "epochs": "must be a whole number from 1 to 10,000",
    "batch_size": "must be a whole number from 1 to 4,096",
    "seed": "must be a whole number from 0 to 9,007,199,254,740,991",
    "device": 'must be "auto", "cpu", "cuda" or "mps"',
    "precision": 'must be "auto", "fp32" or "bf16"',
    "augment": 'must be "none", "flip" or "standard"',
    "views": "must be a whole number from 0 to 64",
    "optimizer": 'must be a table whose name is "adam" or "sgd"',
    "optimizer.name": 'must be "adam" or "sgd"',
    "optimizer.lr": "must be a finite number above 0, such as 0.001",
    "optimizer.momentum": "must be a number from 0 up to, but not including, 1, such as 0.9",
    "optimizer.nesterov": "must be true or false, and true only with a momentum above 0",
    "optimizer.betas": "must be two numbers from 0 up to, but not including, 1, such as [0.9, 0.999]",
    "optimizer.eps": "must be a finite number above 0, such as 1e-8",
    "penalties": "must be a table with l1 and l2",
    "penalties.l1": "must be a finite number, 0 or more",
    "penalties.l2": "must be a finite number, 0 or more",
}
"""What is right for each field, as the end of a sentence that begins with the field and its value."""


def faults(settings: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Every fault of `settings` that can be seen without looking at the disk or at the catalogue."""
    try:
        Recipe.model_validate(settings)
    except ValidationError as error:
        found = [_fault(settings, details["loc"], details["type"]) for details in error.errors(include_url=False)]
        return tuple({fault.field: fault for fault in found}.values())
    return ()


def _fault(settings: Mapping[str, Any], loc: tuple[int | str, ...], kind: str) -> Fault:
    """One of pydantic's findings in our words; `loc` is its path, with the optimizer's name as an extra step."""
    section, *inside = map(str, loc)
    optimizer = inside.pop(0) if section == "optimizer" and inside else None
    if kind == "union_tag_invalid":
        inside = ["name"]
    nested = section in ("optimizer", "penalties") and inside
    field = f"{section}.{inside[0]}" if nested else section

    value: Any = settings.get(section)
    if nested:
        value = value.get(inside[0])
    if kind != "extra_forbidden":
        return Fault(field, value, Message(EXPECTED[field]))
    model = OPTIMIZERS[optimizer] if optimizer else Penalties if nested else Recipe
    return Fault(field, value, Message(_no_such_setting(field.split(".")[-1], tuple(model.model_fields))))


def _no_such_setting(name: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
    return f"is not a setting; {hint}"


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
