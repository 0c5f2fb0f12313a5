"""The model as ONNX, which is tried before anybody gets it: the very file answers pictures, beside PyTorch."""

import io
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from core import files
from core.data.scan import read_image_folder
from core.data.tensors import Normalise, framing, plain_square
from core.errors import BadCheckpoint, TrackerUnavailable
from core.events import Event, Progress
from core.messages import Message
from core.results.export.card import Taken, about_model, card
from core.results.predict import restore
from core.training.kept_model import KeptModel

TRIED = 20
"""Pictures that the file is tried on."""
MOST = 1e-4
"""The largest difference of a probability that is let through."""
OPSET = 18
STAGE = Message("Writing ONNX: this takes a minute")
TRYING = Message("Trying the file on pictures")


def write_onnx(taken: Taken, target: Path) -> Generator[Event, None, None]:
    """A zip with model.onnx, model.json and the card. Raises BadCheckpoint where it answers otherwise than PyTorch."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch.onnx asks for it only once it has begun.
    except ImportError as error:
        template = (
            "ONNX needs packages that are not installed; `pip install onnx onnxscript onnxruntime`, and try again."
        )
        raise TrackerUnavailable(template) from error
    yield Progress(STAGE, 0, 2)
    content = as_onnx(taken.kept)
    yield Progress(TRYING, 1, 2)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    squares = tried_on(taken.kept)
    apart = difference(taken.kept, session, squares)
    if apart > MOST:
        template = "The ONNX file answers otherwise than PyTorch, by up to {apart:.2g} of 1; it is not handed out."
        raise BadCheckpoint(template, apart=apart)
    tried = f"model.onnx on {len(squares)} pictures: probabilities differ from PyTorch's by at most {apart:.1g} of 1"
    about = card(taken.kept, taken.facts, (tried,))
    files.write_zip(target, {"model.onnx": content, "model.json": about_model(taken.kept), "README.md": about})
    yield Progress(TRYING, 2, 2)


def as_onnx(kept: KeptModel) -> bytes:
    """The network, from normalised pictures, float32 (batch, 3, H, W), to logits (batch, classes)."""
    side = kept.preprocessing.crop
    example = torch.zeros(2, 3, side, side)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own old names.
        program = torch.onnx.export(
            restore(kept),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=["logits"],
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        file.write(program.model_proto.SerializeToString())
    return file.getvalue()


def difference(kept: KeptModel, session: Any, squares: Sequence[Tensor]) -> float:
    """The largest difference of a probability, 0…1, over batches of several sizes."""
    network, normalise = restore(kept), Normalise(kept.preprocessing)
    most = 0.0
    for batch in (squares[:1], squares[1:4], squares[4:]):
        if not batch:
            continue
        inputs = normalise(torch.stack(list(batch)))
        with torch.inference_mode():
            expected = network(inputs).softmax(1).numpy()
        (logits,) = session.run(None, {"images": inputs.numpy()})
        shares = torch.from_numpy(np.asarray(logits)).softmax(1).numpy()
        most = max(most, float(np.abs(shares - expected).max()))
    return most


def tried_on(kept: KeptModel) -> list[Tensor]:
    """Squares of the run's own pictures, and of some that are turned, odd-sized, grey and CMYK."""
    folder = read_image_folder(Path(kept.recipe.data))
    examples = [*(folder.val or ()), *folder.train]
    paths = [one.path for one in examples[:: max(1, len(examples) // TRIED)]][: TRIED - 4]
    squares = [plain_square(kept.preprocessing, path) for path in paths]
    frame = framing(kept.preprocessing)
    with Image.open(paths[0]) as opened:
        image = opened.convert("RGB")
    odd = [image.rotate(90, expand=True), image.resize((333, 97)), image.convert("L"), image.convert("CMYK")]
    return squares + [frame(pil_to_tensor(one.convert("RGB"))) for one in odd]
