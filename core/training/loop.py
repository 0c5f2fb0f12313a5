"""The training loop, and nothing else: `train(recipe)` is a generator of events."""

import time
from collections.abc import Generator
from pathlib import Path

import torch
from torch import Tensor

from core.backbones.freeze import switch
from core.data.samples import Batch, batches, order
from core.errors import Diverged
from core.events import (
    EpochEnded,
    Event,
    Metrics,
    Notice,
    Progress,
    RunFinished,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.recipe import Recipe
from core.training.best import Best
from core.training.device import placed
from core.training.divergence import demand_finite
from core.training.objective import Tally, Terms, terms
from core.training.precision import autocast
from core.training.setup import Setup, prepare, started
from core.training.snapshot import Snapshot


def train(recipe: Recipe, weights_file: Path, features_folder: Path | None = None) -> Generator[Event, None, None]:
    """Train what `recipe` describes and keep the best epoch's weights in `weights_file`.

    With a `features_folder`, what the frozen part makes of the images is kept there, and it runs but once.

    The last event is RunFinished, or RunStopped after `throw(StopRequested())`. Raises BadData, BadImage, BadRecipe,
    WeightsUnavailable, or Diverged. When no epoch has ended by then, the newest weights whose loss was finite are kept.
    """
    begin = time.monotonic()
    history: list[EpochEnded] = []
    ending: type[RunFinished | RunStopped] = RunFinished
    try:
        setup = yield from prepare(recipe, features_folder)
        yield from fit(setup, history, weights_file)
    except StopRequested:
        ending = RunStopped
    best = min(history, key=deciding_loss, default=None)
    yield ending(
        best_epoch=best.epoch if best else 0,
        val_accuracy=best.val.accuracy if best and best.val else None,
        seconds=time.monotonic() - begin,
    )


def fit(setup: Setup, history: list[EpochEnded], weights_file: Path) -> Generator[Event, None, None]:
    """All epochs, each added to `history`; whatever ends them, the weights of the best one are in `weights_file`."""
    last_finite = Snapshot(setup.model)
    best = Best(setup, weights_file)
    try:
        yield started(setup, steps_per_epoch=len(training_batches(setup, epoch=1)))
        for epoch in range(1, setup.recipe.epochs + 1):
            ended = yield from run_epoch(setup, last_finite, epoch)
            history.append(ended)
            if ended is min(history, key=deciding_loss):
                best.take(epoch)
            yield from best.write_if_due()
            yield ended
    except Exception as interruption:
        if not history and isinstance(interruption, StopRequested | Diverged):
            if isinstance(interruption, Diverged):
                last_finite.restore()
            best.take(epoch=0)
        yield from best.write()
        raise
    yield from best.write()
    if len(history) > 1 and flat([deciding_loss(ended) for ended in history]):
        yield Notice("Nothing was learnt: the loss never moved. Try a higher learning rate.")


def run_epoch(setup: Setup, last_finite: Snapshot, epoch: int) -> Generator[Event, None, EpochEnded]:
    """One pass over the training images that changes weights, one over the validation images that does not."""
    begin = time.monotonic()
    trained = yield from training_pass(setup, last_finite, epoch)
    training_seconds = time.monotonic() - begin
    validated = (yield from validation_pass(setup, epoch)) if setup.split.val else None
    return EpochEnded(
        epoch=epoch,
        train=trained,
        val=validated,
        seconds=time.monotonic() - begin,
        images_per_second=len(setup.split.train) / training_seconds,
    )


def training_pass(setup: Setup, last_finite: Snapshot, epoch: int) -> Generator[Event, None, Metrics]:
    """One optimizer step per batch."""
    switch(setup.awake, training=True)
    chosen = training_batches(setup, epoch)
    tally = Tally()
    inputs = setup.inputs.training(chosen, epoch)
    for step, batch in enumerate(inputs, start=(epoch - 1) * len(chosen) + 1):
        setup.optimizer.zero_grad()
        logits, labels, objective = forward(setup, batch)
        metrics = tally.add(objective, logits, labels)
        demand_finite(metrics.loss, setup.recipe, f"step {step}")
        last_finite.take()
        objective.loss.backward()  # type: ignore[no-untyped-call]
        setup.optimizer.step()
        yield StepEnded(step, epoch, setup.optimizer.param_groups[0]["lr"], metrics)
    return tally.mean()


def validation_pass(setup: Setup, epoch: int) -> Generator[Event, None, Metrics]:
    """The same measures with every layer in eval mode and without gradients."""
    switch(setup.awake, training=False)
    chosen = batches(range(len(setup.split.val)), setup.inputs.validated_at_once)
    tally = Tally()
    for done, batch in enumerate(setup.inputs.validation(chosen), start=1):
        with torch.inference_mode():
            logits, labels, objective = forward(setup, batch)
            tally.add(objective, logits, labels)
        yield Progress("Validating", done, len(chosen))
    demand_finite(tally.mean().loss, setup.recipe, f"the validation of epoch {epoch}")
    return tally.mean()


def forward(setup: Setup, batch: Batch) -> tuple[Tensor, Tensor, Terms]:
    """Logits (B, classes), labels (B) and the objective of one batch."""
    inputs, labels = batch
    with autocast(setup.device, setup.precision):
        logits = setup.inputs.network(*(placed(tensor, setup.device) for tensor in inputs)).float()
    labels = labels.to(setup.device)
    return logits, labels, terms(logits, labels, setup.weights, setup.recipe.penalties)


def training_batches(setup: Setup, epoch: int) -> list[list[int]]:
    """Which training images make up each step of `epoch`."""
    return batches(order(len(setup.split.train), setup.recipe.seed, epoch), setup.batch_size)


def deciding_loss(ended: EpochEnded) -> float:
    """What makes an epoch the best: its validation loss, or its training loss where nothing validates."""
    return (ended.val or ended.train).loss


def flat(losses: list[float]) -> bool:
    """Whether a curve never left its first value by more than one part in 100,000."""
    return max(losses) - min(losses) <= 1e-5 * abs(losses[0])
