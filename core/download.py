"""The one downloader: a file of known address and checksum, fetched with progress, there whole or not at all."""

import hashlib
from collections.abc import Generator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from core import files
from core.messages import Message

CHUNK = 2**20
"""Bytes between two words about how far it is."""
TIMEOUT = 20.0
"""Seconds of silence after which a connection counts as broken."""
AGENT = "Thaw (a dashboard for transfer learning)"
"""How the downloader introduces itself; some servers refuse Python's own name."""
DIFFERS = Message("what arrived is not the file that was asked for: its checksum differs")


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
    partial = files.partial_name(path)
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
        files.flush(partial)
        files.move_into_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
