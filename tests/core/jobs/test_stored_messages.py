"""Sentences come out of the store as they went in, on each database, and so do those of earlier versions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from core.events import Notice, Progress
from core.jobs.store import Store, store_at
from core.messages import DEEPEST, Message
from core.recipe_settings import parse
from tests.core.jobs.by_number import end

RECIPE = parse({"data": "photos"})

NAMES = {
    "umlauts": "Äpfel, Öl, Straße, e\N{COMBINING ACUTE ACCENT}",
    "quotes": """it's "quoted" `so` ''twice''""",
    "backslashes": r"C:\users\new\table \u0000 \\server\x",
    "zero byte": "before\0after",
    "lone surrogate": "folder \ud83d name \udcff",
    "emoji": "🐈‍⬛ and 👩‍👩‍👧",
    "right to left": "\N{RIGHT-TO-LEFT OVERRIDE}עברית عربى\N{POP DIRECTIONAL FORMATTING} 123",
    "braces": "{name} {{}} {0.__class__} }{",
    "spaces": " \t\r\n\v\x1f\N{LINE SEPARATOR}\N{NO-BREAK SPACE} ",
    "sql": "'); DROP TABLE jobs; -- :name %s %(x)s ?",
    "nothing": "",
    "long": "x" * 50_000,
}


def _nested(depth: int) -> Message:
    message = Message("{name}", name=NAMES["umlauts"])
    for _ in range(depth):
        message = Message("({inner})", inner=message)
    return message


MESSAGES = {name: Message("{name} is empty.", name=text) for name, text in NAMES.items()}
MESSAGES |= {f"{name} as template": Message(text) for name, text in NAMES.items()}
MESSAGES |= {f"{name} as name": Message("{x}", x=1, **{text: "value"}) for name, text in NAMES.items()}
MESSAGES |= {
    "numbers": Message(
        "{big:,} {huge} {less} {third:.1f} {small:g} {zero} {minus} {whole} {great} {yes}",
        big=2**63,
        huge=10**400,
        less=-(10**30),
        third=1 / 3,
        small=5e-324,
        zero=0,
        minus=-0.0,
        whole=3.0,
        great=1e300,
        yes=True,
    ),
    "not finite": Message("{a} {b:.1f}", a=float("nan"), b=float("inf")),
    "plural": Message("{count} picture", "{count} pictures", count=2),
    "nested": _nested(DEEPEST),
    "list": Message("{parts:lines}", parts=[*NAMES.values(), 1, 0.5, False, [], ["a", [_nested(2)]]]),
}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = store_at(database_url)
    yield store
    store.database.close()


def _same(found: Message | None, message: Message) -> None:
    assert found is not None
    assert found == message
    assert str(found) == str(message)
    assert [type(value) for _, value in found.values] == [type(value) for _, value in message.values]


def test_sentences_come_out_of_the_store_as_they_went_in(store: Store) -> None:
    run = store.runs.start(RECIPE, "w").id
    for message in MESSAGES.values():
        store.runs.append(run, [Notice(message), Progress(message, 1, 2)], "w")
        progress = store.runs.get(run).job.progress
        assert progress is not None
        _same(progress.stage, message)
    notices = [event.text for _, event in store.runs.events(run) if isinstance(event, Notice)]
    assert len(notices) == len(MESSAGES)
    for notice, message in zip(notices, MESSAGES.values(), strict=True):
        _same(notice, message)


def test_the_last_sentence_of_a_job_comes_out_as_it_went_in(store: Store) -> None:
    for message in MESSAGES.values():
        run = store.runs.start(RECIPE, "w").id
        assert end(store, run, "failed", "w", message=message)
        _same(store.runs.get(run).job.message, message)


def test_a_job_may_end_without_a_sentence(store: Store) -> None:
    run = store.runs.start(RECIPE, "w").id
    assert end(store, run, "finished", "w")
    assert store.runs.get(run).job.message is None


def _write(store: Store, statement: str, **values: Any) -> None:
    with store.database.transaction() as connection:
        connection.execute(sa.text(statement), values)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("zero byte", "lone surrogate")])
def test_text_of_earlier_versions_is_a_template_without_values(store: Store, name: str) -> None:
    """Rows as they were written before sentences had values."""
    run = store.runs.start(RECIPE, "w")
    text = NAMES[name]
    _write(
        store,
        'INSERT INTO events (run, name, "values") VALUES (:run, :name, :values)',
        run=run.id,
        name="notice",
        values=json.dumps({"text": text}),
    )
    _write(
        store,
        "UPDATE jobs SET message = :message, progress = :progress WHERE id = :job",
        message=json.dumps(text),
        progress=json.dumps({"stage": text, "done": 1, "total": 2}),
        job=run.job.id,
    )
    job = store.runs.get(run.id).job
    assert job.message == Message(text)
    assert job.progress == Progress(Message(text), 1, 2)
    assert [event for _, event in store.runs.events(run.id)] == [Notice(Message(text))]
    assert str(job.message) == text
