"""Ask this model about pictures: python predict.py PICTURE …

Needs torch, torchvision, pillow and safetensors, and the files beside it; Thaw is not needed.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision import models
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

HERE = Path(__file__).parent
TURNS = {2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (4,), 7: (6,), 8: (2,)}
"""What EXIF's orientation asks for, as Pillow's numbers of turns."""


def load() -> tuple[torch.nn.Module, dict[str, Any]]:
    """The network in eval mode, and what is known about it."""
    about = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    model = models.get_model(about["backbone"], weights=None, **about["construct"])
    path, classes = about["head"], len(about["classes"])
    old = model.get_submodule(path)
    if isinstance(old, torch.nn.Conv2d):
        model.set_submodule(path, torch.nn.Conv2d(old.in_channels, classes, kernel_size=1))
    else:
        model.set_submodule(path, torch.nn.Linear(old.in_features, classes, bias=old.bias is not None))
    state = model.state_dict()  # Carries a version number, which MNASNet asks for.
    state.update(load_file(HERE / "model.safetensors"))
    model.load_state_dict(state)
    return model.eval(), about


def read(path: str, least: int) -> Image.Image:
    """A picture as a person sees it: upright, in colour, transparency on white, 16 bits by their full range."""
    with Image.open(path) as opened:
        opened.draft(None, (least, least))  # A large JPEG is decoded at a half, a quarter or an eighth of its size.
        opened.load()
        image: Image.Image = opened
        for turn in TURNS.get(image.getexif().get(0x0112, 1), ()):
            image = image.transpose(Image.Transpose(turn))
        if image.mode.startswith(("I", "F")):
            pixels = torch.nan_to_num(functional.pil_to_tensor(image).float(), posinf=0.0, neginf=0.0)
            low, high = (0.0, 65535.0) if image.mode.startswith("I") else (pixels.min().item(), pixels.max().item())
            scaled = ((pixels - low) / max(high - low, 1e-12) * 255).round().to(torch.uint8)
            grey: Image.Image = functional.to_pil_image(scaled)
            return grey.convert("RGB")
        if image.has_transparency_data:
            layers = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
        return image.convert("RGB")


def prepare(image: Image.Image, about: dict[str, Any]) -> torch.Tensor:
    """What the network takes, float32 (1, 3, H, W): resized, the middle cut out, normalised."""
    steps = [
        v2.Resize(about["resize"], v2.InterpolationMode(about["interpolation"])),
        v2.CenterCrop(about["crop"]),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(about["mean"], about["std"]),
    ]
    square: torch.Tensor = v2.Compose(steps)(functional.pil_to_tensor(image))
    return square[None]


@torch.inference_mode()
def predict(model: torch.nn.Module, about: dict[str, Any], path: str) -> dict[str, float]:
    """The probability of each class, 0…1, the likeliest first."""
    shares = model(prepare(read(path, about["resize"]), about)).softmax(1)[0].tolist()
    return dict(sorted(zip(about["classes"], shares, strict=True), key=lambda pair: -pair[1]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    network, known = load()
    for picture in sys.argv[1:]:
        print(json.dumps({"image": picture, "probabilities": predict(network, known, picture)}, ensure_ascii=False))
