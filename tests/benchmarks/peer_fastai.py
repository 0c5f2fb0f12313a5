"""The contestant fastai: `ImageDataLoaders` and `Learner` as its documentation uses them, with the peers' network."""

from functools import partial

from fastai.vision.all import (
    SGD,
    CrossEntropyLossFlat,
    ImageDataLoaders,
    Learner,
    Normalize,
    PILImage,
    accuracy,
    set_seed,
)
from torch import nn

from tests.benchmarks import job, peers
from tests.benchmarks.job import BATCH_SIZE, LR, MOMENTUM, Job, Result


def carry_out(task: Job) -> Result:
    """Final validation accuracy in 0…1."""
    set_seed(task.seed)
    data = ImageDataLoaders.from_folder(
        task.folder,
        valid="val",
        item_tfms=framed,
        batch_tfms=Normalize.from_stats(peers.MEAN, peers.STD),
        bs=BATCH_SIZE,
        drop_last=False,
    )
    learner = Learner(
        data,
        peers.network(task, data.c).to(data.device),
        loss_func=CrossEntropyLossFlat(),
        opt_func=partial(SGD, mom=MOMENTUM),
        splitter=groups,
        metrics=accuracy,
        train_bn=False,  # True would let frozen BatchNorm layers learn, which nobody else does here.
    )
    learner.freeze_to(len(groups(learner.model)) - 1)
    with learner.no_bar(), learner.no_logging():
        learner.fit(task.epochs, lr=LR)
    return {"accuracy": float(learner.recorder.values[-1][-1])}


def framed(image: PILImage) -> PILImage:
    """Resize and centre crop as the others do; fastai's own `Resize` would crop at random in training."""
    return PILImage(peers.frame(image))


def groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """The frozen parameters, if there are any, and those that learn."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    return [frozen, peers.learning(model)] if frozen else [peers.learning(model)]


if __name__ == "__main__":
    job.main(carry_out)
