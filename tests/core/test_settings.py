"""Settings from the environment: read together, checked together, described once."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.__main__ import main
from core.errors import BadSettings
from core.home import thaw_home, weights_file
from core.jobs.drive import drive
from core.jobs.process import process_id
from core.jobs.store import open_store
from core.settings import FIELDS, described, readme_table, settings, variable
from tests.conftest import MakeFolder, small_recipe

ROOT = Path(__file__).parents[2]
COUNTS = [variable(field.name) for field in FIELDS if field.type in (int, "int")]
AMOUNTS = ["THAW_WORKER_IDLE", "THAW_FEATURES_GB"]
BAD = [(name, text) for name in COUNTS for text in ("x", "-1", "0", "1.5", "٣", "9" * 20)]
BAD += [(name, text) for name in AMOUNTS for text in ("ten", "-1", "nan", "inf", "1e300")]
BAD += [("THAW_DATABASE_URL", "runs.sqlite")]


def test_what_is_not_set_or_empty_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_MAX_FILES", "")
    monkeypatch.delenv("THAW_FEATURES_GB", raising=False)
    assert (settings().max_files, settings().features_gb, settings().feature_bytes) == (20_000, 10.0, 10**10)


def test_what_is_set_is_read_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THAW_MAX_FILES", "7")
    assert settings().max_files == 7
    monkeypatch.setenv("THAW_MAX_FILES", "8")
    monkeypatch.setenv("THAW_DATA_ROOTS", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert (settings().max_files, settings().data_roots) == (8, (tmp_path / "a", tmp_path / "b"))


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_a_sentence_that_names_it(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(BadSettings) as caught:
        settings()
    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == (name, text)
    assert str(caught.value).startswith(f"{name} = {text!r}: must be a")


def test_all_faults_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*COUNTS, *AMOUNTS):
        monkeypatch.setenv(name, "x")
    with pytest.raises(BadSettings) as caught:
        settings()
    assert [fault.field for fault in caught.value.faults] == [
        variable(field.name) for field in FIELDS if variable(field.name) in (*COUNTS, *AMOUNTS)
    ]
    assert len(str(caught.value).splitlines()) == len(COUNTS) + len(AMOUNTS)


COMMANDS = [
    ["core", "runs"],
    ["core", "work"],
    ["core", "settings"],
    ["core", "check", "sample_data/stamps"],
    ["core.jobs.worker", "training", "0"],
    ["core.jobs.worker", "light", "1"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_program_says_every_fault_and_exits_with_2(command: Sequence[str], thaw_home: Path) -> None:
    wrong = {"THAW_MAX_FILES": "x", "THAW_FEATURES_GB": "ten", "THAW_WORKERS": "two", "THAW_WORKER_IDLE": "ten"}
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | wrong, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert sorted(line.split(" = ")[0] for line in ended.stderr.splitlines()) == sorted(wrong)
    assert ended.stdout == ""
    assert not thaw_home.exists()


@pytest.mark.parametrize("name", ["100% mine", "what?", "a#b", "with spaces", "quo'te", "Übung ☀", "a%20b", "a&b=c"])
def test_an_oddly_named_home_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_folder: MakeFolder
) -> None:
    monkeypatch.setenv("THAW_HOME", str(tmp_path / name))
    run = open_store().runs.start(small_recipe(make_folder(a=4, b=4), epochs=1), process_id())
    list(drive(open_store(), run.job))
    assert open_store().runs.get(run.id).status == "finished"
    assert weights_file(run.id).is_file()
    assert (tmp_path / name / "thaw.sqlite").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "pictures"])


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "inside", Path("/proc/thaw"), Path("/proc")):
        monkeypatch.setenv("THAW_HOME", str(path))
        with pytest.raises(BadSettings, match=r"THAW_HOME = .*; name a folder that can be written"):
            thaw_home()


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THAW_DATABASE_URL", "postgresql+psycopg://me:secret@host/db")
    (shown,) = [setting.value for setting in described() if setting.variable == "THAW_DATABASE_URL"]
    assert shown == "postgresql+psycopg://me:***@host/db"


@pytest.mark.parametrize(
    "address",
    [
        *("foo://", "://", "postgresql+nosuch://x", "sqlite+nosuch:///x", "sqlite://x/y", "sqlite:///a%00b"),
        *("http://[::1", "postgresql://me:secret@host:port/x", "sqlite:///{folder}/y?timeout=soon"),
    ],
)
def test_an_address_that_can_be_none_is_a_setting_that_is_wrong(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THAW_DATABASE_URL", address.format(folder=tmp_path))
    assert main(["runs"]) == 2
    said = capfd.readouterr().err
    assert said.startswith("THAW_DATABASE_URL = ")
    assert "names no database that can be used" in said
    assert "secret" not in said


@pytest.mark.parametrize(("address", "status"), [("postgresql+nosuch://x", 2), ("sqlite:///{folder}/words.txt", 1)])
def test_a_worker_says_what_is_wrong_with_its_database(address: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("No database at all. " * 100)
    environment = os.environ | {"THAW_DATABASE_URL": address.format(folder=tmp_path)}
    command = [sys.executable, "-m", "core.jobs.worker"]
    worker = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert worker.returncode == status
    assert len(worker.stderr.splitlines()) == 1
    assert ("names no database" if status == 2 else "file is not a database") in worker.stderr


def test_the_readme_has_the_very_list() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_table() in readme
    named = set(re.findall("THAW_[A-Z_]+", readme))
    assert named - {variable(field.name) for field in FIELDS} == {"THAW_TEST_POSTGRES"}
