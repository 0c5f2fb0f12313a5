"""The one session value: what the person has set so far, on its way to a recipe.

Widgets come and go with their pages, and Streamlit forgets the values of those that are gone. So the draft holds every
value; `bind` lends one to a widget and takes it back when the person changes it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.data.split import Draw, draw_of
from core.home import SAMPLE_DATA
from core.presets import expand, followed
from core.recipe import Recipe
from core.recipe_settings import TABLES, parse

DEFAULT_DATA, FIRST_PRESET = str(SAMPLE_DATA / "stamps"), "feature_extraction"
"""What a session that sets nothing trains on, and how (`core.presets`)."""


@dataclass(slots=True)
class Draft:
    """A recipe that may still be wrong: `draft["optimizer.lr"]` reads a setting by its path, and can be assigned to.

    `values` are the recipe's settings in its own shape. `rows` has the settings of every row of a table, by the table's
    section and the row's name: also of those that are not chosen, so that they come back with them. `layers` are the
    paths of the trainable layers.
    """

    values: dict[str, Any]
    rows: dict[str, dict[str, dict[str, Any]]]
    layers: frozenset[str]

    def __getitem__(self, path: str) -> Any:
        group, name = self._find(path)
        return group[name]

    def __setitem__(self, path: str, value: Any) -> None:
        section, _, name = path.partition(".")
        if section in TABLES and name == "name":
            self.values[section] = self.rows[section][value]
            return
        group, place = self._find(path)
        group[place] = value

    def take(self, settings: Mapping[str, Any]) -> None:
        """Take over settings in the recipe's own shape; a row of a table is named first. What they lack stays."""
        for name, value in settings.items():
            if name == "trainable":
                self.layers = catalogue.select(self.chosen_backbone(), value)
            elif isinstance(value, Mapping):
                for inner in sorted(value, key=lambda inner: inner != "name"):
                    self[f"{name}.{inner}"] = value[inner]
            else:
                self[name] = value

    def _find(self, path: str) -> tuple[Any, str | int]:
        """What a setting lies in, and its name or number there: "optimizer.betas.0" is a number of a list."""
        *groups, name = path.split(".")
        found: Any = self.values
        for group in groups:
            found = found[group]
        return found, int(name) if isinstance(found, list) else name

    def chosen_backbone(self) -> Backbone:
        """The catalogue's entry for the backbone."""
        return catalogue.get(self["backbone"])

    def preset(self) -> str | None:
        """The preset that it follows, by its weights and blocks; None where it follows none."""
        return followed(self.chosen_backbone(), self["weights"], self.layers)

    def data_path(self) -> str:
        """The folder of pictures as an absolute path; empty when none is named."""
        return str(Path(self["data"]).expanduser().absolute()) if self["data"] else ""

    def draw(self) -> Draw:
        """What decides the split, unchecked."""
        return draw_of(Recipe.model_construct(**self.values))

    def settings(self) -> dict[str, Any]:
        """The recipe's settings, unchecked (`core.training.plan`)."""
        backbone = self.chosen_backbone()
        everything = len(self.layers) == len(backbone.layers)
        trainable = "all" if everything else list(catalogue.names_of(backbone, self.layers))
        return copy.deepcopy(self.values) | {"data": self.data_path(), "trainable": trainable}


def from_recipe(recipe: Recipe) -> Draft:
    """The draft that would give `recipe` again."""
    values = recipe.model_dump(mode="json")
    rows = {
        section: {name: row.model_validate({}).model_dump(mode="json") for name, row in table.rows.items()}
        for section, table in TABLES.items()
    }
    for section, table_rows in rows.items():
        table_rows[values[section]["name"]] = values[section]
    return Draft(values, rows, catalogue.select(catalogue.get(recipe.backbone), recipe.trainable))


def current() -> Draft:
    """This session's draft; a new session starts with feature extraction and otherwise the defaults."""
    if is_new():
        take_over(parse(expand({"data": DEFAULT_DATA, "preset": FIRST_PRESET})[0]))
    draft: Draft = st.session_state["draft"]
    return draft


def is_new() -> bool:
    """Whether this session has no draft yet."""
    return "draft" not in st.session_state


def take_over(recipe: Recipe) -> None:
    """Make this session's draft the one that gives `recipe`."""
    st.session_state["draft"] = from_recipe(recipe)


def bind(path: str) -> dict[str, Any]:
    """Arguments that tie a widget to a setting of the draft: `st.number_input("Epochs", **bind("epochs"))`."""
    key = f"draft.{path}"
    st.session_state[key] = current()[path]
    return {"key": key, "on_change": _take_back, "args": (path, key)}


def _take_back(path: str, key: str) -> None:
    current()[path] = st.session_state[key]
