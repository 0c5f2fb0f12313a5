"""Ask a kept model about every picture that its run held out, as the validation of the run did."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import torch

from core.backbones.build import switch
from core.data.tensors import cut_into_batches
from core.errors import BadData
from core.events import Event, Progress
from core.figures import Score
from core.messages import Message
from core.results.answers import Answer, Evaluation
from core.training.kept_model import load_changes, restore_into
from core.training.loop import answers_to
from core.training.setup import Setup, prepare

ASKING = Message("Asking the kept model about every validation picture")


def evaluate(weights_file: Path, features_folder: Path) -> Generator[Event, None, Evaluation]:
    """The answers of a kept model to the validation pictures of its recipe, as they are now.

    The network and what goes into it are made as for training, so that answers are those that validation counted, and
    kept features are read. Raises BadCheckpoint, BadData or BadImage.
    """
    kept = load_changes(weights_file)
    setup = yield from prepare(kept.recipe, features_folder)
    if setup.classes != kept.classes:
        template = "The classes of {data} are not those any more that this run was trained on; train again."
        raise BadData(template, data=kept.recipe.data)
    before = yield from _answers(setup)
    restore_into(setup.changing, kept.state)
    answers = yield from _answers(setup)
    return Evaluation(kept.classes, kept.epoch, answers, untrained=_scored(before), guessing=_guessing(setup))


def _answers(setup: Setup) -> Generator[Event, None, tuple[Answer, ...]]:
    """What the network says now."""
    switch(setup.everything.awake, training=False)
    val = setup.split.val
    chosen = cut_into_batches(range(len(val)), setup.inputs.validated_at_once)
    shares: list[tuple[float, ...]] = []
    for done, (inputs, _labels) in enumerate(setup.inputs.plain(val, chosen), start=1):
        with torch.inference_mode():
            shares += map(tuple, answers_to(setup, setup.inputs.network, inputs).softmax(1).tolist())
        yield Progress(ASKING, done, len(chosen))
    return tuple(Answer(one.path, one.label, given) for one, given in zip(val, shares, strict=True))


def _scored(answers: tuple[Answer, ...]) -> Score | None:
    return Score(sum(one.is_right for one in answers), len(answers)) if answers else None


def _guessing(setup: Setup) -> Score | None:
    """Calling every picture what most training pictures are."""
    ((commonest, _),) = Counter(one.label for one in setup.split.train).most_common(1)
    val = setup.split.val
    return Score(sum(one.label == commonest for one in val), len(val)) if val else None
