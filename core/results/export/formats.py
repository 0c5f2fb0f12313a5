"""What people can take home of a run, as a table that needs no torch; `core.results.export.packing` writes each."""

from dataclasses import dataclass

from core.errors import TrackerUnavailable


@dataclass(frozen=True)
class Format:
    """`label` and `help` are for people; `file` is the name of what they get.

    `of_pictures`: it is made with the pictures of the run, not of the kept model alone.
    """

    label: str
    help: str
    file: str
    of_pictures: bool = False


FORMATS: dict[str, Format] = {
    "model": Format("Model", "The weights, a program that needs no Thaw, and a model card.", "model.zip"),
    "weights": Format("PyTorch weights", "A plain state_dict, and the lines that load it.", "weights.zip"),
    "onnx": Format("ONNX", "For other programs and languages; tried on pictures before you get it.", "onnx.zip", True),
    "train": Format("Training program", "The run as plain PyTorch that a student can read.", "train.zip", True),
    "notebook": Format("Notebook", "The same program as a Jupyter notebook.", "notebook.zip", True),
    "report": Format("Report", "Curves, confusions and mistakes in one page that opens offline.", "report.html", True),
    "bundle": Format("Bundle", "The whole run in one file, for another Thaw to look at.", "bundle.zip"),
    "recipe": Format("Recipe", "The settings, to train again by the command line.", "recipe.toml"),
}
"""By the name that the command line has for them."""


def format_of(name: str) -> Format:
    """The row. Raises TrackerUnavailable for a name that there is not."""
    if name not in FORMATS:
        template = "{kind} is nothing to export to; take {kinds}."
        raise TrackerUnavailable(template, kind=name, kinds=" or ".join(FORMATS))
    return FORMATS[name]
