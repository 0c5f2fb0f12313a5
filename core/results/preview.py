"""What the network sees: pictures of the first training batch after pre-processing and variation."""

from pathlib import Path

from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from core.backbones import catalogue
from core.data.batches import cut_into_batches, shuffled
from core.data.scan import read_image_folder
from core.data.split import draw_of, split
from core.recipe import Recipe
from core.training.inputs import training_squares
from core.training.setup import fit_batch_size

MOST = 12
"""Pictures that are shown: of a whole batch, each would be too small to see the difference."""


def first_batch(recipe: Recipe) -> list[tuple[Image.Image, str]]:
    """Pictures and classes of the first batch of the first epoch of `recipe`, MOST at the most.

    They come from the inputs of training. Only where features cannot be kept, on a full disk or beyond their limit,
    training makes other variants of the pictures than these. Raises BadData or BadImage.
    """
    folder = read_image_folder(Path(recipe.data))
    examples = split(folder, draw_of(recipe))
    size, _ = fit_batch_size(recipe.batch_size, len(examples.train))
    batch = cut_into_batches(shuffled(len(examples.train), recipe.seeds.order, epoch=1), size)[0][:MOST]
    inputs = training_squares(recipe, examples, catalogue.get(recipe.backbone).preprocessing.at(recipe.image_size))
    (squares,), labels = next(inputs.training([batch], 1))
    return [(to_pil_image(square), folder.classes[label]) for square, label in zip(squares, labels, strict=True)]
