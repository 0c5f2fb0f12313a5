"""Ask a kept model: what it sees in a picture, in the numbers in which it was validated; or about all held-out ones."""

from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path

import torch
from torch import Tensor, nn

from core.backbones import catalogue
from core.backbones.build import build, freeze, switch, versioned
from core.backbones.cut import Cut, cut
from core.data.tensors import Normalise, cut_into_batches, plain_square
from core.errors import BadCheckpoint, BadData
from core.events import Event, Progress
from core.figures import Score
from core.messages import Message
from core.results.answers import Answer, Evaluation
from core.training.device import autocast, choose_precision, lay_channels_last, spare_strided
from core.training.features import FrozenPart
from core.training.kept_model import KeptModel, load_changes, restore_into
from core.training.learning import learning
from core.training.loop import answers_to
from core.training.setup import Setup, prepare

Classify = Callable[[Path], dict[str, float]]
"""From a picture to the probability of every class, 0…1, the likeliest first. Raises BadImage."""
ToLogits = Callable[[Tensor], Tensor]
"""From squares, uint8 (B, 3, H, W), to logits (B, classes)."""
CPU = torch.device("cpu")
ASKING = Message("Asking the kept model about every validation picture")


def classifier(checkpoint: KeptModel) -> Classify:
    """A kept model (`core.training.checkpoint.load_model`) with the pre-processing that it was trained with.

    Raises BadCheckpoint when it cannot be used.
    """
    answer, preprocessing = answering(checkpoint, restore(checkpoint)), checkpoint.preprocessing

    def classify(picture: Path) -> dict[str, float]:
        shares = answer(plain_square(preprocessing, picture)[None]).softmax(1)[0].tolist()
        return dict(sorted(zip(checkpoint.classes, shares, strict=True), key=lambda pair: -pair[1]))

    return classify


def answering(checkpoint: KeptModel, model: nn.Module) -> ToLogits:
    """The kept `model` as it was when it was validated: cut at the same place, folded and rounded in the same way.

    A file of before November 2026 does not say how that was; it answers in 32 bits. Raises BadCheckpoint.
    """
    numbers = checkpoint.numbers
    normalise = Normalise(checkpoint.preprocessing)
    network: nn.Module = nn.Sequential(normalise, model)
    run_frozen: Callable[[Tensor], list[Tensor]] | None = None
    if numbers and numbers.frozen and (halves := _cut_as_in_training(model, checkpoint)):
        frozen = FrozenPart(halves.prefix, numbers.frozen, numbers.folded)
        network, run_frozen = halves.rest, frozen.runner(checkpoint.preprocessing)
    if numbers:
        lay_channels_last(network)
        spare_strided(network, CPU)
    precision = numbers.trained if numbers else "fp32"

    def answer(squares: Tensor) -> Tensor:
        inputs = run_frozen(squares) if run_frozen else [squares]
        with torch.inference_mode(), autocast(CPU, precision):
            logits: Tensor = network(*inputs).float()
        return logits

    return answer


def _cut_as_in_training(model: nn.Module, checkpoint: KeptModel) -> Cut | None:
    """The frozen part and the rest. Where it is cut depends on what learns; the model is in eval mode afterwards."""
    recipe = checkpoint.recipe
    backbone = catalogue.get(recipe.backbone)
    layers = catalogue.select(backbone, recipe.trainable)
    freeze(model, layers)
    learning(model, backbone, layers, recipe)
    halves = cut(model, backbone.min_size)
    model.eval()
    return halves


def other_numbers(checkpoint: KeptModel) -> Message | None:
    """What to say where this machine computes in other numbers than those in which the model was validated."""
    numbers = checkpoint.numbers
    if numbers is None:
        return None
    if numbers.device != CPU.type:
        template = "This model was validated on {device} and answers on the CPU: a close call may come out differently."
        return Message(template, device=numbers.device)
    if "bf16" in (numbers.trained, numbers.frozen) and choose_precision("auto", CPU) != "bf16":
        template = "This model was validated in bfloat16, which this machine imitates: a close call may differ."
        return Message(template)
    return None


def restore(checkpoint: KeptModel) -> nn.Module:
    """The kept model in eval mode on the CPU. Raises BadCheckpoint when the weights do not fit its own backbone."""
    recipe = checkpoint.recipe
    model: nn.Module = build(catalogue.get(recipe.backbone), len(checkpoint.classes), "random")
    try:
        model.load_state_dict(versioned(model, checkpoint.state))
    except RuntimeError as error:
        template = "The saved weights do not fit {backbone}: {cause}"
        raise BadCheckpoint(template, backbone=recipe.backbone, cause=str(error)) from error
    return model.eval()


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
