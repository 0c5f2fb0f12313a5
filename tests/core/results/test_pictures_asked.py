"""Questions about pictures: likely wrong labels, shortcuts, more pictures, the map, what is familiar."""

import base64
from io import BytesIO
from math import log2
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.images import thumbnail
from core.data.scan import Example, read_image_folder
from core.recipe_settings import parse
from core.results import probe
from core.results.familiar import NEAREST, Familiar
from core.results.label_doubts import find_doubts, rank
from core.results.more_pictures import Point, learning_curve, told
from core.results.picture_map import on_two_axes, picture_map
from core.results.probe import thinned, unit
from core.results.shortcuts import CUES, apart, chance_of, cues_of, find_shortcuts
from core.training.loop import train
from core.training.plan import pictures_question
from tests.conftest import SAMPLE_DATA, MakeFolder, result_of, small_recipe


def two_heaps(seed: int, apart: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """40 vectors of each of two classes."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 40)
    return (draw.normal(size=(80, 6)) + apart * labels[:, None]).astype(np.float32), labels


def test_each_picture_is_answered_as_if_it_had_been_left_out() -> None:
    """But for the mean, which is over all of them: against as many classifiers as there are pictures."""
    vectors, labels = two_heaps(0, apart=0.7)
    inputs = probe.standardised(vectors)
    found = probe.leave_one_out(inputs, labels, 2)
    wanted = probe.targets(labels, 2)
    for left_out in range(0, 80, 9):
        rest = np.arange(80) != left_out
        one, y = inputs - inputs.mean(0), wanted - wanted.mean(0)
        weights = np.linalg.solve(one[rest].T @ one[rest] + probe.PENALTY * np.eye(6), one[rest].T @ y[rest])
        assert found[left_out] == pytest.approx(one[left_out] @ weights + wanted.mean(0))


def test_what_is_taught_is_scikit_learns_ridge() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    vectors, labels = two_heaps(1, apart=0.7)
    inputs = probe.standardised(vectors)
    oracle = linear_model.Ridge(alpha=probe.PENALTY).fit(inputs[::2], probe.targets(labels, 2)[::2])
    assert probe.taught(inputs[::2], labels[::2], 2, inputs[1::2]) == pytest.approx(oracle.predict(inputs[1::2]))


def test_the_most_doubtful_comes_first() -> None:
    examples = [Example(Path(f"{number}.png"), label) for number, label in enumerate([0, 0, 1, 1])]
    looks = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.45, 0.55]])
    found = rank(examples, looks)
    assert [(one.path.stem, one.label, one.said) for one in found] == [("2", 1, 0), ("1", 0, 1)]
    assert [one.margin for one in found] == pytest.approx([0.6, 0.4])


def test_doubts_are_ordered_as_cleanlab_orders_them() -> None:
    """Its quality by the margin is (own − best other + 1) / 2."""
    cleanlab = pytest.importorskip("cleanlab.rank")
    draw = np.random.default_rng(3)
    shares, labels = draw.dirichlet(np.ones(4), 60), draw.integers(0, 4, 60)
    examples = [Example(Path(str(number)), int(label)) for number, label in enumerate(labels)]
    quality = cleanlab.get_label_quality_scores(labels, shares, method="normalized_margin")
    found = rank(examples, shares)
    doubtful = [number for number in np.argsort(quality, kind="stable") if quality[number] < 0.5]
    assert [int(one.path.name) for one in found] == doubtful
    assert [one.margin for one in found] == pytest.approx([1 - 2 * quality[number] for number in doubtful])


def test_distances_are_those_of_pytorch_ood() -> None:
    """It knows the Euclidean distance d to the k-th neighbour of unit vectors, whose cosine is 1 − d² / 2."""
    detectors = pytest.importorskip("pytorch_ood.detector")
    draw = np.random.default_rng(4)
    known, asked = (draw.normal(size=(count, 8)).astype(np.float32) for count in (30, 7))
    squares = []
    for k in range(1, NEAREST + 1):
        detector = detectors.KNN(None, k=k).fit_features(torch.from_numpy(known), torch.zeros(30, dtype=torch.long))
        squares.append(detector.predict_features(torch.from_numpy(asked)).numpy() ** 2)
    familiar = Familiar(unit(known), tuple(map(str, range(30))), np.empty(0, np.float32))
    assert familiar.distances(asked) == pytest.approx(np.mean(squares, axis=0) / 2, abs=1e-5)


def test_planted_wrong_labels_come_first() -> None:
    """`tests.benchmarks.doubts` counts them on the stamps; here what is easy must be found."""
    vectors, labels = two_heaps(5)
    wrong = [3, 17, 50]
    labels[wrong] = 1 - labels[wrong]
    examples = [Example(Path(f"{number}.png"), int(label)) for number, label in enumerate(labels)]
    found = rank(examples, probe.leave_one_out(probe.standardised(vectors), labels, 2))
    assert {int(one.path.stem) for one in found[:3]} == set(wrong)


def test_doubts_of_a_recipe(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = pictures_question(small_recipe(make_folder(a=8, b=8), trainable="all", augment="flip"))
    found = result_of(find_doubts(recipe, tmp_path / "features"))
    assert (found.classes, found.pictures) == (("a", "b"), 16)
    assert all(one.said != one.label and one.margin > 0 for one in found.doubts)


def test_the_question_is_the_same_for_recipes_that_differ_in_training_only(make_folder: MakeFolder) -> None:
    data = make_folder(a=4, b=4)
    one = pictures_question(small_recipe(data, epochs=3, seed=5))
    other = pictures_question(small_recipe(data, trainable="all", epochs=9, split_seed=5, optimizer={"name": "sgd"}))
    assert one == other
    assert one != pictures_question(small_recipe(data, seed=6))
    assert pictures_question(parse({"data": str(data), "weights": "random"})).weights == "pretrained"


def test_pairs_that_a_number_tells_apart() -> None:
    low, high = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])
    # Of 6 pairs: 1<2 1<4 2<4 3<4 are right, 2=2 counts half, 3>2 is wrong: 4.5 of 6.
    assert apart(high, low) == apart(low, high) == pytest.approx(4.5 / 6)
    assert apart(np.array([1.0]), np.array([])) == 0.5


def test_pairs_and_chance_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 50, 40).astype(float), draw.integers(5, 60, 70).astype(float)
    oracle = stats.mannwhitneyu(one, other, method="asymptotic", use_continuity=False)
    assert apart(one, other) == pytest.approx(1 - oracle.statistic / (40 * 70))
    assert chance_of(apart(one, other), 40, 70) == pytest.approx(oracle.pvalue, rel=0.05)


def stained(source: Path, target: Path, change: str) -> None:
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if change == "border":
        framed = Image.new("RGB", image.size, (20, 20, 20))
        edge = max(2, image.width // 16)
        framed.paste(image.crop((edge, edge, image.width - edge, image.height - edge)), (edge, edge))
        image = framed
    elif change == "brightness":
        image = image.point(lambda value: min(255, value + 60))
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target, quality=95)


@pytest.mark.parametrize("change", ["border", "brightness"])
@pytest.mark.parametrize("seed", range(2))
def test_a_planted_shortcut_is_named(tmp_path: Path, change: str, seed: int) -> None:
    stamps = read_image_folder(SAMPLE_DATA / "stamps")
    marked = seed % len(stamps.classes)
    examples = []
    for one in stamps.train:
        target = tmp_path / str(one.label) / one.path.name
        stained(one.path, target, change if one.label == marked else "")
        examples.append(Example(target, one.label))
    found = result_of(find_shortcuts(examples, len(stamps.classes)))
    assert any(one.label == marked and one.cue.startswith(change) for one in found)


def test_a_picture_is_measured(tmp_path: Path) -> None:
    image = Image.new("RGB", (200, 100), (10, 20, 60))
    image.paste((250, 250, 250), (20, 20, 180, 80))
    image.save(tmp_path / "one.png")
    found = cues_of(tmp_path / "one.png")
    assert set(found) == set(CUES)
    assert found["shape"] == pytest.approx(np.log(2))
    assert found["border"] == pytest.approx(30, abs=1)
    assert (found["border_red"], found["border_blue"]) == pytest.approx((-10, 45), abs=1)
    assert found["border_even"] == pytest.approx(0, abs=1)


def test_the_look_ahead_is_at_most_what_the_last_doubling_brought() -> None:
    points = (Point(5, 0.6, 0.5, 0.7), Point(20, 0.8, 0.7, 0.9))
    curve = told(points, held_out=100)
    assert curve.next is not None
    gain = 0.2 / log2(20 / 5)
    assert (curve.next.per_class, curve.next.low, curve.next.high) == (40, 0.8, pytest.approx(0.8 + gain))
    assert "up to 10 points" in str(curve.sentence)
    assert "hardly help" in str(told((Point(5, 0.8, 0.7, 0.9), Point(20, 0.8, 0.8, 0.8)), 100).sentence)
    assert told(points[:1], 10).next is None


def test_a_learning_curve_of_a_recipe(make_folder: MakeFolder, tmp_path: Path) -> None:
    recipe = pictures_question(small_recipe(make_folder(a=16, b=8)))
    found = result_of(learning_curve(recipe, tmp_path / "features"))
    assert [one.per_class for one in found.points] == [2, 5, 10, 12]
    assert all(one.low <= one.mean <= one.high for one in found.points)
    assert found.held_out == 6


def test_two_axes_hold_what_lies_in_a_plane() -> None:
    angles = np.linspace(0, 6, 20)
    flat = np.stack([np.cos(angles), np.sin(angles), np.zeros(20), np.zeros(20)], axis=1).astype(np.float32)
    points, explained = on_two_axes(flat)
    assert explained == pytest.approx(1.0)
    between = lambda rows: np.linalg.norm(np.array(rows)[:, None] - np.array(rows)[None], axis=2)  # noqa: E731
    assert between(points) == pytest.approx(between(flat), abs=1e-3)
    assert on_two_axes(flat)[0] == points


def test_a_map_of_a_run(make_folder: MakeFolder, tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    list(train(small_recipe(make_folder(a=8, b=8), trainable=["layer4", "head"]), weights, tmp_path / "features"))
    found = result_of(picture_map(weights, tmp_path / "features"))
    assert len(found.before) == len(found.after) == len(found.labels) == 16
    assert sum(found.held_out) == 4
    assert found.before != found.after
    with Image.open(BytesIO(base64.b64decode(found.sheet.url.partition(",")[2]))) as sheet:
        assert sheet.size == (found.sheet.side * found.sheet.columns, found.sheet.side)
        tiles = np.asarray(sheet, float).reshape(found.sheet.side, found.sheet.columns, found.sheet.side, 3)
    for number in (0, 15):
        expected = np.asarray(thumbnail(Path(found.paths[number]), found.sheet.side), float)
        assert np.abs(tiles - expected[:, None]).mean(axis=(0, 2, 3)).argmin() == number


def test_the_further_the_rarer() -> None:
    vectors = unit(np.array([[1, 0], [1, 0.1], [1, -0.1]], dtype=np.float32))
    known = Familiar(vectors, ("0", "1", "2"), np.array([0.001, 0.002, 0.003, 0.5], dtype=np.float32))
    near, far = known.distances(np.array([[2, 0], [0, 3]], dtype=np.float32))
    assert near == pytest.approx(1 - (1 + 2 / np.sqrt(1.01)) / 3, abs=1e-6)
    assert far == pytest.approx(1.0, abs=1e-6)
    assert (known.rarity(0.0), known.rarity(0.4), known.rarity(far)) == (1.0, 0.25, 0.0)
    assert known.nearest(np.array([1, 0.2], dtype=np.float32), 2) == ("1", "0")


def test_what_is_familiar_survives_the_disk(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32))
    known = Familiar(vectors, tuple(map(str, range(9))), np.array([0.1, 0.2], dtype=np.float32))
    known.save(tmp_path / "familiar.npz")
    back = Familiar.load(tmp_path / "familiar.npz")
    assert (back.paths, back.usual.tolist()) == (known.paths, known.usual.tolist())
    assert back.vectors == pytest.approx(vectors, abs=1e-3)


def test_thinning_is_even() -> None:
    assert list(thinned(range(10), 4)) == [0, 3, 6, 9]
    assert list(thinned(range(3), 4)) == [0, 1, 2]
