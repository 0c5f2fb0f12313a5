"""The training loop, and nothing else: `train(recipe)` is a generator of events."""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core import home
from core.backbones.build import switch
from core.data.scan import Example
from core.data.tensors import Batch, cut_into_batches, shuffled
from core.errors import Diverged
from core.events import (
    EpochEnded,
    Event,
    KeptTested,
    Metrics,
    Notice,
    Progress,
    RunFinished,
    RunStopped,
    StepEnded,
    StopRequested,
)
from core.figures import Confusion, score
from core.messages import Message
from core.optimizers import Moment
from core.recipe import Recipe
from core.training import checkpoint
from core.training.checkpoint import AFTER_EPOCHS, AMID_EPOCHS, Checkpointer
from core.training.device import autocast, to_device
from core.training.learning import estimate, set_rates, shrink
from core.training.objective import Objective, Tally, Terms, measure, terms
from core.training.setup import Setup, prepare, started
from core.training.state import Snapshot, TrainingState, deciding_loss

AT_LEAST = 16
"""Pictures in a batch that statistics are measured over. Of fewer they are noisy, and without gradients 16 take less
memory than a training step of 4."""
VALIDATING = Message("Validating")
SETTLING = Message("Measuring BatchNorm's statistics")
TESTING = Message("Testing the kept weights")


def train(
    recipe: Recipe, weights_file: Path, features_folder: Path | None = None, resume_file: Path | None = None
) -> Generator[Event, None, None]:
    """Train what `recipe` describes and keep weights of one epoch in `weights_file`: the best one's, or the last one's.

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
            if remark := checkpoint.restore_state(setup, saved):
                yield Notice(remark)
            state = checkpoint.training_state(saved)  # Preparing once more is not part of the run's time.
        shared = features_folder and features_folder / home.FROZEN
        yield from fit(setup, state, Checkpointer(setup, state, weights_file, resume_file, shared))
    except StopRequested:
        ending = RunStopped
    kept = state.kept
    yield ending(
        kept_epoch=kept.epoch if kept else 0,
        val=score(kept.confusion) if kept else None,
        seconds=state.seconds(),
    )


def fit(setup: Setup, state: TrainingState, checkpointer: Checkpointer) -> Generator[Event, None, None]:
    """Run all epochs that are to come. However they end, the weights to keep are then on the disk."""
    recipe = setup.recipe
    last_finite = Snapshot(setup.model)
    try:
        yield started(setup, state, steps_per_epoch=len(training_batches(setup, epoch=1)))
        while state.epoch <= recipe.epochs and not state.out_of_patience(recipe.patience):
            ended = yield from run_epoch(setup, state, checkpointer, last_finite)
            state.end_epoch(ended)
            if ended.kept:
                checkpointer.mark_kept(ended.epoch)
            yield ended
            yield from checkpointer.write_after(AFTER_EPOCHS)
    except StopRequested:
        if not state.history:
            checkpointer.mark_kept(epoch=0)
        yield from checkpointer.write()
        raise
    except Exception as error:
        if isinstance(error, Diverged) and not state.history:
            last_finite.restore()
            checkpointer.mark_kept(epoch=0)
        yield from checkpointer.write_kept()
        raise
    yield from checkpointer.write()
    yield from (Notice(text) for text in remarks(recipe, state))
    if setup.split.test and state.kept:
        yield from test(setup, state.kept.epoch, checkpointer)


def run_epoch(
    setup: Setup, state: TrainingState, checkpointer: Checkpointer, last_finite: Snapshot
) -> Generator[Event, None, EpochEnded]:
    """One pass over the training images that changes weights, one over the validation images that does not."""
    if state.steps == 0:
        state.epoch_began = state.seconds()
    trained = yield from training_pass(setup, state, checkpointer, last_finite)
    training_seconds = state.seconds_in_epoch()
    yield from settle_statistics(setup, state.epoch)
    val = setup.split.val
    validated = (yield from evaluation_pass(setup, val, VALIDATING)) if val else None
    if validated:
        demand_finite(validated.mean().loss, setup.recipe, Message("the validation of epoch {n}", n=state.epoch))
    ended = EpochEnded(
        epoch=state.epoch,
        train=trained,
        val=validated.mean() if validated else None,
        seconds=state.seconds_in_epoch(),
        images_per_second=len(setup.split.train) / training_seconds,
        confusion=validated.answers if validated else (),
        moved=setup.start.moved(),
        zeros=setup.start.zeros(),
    )
    return replace(ended, kept=state.is_to_keep(ended, setup.recipe.keep))


def training_pass(
    setup: Setup, state: TrainingState, checkpointer: Checkpointer, last_finite: Snapshot
) -> Generator[Event, None, Metrics]:
    """One optimizer step per batch, for those batches that are not done yet."""
    epoch, recipe = state.epoch, setup.recipe
    let_learn(setup, epoch)
    chosen = training_batches(setup, epoch)
    for batch in setup.inputs.training(chosen[state.steps :], epoch):
        done = (epoch - 1) * len(chosen) + state.steps
        rate = set_rates(setup.optimizer, recipe, Moment(done, len(chosen), recipe.epochs))
        metrics, answers = take_step(setup, batch, None if state.history else last_finite, done + 1)
        state.tally.add(metrics, answers)
        state.steps += 1
        yield StepEnded(done + 1, epoch, rate, metrics)
        yield from checkpointer.write_after(AMID_EPOCHS)
    return state.tally.mean()


def take_step(setup: Setup, batch: Batch, last_finite: Snapshot | None, step: int) -> tuple[Metrics, Confusion]:
    """Change the weights by one step; returns what the batch measured before it. Raises Diverged.

    `last_finite`, where it is wanted, gets the weights whose loss is known to be finite.
    """
    measured: list[tuple[Metrics, Confusion]] = []

    def evaluate() -> float:
        """The loss and its gradients. L-BFGS asks several times in a step."""
        setup.optimizer.zero_grad()
        logits, labels, objective = forward(setup, setup.stepped, batch, setup.objective)
        objective.smooth.backward()  # type: ignore[no-untyped-call]
        if not measured:
            measured.append(measure(objective, logits, labels).read())
            demand_finite(measured[0][0].loss, setup.recipe, Message("step {step}", step=step))
            if last_finite:
                last_finite.take()
        return objective.smooth.detach()  # type: ignore[return-value]  # torch takes a tensor, and does not wait for it.

    setup.optimizer.step(evaluate)
    shrink(setup.optimizer, setup.recipe, setup.objective.penalised)
    return measured[0]


def let_learn(setup: Setup, epoch: int) -> None:
    """Put what learns in `epoch`, and nothing else, into training mode, and let only its parameters have gradients."""
    learning = setup.learning(epoch)
    for parameter in setup.everything.parameters:
        parameter.requires_grad_(False)
    for parameter in learning.parameters:
        parameter.requires_grad_(True)
    switch(setup.everything.awake, training=False)
    switch(learning.awake, training=True)


def settle_statistics(setup: Setup, epoch: int) -> Iterator[Progress]:
    """Give BatchNorms that learn their statistics those of the training pictures, without variations or dropout."""
    layers = setup.learning(epoch).measured
    switch(setup.everything.awake, training=False)
    if not layers:
        return
    switch(layers, training=True)
    # Shuffled, because a batch of one class has statistics of its own.
    order = shuffled(len(setup.split.train), setup.recipe.seeds.order, epoch)
    chosen = cut_into_batches(order, max(setup.batch_size, AT_LEAST))
    batches = setup.inputs.plain(setup.split.train, chosen)
    for done in estimate(layers, (partial(answers_to, setup, setup.inputs.network, inputs) for inputs, _ in batches)):
        yield Progress(SETTLING, done, len(chosen))
    switch(layers, training=False)


def evaluation_pass(setup: Setup, examples: Sequence[Example], stage: Message) -> Generator[Event, None, Tally]:
    """The same measures with every layer in eval mode, without gradients and label smoothing."""
    switch(setup.everything.awake, training=False)
    chosen = cut_into_batches(range(len(examples)), setup.inputs.validated_at_once)
    objective = replace(setup.objective, label_smoothing=0.0)
    tally = Tally()
    for done, batch in enumerate(setup.inputs.plain(examples, chosen), start=1):
        with torch.inference_mode():
            logits, labels, terms_of_batch = forward(setup, setup.inputs.network, batch, objective)
            tally.add(*measure(terms_of_batch, logits, labels).read())
        yield Progress(stage, done, len(chosen))
    return tally


def test(setup: Setup, epoch: int, checkpointer: Checkpointer) -> Generator[Event, None, None]:
    """Try the kept weights, those after `epoch`, on the test images: once, at the end; nothing is chosen by it."""
    checkpointer.restore_kept()
    tally = yield from evaluation_pass(setup, setup.split.test, TESTING)
    yield KeptTested(epoch, tally.mean(), tally.answers)


def forward(setup: Setup, network: nn.Module, batch: Batch, objective: Objective) -> tuple[Tensor, Tensor, Terms]:
    """Logits (B, classes), labels (B) and the objective of one batch."""
    inputs, labels = batch
    logits = answers_to(setup, network, inputs)
    labels = to_device(labels, setup.device)
    return logits, labels, terms(logits, labels, objective)


def answers_to(setup: Setup, network: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    """Logits (B, classes) for what goes into the network."""
    with autocast(setup.device, setup.precision):
        logits: Tensor = network(*(to_device(tensor, setup.device) for tensor in inputs)).float()
    return logits


def training_batches(setup: Setup, epoch: int) -> list[list[int]]:
    """Which training images make up each step of `epoch`."""
    return cut_into_batches(shuffled(len(setup.split.train), setup.recipe.seeds.order, epoch), setup.batch_size)


def remarks(recipe: Recipe, state: TrainingState) -> Iterator[Message]:
    """What is to be said of a run that ended by itself."""
    if state.epoch <= recipe.epochs:
        template = "Training ended after epoch {epoch}: the last {count} epochs brought no lower cross-entropy."
        yield Message(template, epoch=len(state.history), count=recipe.patience)
    if len(state.history) > 1 and flat([deciding_loss(ended) for ended in state.history]):
        yield Message("Nothing was learnt: the loss never moved. Try a higher learning rate.")


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
