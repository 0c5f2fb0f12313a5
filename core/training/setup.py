"""Everything a run needs before its first step: images, network, optimizer, device."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from core.backbones import catalogue, pretrained
from core.backbones.build import build, freeze, train_mode
from core.backbones.catalogue import Preprocessing
from core.data.scan import read_image_folder
from core.data.split import Split, draw_of, split
from core.events import Event, Notice, Progress, RunStarted
from core.messages import Message
from core.recipe import Recipe
from core.training.device import (
    Precision,
    choose_precision,
    choose_training_precision,
    find_device,
    keep_freed_memory,
    lay_channels_last,
    spare_strided,
)
from core.training.inputs import Inputs, prepare_inputs
from core.training.objective import penalised
from core.training.optimizer import build_optimizer
from core.training.state import TrainingState, changing_tensors


@dataclass(frozen=True)
class Setup:
    """What the loop works with. `awake` are the modules that are in training mode while the rest stays in eval mode.

    `changing` has all that training changes, by name: the parameters and statistics themselves.

    `inputs` holds the network that is trained, which shares its modules with `model`, and what goes into it. `weights`
    are those that penalties apply to.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    split: Split
    preprocessing: Preprocessing
    model: nn.Module
    awake: tuple[nn.Module, ...]
    changing: Mapping[str, Tensor]
    inputs: Inputs
    weights: list[nn.Parameter]
    optimizer: optim.Optimizer
    batch_size: int
    device: torch.device
    precision: Precision


def prepare(recipe: Recipe, features_folder: Path | None) -> Generator[Event, None, Setup]:
    """Load everything, saying on the way what takes long and what was done differently from what was asked.

    With a `features_folder`, the frozen part runs here, once, and not in every epoch.

    Seeds torch's global generator, which draws the new head, random weights and dropout. Raises BadData, BadRecipe or
    WeightsUnavailable.
    """
    keep_freed_memory()
    device = find_device(recipe.device)
    folder = read_image_folder(Path(recipe.data))
    examples = split(folder, draw_of(recipe))
    batch_size, remarks = fit_batch_size(recipe.batch_size, len(examples.train))
    for text in (*examples.notices, *remarks):
        yield Notice(text)

    backbone = catalogue.get(recipe.backbone)
    layers = catalogue.select(backbone, recipe.trainable)
    if recipe.weights == "pretrained":
        for done, total in pretrained.fetch_weights(backbone):
            yield Progress(Message("Downloading the weights of {backbone}", backbone=backbone.title), done, total)
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    model = build(backbone, len(folder.classes), recipe.weights == "pretrained").to(device)
    freeze(model, layers)
    train_mode(model, backbone, layers)
    preprocessing = backbone.preprocessing.at(recipe.image_size)
    frozen_in = choose_precision(recipe.precision, device)
    inputs = yield from prepare_inputs(model, recipe, examples, preprocessing, frozen_in, features_folder)
    lay_channels_last(inputs.network)
    spare_strided(inputs.network, device)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Setup(
        recipe=recipe,
        classes=folder.classes,
        split=examples,
        preprocessing=preprocessing,
        model=model,
        awake=tuple(module for module in model.modules() if module.training),
        changing=changing_tensors(model),
        inputs=inputs,
        weights=penalised(model),
        optimizer=build_optimizer(recipe.optimizer, trainable),
        batch_size=batch_size,
        device=device,
        precision=choose_training_precision(recipe.precision, inputs.network, device),
    )


def started(setup: Setup, state: TrainingState, steps_per_epoch: int) -> RunStarted:
    """The event that says what is about to be trained, and how much of it is done already."""
    trainable = sum(p.numel() for p in setup.model.parameters() if p.requires_grad)
    return RunStarted(
        classes=setup.classes,
        train_images=len(setup.split.train),
        val_images=len(setup.split.val),
        trainable_parameters=trainable,
        frozen_parameters=sum(p.numel() for p in setup.model.parameters()) - trainable,
        epochs=setup.recipe.epochs,
        steps_per_epoch=steps_per_epoch,
        device=str(setup.device),
        precision=setup.precision,
        epochs_done=state.epoch - 1,
        steps_done=(state.epoch - 1) * steps_per_epoch + state.steps,
    )


def fit_batch_size(wanted: int, images: int) -> tuple[int, tuple[Message, ...]]:
    """The batch size that `images` training images allow, and what to say about it.

    At least 2, because BatchNorm in training mode cannot normalise one value per channel; at most all images.
    """
    if wanted > images:
        template = "The batch size was lowered from {wanted} to {images}, the number of training images."
        return images, (Message(template, wanted=wanted, images=images),)
    if wanted == 1:
        return 2, (
            Message("The batch size was raised from 1 to 2, because BatchNorm cannot learn from a single picture."),
        )
    if images % wanted == 1:
        template = "The last batch would hold a single picture; it joins the one before, {size} in all."
        return wanted, (Message(template, size=wanted + 1),)
    return wanted, ()
