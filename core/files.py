"""The one way to write a file or to download it: aside, flushed to the disk, then moved into place. Also JSON, folders.

Readers get the old file or the new one, whole, also after a power cut. A half file never stays: it is removed on any
error, and each writer's half file has a name of its own.
"""

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from core.messages import Message

PARTIAL = ".partial"
"""How the names of half files end."""
PATIENCE = 1.0 if os.name == "nt" else 0.0
"""Seconds to wait for somebody who has the old file open. Only Windows refuses to replace an open file."""
SETTLED = 2 * 10**9
"""Nanoseconds after a change before a time stamp is relied on: clocks of file systems tick as slowly as that."""
CHUNK = 2**20
"""Bytes between two words about how far a download is."""
TIMEOUT = 20.0
"""Seconds of silence after which a connection counts as broken."""
AGENT = "Thaw (a dashboard for transfer learning)"
"""How the downloader introduces itself; some servers refuse Python's own name."""
DIFFERS = Message("what arrived is not the file that was asked for: its checksum differs")

Result = TypeVar("Result")


def write_aside(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` make the file under another name; put it in the place of `path` once it is on the disk.

    The folder is made where it is not there. Raises what `write` raises, and OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)
    try:
        write(partial)
        flush(partial)
        move_into_place(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def share(source: Path, path: Path) -> None:
    """Give a file a second name, so that it lies on the disk once; a copy where the file system knows no such names.

    Neither name may be written to afterwards, only replaced. Raises OSError.
    """

    def write(partial: Path) -> None:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)

    write_aside(path, write)


def partial_name(path: Path) -> Path:
    """A name for the half file of `path`, beside it; no other writer has the same."""
    return path.with_name(f"{path.name}.{secrets.token_hex(6)}{PARTIAL}")


def move_into_place(made: Path, path: Path) -> None:
    """Move a whole file or folder to `path`, in the place of an old file. Raises OSError."""
    _patiently(lambda: made.replace(path))
    if os.name == "posix":  # Windows offers no way to flush a folder.
        flush(path.parent)


def flush(path: Path) -> None:
    """Have the operating system put a file's contents, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError."""

    def write(partial: Path) -> None:
        partial.write_bytes(content)

    write_aside(path, write)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text, whole or not at all. Raises OSError."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: Any) -> None:
    """Write plain values as JSON, whole or not at all. Raises OSError."""
    write_text(path, json.dumps(values))


def read_json(path: Path) -> Any:
    """The plain values in a JSON file. Raises OSError when it cannot be read, ValueError when it is not JSON."""
    return json.loads(_patiently(path.read_bytes))


SAME_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can name: so an archive is the same whenever it is made of the same."""
INCOMPRESSIBLE = (".safetensors", ".onnx", ".pt")


def write_zip(path: Path, contents: Mapping[str, str | bytes | Path]) -> None:
    """An archive of texts, bytes and files, by their names in it, whole or not at all."""

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w") as archive:
            for name, content in contents.items():
                about = zipfile.ZipInfo(name, SAME_DATE)
                is_small = not name.endswith(INCOMPRESSIBLE)
                about.compress_type = zipfile.ZIP_DEFLATED if is_small else zipfile.ZIP_STORED
                about.external_attr = 0o644 << 16
                archive.writestr(about, content.read_bytes() if isinstance(content, Path) else content)

    write_aside(path, write)


def remove_folder(path: Path) -> bool:
    """Delete a folder: it is renamed first, so that nobody meets a half of it. Whether it is gone.

    On Windows a folder with an open file in it can be neither renamed nor deleted; it then stays whole.
    """
    doomed = partial_name(path)
    try:
        _patiently(lambda: path.replace(doomed))
    except OSError:
        return not path.exists()
    shutil.rmtree(doomed, ignore_errors=True)
    return True


def drop_unshared(folder: Path, older_than: float) -> None:
    """Delete the files in `folder` that have no second name (`share`) and were not used for `older_than` seconds."""
    for path in folder.glob("*"):
        with suppress(OSError):  # Whoever uses it now is faster.
            known = path.stat()
            if known.st_nlink == 1 and time.time() - known.st_mtime > older_than:
                path.unlink()


def sweep(folder: Path, older_than: float) -> None:
    """Delete half files and half folders in `folder` that were last written more than `older_than` seconds ago."""
    for path in folder.glob(f"*{PARTIAL}"):
        try:
            if time.time() - path.stat().st_mtime <= older_than:
                continue
        except OSError:  # Its own writer was faster.
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class DownloadFailed(Exception):
    """A file that cannot be had now; `reason` says why, and the caller makes a sentence of it."""

    def __init__(self, reason: Message) -> None:
        self.reason = reason
        super().__init__(str(reason))


def download(url: str, path: Path, checksum: str | None, size: int = 0) -> Generator[tuple[int, int], None, None]:
    """Fetch `url` into `path`; yields (bytes done, bytes in all) on the way. `size` counts where the server says none.

    `checksum` is "md5:HEX" or "sha256:HEX", in which HEX may be the beginning only; None where nobody knows it.
    Raises DownloadFailed when the server cannot be reached or sends something else, OSError when `path` cannot be
    written.
    """
    kind, _, expected = (checksum or "sha256:").partition(":")
    digest = hashlib.new(kind, usedforsecurity=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)
    done = 0
    try:
        with partial.open("xb") as file, closing(_chunks(url, size)) as chunks:
            for chunk, total in chunks:
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                yield done, max(done, total)
        if not digest.hexdigest().startswith(expected):
            raise DownloadFailed(DIFFERS)
        flush(partial)
        move_into_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _patiently(act: Callable[[], Result]) -> Result:
    """What `act` gives; on Windows again for PATIENCE seconds, while somebody has the file open."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except PermissionError:
            if time.monotonic() >= give_up:
                raise
            threading.Event().wait(0.02)


def _chunks(url: str, size: int) -> Generator[tuple[bytes, int], None, None]:
    """What the server sends, with the size of the whole."""
    try:
        with urlopen(Request(url, headers={"User-Agent": AGENT}), timeout=TIMEOUT) as response:
            total = int(response.headers["Content-Length"] or size)
            while chunk := response.read(CHUNK):
                yield chunk, total
            if response.length:  # So many bytes were announced and did not come.
                raise HTTPException("the connection ended too early")
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # It is an answer too, and would keep the connection open.
        raise DownloadFailed(Message(str(error.reason if type(error) is URLError else error))) from error
