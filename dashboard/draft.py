"""The one session value: what the person has set so far, on its way to a recipe.

Widgets come and go with their pages, and Streamlit forgets the values of those that are gone. So the draft holds every
value; `bind` lends one to a widget and takes it back when the person changes it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.recipe import DEFAULT_LR, Recipe
from dashboard.allowed_folders import SAMPLE_DATA

SAME_IN_BOTH = (
    *("data", "val_fraction", "backbone", "weights", "image_size", "epochs", "batch_size", "seed"),
    *("augment", "views", "device", "precision"),
)
"""Fields that draft and recipe have in common."""


@dataclass
class Draft:
    """A recipe that may still be wrong. `layers` are the trainable layers' paths; each optimizer keeps its settings."""

    data: str = str(SAMPLE_DATA / "stamps")
    val_fraction: float = 0.25
    backbone: str = "mobilenet_v2"
    weights: str = "pretrained"
    layers: frozenset[str] = field(default_factory=frozenset)
    image_size: int | None = None
    epochs: int = 10
    batch_size: int = 32
    seed: int = 0
    augment: str = "none"
    views: int = 8
    device: str = "auto"
    precision: str = "auto"
    optimizer: str = "adam"
    adam_lr: float = DEFAULT_LR["adam"]
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    sgd_lr: float = DEFAULT_LR["sgd"]
    momentum: float = 0.9
    nesterov: bool = False
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        self.layers = self.layers or catalogue.select(self.chosen_backbone(), ["head"])

    def chosen_backbone(self) -> Backbone:
        """The catalogue's entry for the backbone."""
        return catalogue.get(self.backbone)

    def data_path(self) -> str:
        """The folder of pictures as an absolute path; empty when none is named."""
        return str(Path(self.data).expanduser().absolute()) if self.data else ""

    def settings(self) -> dict[str, Any]:
        """The draft in the recipe's own fields, unchecked (`core.training.validate`)."""
        adam = {"name": "adam", "lr": self.adam_lr, "betas": (self.beta1, self.beta2), "eps": self.eps}
        sgd = {"name": "sgd", "lr": self.sgd_lr, "momentum": self.momentum, "nesterov": self.nesterov}
        return {name: getattr(self, name) for name in SAME_IN_BOTH} | {
            "data": self.data_path(),
            "trainable": self._trainable(),
            "optimizer": adam if self.optimizer == "adam" else sgd,
            "penalties": {"l1": self.l1, "l2": self.l2},
        }

    def _trainable(self) -> str | list[str]:
        backbone = self.chosen_backbone()
        everything = len(self.layers) == len(backbone.layers)
        return "all" if everything else list(catalogue.names_of(backbone, self.layers))


def from_recipe(recipe: Recipe) -> Draft:
    """The draft that would give `recipe` again."""
    chosen = catalogue.select(catalogue.get(recipe.backbone), recipe.trainable)
    same = {name: getattr(recipe, name) for name in SAME_IN_BOTH}
    optimizer = recipe.optimizer
    draft = Draft(**same, layers=chosen, optimizer=optimizer.name, **recipe.penalties.model_dump())
    if optimizer.name == "adam":
        draft.adam_lr, (draft.beta1, draft.beta2), draft.eps = optimizer.lr, optimizer.betas, optimizer.eps
    else:
        draft.sgd_lr, draft.momentum, draft.nesterov = optimizer.lr, optimizer.momentum, optimizer.nesterov
    return draft


def current() -> Draft:
    """This session's draft; a new session starts with the defaults."""
    if is_new():
        st.session_state["draft"] = Draft()
    draft: Draft = st.session_state["draft"]
    return draft


def is_new() -> bool:
    """Whether this session has no draft yet."""
    return "draft" not in st.session_state


def take_over(recipe: Recipe) -> None:
    """Make this session's draft the one that gives `recipe`."""
    st.session_state["draft"] = from_recipe(recipe)


def bind(name: str) -> dict[str, Any]:
    """Arguments that tie a widget to the draft's field `name`: `st.number_input("Epochs", **bind("epochs"))`."""
    key = f"draft.{name}"
    st.session_state[key] = getattr(current(), name)
    return {"key": key, "on_change": _take_back, "args": (name, key)}


def _take_back(name: str, key: str) -> None:
    setattr(current(), name, st.session_state[key])
