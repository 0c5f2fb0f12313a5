"""A recipe as plain settings: their names, the check of them, and their forms in TOML and JSON.

Whether the backbone, its blocks and the image folder exist is a question about the world, and `core.training.plan`
answers it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from core.errors import BadRecipe, Fault
from core.messages import Message
from core.optimizers import OPTIMIZER, SCHEDULE, Constant
from core.recipe import Penalties, Rates, Recipe
from core.recipe_fields import NO_SUCH_ROW, Frozen, Setting, TableOf, alternatives, beside, described

TABLES: dict[str, TableOf] = {one.section: one for one in (OPTIMIZER, SCHEDULE)}
"""The sections of a recipe that are a row of a table."""
GROUPS: dict[str, type[Frozen]] = {"rates": Rates, "penalties": Penalties}
"""The other sections."""


def _table_settings(table: TableOf) -> dict[str, Setting]:
    rows = (table.settings(name) for name in reversed(list(table.rows)))
    return {table.name.path: table.name} | {path: one for row in rows for path, one in row.items()}


SETTINGS: dict[str, Setting] = {
    **described(Recipe),
    **{path: one for table in TABLES.values() for path, one in _table_settings(table).items()},
    **{path: one for section, group in GROUPS.items() for path, one in described(group, section).items()},
}
"""Every setting that a recipe can have, by its path. Of those that several rows of a table have, the first one's."""


def title(path: str) -> str:
    """What people call the setting at a path; the path itself where there is none."""
    return SETTINGS[path].title if path in SETTINGS else path


def current_form(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of version 1 in the form of today, with what they meant then: statistics that lag behind."""
    if settings.get("version") != 1:
        return settings
    return {"batchnorm": "lagging", **settings, "version": 2}


def faults(settings: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Every fault of `settings` that can be seen without looking at the disk or at the catalogue."""
    settings = current_form(settings)
    try:
        recipe = Recipe.model_validate(settings)
    except ValidationError as error:
        found = [_fault(settings, details["loc"], details["type"]) for details in error.errors(include_url=False)]
        return tuple({fault.field: fault for fault in found}.values())
    return tuple(_misfits(recipe))


def _misfits(recipe: Recipe) -> Iterator[Fault]:
    """Settings that are right by themselves, and do not go together."""
    if recipe.fold is not None and recipe.fold > recipe.folds:
        yield Fault("fold", recipe.fold, Message("must be at most {folds}, the number of folds", folds=recipe.folds))
    if recipe.val_fraction + recipe.test_fraction >= 1:
        advice = Message("leaves no training pictures beside {val:g} held out for validation", val=recipe.val_fraction)
        yield Fault("test_fraction", recipe.test_fraction, advice)
    if recipe.batchnorm == "keep" and recipe.weights == "random":
        advice = Message('must be "learn" or "lagging": random weights come with no statistics to keep')
        yield Fault("batchnorm", "keep", advice)
    if recipe.optimizer.name == "lbfgs":
        yield from _no_exact_head(recipe)


def _no_exact_head(recipe: Recipe) -> Iterator[Fault]:
    """What L-BFGS cannot do: it finds the optimum of one smooth function, which must not change on the way."""
    head = recipe.trainable == ("head",)
    wanted = (
        (head, "trainable", 'must be ["head"] with L-BFGS: it finds the exact head, and nothing else'),
        (recipe.augment == "none", "augment", 'must be "none" with L-BFGS: it needs the same pictures in every step'),
        (recipe.penalties.l1 == 0, "penalties.l1", "must be 0 with L-BFGS: L1 has a corner at 0; take L2"),
        (recipe.schedule == Constant(), "schedule.name", 'must be "constant" without warm-up with L-BFGS'),
        (recipe.head_first == 0, "head_first", "must be 0 with L-BFGS: the head learns alone anyway"),
    )
    flat = flat_settings(recipe)
    return (Fault(field, flat[field], Message(advice)) for fits, field, advice in wanted if not fits)


def rate_question(recipe: Recipe) -> Recipe:
    """What the search for a learning rate depends on; all else is as by default, so that equal searches are equal.

    Raises BadRecipe for L-BFGS.
    """
    if recipe.optimizer.name == "lbfgs":
        advice = Message(
            "must be {others} to search a learning rate: L-BFGS finds the length of its steps by itself",
            others=alternatives(tuple(name for name in OPTIMIZER.rows if name != "lbfgs")),
        )
        raise BadRecipe([Fault("optimizer.name", "lbfgs", advice)])
    no_part = ("epochs", "schedule", "keep", "patience", "head_first", "repeats")
    rest = {name: Recipe.model_fields[name].default for name in no_part}
    default = type(recipe.optimizer).model_fields["lr"].default
    return recipe.model_copy(update={**rest, "optimizer": recipe.optimizer.model_copy(update={"lr": default})})


def _fault(settings: Mapping[str, Any], loc: tuple[int | str, ...], kind: str) -> Fault:
    """One of pydantic's findings in our words; `loc` is its path."""
    section, *inside = map(str, (*loc, "name") if kind == NO_SUCH_ROW else loc)
    nested = section in SECTIONS and bool(inside)
    field = f"{section}.{inside[0]}" if nested else section
    value = settings[section].get(inside[0]) if nested else settings.get(section)
    known = _known(settings, section) if nested else described(Recipe)
    if kind == "extra_forbidden":
        return Fault(field, value, _no_such_setting(field, known if nested else (*known, *SECTIONS)))
    return Fault(field, value, SECTIONS[field] if field in SECTIONS else known[field].expected)


def _known(settings: Mapping[str, Any], section: str) -> dict[str, Setting]:
    """What can be set in a section, which is a table in `settings`."""
    if section in GROUPS:
        return described(GROUPS[section], section)
    table = TABLES[section]
    named = settings[section].get("name", table.default)
    own = table.settings(named) if isinstance(named, str) and named in table.rows else {}
    return {table.name.path: table.name, **own}


SECTIONS = {
    **{
        section: Message("must be a table whose name is {names}", names=alternatives(tuple(table.rows)))
        for section, table in TABLES.items()
    },
    **{
        section: Message("must be a table with {names}", names=" and ".join(group.model_fields))
        for section, group in GROUPS.items()
    },
}
"""The parts of a recipe that have settings of their own, and what is right for each."""


def _no_such_setting(field: str, known: Iterable[str]) -> Message:
    *_, name = field.split(".")
    names = [path.split(".")[-1] for path in known]
    if nearest := difflib.get_close_matches(name, names, n=1):
        return Message("is not a setting; did you mean {nearest}?", nearest=nearest[0])
    return Message("is not a setting; there are {known}", known=names)


def parse(settings: Mapping[str, Any]) -> Recipe:
    """The recipe that `settings` describes. Raises BadRecipe with every fault of its fields."""
    if found := faults(settings):
        raise BadRecipe(found)
    return Recipe.model_validate(current_form(settings))


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, unchecked. Raises BadRecipe when it is not there or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRecipe(
            [Fault("recipe", str(path), Message("cannot be read ({cause}); check the path", cause=str(error.strerror)))]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRecipe(
            [Fault("recipe", str(path), Message("is not a TOML file: {cause}", cause=str(error)))]
        ) from error


def to_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values for JSON or TOML, without the fields that are None; `parse` takes them back."""
    return recipe.model_dump(mode="json", exclude_none=True)


def flat_settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as one flat row: {"optimizer.lr": 0.001, "trainable": "stage7 head", …}."""
    flat = flattened(to_settings(recipe))
    return {name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in flat.items()}


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their paths: those of a section, such as the optimizer's, are called "optimizer.lr"."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[name] = value
    return flat


def to_toml(recipe: Recipe) -> str:
    """The recipe as the text of a TOML file that `python -m core train` takes."""
    return tomli_w.dumps(to_settings(recipe))


def example_toml() -> str:
    """A recipe as an example: all defaults, and what each setting does."""
    sections = [
        [setting.as_toml() for path, setting in SETTINGS.items() if "." not in path and path != "version"],
        *(_example_table(table) for table in TABLES.values()),
        *([f"[{name}]", *(one.as_toml() for one in described(group, name).values())] for name, group in GROUPS.items()),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _example_table(table: TableOf) -> list[str]:
    """Its default row, and the names of the others."""
    others = [beside("", f'or "{name}": {table.defaults(name)}') for name in table.rows if name != table.default]
    return [f"[{table.section}]", beside(f'name = "{table.default}"', table.defaults(table.default)), *others]
