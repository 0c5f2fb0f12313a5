"""Everything a run needs before its first step: images, network, optimizer, device."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, optim

from core.backbones import catalogue, pretrained
from core.backbones.build import build, freeze
from core.backbones.catalogue import Preprocessing
from core.data.scan import read_image_folder
from core.data.split import Split, draw_of, split
from core.events import Event, Notice, Progress, RunStarted
from core.messages import Message
from core.recipe import Recipe
from core.training.device import (
    Numbers,
    Precision,
    choose_precision,
    choose_training_precision,
    find_device,
    keep_freed_memory,
    lay_channels_last,
    spare_strided,
)
from core.training.inputs import Inputs, prepare_inputs
from core.training.learning import Learning, Start, about_random_body, by_block, learning, only_head, rate_groups
from core.training.objective import Objective, balanced_weights, penalised
from core.training.optimizer import ROWS, build_optimizer
from core.training.state import TrainingState, changing_tensors


@dataclass(frozen=True)
class Setup:
    """What the loop works with. All that learns is in `everything`; `head_alone` learns in the first epochs, perhaps.

    `changing` has all that training changes, by name: the parameters and statistics themselves. `inputs` holds the
    network that is trained, which shares its modules with `model`, and what goes into it. `start` remembers the weights
    that training begins with.
    """

    recipe: Recipe
    classes: tuple[str, ...]
    split: Split
    preprocessing: Preprocessing
    model: nn.Module
    everything: Learning
    head_alone: Learning
    changing: Mapping[str, Tensor]
    start: Start
    inputs: Inputs
    objective: Objective
    optimizer: optim.Optimizer
    batch_size: int
    device: torch.device
    precision: Precision

    def objective_of(recipe: Recipe, model: nn.Module, examples: Split, classes: int, device: torch.device) -> Objective:
    """What batches of training are measured by."""
    weights = None
    if recipe.class_weights == "balanced":
        weights = balanced_weights([example.label for example in examples.train], classes).to(device)
    return Objective(penalised(model), recipe.penalties, weights, recipe.label_smoothing)


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
