"""A report of a run in one file, which opens offline and prints well."""

import base64
import importlib.util
import json
from collections.abc import Generator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from core import files
from core.data.images import thumbnail
from core.events import EpochEnded, Event, Metrics, heading
from core.figures import by_class
from core.messages import percent
from core.recipe_settings import to_toml
from core.results.answers import Answer, Evaluation
from core.results.export.card import Taken
from core.results.predict import evaluate

TEMPLATE = Path(__file__).with_name("report.html.jinja")
SIDE, SHOWN = 160, 24
"""Pixels of a picture, and mistakes that are shown."""
COLOURS = {"training": "#9370db", "validation": "#17936f"}


def write_report(taken: Taken, target: Path) -> Generator[Event, None, None]:
    """An HTML file with figures, curves, confusions, mistakes and settings. Raises BadData or BadImage."""
    evaluation = yield from evaluate(taken.weights_file, taken.features_folder)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    files.write_text(target, template.render(_values(taken, evaluation)))


def _values(taken: Taken, evaluation: Evaluation) -> dict[str, Any]:
    classes, facts = evaluation.classes, taken.facts
    counts = [[0] * len(classes) for _ in classes]
    for own, said, count in evaluation.confusion:
        counts[own][said] = count
    shares = [one.recall for one in by_class(evaluation.confusion, len(classes))]
    epochs = [event for event in facts.events if isinstance(event, EpochEnded)]
    curves = {measure: _curve(epochs, measure) for measure in ("loss", "accuracy")}
    return {
        "title": facts.title,
        "data": facts.data,
        "figures": facts.figures,
        "classes": classes,
        "confusion": counts,
        "recalls": ["–" if share is None else percent(share) for share in shares],
        "mistakes": [_card(one, classes) for one in evaluation.mistakes()[:SHOWN]],
        "recipe": to_toml(taken.kept.recipe),
        "plotly": Markup(_plotly()),
        "curves": Markup(_as_script(curves)),
    }


def _card(answer: Answer, classes: Sequence[str]) -> dict[str, str]:
    file = BytesIO()
    thumbnail(answer.path, SIDE).save(file, "JPEG", quality=85)
    text = f"{classes[answer.label]}, taken for {classes[answer.said]}, {percent(answer.confidence)}"
    return {"image": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", "text": text}


def _curve(epochs: Sequence[EpochEnded], measure: str) -> dict[str, Any]:
    """A line for training (running means) and one for validation."""
    parts: dict[str, list[Metrics | None]] = {
        "training": [one.train for one in epochs],
        "validation": [one.val for one in epochs],
    }
    data = [
        {
            "type": "scatter",
            "name": name,
            "x": [epoch.epoch for epoch, metrics in zip(epochs, passes, strict=True) if metrics],
            "y": [getattr(metrics, measure) for metrics in passes if metrics],
            "line": {"color": COLOURS[name], "width": 3},
        }
        for name, passes in parts.items()
    ]
    layout = {
        "title": {"text": heading(measure)},
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"rangemode": "tozero"},
        "margin": {"t": 40, "r": 10},
    }
    return {"data": data, "layout": layout}


def _as_script(values: Any) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(values).replace("<", "\\u003c")


def _plotly() -> str:
    """plotly.js itself, of the installed package, which is found but not imported."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
