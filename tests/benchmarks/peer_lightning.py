"""The contestant Lightning: a module and a `Trainer` as in its documentation on transfer learning.

https://lightning.ai/docs/pytorch/stable/advanced/transfer_learning.html: what is frozen is in eval mode. Logger,
checkpoints, progress bar and the trial validation are off, which would only cost it time.
"""

import lightning
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from tests.benchmarks import job, peers
from tests.benchmarks.job import LR, MOMENTUM, Job, Result

Batch = tuple[Tensor, Tensor]


class TransferLearning(lightning.LightningModule):
    """A network of which a part may be frozen, with the loop's three parts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for module in network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        inputs, labels = batch
        return cross_entropy(self.network(inputs), labels)

    def validation_step(self, batch: Batch, _index: int) -> None:
        inputs, labels = batch
        right = (self.network(inputs).argmax(dim=1) == labels).float().mean()
        self.log("val_accuracy", right, batch_size=len(labels))

    def configure_optimizers(self) -> optim.Optimizer:
        return optim.SGD(peers.learning(self.network), lr=LR, momentum=MOMENTUM)


def carry_out(task: Job) -> Result:
    """Final validation accuracy in 0…1."""
    lightning.seed_everything(task.seed, verbose=False)
    train, val = peers.loaders(task)
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(TransferLearning(peers.network(task, len(train.dataset.classes))), train, val)
    return {"accuracy": float(trainer.callback_metrics["val_accuracy"])}


if __name__ == "__main__":
    job.main(carry_out)
