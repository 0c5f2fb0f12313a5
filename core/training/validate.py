"""Hold a recipe against the world: does the backbone exist, do its blocks, does the image folder?

The dashboard, the command line and the worker all ask here, so that a bad recipe gets the same answer everywhere.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.backbones import catalogue
from core.backbones.pretrained import own_misfit
from core.data.scan import read_image_folder
from core.errors import BadData, BadRecipe, Fault, explain
from core.messages import Message
from core.recipe import Recipe
from core.recipe_settings import current_form, faults


def check(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that `settings` describes. Raises BadRecipe with all faults of its fields, backbone and folder."""
    settings = current_form(settings)
    found = list(faults(settings))
    wrong = {fault.field.split(".")[0] for fault in found}
    given = {name: settings.get(name, field.default) for name, field in Recipe.model_fields.items()}
    if "backbone" not in wrong:
        found += _backbone_faults(given, wrong)
    if "data" not in wrong:
        found += _data_faults(given["data"], 1 if "folds" in wrong else given["folds"])
    if found:
        raise BadRecipe(found)
    return Recipe.model_validate(settings)


def _backbone_faults(given: Mapping[str, Any], wrong: set[str]) -> Iterator[Fault]:
    try:
        backbone = catalogue.get(given["backbone"])
        if "trainable" not in wrong:
            catalogue.select(backbone, given["trainable"])
    except BadRecipe as error:
        yield from error.faults
        return
    if "image_size" not in wrong and given["image_size"] is not None:
        yield from _image_size_faults(backbone, given["image_size"])
    if given["weights"] == "pretrained" and backbone.weights is None:
        advice = Message('must be "random": there are no pretrained weights for {name}', name=backbone.name)
        yield Fault("weights", "pretrained", advice)
    if "weights" not in wrong and (reason := own_misfit(backbone, given["weights"])):
        yield Fault("weights", given["weights"], reason)


def _image_size_faults(backbone: catalogue.Backbone, size: int) -> Iterator[Fault]:
    own = backbone.preprocessing.crop
    if backbone.fixed_size and size != own:
        advice = Message("must be {own} or left out: {name} takes no other size", own=own, name=backbone.name)
        yield Fault("image_size", size, advice)
    elif size < backbone.min_size:
        advice = Message("must be at least {least} for {name}", least=backbone.min_size, name=backbone.name)
        yield Fault("image_size", size, advice)


def _data_faults(path: str, folds: int) -> Iterator[Fault]:
    try:
        folder = read_image_folder(Path(path))
        if folds > 1 and folder.val is not None:
            yield Fault("folds", folds, Message("must be 1, because the pictures bring a val/ of their own"))
        elif folds > (most := max(folder.counts())):
            yield Fault("folds", folds, Message("must be at most {most}, the pictures of the largest class", most=most))
    except (BadData, OSError) as error:
        yield Fault("data", path, error.message if isinstance(error, BadData) else explain(error))
