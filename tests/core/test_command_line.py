"""The commands by their output and exit status: most in this process, the main job as a script calls it."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.__main__ import main
from core.events import EpochEnded
from core.jobs.store import open_store
from core.messages import Message
from core.recipe_settings import parse, to_toml
from tests.conftest import SAMPLE_DATA, MakeFolder, small_recipe
from tests.core.intake.bad_archives import picture, zipped

ROOT = Path(__file__).parents[2]


def core(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in this process, where torch is loaded already."""
    output, errors, interrupted = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGINT)
    try:
        with contextlib.chdir(ROOT), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = main(arguments)
    except SystemExit as refused:  # argparse ends so.
        status = int(refused.code or 0)
    finally:
        signal.signal(signal.SIGINT, interrupted)
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "core", *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )


@pytest.fixture
def recipe(make_folder: MakeFolder, tmp_path: Path) -> str:
    """A small recipe on disk."""
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(small_recipe(make_folder(a=8, b=8))), encoding="utf-8")
    return str(path)


def test_train_then_list_then_predict(recipe: str, make_folder: MakeFolder) -> None:
    trained = core("train", recipe, "--json", "--set", "optimizer.lr=0.002", "--set", "epochs=3")
    assert trained.returncode == 0, trained.stderr
    events = [json.loads(line) for line in trained.stdout.splitlines()]
    epochs = [event for event in events if event["event"] == "epoch_ended"]
    assert [event["epoch"] for event in epochs] == [1, 2, 3]
    terms = {"loss", "cross_entropy", "l1", "l2", "accuracy", "balanced_accuracy"}
    assert epochs[0]["train"].keys() == epochs[0]["val"].keys() == terms
    assert epochs[0]["seconds"] > 0
    assert next(event for event in events if event["event"] == "step_ended")["lr"] == 0.002
    last = events[-1]
    assert last["event"] == "run_finished"
    assert last.keys() == {"event", "run", "kept_epoch", "val", "seconds"}
    assert last["val"].keys() == {"right", "images", "accuracy", "interval"}
    kept = next(event for event in epochs if event["epoch"] == last["kept_epoch"])
    assert kept["kept"]
    assert kept["answers"]["recalls"].keys() == {"a", "b"}
    assert kept["answers"]["accuracy"] == pytest.approx(kept["val"]["accuracy"], abs=1e-5)

    (row,) = [json.loads(line) for line in core("runs", "--json").stdout.splitlines()]
    assert (row["run"], row["status"], row["kept_epoch"]) == (last["run"], "finished", last["kept_epoch"])
    assert row["val"] == kept["answers"]
    assert row["val"]["right"] == last["val"]["right"]
    assert (row["test"], row["preset"]) == (None, None)
    assert "finished" in core("runs").stdout

    pictures = [str(path) for path in sorted((make_folder(a=8, b=8) / "a").iterdir())[:2]]
    predicted = core("predict", str(last["run"]), *pictures, "--json")
    predictions = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [prediction["image"] for prediction in predictions] == pictures
    for prediction in predictions:
        assert prediction["probabilities"].keys() == {"a", "b"}
        assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert core("predict", str(last["run"]), pictures[0]).stdout.startswith(f"{pictures[0]}: ")


def test_results_are_those_of_the_validation(recipe: str) -> None:
    assert core("train", recipe).returncode == 0
    printed = core("results", "1", "--json")
    assert printed.returncode == 0, printed.stderr
    found = json.loads(printed.stdout)
    known = open_store().runs.get(1)
    assert known.val is not None
    assert found["validation"]["right"] == known.val.right
    assert sum(one["pictures"] for one in found["confusion"]) == known.val.images == len(found["pictures"])
    assert set(found["classes"]) == {"a", "b"}
    assert set(found["moved"]) == {"head"}
    again = core("results", "1")
    assert (again.returncode, again.stderr) == (0, "")
    assert str(known.val.in_full()) in again.stdout
    assert {job.kind for job in open_store().jobs.ended("run:1")} == {"evaluate", "map"}
    assert len(found["map"]["paths"]) == found["doubts"]["pictures"] > 0
    assert str(Message.parse(found["more_pictures"]["sentence"])) in " ".join(again.stdout.split())
    shutil.rmtree(tomllib.loads(Path(recipe).read_text(encoding="utf-8"))["data"])
    without = core("results", "1")
    assert (without.returncode, without.stderr) == (0, "")
    assert str(known.val.in_full()) in without.stdout
    assert "Nothing more can be said" in without.stdout


def test_results_of_no_run_and_of_one_without_weights_are_said(recipe: str) -> None:
    assert core("results", "7").returncode == 1
    open_store().runs.queue(parse(tomllib.loads(Path(recipe).read_text(encoding="utf-8"))))
    assert "has no weights; take another run" in core("results", "1").stderr


def test_without_json_a_line_per_epoch_and_the_ending(recipe: str) -> None:
    trained = core("train", recipe)
    assert trained.returncode == 0, trained.stderr
    assert "epoch 2: training loss" in trained.stdout
    assert "run 1 finished after" in trained.stdout
    assert re.search(r"kept: epoch \d, validation \d+\.\d % \(\d of 4, 95 % interval", " ".join(trained.stdout.split()))
    assert "Only 4 pictures validate" in trained.stdout


def test_a_bad_recipe_exits_with_2_and_all_its_faults(recipe: str) -> None:
    failed = script("train", recipe, "--set", "epochs=0", "--set", "backbone=resnet19", "--set", "optimizer.lr=nan")
    assert failed.returncode == 2
    assert failed.stdout == ""
    lines = failed.stderr.splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["epochs", "optimizer.lr", "backbone"]
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("change", ["epochs", "=3", "epochs.deep=3"])
def test_a_change_that_is_none_exits_with_2(recipe: str, change: str) -> None:
    failed = core("train", recipe, "--set", change)
    assert failed.returncode == 2
    assert "--set" in failed.stderr


def test_a_failed_run_exits_with_1(recipe: str, make_folder: MakeFolder) -> None:
    (make_folder(a=8, b=8) / "a" / "0.png").write_bytes(b"")
    failed = script("train", recipe, "--json")
    assert failed.returncode == 1
    assert "0.png is not a picture" in failed.stderr
    assert "Traceback" not in failed.stderr
    last = json.loads(failed.stdout.splitlines()[-1])
    assert (last["event"], last["run"]) == ("run_failed", 1)
    assert "0.png is not a picture" in last["message"]
    refused = core("predict", "1", "picture.jpg")
    assert refused.returncode == 1
    assert "Run 1 is failed and has no weights" in refused.stderr


def test_a_learning_rate_is_searched(recipe: str) -> None:
    searched = core("rate", recipe, "--json", "--set", "penalties.l2=10")
    assert searched.returncode == 0, searched.stderr
    found = json.loads(searched.stdout)
    assert found.keys() == {"rates", "losses", "suggested", "sentence"}
    assert len(found["rates"]) == len(found["losses"])
    assert found["rates"][0] == pytest.approx(1e-7)
    assert found["sentence"].startswith(f"Start from a learning rate of {found['suggested']:g}: ")
    in_words = core("rate", recipe, "--set", "penalties.l2=10").stdout
    assert found["sentence"] in " ".join(in_words.split())
    assert f"{found['rates'][-1]:.1e} │ {found['losses'][-1]:.4f}" in in_words
    assert open_store().runs.all() == []
    failed = core("rate", recipe, "--set", "optimizer={name='lbfgs'}")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith('optimizer.name = \'lbfgs\': must be "adam", "sgd" or "adamw" to search a learning')


def test_nobody_need_read_to_the_end() -> None:
    command = [sys.executable, "-m", "core", "backbones", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["name"] == "alexnet"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_run_that_does_not_exist_exits_with_1() -> None:
    failed = core("predict", "77", "picture.jpg")
    assert failed.returncode == 1
    assert "There is no run 77" in failed.stderr


def test_backbones() -> None:
    rows = [json.loads(line) for line in core("backbones", "--json").stdout.splitlines()]
    (mobilenet,) = [row for row in rows if row["name"] == "mobilenet_v2"]
    assert mobilenet["weights_state"] == "bundled"
    assert [block["name"] for block in mobilenet["blocks"]][-1] == "head"
    assert len(rows) >= 80
    assert "squeezenet1_1" in core("backbones").stdout


def test_the_main_job_on_real_photos(tmp_path: Path) -> None:
    """The default recipe, shortened: pretrained MobileNetV2, head only, on the stamps."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'data = "{(SAMPLE_DATA / "stamps").as_posix()}"\n', encoding="utf-8")
    changes = ("epochs=4", "image_size=128", "optimizer.lr=0.005")
    trained = script("train", str(recipe), "--json", *(word for change in changes for word in ("--set", change)))
    assert json.loads(trained.stdout.splitlines()[-1])["val"]["accuracy"] > 0.7


def test_a_run_is_paused_and_stopped_by_command() -> None:
    store = open_store()
    run = store.runs.queue(parse({"data": "photos"}))
    assert core("pause", str(run)).returncode == 0
    assert store.runs.get(run).status == "paused"
    refused = core("pause", str(run))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "only a run that goes or waits can pause" in refused.stderr
    assert core("stop", str(run)).returncode == 0
    assert store.runs.get(run).status == "stopped"
    assert "is stopped already" in core("stop", str(run)).stderr


def test_a_run_is_resumed_and_worked_off_by_command(make_folder: MakeFolder) -> None:
    store = open_store()
    run = store.runs.queue(small_recipe(make_folder(a=8, b=8), epochs=1))
    store.runs.request_pause(run)
    assert "There is no run 99" in core("resume", "99").stderr
    store.runs.resume(run)
    assert core("work").returncode == 0
    assert store.runs.get(run).status == "finished"
    assert "give it more of them" in core("resume", str(run)).stderr
    assert script("resume", str(run), "--epochs", "2").returncode == 0
    while store.runs.get(run).live:
        worked = core("work")  # `resume` has started a worker too; there is a place for one.
        assert worked.returncode == 0 or "are at work already" in worked.stderr
    assert [e.epoch for _, e in store.runs.events(run) if isinstance(e, EpochEnded)] == [1, 2]


def test_a_run_is_exported(recipe: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert core("train", recipe, "--set", "epochs=1").returncode == 0
    assert core("export", "1", "--to", "tensorboard", str(tmp_path / "logs, all")).returncode == 0
    assert list((tmp_path / "logs, all" / "run-1").glob("events.*"))
    assert "There is no run 9" in core("export", "9", "--to", "mlflow").stderr
    refused = core("export", "1", "--to", "wandb")
    assert (refused.returncode, "wandb is nothing to export to; take model or" in refused.stderr) == (1, True)


def test_an_archive_is_imported_checked_and_trained_on(tmp_path: Path) -> None:
    files = {f"{label}/{n}.png": picture((32, 32), seed=50 * k + n) for k, label in enumerate("ab") for n in range(12)}
    path = zipped(tmp_path / "photos.zip", files | {"a/copy.png": files["a/0.png"], "a/notes.txt": b"hello"})
    done = core("import", str(path), "--name", "Our [bold]photos")
    assert done.returncode == 0
    assert "Our [bold]photos: 25 pictures in" in done.stdout
    assert "left out: a/notes.txt: its name is not that of a picture" in done.stdout
    checked = core("check", "Our [bold]photos", "--json")
    assert checked.returncode == 0
    told = json.loads(checked.stdout)
    assert told["classes"] == {"a": 13, "b": 12}
    assert "Exact copies of others: 1 picture." in [remark["text"] for remark in told["remarks"]]
    assert "Exact copies of others: 1 picture." in core("check", "Our [bold]photos").stdout


def test_an_archive_or_a_folder_that_cannot_be_used_is_said(tmp_path: Path, make_folder: MakeFolder) -> None:
    (tmp_path / "bad.zip").write_bytes(b"nothing")
    failed = core("import", str(tmp_path / "bad.zip"))
    assert (failed.returncode, "no zip or tar archive" in failed.stderr) == (1, True)
    assert "is not a file" in core("import", str(tmp_path / "none.zip")).stderr
    lonely = core("check", str(make_folder(a=12)))
    assert (lonely.returncode, "pictures of one class only (a)" in lonely.stderr) == (1, True)
    assert "is not a folder" in core("check", "nowhere").stderr


def test_repeats_train_one_after_the_other_and_end_with_mean_and_range(
    recipe: str, make_folder: MakeFolder, tmp_path: Path
) -> None:
    trained = core("train", recipe, "--json", "--set", "repeats=2")
    assert trained.returncode == 0, trained.stderr
    events = [json.loads(line) for line in trained.stdout.splitlines()]
    ended = [event["run"] for event in events if event["event"] == "run_finished"]
    last = events[-1]
    assert (last["event"], last["run"], last["status"], last["children"]) == ("family_ended", 1, "finished", ended)
    accuracies = [one["accuracy"] for one in last["spread"]["runs"]]
    assert last["spread"]["mean"] == pytest.approx(sum(accuracies) / 2)
    rows = [json.loads(line) for line in core("runs", "--json").stdout.splitlines()]
    assert [(row["run"], row["family"], row["status"]) for row in rows] == [
        (1, None, "finished"),
        (2, 1, "finished"),
        (3, 1, "finished"),
    ]
    assert rows[0]["spread"] == last["spread"]
    assert "of 2 runs" in core("runs").stdout

    picture = str(make_folder(a=8, b=8) / "a" / "0.png")
    answers = [core("predict", run, picture, "--json") for run in ("1", "2")]
    assert answers[0].stdout == answers[1].stdout
    assert "Run 1 is a family of runs; this is of its first, run 2." in answers[0].stderr
    assert answers[1].stderr == ""
    again = core("train", recipe, "--json", "--set", "weights=run:1", "--set", "epochs=1")
    assert again.returncode == 0, again.stderr
    assert "Run 1 is a family of runs; training starts from its first, run 2." in again.stderr
    assert json.loads(core("runs", "--json").stdout.splitlines()[0])["recipe"]["weights"] == "run:2"
    exported = core("export", "1", "--to", "tensorboard", str(tmp_path / "logs"))
    assert "of its first, run 2" in exported.stderr
    assert [folder.name for folder in (tmp_path / "logs").iterdir()] == ["run-2"]


def test_in_words_a_family_says_its_mean_last(recipe: str) -> None:
    told = core("train", recipe, "--set", "folds=2")
    assert told.returncode == 0, told.stderr
    last = told.stdout.splitlines()[-1]
    assert last.startswith("run 1 finished: mean ")
    assert "each picture once" in " ".join(told.stdout.split())
