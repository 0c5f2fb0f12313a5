"""Everything a run needs before its first step: images, network, optimizer, device. And the pictures of that step."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn, optim
from torchvision.transforms.v2.functional import to_pil_image

from core.backbones import catalogue, pretrained
from core.backbones.build import build, freeze
from core.backbones.catalogue import Preprocessing
from core.backbones.fold import fold_in_training
from core.data.scan import read_image_folder
from core.data.split import Split, draw_of, split
from core.data.tensors import cut_into_batches, shuffled
from core.events import Event, Notice, Progress, RunStarted
from core.messages import Message
from core.recipe import Recipe
from core.training.device import (
    Numbers,
    Precision,
    choose_precision,
    choose_training_precision,
    find_device,
    in_short,
    keep_freed_memory,
    lay_channels_last,
    set_tf32,
    spare_strided,
)
from core.training.inputs import Inputs, may_fold, prepare_inputs, training_squares
from core.training.learning import (
    ROWS,
    Learning,
    build_optimizer,
    by_block,
    learning,
    only_head,
    rate_groups,
    still_norms,
)
from core.training.objective import Objective, balanced_weights, penalised
from core.training.plan import about_random_body
from core.training.state import Start, TrainingState, changing_tensors

SHOWN = 12
"""Pictures of the first batch that are shown: of a whole one, each would be too small to see the difference."""


@dataclass(frozen=True)
class Setup:
    """What the loop works with. All that learns is in `everything`; `head_alone` learns in the first epochs, perhaps.

    `changing` has all that training changes, by name: the parameters and statistics themselves. `inputs` holds the
    network that is trained, which shares its modules with `model`, and what goes into it; `stepped` is that network as
    training steps run it (`core.backbones.fold`). `start` remembers the weights
    that training begins with, and `own_weights` tells those of one's own apart (`pretrained.fingerprint`).
    """

    recipe: Recipe
    classes: tuple[str, ...]
    split: Split
    preprocessing: Preprocessing
    own_weights: str | None
    model: nn.Module
    everything: Learning
    head_alone: Learning
    changing: Mapping[str, Tensor]
    start: Start
    inputs: Inputs
    stepped: nn.Module
    objective: Objective
    optimizer: optim.Optimizer
    batch_size: int
    device: torch.device
    precision: Precision

    def learning(self, epoch: int) -> Learning:
        """What learns in an epoch, from 1."""
        return self.head_alone if epoch <= self.recipe.head_first else self.everything

    @property
    def numbers(self) -> Numbers:
        """In which numbers the network answers."""
        frozen = self.inputs.frozen
        if frozen is None:
            return Numbers(self.device.type, self.precision)
        return Numbers(self.device.type, self.precision, frozen.precision, frozen.folded)


def prepare(recipe: Recipe, features_folder: Path | None) -> Generator[Event, None, Setup]:
    """Load everything, saying on the way what takes long and what was done differently from what was asked.

    With a `features_folder`, the frozen part runs here, once, and not in every epoch.

    Seeds torch's global generator, which draws the new head, random weights and dropout. Raises BadData, BadRecipe or
    WeightsUnavailable.
    """
    keep_freed_memory()
    device, about_device = find_device(recipe.device)
    folder = read_image_folder(Path(recipe.data))
    examples = split(folder, draw_of(recipe))
    full_batch = ROWS[recipe.optimizer.name].full_batch
    wanted = len(examples.train) if full_batch else recipe.batch_size
    batch_size, remarks = fit_batch_size(wanted, len(examples.train))
    backbone = catalogue.get(recipe.backbone)
    layers = catalogue.select(backbone, recipe.trainable)
    for text in (*about_device, *examples.notices, *remarks, *about_random_body(recipe, backbone, layers)):
        yield Notice(text)

    if recipe.weights == "pretrained":
        for done, total in pretrained.fetch_weights(backbone):
            yield Progress(Message("Downloading the weights of {backbone}", backbone=backbone.title), done, total)
    make_repeatable(recipe)
    model = build(backbone, len(folder.classes), recipe.weights).to(device)
    freeze(model, layers)
    everything = learning(model, backbone, layers, recipe)
    preprocessing = pretrained.preprocessing_for(backbone, recipe.weights).at(recipe.image_size)
    frozen_in = choose_precision(recipe.precision, device)
    inputs = yield from prepare_inputs(model, recipe, examples, preprocessing, frozen_in, features_folder)
    lay_channels_last(inputs.network)
    spare_strided(inputs.network, device)
    still = still_norms(inputs.network, everything) if may_fold(recipe) else ()
    return Setup(
        recipe=recipe,
        classes=folder.classes,
        split=examples,
        preprocessing=preprocessing,
        own_weights=pretrained.fingerprint(recipe.weights),
        model=model,
        everything=everything,
        head_alone=only_head(model, backbone, everything),
        changing=changing_tensors(model),
        start=Start(by_block(model, backbone), backbone.blocks[-1].name),
        inputs=inputs,
        stepped=fold_in_training(inputs.network, still),
        objective=objective_of(recipe, model, examples, len(folder.classes), device),
        optimizer=build_optimizer(recipe.optimizer, rate_groups(model, backbone), recipe.rates.model_dump()),
        batch_size=batch_size,
        device=device,
        precision=choose_training_precision(recipe.precision, inputs.network, device),
    )


def first_batch(recipe: Recipe) -> list[tuple[Image.Image, str]]:
    """Pictures and classes of the first batch of the first epoch of `recipe`, SHOWN at the most. No weights are needed.

    They come from the inputs of training. Only where features cannot be kept, on a full disk or beyond their limit,
    training makes other variants of the pictures than these. Raises BadData or BadImage.
    """
    folder = read_image_folder(Path(recipe.data))
    examples = split(folder, draw_of(recipe))
    size, _ = fit_batch_size(recipe.batch_size, len(examples.train))
    batch = cut_into_batches(shuffled(len(examples.train), recipe.seeds.order, epoch=1), size)[0][:SHOWN]
    inputs = training_squares(recipe, examples, catalogue.get(recipe.backbone).preprocessing.at(recipe.image_size))
    (squares,), labels = next(inputs.training([batch], 1))
    return [(to_pil_image(square), folder.classes[label]) for square, label in zip(squares, labels, strict=True)]


def make_repeatable(recipe: Recipe) -> None:
    """Have torch draw and calculate the same in every run of the recipe, in this process."""
    torch.manual_seed(recipe.seeds.init)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    set_tf32(recipe.precision)


def objective_of(recipe: Recipe, model: nn.Module, examples: Split, classes: int, device: torch.device) -> Objective:
    """What batches of training are measured by."""
    weights = None
    if recipe.class_weights == "balanced":
        weights = balanced_weights([example.label for example in examples.train], classes).to(device)
    return Objective(penalised(model), recipe.penalties, weights, recipe.label_smoothing)


def started(setup: Setup, state: TrainingState, steps_per_epoch: int) -> RunStarted:
    """The event that says what is about to be trained, and how much of it is done already."""
    trainable = sum(parameter.numel() for parameter in setup.everything.parameters)
    return RunStarted(
        classes=setup.classes,
        train_images=len(setup.split.train),
        val_images=len(setup.split.val),
        trainable_parameters=trainable,
        frozen_parameters=sum(p.numel() for p in setup.model.parameters()) - trainable,
        epochs=setup.recipe.epochs,
        steps_per_epoch=steps_per_epoch,
        device=str(setup.device),
        precision=in_short(setup.precision, setup.device),
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
