"""The training loop, and nothing else: `train(recipe)` is a generator of events."""

import math
from collections.abc import Generator
from pathlib import Path

import torch
from torch import Tensor

from core.backbones.build import switch
from core.data.batches import Batch, cut_into_batches, shuffled
from core.errors import Diverged
from core.events import EpochEnded, Event, Metrics, Notice, Progress, RunFinished, RunStopped, StepEnded, StopRequested
from core.figures import score
from core.messages import Message
from core.recipe import Recipe
from core.training import checkpoint
from core.training.checkpoint import AFTER_EPOCHS, AMID_EPOCHS, Checkpointer
from core.training.device import autocast, to_device
from core.training.objective import Tally, Terms, measure, terms
from core.training.setup import Setup, prepare, started
from core.training.state import Snapshot, TrainingState, deciding_loss

VALIDATING = Message("Validating")


def train(
    recipe: Recipe, weights_file: Path, features_folder: Path | None = None, resume_file: Path | None = None
) -> Generator[Event, None, None]:
    """Train what `recipe` describes and keep the best epoch's weights in `weights_file`.

    With a `features_folder`, what the frozen part makes of the images is kept there, and it runs but once. With a
    `resume_file`, the state is kept there, and the run goes on from it where the file exists: to the very weights, on
    a CPU, that it would have had without the interruption.

    The last event is RunFinished, or RunStopped after `throw(StopRequested())`. Raises BadData, BadImage, BadRecipe,
    WeightsUnavailable, BadCheckpoint, or Diverged. When no epoch has ended by then, the newest weights whose loss was
    finite are kept.
    """
    saved = checkpoint.read_state(resume_file) if resume_file and resume_file.is_file() else None
    state = checkpoint.training_state(saved) if saved else TrainingState()
    ending: type[RunFinished | RunStopped] = RunFinished
    try:
        setup = yield from prepare(recipe, features_folder)
        if saved:
            checkpoint.restore_state(setup, saved)
            state = checkpoint.training_state(saved)  # Preparing once more is not part of the run's time.
        yield from fit(setup, state, Checkpointer(setup, state, weights_file, resume_file))
    except StopRequested:
        ending = RunStopped
    best = state.best
    yield ending(
        kept_epoch=best.epoch if best else 0,
        val=score(best.confusion) if best else None,
        seconds=state.seconds(),
    )


def fit(setup: Setup, state: TrainingState, checkpointer: Checkpointer) -> Generator[Event, None, None]:
    """Run all epochs that are to come. However they end, the weights of the best one are then on the disk."""
    last_finite = Snapshot(setup.model)
    try:
        yield started(setup, state, steps_per_epoch=len(training_batches(setup, epoch=1)))
        while state.epoch <= setup.recipe.epochs:
            ended = yield from run_epoch(setup, state, checkpointer, last_finite)
            state.end_epoch(ended)
            if ended is state.best:
                checkpointer.mark_best(ended.epoch)
            yield ended
            yield from checkpointer.write_after(AFTER_EPOCHS)
    except StopRequested:
        if not state.history:
            checkpointer.mark_best(epoch=0)
        yield from checkpointer.write()
        raise
    except Exception as error:
        if isinstance(error, Diverged) and not state.history:
            last_finite.restore()
            checkpointer.mark_best(epoch=0)
        yield from checkpointer.write_best()
        raise
    yield from checkpointer.write()
    if len(state.history) > 1 and flat([deciding_loss(ended) for ended in state.history]):
        yield Notice(Message("Nothing was learnt: the loss never moved. Try a higher learning rate."))


def run_epoch(
    setup: Setup, state: TrainingState, checkpointer: Checkpointer, last_finite: Snapshot
) -> Generator[Event, None, EpochEnded]:
    """One pass over the training images that changes weights, one over the validation images that does not."""
    if state.steps == 0:
        state.epoch_began = state.seconds()
    trained = yield from training_pass(setup, state, checkpointer, last_finite)
    training_seconds = state.seconds_in_epoch()
    validated = (yield from validation_pass(setup, state.epoch)) if setup.split.val else None
    return EpochEnded(
        epoch=state.epoch,
        train=trained,
        val=validated,
        seconds=state.seconds_in_epoch(),
        images_per_second=len(setup.split.train) / training_seconds,
    )


def training_pass(
    setup: Setup, state: TrainingState, checkpointer: Checkpointer, last_finite: Snapshot
) -> Generator[Event, None, Metrics]:
    """One optimizer step per batch, for those batches that are not done yet."""
    switch(setup.awake, training=True)
    epoch = state.epoch
    chosen = training_batches(setup, epoch)
    for batch in setup.inputs.training(chosen[state.steps :], epoch):
        setup.optimizer.zero_grad()
        logits, labels, objective = forward(setup, batch)
        metrics = measure(objective, logits, labels)
        step = (epoch - 1) * len(chosen) + state.steps + 1
        demand_finite(metrics.loss, setup.recipe, Message("step {step}", step=step))
        last_finite.take()
        objective.loss.backward()  # type: ignore[no-untyped-call]
        setup.optimizer.step()
        state.tally.add(metrics, len(labels))
        state.steps += 1
        yield StepEnded(step, epoch, setup.optimizer.param_groups[0]["lr"], metrics)
        yield from checkpointer.write_after(AMID_EPOCHS)
    return state.tally.mean()


def validation_pass(setup: Setup, epoch: int) -> Generator[Event, None, Metrics]:
    """The same measures with every layer in eval mode and without gradients."""
    switch(setup.awake, training=False)
    chosen = cut_into_batches(range(len(setup.split.val)), setup.inputs.validated_at_once)
    tally = Tally()
    for done, batch in enumerate(setup.inputs.validation(chosen), start=1):
        with torch.inference_mode():
            logits, labels, objective = forward(setup, batch)
            tally.add(measure(objective, logits, labels), len(labels))
        yield Progress(VALIDATING, done, len(chosen))
    demand_finite(tally.mean().loss, setup.recipe, Message("the validation of epoch {epoch}", epoch=epoch))
    return tally.mean()


def forward(setup: Setup, batch: Batch) -> tuple[Tensor, Tensor, Terms]:
    """Logits (B, classes), labels (B) and the objective of one batch."""
    inputs, labels = batch
    with autocast(setup.device, setup.precision):
        logits = setup.inputs.network(*(to_device(tensor, setup.device) for tensor in inputs)).float()
    labels = labels.to(setup.device)
    return logits, labels, terms(logits, labels, setup.weights, setup.recipe.penalties)


def training_batches(setup: Setup, epoch: int) -> list[list[int]]:
    """Which training images make up each step of `epoch`."""
    return cut_into_batches(shuffled(len(setup.split.train), setup.recipe.seed, epoch), setup.batch_size)


def flat(losses: list[float]) -> bool:
    """Whether a curve never left its first value by more than one part in 100,000."""
    return max(losses) - min(losses) <= 1e-5 * abs(losses[0])


def demand_finite(loss: float, recipe: Recipe, where: Message) -> None:
    """Raises Diverged, with advice, unless `loss` is a number below infinity."""
    if math.isfinite(loss):
        return
    lr = recipe.optimizer.lr
    advice = Message("Lower the learning rate from {lr:g} to {lower:g}", lr=lr, lower=lr / 10)
    if recipe.penalties.l1 or recipe.penalties.l2:
        advice = Message("{advice}, or the penalties", advice=advice)
    template = "Training diverged: the loss was {loss} at {where}. {advice}, and train again."
    raise Diverged(template, loss=loss, where=where, advice=advice)
