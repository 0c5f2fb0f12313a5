"""A run that starts from weights of one's own: those that another run has kept, or a file of a person's."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core import home
from core.backbones import catalogue
from core.backbones.build import build, construct, versioned
from core.backbones.pretrained import whole_path
from core.errors import BadRecipe, WeightsUnavailable
from core.jobs.family import from_anywhere
from core.jobs.store import store_at
from core.messages import Message
from core.recipe import Recipe
from core.recipe_settings import parse
from core.training.kept_model import load_model
from core.training.loop import train
from core.training.plan import check
from core.training.setup import prepare
from tests.conftest import MakeFolder, result_of, small_recipe

SMALL = "squeezenet1_1"
State = dict[str, Tensor]


@functools.cache
def _state_of(name: str) -> State:
    torch.manual_seed(1)
    return dict(construct(name, 224).state_dict())


def state_of(name: str = SMALL) -> State:
    return dict(_state_of(name))


def body(state: State, name: str = SMALL) -> State:
    return {key: value for key, value in state.items() if not key.startswith(f"{catalogue.get(name).head.path}.")}


def is_same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def start_of(recipe: Recipe) -> State:
    return dict(result_of(prepare(recipe, None)).model.state_dict())


@pytest.fixture
def kept(make_folder: MakeFolder) -> State:
    """What run 12 has kept: ResNet-18 after an epoch on three classes."""
    recipe = small_recipe(make_folder(name="three", a=4, b=4, c=4), epochs=1, trainable="all", init_seed=5)
    list(train(recipe, home.weights_file(12)))
    return dict(load_model(home.weights_file(12)).state)


def test_a_run_starts_from_what_another_one_kept(kept: State, make_folder: MakeFolder, tmp_path: Path) -> None:
    save_file(kept, tmp_path / "mine.safetensors")
    data = make_folder(a=4, b=4)
    for weights in ("run:12", str(home.weights_file(12)), str(tmp_path / "mine.safetensors")):
        recipe = small_recipe(data, weights=weights)
        assert check(recipe.model_dump()) == recipe
        start = start_of(recipe)
        assert start["fc.weight"].shape == (2, 512)
        assert is_same(body(start, "resnet18"), body(kept, "resnet18"))
        assert torch.equal(start["fc.weight"], start_of(recipe)["fc.weight"])  # The seed draws the head.


def test_a_run_whose_body_was_frozen_is_started_from_with_what_it_rests_on(make_folder: MakeFolder) -> None:
    data = make_folder(a=4, b=4)
    list(train(small_recipe(data, epochs=1, init_seed=5), home.weights_file(12)))
    state = load_model(home.weights_file(12)).state
    recipe = small_recipe(data, weights="run:12")
    assert check(recipe.model_dump()) == recipe
    assert is_same(body(start_of(recipe), "resnet18"), body(state, "resnet18"))
    (rest,) = home.weights_file(12).parent.glob("frozen-*")
    rest.unlink()
    with pytest.raises(WeightsUnavailable, match=r"run:12 .*frozen-\w+\.safetensors is missing"):
        start_of(recipe)


def test_pictures_are_prepared_as_for_the_run_that_kept_the_weights(make_folder: MakeFolder) -> None:
    """The bundled SqueezeNet has a mean and a deviation of its own. In November 2026 runs of before had others."""
    data = make_folder(a=4, b=4)
    settings = {"backbone": SMALL, "trainable": ["head"], "epochs": 1}
    list(train(small_recipe(data, **settings, weights="pretrained", image_size=40), home.weights_file(1)))
    list(train(small_recipe(data, **settings), home.weights_file(2)))
    (own, usual) = (load_model(home.weights_file(run)).preprocessing for run in (1, 2))
    assert own.std == pytest.approx([1 / 255] * 3)
    for run, expected in ((1, own), (2, usual)):
        used = result_of(prepare(small_recipe(data, **settings, weights=f"run:{run}"), None)).preprocessing
        assert (used.mean, used.std, used.crop, used.resize) == (expected.mean, expected.std, usual.crop, usual.resize)
    save_file(state_of(), home.weights_file(1).with_name("mine.safetensors"))
    weights = str(home.weights_file(1).with_name("mine.safetensors"))
    assert result_of(prepare(small_recipe(data, **settings, weights=weights), None)).preprocessing == usual


def test_a_paused_run_says_that_its_start_is_gone(kept: State, make_folder: MakeFolder) -> None:
    recipe = small_recipe(make_folder(a=4, b=4), weights="run:12")
    assert kept
    home.remove_run(12)
    with pytest.raises(WeightsUnavailable, match="run:12 cannot be started from: there is no run 12"):
        start_of(recipe)
    assert not home.weights_file(12).parent.exists()


WRAPPED: dict[str, Callable[[State], Any]] = {
    "plain": lambda state: state,
    "with more beside": lambda state: {"epoch": 3, "state_dict": state},
    "of a parallel network": lambda state: {f"module.{name}": value for name, value in state.items()},
    "of a module around it": lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}},
    "in 16 bits": lambda state: {name: value.half() for name, value in state.items()},
    "another head": lambda state: (
        body(state) | {"classifier.1.1.weight": torch.ones(3, 2), "classifier.4.bias": torch.ones(3)}
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_files_of_torch(kind: str, tmp_path: Path) -> None:
    state = state_of()
    torch.save(WRAPPED[kind](state), tmp_path / "mine.pth")
    loaded = dict(build(catalogue.get(SMALL), 4, str(tmp_path / "mine.pth")).state_dict())
    expected = body({name: value.half().float() for name, value in state.items()} if kind == "in 16 bits" else state)
    assert is_same(body(loaded), expected)
    assert loaded["classifier.1.weight"].shape == (4, 512, 1, 1)


@pytest.mark.parametrize("name", ["mnasnet0_5", "densenet121", "swin_t"])
def test_every_kind_of_network(name: str, tmp_path: Path) -> None:
    """MNASNet's state dicts have version numbers; Swin's have buffers in no layer, and bare parameters."""
    state = state_of(name)
    save_file(state, tmp_path / "mine.safetensors")
    torch.save(state, tmp_path / "mine.pth")
    for file in ("mine.safetensors", "mine.pth"):
        loaded = dict(build(catalogue.get(name), 4, str(tmp_path / file)).state_dict())
        assert is_same(body(loaded, name), body(state, name))


def test_batches_need_not_be_counted(tmp_path: Path) -> None:
    state = state_of("resnet18")
    save_file({key: value for key, value in state.items() if "num_batches" not in key}, tmp_path / "old.safetensors")
    loaded = dict(build(catalogue.get("resnet18"), 4, str(tmp_path / "old.safetensors")).state_dict())
    assert is_same(body(loaded, "resnet18"), body(state, "resnet18"))


def test_tensors_that_share_memory_learn_apart(tmp_path: Path) -> None:
    state = {key: torch.zeros(1).expand(value.shape) for key, value in state_of().items()}
    torch.save(state, tmp_path / "mine.pth")
    model = build(catalogue.get(SMALL), 4, str(tmp_path / "mine.pth"))
    weights = model.get_parameter("features.0.weight").detach()
    weights[0] += 1
    assert weights.sum() == weights[0].numel()
    assert not model.get_parameter("features.3.squeeze.weight").any()


def without(name: str) -> State:
    return {key: value for key, value in state_of().items() if key != name}


REFUSED: dict[str, tuple[Callable[[], State], str, str]] = {
    "a layer too few": (
        lambda: {key: value for key, value in state_of().items() if not key.startswith("features.6.squeeze.")},
        "features.6.squeeze is missing, which squeezenet1_1 has",
        "features.6.squeeze.weight is missing, which squeezenet1_1 has",
    ),
    "a bias too few": (
        lambda: without("features.3.squeeze.bias"),
        "features.3.squeeze has 1,024 numbers, and 1,040 in squeezenet1_1",
        "features.3.squeeze.bias is missing, which squeezenet1_1 has",
    ),
    "another shape": (
        lambda: state_of() | {"features.0.weight": torch.zeros(64, 4, 3, 3)},
        "features.0 has 2,368 numbers, and 1,792 in squeezenet1_1",
        "features.0.weight has 64×4×3×3 numbers, and 64×3×3×3 in squeezenet1_1",
    ),
    "a layer too many": (
        lambda: state_of() | {"features.13.conv.weight": torch.zeros(2)},
        "it has features.13.conv, which squeezenet1_1 lacks",
        "it has features.13.conv.weight, which squeezenet1_1 lacks",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_named(kind: str, make_folder: MakeFolder, tmp_path: Path) -> None:
    state, by_layer, by_tensor = REFUSED[kind]
    save_file(state(), tmp_path / "mine.safetensors")
    torch.save(state(), tmp_path / "mine.pth")
    settings = {"data": str(make_folder(a=2, b=2)), "backbone": SMALL}
    with pytest.raises(BadRecipe) as caught:
        check(settings | {"weights": str(tmp_path / "mine.safetensors")})
    assert [(fault.field, str(fault.advice)) for fault in caught.value.faults] == [("weights", by_layer)]
    check(settings | {"weights": str(tmp_path / "mine.pth")})  # What is in there, only torch can tell.
    with pytest.raises(WeightsUnavailable) as later:
        build(catalogue.get(SMALL), 4, str(tmp_path / "mine.pth"))
    assert str(later.value) == f"{tmp_path / 'mine.pth'} cannot be started from: {by_tensor}."


def test_the_same_numbers_in_another_shape_are_found_at_the_latest_with_torch(tmp_path: Path) -> None:
    state = state_of()
    state["features.0.weight"] = state["features.0.weight"].transpose(0, 1).contiguous()
    save_file(state, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"features\.0\.weight has 3×64×3×3 numbers, and 64×3×3×3 in"):
        build(catalogue.get(SMALL), 4, str(tmp_path / "mine.safetensors"))


def test_a_smaller_network_is_not_found_in_a_larger_one(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Each tensor of ResNet-18 is in ResNet-34, with the same shape."""
    save_file(state_of("resnet34"), tmp_path / "mine.safetensors")
    settings = {
        "data": str(make_folder(a=2, b=2)),
        "backbone": "resnet18",
        "weights": str(tmp_path / "mine.safetensors"),
    }
    with pytest.raises(BadRecipe, match=r"it has layer1\.2\.bn1, which resnet18 lacks"):
        check(settings)


def test_a_run_of_another_backbone_is_named(kept: State, make_folder: MakeFolder) -> None:
    assert kept
    with pytest.raises(BadRecipe, match="these are weights of resnet18, not of resnet34"):
        check({"data": str(make_folder(a=2, b=2)), "backbone": "resnet34", "weights": "run:12"})


class Trap:
    """Unpickled by the ordinary pickle, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_what_is_no_file_of_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    settings = {"data": str(make_folder(a=2, b=2)), "backbone": SMALL}
    save_file(state_of(), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-1])
    (tmp_path / "page.pth").write_bytes(b"<html>Please log in</html>" * 20)
    (tmp_path / "empty.pth").touch()
    advice = {
        "cut.safetensors": "it holds no weights",
        "page.pth": "it holds no weights",
        "empty.pth": "it holds no weights",
        "gone.pth": "no such file",
        ".": "no such file",
    }
    for name, expected in advice.items():
        with pytest.raises(BadRecipe, match=expected):
            check(settings | {"weights": f"{tmp_path}/{name}"})
        with pytest.raises(WeightsUnavailable, match=expected):
            build(catalogue.get(SMALL), 4, f"{tmp_path}/{name}")
    with pytest.raises(BadRecipe, match="there is no run 3, or it has kept no weights"):
        check(settings | {"weights": "run:3"})
    for number, content in enumerate(
        ([1, 2], {"a": 1}, torch.zeros(2), {"features.0.weight": Trap(tmp_path / "sprung")})
    ):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(WeightsUnavailable, match="is missing" if number == 1 else "such as code, which is not run"):
            build(catalogue.get(SMALL), 4, str(tmp_path / f"{number}.pth"))
    assert not (tmp_path / "sprung").exists()


def test_a_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.pth").touch()
    assert whole_path("./mine.pth") == str((tmp_path / "mine.pth").resolve())
    assert [whole_path(one) for one in ("random", "run:12", "./gone.pth")] == ["random", "run:12", "./gone.pth"]


def test_a_family_is_started_from_by_its_first_run(thaw_home: Path) -> None:
    store = store_at(f"sqlite:///{thaw_home.parent / 'store.sqlite'}")
    single = store.runs.queue(parse({"data": "photos"}))
    family = store.runs.queue(parse({"data": "photos", "repeats": 2}))
    first, second = (child.id for child in store.runs.get(family).children)
    assert from_anywhere(f"run:{family}", store.runs.get) == (
        f"run:{first}",
        Message(
            "Run {family} is a family of runs; training starts from its first, run {first}.", family=family, first=first
        ),
    )
    for weights in (f"run:{single}", f"run:{second}", "run:99"):
        assert from_anywhere(weights, store.runs.get) == (weights, None)
    store.database.close()


def test_a_state_of_mnasnet_is_loaded_without_its_version() -> None:
    """Kept models are safetensors, which have no room for it."""
    model = construct("mnasnet0_5", 224)
    state = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    model.load_state_dict(versioned(model, state))
    assert not any(tensor.any() for tensor in model.state_dict().values())
