"""Which GPU trains what: NVIDIA's own tool is asked, here a script of that name. And who goes first."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.jobs import process
from core.jobs.process import card_of, graphics_cards, training_places
from core.settings import CARDS, take_card

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the tool is a shell script here")
Install = Callable[[str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a script in the place of NVIDIA's tool; nobody has said which cards to use."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(CARDS, "")  # So that it is put back as it was, whatever a test does.
    monkeypatch.delenv(CARDS)
    monkeypatch.delenv("THAW_WORKERS", raising=False)

    def install(script: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
        graphics_cards.cache_clear()

    yield install
    graphics_cards.cache_clear()


def listing(cards: int) -> str:
    lines = "\\n".join(f"GPU {card}: NVIDIA H100 (UUID: GPU-{card})\\n  MIG 1g.10gb Device 0" for card in range(cards))
    return f"printf '{lines}\\n'"


def test_each_place_has_a_card_and_shares_it_where_there_are_more_places(
    tool: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(listing(2))
    assert training_places() == 2
    assert [card_of(place) for place in range(4)] == ["0", "1", "0", "1"]
    tool(listing(1))
    monkeypatch.setenv("THAW_WORKERS", "2")
    assert (training_places(), card_of(0), card_of(1)) == (2, "0", "0")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("2,3", ["2", "3", "2"]),
        ("3", ["3", "3", "3"]),
        (" GPU-5 , GPU-7", ["GPU-5", "GPU-7", "GPU-5"]),
        ("1,-1,2", ["1", "1", "1"]),  # As CUDA reads it: what comes after a number below 0 does not count.
        ("", [None, None, None]),
        ("-1", [None, None, None]),
    ],
)
def test_people_say_which_cards_to_use(
    named: str, expected: list[str | None], tool: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(listing(4))
    monkeypatch.setenv(CARDS, named)
    assert [card_of(place) for place in range(3)] == expected
    assert training_places() == max(1, len(set(expected) - {None}))


def test_a_process_keeps_the_card_that_it_has_taken(tool: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(listing(4))
    monkeypatch.setenv(CARDS, "1,2,3")
    for _ in range(2):
        card = card_of(2)
        assert card == "3"
        take_card(card)
    assert os.environ[CARDS] == "3"


def test_without_cards_the_cpu_has_one_place(tool: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    for script in ("echo 'NVIDIA-SMI has failed'; exit 9", "exec sleep 60"):
        tool(script)
        monkeypatch.setattr(process, "ASKING", 0.2)
        assert (graphics_cards(), training_places(), card_of(0)) == (0, 1, None)
    monkeypatch.setenv(CARDS, "0,1")
    assert (training_places(), card_of(0)) == (1, None)


@pytest.mark.parametrize(("before", "after"), [(0, 5), (3, 5), (9, 9)])
def test_a_light_worker_becomes_nicer_and_never_less_nice(before: int, after: int) -> None:
    """Less nice is what the system allows to few."""
    more = before - os.nice(0)
    if more < 0:
        pytest.skip("the tests themselves are nicer")
    code = (
        f"import os; os.nice({more}); from core.jobs.process import lower_priority; lower_priority(); print(os.nice(0))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(shown.stdout) == after
