"""What a recipe will cost, said before it is trained: what runs once, what runs in every epoch, what is kept."""

from core.backbones import catalogue
from core.messages import percent
from core.recipe import Recipe
from core.settings import settings
from dashboard.text import byte_size

FEATURE_BYTES = 4
"""Features are kept in 32 bits (`core.training.features`)."""


def cost_hint(recipe: Recipe, pictures: int) -> str:
    """One or two sentences about training `recipe` on `pictures` pictures, validation's included."""
    backbone = catalogue.get(recipe.backbone)
    layers = catalogue.select(backbone, recipe.trainable)
    first = next(i for i, block in enumerate(backbone.blocks) if any(layer.path in layers for layer in block.layers))
    if recipe.augment != "none" and recipe.views == 0:
        return "Every epoch runs the whole network over new variations of every picture: the slowest way to train."
    if first == 0:
        return "Every epoch runs the whole network over every picture, because training begins at its first block."
    looks = 1 if recipe.augment == "none" else 1 + recipe.views
    kept = backbone.blocks[first].inflow * pictures * looks * FEATURE_BYTES
    is_own_size = recipe.image_size in (None, backbone.preprocessing.crop)
    if is_own_size and kept > settings().feature_bytes:
        return (
            f"Every epoch runs the whole network: what its frozen part makes of {_what(pictures, looks)} would take "
            f"{byte_size(kept)}, and {byte_size(settings().feature_bytes)} are allowed."
        )
    frozen = sum(block.flops for block in backbone.blocks[:first]) / sum(block.flops for block in backbone.blocks)
    size = f", about {byte_size(kept)}," if is_own_size else ""
    return (
        f"The frozen blocks before {backbone.blocks[first].name} do {_share(frozen)} of the network's arithmetic. They "
        f"run once over {_what(pictures, looks)}; their features{size} are kept, and each epoch runs the rest."
    )


def _what(pictures: int, looks: int) -> str:
    return f"{pictures:,} pictures" if looks == 1 else f"{looks} looks at each of {pictures:,} pictures"


def _share(part: float) -> str:
    return "more than 99.9 %" if part > 0.9994 else percent(part)
