"""The search for a learning rate: its rates, averages and end against values by hand, and what it leaves alone."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import BadRecipe
from core.events import Event, Progress, StopRequested
from core.optimizers import OPTIMIZERS, Adam, Sgd
from core.recipe import Penalties, Recipe
from core.recipe_settings import rate_question
from core.training import rate_finder
from core.training.rate_finder import REACH, STEPS, averaged, find_rate, has_blown_up, in_words, rates_for, steepest
from core.training.setup import Setup, prepare
from tests.conftest import MakeFolder, result_of, small_recipe


def test_rates_grow_by_the_same_factor_around_the_optimizers_own() -> None:
    for optimizer, first, last in ((Adam(lr=7), 1e-7, 1.0), (Sgd(), 1e-6, 10.0)):
        rates = rates_for(optimizer)
        assert (len(rates), rates[0], rates[-1]) == (STEPS, pytest.approx(first), pytest.approx(last))
        factors = [after / before for before, after in pairwise(rates)]
        assert factors == pytest.approx([10 ** (7 / 99)] * 99)


def test_averages_by_hand() -> None:
    second = (0.9 * 0.1 * 2 + 0.1 * 4) / (1 - 0.9**2)
    third = (0.9 * (0.9 * 0.1 * 2 + 0.1 * 4) + 0.1 * 1) / (1 - 0.9**3)
    assert averaged([2, 4, 1]) == pytest.approx((2, second, third))
    assert averaged([3.0] * 20) == pytest.approx([3.0] * 20)
    assert averaged([]) == ()


def test_it_has_blown_up_above_four_times_the_lowest() -> None:
    assert not has_blown_up([1.0, 0.5, 2.0])
    assert has_blown_up([1.0, 0.5, 2.01])


def test_the_steepest_fall_is_where_a_curve_turns() -> None:
    curve = [1 / (1 + math.exp((step - 40) / 6)) for step in range(80)]
    assert steepest([*curve, 0.5, 3.0]) == 40
    assert steepest(curve[::-1]) is None
    assert steepest(curve[: 2 * REACH]) is None
    assert steepest([]) is None


def test_a_fall_after_the_lowest_does_not_count() -> None:
    gentle = [1 - step / 100 for step in range(30)]
    assert (place := steepest([*gentle, *(50.0, 40.0, 30.0, 20.0, 10.0, 5.0) * 3])) is not None
    assert place <= 29 - REACH


@pytest.mark.parametrize(
    ("suggested", "losses", "said"),
    [
        (0.2, [1, 2], "Start from a learning rate of 0.2: the loss fell fastest there; it blew up at about 0.2."),
        (0.2, [3, 2, 1], "Start from a learning rate of 0.2: the loss fell fastest there; it had not blown up at 3."),
        (0.2, [3, 2, 9], "Start from a learning rate of 0.2: the loss fell fastest there; it blew up at about 3."),
        (None, [3, 3, 3], "The loss fell at no learning rate from 0.01 to 3, so none is proposed."),
        (None, [], "The loss fell at no learning rate from 0.01 to 0.01, so none is proposed."),
    ],
)
def test_what_is_said(suggested: float | None, losses: list[float], said: str) -> None:
    assert str(in_words(suggested, (0.0123, 0.234, 3.0), losses)) == said


@pytest.fixture
def recipe(make_folder: MakeFolder) -> Recipe:
    """Six batches in an epoch, and a head that learns."""
    return small_recipe(make_folder(a=16, b=16), optimizer={"name": "sgd"}, seed=1)


def test_the_losses_are_those_of_plain_steps(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps, written out: the loss of each batch before a step at each rate."""
    monkeypatch.setattr(rate_finder, "STEPS", 20)
    sweep = result_of(find_rate(recipe, None))
    setup = result_of(prepare(recipe, None))
    setup.model.train()
    weights = [p for p in setup.model.parameters() if p.requires_grad]
    velocities = [torch.zeros_like(weight) for weight in weights]
    losses = []
    for rate, (inputs, labels) in zip(sweep.rates, two_epochs(setup), strict=False):
        logits = answers(setup, inputs[0])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, weights)
        losses.append(loss.item())
        with torch.no_grad():
            for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
                velocity.mul_(0.9).add_(gradient)
                weight.sub_(rate * velocity)
    assert len(losses) == 12
    assert sweep.losses[:12] == pytest.approx(averaged(losses), rel=1e-3)


def two_epochs(setup: Setup) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    chosen = [(epoch, rate_finder.training_batches(setup, epoch)) for epoch in (1, 2)]
    return [batch for epoch, batches in chosen for batch in setup.inputs.training(batches, epoch)]  # type: ignore[misc]


def answers(setup: Setup, pictures: Tensor) -> Tensor:
    setup.model.eval()  # The body is frozen, and the head has nothing that differs in training.
    logits: Tensor = setup.inputs.network(pictures)
    return logits


def test_it_ends_where_the_loss_blows_up_or_is_no_number(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stiff = recipe.model_copy(update={"penalties": Penalties(l2=10.0)})
    sweep = result_of(find_rate(stiff, tmp_path / "features"))
    assert len(sweep.rates) == len(sweep.losses) < STEPS
    assert has_blown_up(sweep.losses)
    assert not any(has_blown_up(sweep.losses[:end]) for end in range(1, len(sweep.losses)))
    assert "blew up at about" in str(sweep.sentence)
    assert sweep.suggested is not None
    assert sweep.rates[0] < sweep.suggested < sweep.rates[-1]
    monkeypatch.setattr(rate_finder, "LOWEST", 1e38)
    sweep = result_of(find_rate(stiff, tmp_path / "features"))
    assert (sweep.suggested, len(sweep.losses)) == (None, 1)
    assert all(map(math.isfinite, sweep.losses))


def test_a_seed_decides_the_search_and_what_comes_later_has_no_part(recipe: Recipe, tmp_path: Path) -> None:
    first = result_of(find_rate(recipe, tmp_path / "features"))
    settings = {
        "optimizer": Sgd(lr=3.0),
        "epochs": 7,
        "repeats": 3,
        "patience": 2,
        "head_first": 5,
        "keep": "last",
    }
    other = recipe.model_copy(update=settings)
    assert rate_question(other) == rate_question(recipe) == rate_question(rate_question(recipe))
    assert result_of(find_rate(other, tmp_path / "features")) == first
    assert result_of(find_rate(recipe.model_copy(update={"seed": 2}), tmp_path / "features")) != first


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_nothing_but_the_learning_blocks_change_and_nothing_but_features_is_written(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: str
) -> None:
    recipe = small_recipe(make_folder(a=6, b=6), trainable=["layer4", "head"], augment=augment, views=2)
    prepared: list[tuple[Setup, dict[str, Tensor]]] = []

    def watched(*given: object):  # type: ignore[no-untyped-def]
        setup = yield from prepare(*given)  # type: ignore[arg-type]
        prepared.append((setup, {name: value.clone() for name, value in setup.model.state_dict().items()}))
        return setup

    monkeypatch.setattr(rate_finder, "prepare", watched)
    monkeypatch.setattr(rate_finder, "STEPS", 12)
    before = others_than_features(tmp_path)
    result_of(find_rate(recipe, tmp_path / "features"))
    ((setup, start),) = prepared
    changed = {name for name, value in setup.model.state_dict().items() if not torch.equal(value, start[name])}
    assert {name.split(".")[0] for name in changed} == {"layer4", "fc"}
    assert others_than_features(tmp_path) == before
    assert list((tmp_path / "features").iterdir())


def others_than_features(folder: Path) -> dict[Path, int]:
    """All files with their times, but for features and what is remembered of pictures."""
    kept = (folder / "features", folder / "thaw_home")
    files = [path for path in folder.rglob("*") if path.is_file() and not any(map(path.is_relative_to, kept))]
    return {path: path.stat().st_mtime_ns for path in files}


def test_it_says_how_far_it_is_and_ends_when_asked(recipe: Recipe, tmp_path: Path) -> None:
    work = find_rate(recipe, tmp_path / "features")
    said: list[Event] = [event for event, _ in zip(work, range(20), strict=False)]
    steps = [event for event in said if isinstance(event, Progress) and event.stage == rate_finder.TRYING]
    assert [event.done for event in steps] == list(range(1, len(steps) + 1))
    assert {event.total for event in steps} == {STEPS}
    with pytest.raises(StopRequested):
        work.throw(StopRequested())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_that_takes_steps_has_a_search(recipe: Recipe, tmp_path: Path, name: str) -> None:
    other = recipe.model_copy(update={"optimizer": OPTIMIZERS[name].model_validate({})})
    if name != "lbfgs":
        assert result_of(find_rate(other, tmp_path)).suggested is not None
        return
    with pytest.raises(BadRecipe) as raised:
        next(find_rate(other, None))
    (fault,) = raised.value.faults
    assert fault.field == "optimizer.name"
    assert str(fault.advice).startswith('must be "adam", "sgd" or "adamw" to search a learning rate')
