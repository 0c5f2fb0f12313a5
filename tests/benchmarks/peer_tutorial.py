"""The contestant "plain loop": `train_model` of PyTorch's transfer learning tutorial.

https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html, without its augmentation, learning rate
schedule and saving of weights, which would only cost it time.
"""

import torch
from torch import nn, optim
from torch.utils.data import DataLoader

from tests.benchmarks import job, peers
from tests.benchmarks.job import LR, MOMENTUM, Job, Result

DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def carry_out(task: Job) -> Result:
    """Final validation accuracy in 0…1."""
    torch.manual_seed(task.seed)
    train, val = peers.loaders(task)
    model = peers.network(task, len(train.dataset.classes)).to(DEVICE)
    optimizer = optim.SGD(peers.learning(model), lr=LR, momentum=MOMENTUM)
    accuracy = 0.0
    for _epoch in range(task.epochs):
        model.train()
        one_pass(model, train, optimizer)
        model.eval()
        accuracy = one_pass(model, val, None)
    return {"accuracy": accuracy}


def one_pass(model: nn.Module, batches: DataLoader, optimizer: optim.Optimizer | None) -> float:
    """One epoch over `batches`, with training where there is an optimizer; the accuracy in 0…1."""
    criterion = nn.CrossEntropyLoss()
    running_loss, running_corrects = 0.0, 0
    for inputs, labels in batches:
        inputs, labels = inputs.to(DEVICE), labels.to(DEVICE)
        with torch.set_grad_enabled(optimizer is not None):
            outputs = model(inputs)
            _, predictions = torch.max(outputs, 1)
            loss = criterion(outputs, labels)
            if optimizer:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        running_loss += loss.item() * inputs.size(0)
        running_corrects += int(torch.sum(predictions == labels.data))
    return running_corrects / len(batches.dataset)


if __name__ == "__main__":
    job.main(carry_out)
