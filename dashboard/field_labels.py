"""A wrong setting in the words of the page: the recipe names fields, people see labels."""

from core.errors import Fault

LABELS = {
    "data": "Pictures",
    "val_fraction": "Held out for validation",
    "backbone": "Backbone",
    "weights": "Start from",
    "trainable": "Blocks",
    "image_size": "Image size",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "seed": "Seed",
    "augment": "Variation",
    "views": "Variations kept",
    "optimizer.lr": "Learning rate",
    "optimizer.momentum": "Momentum",
    "optimizer.nesterov": "Nesterov",
    "optimizer.betas": "beta 1 and beta 2",
    "optimizer.eps": "eps",
    "penalties.l1": "L1 penalty",
    "penalties.l2": "L2 penalty",
}


def in_words(fault: Fault) -> str:
    """One sentence for the person who set it."""
    if fault.field == "trainable" and not fault.value:
        return "Every block is frozen, so there is nothing to train. Click a block to thaw it."
    if fault.field == "data":
        return str(fault.advice) if fault.value else "Choose pictures: a sample, or the path of a folder."
    value = f"{fault.value:g}" if isinstance(fault.value, float) else str(fault.value)
    return f"{LABELS.get(fault.field, fault.field)} {value}: {fault.advice}."
