"""What a recipe comes to with its backbone and its pictures, before anything is built, and without torch.

Does the backbone exist, do its blocks, does the image folder? The dashboard, the command line and the worker all ask
here, so that a bad recipe gets the same answer everywhere. Then, of a good one: which variants of each picture are
kept, so that a frozen part runs over each variant once; and which BatchNorms are measured. No variant is made here.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.backbones.pretrained import own_misfit, weights_state
from core.data.scan import read_image_folder
from core.data.split import Split
from core.errors import BadData, BadRecipe, Fault, explain
from core.messages import Message
from core.recipe import Recipe
from core.recipe_settings import current_form, faults

DRAWN: dict[str, Callable[[int], range]] = {
    "none": lambda _views: range(1),
    "flip": lambda _views: range(2),  # However many are asked for: there is no other variant than the mirror image.
    "standard": lambda views: range(1, 1 + views),
}
"""By the recipe's name of the variation: the numbers of the variants that training draws from. 0 is the plain square.

`core.data.tensors` makes them.
"""


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


def keeps_variants(recipe: Recipe) -> bool:
    """Whether there is a frozen part to run once: not where every epoch makes new variants, or all layers learn."""
    if recipe.augment != "none" and recipe.views == 0:
        return False
    backbone = catalogue.get(recipe.backbone)
    return backbone.first_layer not in catalogue.select(backbone, recipe.trainable)


def drawn_numbers(recipe: Recipe) -> range:
    """The numbers of a training picture's kept variants of which each epoch sees one."""
    return DRAWN[recipe.augment](recipe.views)


def kept_numbers(recipe: Recipe, split: Split) -> dict[Path, range]:
    """Which variants are kept of each picture: the plain one for validation and test, what is drawn for training.

    The plain ones of training pictures are kept too where BatchNorm's statistics are measured over them.
    """
    drawn = drawn_numbers(recipe)
    trained_on = range(0 if measured_batchnorms(recipe) else drawn.start, drawn.stop)
    plain = {example.path: range(1) for example in (*split.val, *split.test)}
    return plain | {example.path: trained_on for example in split.train}


def measured_batchnorms(recipe: Recipe) -> tuple[str, ...]:
    """The BatchNorms whose statistics are measured anew, over training pictures as they are, before each validation.

    By their paths, in the network's order.
    """
    if recipe.batchnorm != "learn":
        return ()
    backbone = catalogue.get(recipe.backbone)
    chosen = catalogue.select(backbone, recipe.trainable)
    return tuple(layer.path for layer in backbone.layers if layer.is_batchnorm and layer.path in chosen)


ABOUT_PICTURES = (
    "data",
    "val_fraction",
    "test_fraction",
    "backbone",
    "image_size",
    "folds",
    "fold",
    "device",
    "precision",
)
"""Settings that questions about pictures depend on, with the seed of the split and the weights."""


def pictures_question(recipe: Recipe) -> Recipe:
    """What a question depends on that asks pretraining about pictures; all else is as by default: only the head learns.

    So equal questions are equal, and the features are those that a run of feature extraction has kept. Random weights
    become pretrained ones where those are on this machine.
    """
    kept = {name: getattr(recipe, name) for name in ABOUT_PICTURES}
    is_here = weights_state(catalogue.get(recipe.backbone)) in ("bundled", "cached")
    weights = "pretrained" if recipe.weights == "random" and is_here else recipe.weights
    return Recipe(**kept, weights=weights, seed=recipe.seeds.split)


def about_random_body(recipe: Recipe, backbone: Backbone, layers: frozenset[str]) -> tuple[Message, ...]:
    """What to say where frozen blocks keep random weights."""
    frozen = [block.name for block in backbone.blocks[:-1] if not any(one.path in layers for one in block.layers)]
    if recipe.weights != "random" or not frozen:
        return ()
    template = "Frozen blocks have random weights, which never learn: {blocks}. Thaw them, or start from other weights."
    return (Message(template, blocks=frozen),)


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


def _image_size_faults(backbone: Backbone, size: int) -> Iterator[Fault]:
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
