"""What the network sees: pictures of the first training batch after pre-processing and variation."""

from pathlib import Path

from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from core.backbones import catalogue
from core.data.batches import cut_into_batches, shuffled
from core.data.picture_info import file_hash
from core.data.scan import read_image_folder
from core.data.split import split
from core.recipe import Recipe
from core.training.features import Looks
from core.training.setup import fit_batch_size

MOST = 12
"""Pictures that are shown: of a whole batch, each would be too small to see the difference."""


def first_batch(recipe: Recipe) -> list[tuple[Image.Image, str]]:
    """Pictures and classes of the first batch of the first epoch of `recipe`, MOST at the most.

    Raises BadData or BadImage.
    """
    folder = read_image_folder(Path(recipe.data))
    drawn = split(folder, recipe.val_fraction, recipe.seed)
    size, _ = fit_batch_size(recipe.batch_size, len(drawn.train))
    chosen = cut_into_batches(shuffled(len(drawn.train), recipe.seed, epoch=1), size)[0][:MOST]
    preprocessing = catalogue.get(recipe.backbone).preprocessing.at(recipe.image_size)
    looks = Looks(preprocessing, recipe.augment, views=0 if recipe.augment == "none" else 1)
    examples = [drawn.train[index] for index in chosen]
    seen = [looks.of(example.path, file_hash(example.path))[-1] for example in examples]
    return [(to_pil_image(i), folder.classes[e.label]) for i, e in zip(seen, examples, strict=True)]
