"""A run as plain PyTorch: `train.py` that a student can read, its split as a table, and the same as a notebook."""

import ast
import csv
import io
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2
import nbformat

from core.backbones import catalogue
from core.backbones.catalogue import Backbone
from core.backbones.pretrained import bundled_file, own_file, preprocessing_for
from core.data.split import Split
from core.errors import BadRecipe, Fault
from core.messages import Message
from core.recipe import Recipe
from core.training.objective import balanced_weights
from core.training.plan import measured_batchnorms

TEMPLATE = Path(__file__).with_name("train.py.jinja")
WIDEST = 120
"""Characters of a line of the script."""
_WITHOUT_AUXILIARY = {"aux_logits": False, "transform_input": True}
CONSTRUCT = {"googlenet": _WITHOUT_AUXILIARY, "inception_v3": _WITHOUT_AUXILIARY}
"""Of networks with auxiliary heads: what torchvision is to be told besides."""
_ADAPTIVE = 'group["lr"] / ((known["exp_avg_sq"] / (1 - {beta} ** known["step"])).sqrt() + {eps})'
OPTIMIZERS = {
    "adam": ("Adam", _ADAPTIVE),
    "adamw": ("AdamW", _ADAPTIVE),
    "sgd": ("SGD", 'group["lr"] / (1 - {momentum})'),
}
"""torch's class for each optimizer, and how far an L1 penalty of 1 moves a weight (`core.training.learning`)."""
SCHEDULES = {
    "constant": (),
    "cosine": ("schedule = lr_scheduler.CosineAnnealingLR(optimizer, steps - warm)",),
    "step": ("schedule = lr_scheduler.StepLR(optimizer, {every} * batches, {gamma})",),
    "one_cycle": (
        'rates = [group["lr"] for group in groups]',
        "schedule = lr_scheduler.OneCycleLR(optimizer, rates, steps, pct_start={rise}, cycle_momentum=False)",
    ),
}
"""The lines that make torch's scheduler for each (`core.optimizers` computes the same factors)."""
WARM_UP = "rise = lr_scheduler.LinearLR(optimizer, 1 / warm, total_iters=warm - 1)"
WITH_WARM_UP = {
    "constant": "schedule = rise",
    "cosine": "schedule = lr_scheduler.SequentialLR(optimizer, [rise, schedule], [warm])",
    "step": "schedule = lr_scheduler.ChainedScheduler([rise, schedule])",
}
"""The line that puts a warm-up before or over it. The cosine falls once the rise has ended."""
VARIATIONS = {
    "none": "",
    "flip": "VARY = v2.Compose([SQUARE, v2.RandomHorizontalFlip()])",
    "standard": (
        "CROP = v2.RandomResizedCrop({crop}, scale=(0.35, 1.0), interpolation=MODE)\n"
        "VARY = v2.Compose([CROP, v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2, 0.2)])"
    ),
}
"""How training pictures are varied (`core.data.tensors`)."""


def train_script(recipe: Recipe, classes: tuple[str, ...], split: Split, title: str) -> str:
    """The text of train.py. Raises BadRecipe where a setting has no place in so plain a script."""
    for setting, is_plain, advice in (
        ("optimizer.name", recipe.optimizer.name in OPTIMIZERS, "must be another than L-BFGS for a plain script"),
        ("head_first", recipe.head_first == 0, "must be 0 for a plain script"),
        ("patience", recipe.patience == 0, "must be 0 for a plain script"),
    ):
        if not is_plain:
            value = recipe.optimizer.name if setting == "optimizer.name" else getattr(recipe, setting)
            raise BadRecipe([Fault(setting, value, Message(advice))])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(_values(recipe, classes, split, title))
    ast.parse(text)
    return text


def _values(recipe: Recipe, classes: tuple[str, ...], split: Split, title: str) -> dict[str, Any]:
    """What the template names."""
    backbone = catalogue.get(recipe.backbone)
    preprocessing = preprocessing_for(backbone, recipe.weights).at(recipe.image_size)
    settings = recipe.optimizer.model_dump(exclude={"name", "lr"})
    class_, shrinkage = OPTIMIZERS[recipe.optimizer.name]
    known = {"beta": (settings.get("betas") or (0, 0))[1], **settings}
    vary = VARIATIONS[recipe.augment].format(crop=preprocessing.crop, interpolation=preprocessing.interpolation)
    chosen = "torch.stack([VARY(pictures[index]) for index in chosen])" if vary else "squares[chosen]"
    is_published = recipe.weights == "pretrained" and not start_file(recipe)
    return {
        "title": title.replace("\\", "/").replace('"', "'"),
        "classes": list(classes),
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "seed": recipe.seeds.init,
        "rate": recipe.optimizer.lr,
        "l1": recipe.penalties.l1,
        "l2": recipe.penalties.l2,
        "groups": _written(groups_of(recipe, backbone)),
        "resize": preprocessing.resize,
        "crop": preprocessing.crop,
        "interpolation": preprocessing.interpolation,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "vary": vary,
        "batch": chosen,
        "backbone": backbone.name,
        "torchvision_weights": repr(backbone.weights.name) if is_published and backbone.weights else "None",
        "construct": "".join(f", {name}={value}" for name, value in CONSTRUCT.get(backbone.name, {}).items()),
        "start": start_file(recipe) is not None,
        "head": backbone.head.path,
        "new_head": new_head(backbone, len(classes)),
        "batchnorm": recipe.batchnorm,
        "precise": bool(measured_batchnorms(recipe)),
        "schedule": _schedule(recipe),
        "warm": getattr(recipe.schedule, "warm_up", 0.0),
        "keep": recipe.keep,
        "optimizer": class_,
        "options": "".join(f", {name}={value!r}" for name, value in settings.items()),
        "adaptive": shrinkage == _ADAPTIVE,
        "shrinkage": shrinkage.format(**known) if recipe.penalties.l1 else "",
        "loss": _loss(recipe, split, len(classes)),
    }


def start_file(recipe: Recipe) -> Path | None:
    """The file of weights that training starts from, where it is none that torchvision downloads."""
    if recipe.weights == "random":
        return None
    return own_file(recipe.weights) or bundled_file(catalogue.get(recipe.backbone))


def new_head(backbone: Backbone, classes: int) -> str:
    """The code of the last layer."""
    head = backbone.head
    if backbone.name.startswith("squeezenet"):
        return f"nn.Conv2d({head.in_features}, {classes}, kernel_size=1)"
    return f"nn.Linear({head.in_features}, {classes}{'' if head.bias else ', bias=False'})"


def groups_of(recipe: Recipe, backbone: Backbone) -> list[tuple[float, list[str]]]:
    """The factors on the learning rate, each with the paths of what has it; the path of the whole network is empty."""
    layers = catalogue.select(backbone, recipe.trainable)
    found: dict[float, list[str]] = {}
    for block in backbone.blocks:
        own = [layer.path for layer in block.layers if layer.path in layers]
        paths = list(block.modules) if len(own) == len(block.layers) else own
        if paths:
            factor = getattr(recipe.rates, catalogue.rate_group(backbone, block.name))
            found.setdefault(factor, []).extend(paths)
    everything = layers == {layer.path for layer in backbone.layers}
    return [(factor, [""]) for factor in found] if everything and len(found) == 1 else list(found.items())


def _written(groups: list[tuple[float, list[str]]]) -> str:
    """The groups as code, in lines that are not too long."""
    line = repr(groups).replace("'", '"')
    if len(line) + len("GROUPS = ") <= WIDEST:
        return line
    return "\n    ".join(textwrap.wrap(line, WIDEST - 10))


def _schedule(recipe: Recipe) -> list[str]:
    """The lines that make torch's scheduler; none where the rate stays as it is."""
    settings, name = recipe.schedule.model_dump(), recipe.schedule.name
    lines = [line.format(**settings) for line in SCHEDULES[name]]
    return [WARM_UP, *lines, WITH_WARM_UP[name]] if settings.get("warm_up") else lines


def _loss(recipe: Recipe, split: Split, classes: int) -> str:
    parts = ['reduction="none"']
    if recipe.class_weights == "balanced":
        weights = balanced_weights([example.label for example in split.train], classes).tolist()
        parts.append(f"weight=torch.tensor({[round(one, 4) for one in weights]}, device=DEVICE)")
    if recipe.label_smoothing:
        parts.append(f"label_smoothing={recipe.label_smoothing}")
    return ", ".join(parts)


def split_table(classes: tuple[str, ...], split: Split) -> str:
    """split.csv: part, class and path of every picture."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["part", "class", "path"])
    parts: Mapping[str, Any] = {"train": split.train, "val": split.val, "test": split.test}
    for part, examples in parts.items():
        rows.writerows([part, classes[one.label], str(one.path)] for one in examples)
    return file.getvalue()


def notebook(script: str, title: str) -> str:
    """The script as a notebook: a cell for what comes first, for each function, and for the call of the last one.

    `title` is Markdown.
    """
    tree = ast.parse(script)
    lines = script.splitlines()
    starts = [
        min([node.lineno, *(one.lineno for one in node.decorator_list)])
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    ]
    end = next(node.lineno for node in tree.body if isinstance(node, ast.If))
    edges = [1, *starts, end]
    code = ["\n".join(lines[first - 1 : last - 1]).strip() for first, last in pairwise(edges)]
    code[0] = code[0].replace("HERE = Path(__file__).parent", 'HERE = Path(".")')
    v4: Any = nbformat.v4  # Without annotations.
    cells = [v4.new_markdown_cell(f"# {title}"), *map(v4.new_code_cell, [*code, "main()"])]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # Not drawn at random, so that the same run gives the same file.
    text: str = v4.writes(v4.new_notebook(cells=cells))
    return text
