"""Work about runs: training them, and what is asked of them and of their pictures afterwards."""

from dataclasses import replace
from pathlib import Path

from core import files, home
from core.backbones.pretrained import own_file
from core.jobs import results
from core.jobs.job import LOADING, Arguments, Desk, Kind, Result, Work, about_data, about_run, shared_key
from core.jobs.process import process_id
from core.jobs.store import open_store
from core.jobs.store.runs import TRAIN
from core.recipe import Recipe
from core.recipe_settings import to_settings, to_toml
from core.results.answers import Evaluation
from core.results.export.formats import format_of
from core.training.plan import check


class RunArguments(Arguments):
    """A run that has kept weights, by its number."""

    run: int


class AskArguments(Arguments):
    """A `picture` that a run is asked about, and the class whose heat map is wanted, or None for the likeliest."""

    run: int
    picture: Path
    label: int | None = None


class ExportArguments(Arguments):
    """A run that is to be taken home as one of `core.results.export.formats.FORMATS`."""

    run: int
    to: str


class OpenArguments(Arguments):
    """A bundle: a `file` of the server's, or one that was uploaded; people call it `title`."""

    file: Path
    title: str


def _rates(recipe: Recipe, _desk: Desk) -> Work:
    yield LOADING
    from core.training.rate_finder import find_rate  # Imported here because it brings torch along.

    return (yield from find_rate(recipe, home.features_folder())).to_json()


def _evaluate(given: RunArguments, _desk: Desk) -> Work:
    yield LOADING
    from core.results.predict import evaluate  # Imported here because it brings torch along.

    return (yield from evaluate(home.weights_file(given.run), home.features_folder())).to_json()


def _map(given: RunArguments, _desk: Desk) -> Work:
    yield LOADING
    from core.results.picture_map import picture_map  # Imported here because it brings torch along.

    open_store().runs.get(given.run).demand_training_pictures()
    return (yield from picture_map(home.weights_file(given.run), home.features_folder())).to_json()


def _ask(given: AskArguments, desk: Desk) -> Work:
    yield LOADING
    from core.results.ask import ask  # Imported here because it brings torch along.

    asked, square = yield from ask(home.weights_file(given.run), given.picture, given.label, home.features_folder())
    desk.results.mkdir(parents=True, exist_ok=True)
    square.save(desk.results / "square.png")
    said: Result = asked.to_json()
    return said | {"square": str(desk.results / "square.png")}


def _doubts(recipe: Recipe, _desk: Desk) -> Work:
    yield LOADING
    from core.results.label_doubts import find_doubts  # Imported here because it brings torch along.

    return (yield from find_doubts(recipe, home.features_folder())).to_json()


def _more(recipe: Recipe, _desk: Desk) -> Work:
    yield LOADING
    from core.results.more_pictures import learning_curve  # Imported here because it brings torch along.

    return (yield from learning_curve(recipe, home.features_folder())).to_json()


def _export(given: ExportArguments, desk: Desk) -> Work:
    yield LOADING
    from core.jobs.run_files import facts_of  # Imported here because they bring torch along.
    from core.results.export.packing import export

    store = open_store()
    if format_of(given.to).of_pictures:
        store.runs.get(given.run).demand_training_pictures()
    facts = facts_of(store, given.run)
    desk.results.mkdir(parents=True, exist_ok=True)
    file = yield from export(given.to, home.weights_file(given.run), facts, desk.results, home.features_folder())
    return {"made": str(file)}


def _open(given: OpenArguments, _desk: Desk) -> Work:
    yield LOADING
    from core.jobs.run_files import open_bundle  # Imported here because it brings torch along.

    return {"run": (yield from open_bundle(open_store(), given.file, given.title, _keep_answers))}


def _keep_answers(run: int, evaluation: Evaluation) -> None:
    """As if a job had asked the model: its pictures are small ones by now, of which it would say other things."""
    store, given, worker = open_store(), RunArguments(run=run), process_id()
    about = EVALUATE.about(given, None)
    job = store.jobs.submit(
        EVALUATE.name,
        EVALUATE.lane,
        given.model_dump(mode="json"),
        home=home.installation_id(),
        about=about,
        shared_key=shared_key(EVALUATE, given),
        worker=worker,
    )
    kept = results.keep(about, results.folder_of(about, job.id), evaluation.to_json())
    store.jobs.end(job.id, "finished", worker, result=kept)


def _train(recipe: Recipe, desk: Desk) -> Work:
    from core.training.loop import train  # Imported here because it brings torch along.

    assert desk.run is not None
    checked = check(to_settings(recipe))
    files.write_text(home.run_folder(desk.run) / "recipe.toml", to_toml(checked))
    weights, state = home.weights_file(desk.run), home.resume_file(desk.run)
    yield from train(checked, weights, home.features_folder(), state)
    return {}


def _own_weights(recipe: Recipe) -> tuple[Path, ...]:
    """The file of one's own that a recipe starts from, if it does."""
    weights = own_file(recipe.weights)
    return (weights,) if weights else ()


def _about_its_run(given: RunArguments | AskArguments | ExportArguments, _result: Result | None) -> str:
    return about_run(given.run)


TRAINING = Kind(name=TRAIN, lane="training", arguments=Recipe, work=_train)
RATES = Kind(
    name="rates",
    lane="light",
    arguments=Recipe,
    work=_rates,
    is_quick=True,
    pictures=lambda recipe: Path(recipe.data),
    files=_own_weights,
    about=lambda recipe, _result: about_data(recipe.data),
)
# Of the kept weights alone: it stays the answer once mistakes among the pictures were mended.
EVALUATE = Kind(
    name="evaluate",
    lane="light",
    arguments=RunArguments,
    work=_evaluate,
    is_quick=True,
    files=lambda given: (home.weights_file(given.run),),
    about=_about_its_run,
)
MAP = replace(EVALUATE, name="map", work=_map)
ASK = Kind(
    name="ask",
    lane="light",
    arguments=AskArguments,
    work=_ask,
    is_quick=True,
    files=lambda given: (home.weights_file(given.run), given.picture),
    about=_about_its_run,
)
EXPORT = Kind(
    name="export",
    lane="light",
    arguments=ExportArguments,
    work=_export,
    about=_about_its_run,
)
OPEN = Kind(name="open", lane="light", arguments=OpenArguments, work=_open)
DOUBTS = replace(RATES, name="doubts", work=_doubts)
MORE = replace(RATES, name="more", work=_more)
