"""Every exception becomes a sentence that says what to do, and none is taken for another."""

import errno
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import torch
from safetensors import SafetensorError

from core import errors
from core.errors import (
    DISK_FULL,
    OUT_OF_MEMORY,
    UNSUPPORTED_CARD,
    BadData,
    BadRecipe,
    BadSettings,
    Fault,
    JobFailed,
    StoreUnavailable,
    ThawError,
    explain,
)
from core.messages import Message


def _raised(*chain: BaseException, link: str) -> BaseException:
    """The first exception, with the second behind it, and so on."""
    for before, after in itertools.pairwise(chain):
        setattr(before, link, after)
    return chain[0]


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.ENOSPC, "No space left on device", "/home/me/out of memory"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    sqlite3.OperationalError("database or disk is full"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    RuntimeError("unable to write to file </torch_12_34>: No space left on device (28)"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    SafetensorError("Error while serializing: I/O error: Disk quota exceeded (os error 122)"),
]
NO_MEMORY = [
    MemoryError(),
    MemoryError("std::bad_alloc"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.13 GB, other allocations: 1.20 MB)"),
    RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 8000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000000 bytes."),
    RuntimeError("unable to mmap 800 bytes from file </torch_12>: Cannot allocate memory (12)"),
    RuntimeError("std::bad_alloc"),
]
TOO_OLD = [
    RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be"),
    torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device"),
]
KNOWN = [(error, told) for told, those in ((DISK_FULL, FULL), (OUT_OF_MEMORY, NO_MEMORY)) for error in those]
KNOWN += [(error, UNSUPPORTED_CARD) for error in TOO_OLD]


@pytest.mark.parametrize(("error", "told"), KNOWN, ids=repr)
def test_what_every_machine_meets_has_a_sentence_of_its_own(error: BaseException, told: Message) -> None:
    assert explain(error) == told


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
@pytest.mark.parametrize(("error", "told"), KNOWN, ids=repr)
def test_the_exception_behind_another_one_tells(error: BaseException, told: Message, link: str) -> None:
    assert explain(_raised(KeyError("x"), error, link=link)) == told
    assert explain(_raised(KeyError("x"), ValueError("y"), error, link=link)) == told


def test_a_cause_does_not_hide_the_context() -> None:
    error = _raised(RuntimeError("saving failed"), ValueError("x"), link="__cause__")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert explain(error) == DISK_FULL


def test_exceptions_behind_each_other_in_a_circle_end() -> None:
    first, second = KeyError("a"), KeyError("b")
    _raised(first, second, first, link="__context__")
    assert str(explain(first)) == "Something unexpected ended this (KeyError: 'a'). The details are kept in the log."


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_of_the_machine_itself() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_text("x")
    assert explain(caught.value) == DISK_FULL


def test_a_full_database_of_the_machine_itself() -> None:
    with sa.create_engine("sqlite://").connect() as connection:
        connection.execute(sa.text("PRAGMA max_page_count = 2"))
        connection.execute(sa.text("CREATE TABLE t (x)"))
        with pytest.raises(sa.exc.OperationalError) as caught:
            connection.execute(sa.text("INSERT INTO t VALUES (zeroblob(100000))"))
    assert explain(caught.value) == DISK_FULL


def test_memory_that_torch_does_not_get() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert explain(caught.value) == OUT_OF_MEMORY


@pytest.mark.parametrize(
    "make",
    [
        lambda words: KeyError(words),
        lambda words: ValueError(f"{words}/a.png"),
        lambda words: RuntimeError(f"Parent directory /home/{words} does not exist."),
        lambda words: sqlite3.OperationalError(f'no such table: "{words}"'),
        lambda words: FileNotFoundError(errno.ENOENT, "No such file or directory", f"/home/{words}"),
        lambda words: PermissionError(errno.EACCES, "Permission denied", words),
        lambda words: OSError(f"cannot identify image file '{words}'"),
        lambda words: BadData("{folder} is empty.", folder=words),
        lambda words: _raised(KeyError("x"), BadData("{folder} is empty.", folder=words), link="__context__"),
    ],
)
@pytest.mark.parametrize(
    "words", ["out of memory", "no space left", "unexpected pos", "database or disk is full", "no kernel image"]
)
def test_a_name_with_such_words_means_nothing(make: Callable[[str], BaseException], words: str) -> None:
    assert explain(make(words)) not in (OUT_OF_MEMORY, DISK_FULL, UNSUPPORTED_CARD)


def test_our_own_errors_say_it_themselves() -> None:
    error = BadData("{folder} is empty.", folder="cats")
    assert explain(error) is error.message
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert explain(error) is error.message
    assert explain(JobFailed(DISK_FULL)) == DISK_FULL


def test_an_error_is_made_from_a_message_or_from_its_parts() -> None:
    message = Message("{count} file", "{count} files", count=2)
    assert str(BadData(message)) == str(BadData("{count} file", "{count} files", count=2)) == "2 files"
    assert BadData(message).message == BadData("{count} file", "{count} files", count=2).message == message


def test_a_file_that_cannot_be_used_is_named() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/data/{cats}/a.png")
    told = explain(error)
    assert str(told) == "/data/{cats}/a.png cannot be used (Permission denied). Mend that, and try again."
    assert dict(told.values) == {"file": "/data/{cats}/a.png", "cause": "Permission denied"}
    assert str(explain(OSError(0, "", b"x"))).startswith("b'x' cannot be used (")


@pytest.mark.parametrize(
    ("error", "inside"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (OSError("broken {pipe}"), "OSError: broken {pipe}"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
    ],
)
def test_what_is_not_known_is_unexpected(error: BaseException, inside: str) -> None:
    assert str(explain(error)) == f"Something unexpected ended this ({inside}). The details are kept in the log."


def _drawn() -> list[tuple[str, str]]:
    """Name and parent of every error in the drawing, from the top down."""
    path: list[str] = []
    found: list[tuple[str, str]] = []
    drawing = [line for line in (errors.__doc__ or "").splitlines() if "──" in line or line.strip() == "ThawError"]
    for line in drawing:
        depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
        del path[depth:]
        name = line.lstrip(" │├└─").split()[0]
        found.append((name, path[-1] if path else "Exception"))
        path.append(name)
    return found


def _subclasses(kind: type) -> set[type]:
    return {kind}.union(*(_subclasses(one) for one in kind.__subclasses__()))


def test_the_drawing_has_every_error_in_its_place() -> None:
    shown = _drawn()
    public = {kind for kind in _subclasses(ThawError) if not kind.__name__.startswith("_")}
    assert len(shown) == len(dict(shown))
    assert dict(shown).keys() == {kind.__name__ for kind in public}
    assert {kind.__module__ for kind in public} == {errors.__name__}
    for name, parent in shown:
        above = [one.__name__ for one in getattr(errors, name).__mro__[1:] if not one.__name__.startswith("_")]
        assert above[0] == parent


def test_the_drawing_can_be_read() -> None:
    assert ("StoreBusy", StoreUnavailable.__name__) in _drawn()


@pytest.mark.parametrize("kind", [BadRecipe, BadSettings])
def test_every_fault_is_in_the_message(kind: type[BadRecipe] | type[BadSettings]) -> None:
    advice = Message("must be a whole number from {least} to {most:,}", least=1, most=5000)
    faults = [Fault("epochs", "{many}", advice), Fault("data", None, Message("must be a {folder}"))]
    error = kind(faults)
    assert error.faults == tuple(faults)
    assert str(error) == ("epochs = '{many}': must be a whole number from 1 to 5,000\ndata = None: must be a {folder}")
    assert explain(error) is error.message
    assert error.message == Message("{faults:lines}", faults=[fault.message() for fault in faults])
    assert [str(fault) for fault in faults] == str(error).splitlines()


def test_many_faults_are_all_told() -> None:
    faults = [Fault(f"field{number}", number, Message("wrong")) for number in range(300)]
    assert str(BadRecipe(faults)).splitlines() == [f"field{n} = {n}: wrong" for n in range(300)]
