"""What is known of each picture: its hash, its size, whether it decodes, what it looks like. It is found out once.

A memo, a JSON file, remembers it: one record for each picture, with a stamp of the file that it is about. The hash
alone needs no decoding; the rest of a record is filled in when it is asked for. (Memos of earlier versions, in
THAW_HOME/facts and features/contents-*.json, are not read: what they knew is found out once more.)
"""

import hashlib
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagehash
from filelock import FileLock

from core import files, home
from core.data import datasets
from core.data.images import Rules, as_seen, image_fault, is_animated, open_image, reading_rules
from core.errors import BadImage
from core.events import Progress
from core.messages import Message

AT_ONCE = 50
"""Files that are read between two events."""
HASH_SIDE = 16
"""16 × 16 bits tell handwritten digits apart; imagehash's usual 8 × 8 do not."""


@dataclass(frozen=True)
class PictureInfo:
    """`width` × `height` are pixels as a person sees them. `content` is the SHA-256 of the file in hexadecimal.

    `perceptual_hash` is the difference hash (imagehash.dhash) of HASH_SIDE² bits in hexadecimal: few bits differ
    between pictures that look the same. `animated`: the file holds several pictures, of which the first is used.
    `problem` says why the picture cannot be used; sizes are then 0.
    """

    width: int
    height: int
    content: str
    perceptual_hash: str
    animated: bool
    problem: Message | None


def memo_file(data: Path) -> Path:
    """The file that remembers the pictures of a data set or folder. Raises BadData when its record is damaged.

    Data sets that use the same folder in place share one.
    """
    root = datasets.read_dataset(data).root if datasets.is_dataset(data) else None
    return home.picture_info_file(root or data)


def hashes_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, str]]:
    """SHA-256 of each file, in hexadecimal; `memo` remembers them.

    Raises BadImage for a file that cannot be read, BadSettings, and OSError when `memo` cannot be written.
    """
    records = yield from _complete(paths, memo, False, Message("Reading pictures"))
    return {path: record.content for path, record in records.items()}


def infos_of(paths: Sequence[Path], memo: Path) -> Generator[Progress, None, dict[Path, PictureInfo]]:
    """All that is known of each picture; `memo` remembers it, but not past a change of the limits.

    Raises BadImage for a file that cannot be read, BadSettings, and OSError when `memo` cannot be written.
    """
    records = yield from _complete(paths, memo, True, Message("Looking at every picture"))
    return {path: record.info for path, record in records.items() if record.info}


def picture_info(path: Path, content: str = "") -> PictureInfo:
    """What there is to know of one picture; its hash is computed where `content` does not give it.

    Raises BadImage when the file cannot be read at all, and BadSettings.
    """
    source = _read(path)
    content = content or hashlib.sha256(source).hexdigest()
    try:
        with open_image(source, str(path)) as image:
            image.load()
            seen = as_seen(image)
            perceptual_hash = str(imagehash.dhash(seen, HASH_SIDE))
            return PictureInfo(*seen.size, content, perceptual_hash, is_animated(image), None)
    except BadImage as error:
        return PictureInfo(0, 0, content, "", False, image_fault(error))


def file_hash(path: Path) -> str:
    """SHA-256 of one file, in hexadecimal. Raises BadImage when it cannot be read."""
    return hashlib.sha256(_read(path)).hexdigest()


Stamp = tuple[int, ...]
"""Size in bytes, times of the last change of contents and of anything in nanoseconds, and inode. One of them differs
when a file was changed or exchanged, also when it was given its old date again."""


@dataclass(frozen=True)
class _Record:
    """What is remembered of a file; `content` is empty and `info` None as long as they are not found out."""

    stamp: Stamp
    content: str = ""
    info: PictureInfo | None = None


def _complete(
    paths: Sequence[Path], memo: Path, whole: bool, stage: Message
) -> Generator[Progress, None, dict[Path, _Record]]:
    """A record of each file that has its hash and, if `whole`, the rest; out of `memo`, or found out in threads.

    What was found out is in `memo` also when this ends early.
    """
    rules = reading_rules()
    remembered = _load(memo, rules)
    now = time.time_ns()
    records: dict[Path, _Record] = {}
    for path in dict.fromkeys(paths):
        stamp, known = _stamp(path), remembered.pop(str(path), None)
        records[path] = known if known and known.stamp == stamp else _Record(stamp)
    missing = [path for path, record in records.items() if not (record.info if whole else record.content)]
    completed: dict[Path, _Record] = {}
    try:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            for start in range(0, len(missing), AT_ONCE):
                yield Progress(stage, start, len(missing))
                few = missing[start : start + AT_ONCE]
                find_out = _with_info if whole else _with_hash
                completed |= zip(few, threads.map(find_out, few, [records[path] for path in few]), strict=True)
    finally:
        settled = {str(path): one for path, one in completed.items() if now - one.stamp[1] > files.SETTLED}
        gone = {name for name in remembered if not Path(name).exists()}
        if settled or gone:
            _save(settled, gone, memo, rules)
    return records | completed


def _with_hash(path: Path, record: _Record) -> _Record:
    return replace(record, content=file_hash(path))


def _with_info(path: Path, record: _Record) -> _Record:
    info = picture_info(path, record.content)
    return replace(record, content=info.content, info=info)


def _load(memo: Path, rules: Rules) -> dict[str, _Record]:
    """What is remembered, by path; nothing when `memo` is missing or damaged, for it can be found out again.

    Of files that were read by other rules, the hashes alone.
    """
    try:
        values = files.read_json(memo)
        same = tuple(values["rules"]) == rules
        return {name: _record(row, same) for name, row in values["pictures"].items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def _record(row: list[Any], with_info: bool) -> _Record:
    stamp, content, info = row
    if info is None or not with_info:
        return _Record(tuple(stamp), content)
    problem = info.pop("problem")
    return _Record(tuple(stamp), content, PictureInfo(**info, problem=problem and Message.parse(problem)))


def _save(found: dict[str, _Record], gone: set[str], memo: Path, rules: Rules) -> None:
    """Add what was found out to `memo`, where another process may have written meanwhile, and drop what is gone."""
    memo.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(memo.with_suffix(".lock")):
        records = {name: record for name, record in _load(memo, rules).items() if name not in gone}
        for name, record in found.items():
            known = records.get(name)
            if known is None or known.stamp != record.stamp or not known.info:
                records[name] = record
        rows = {name: [one.stamp, one.content, one.info and _plain(one.info)] for name, one in records.items()}
        files.write_json(memo, {"rules": rules, "pictures": rows})


def _plain(info: PictureInfo) -> dict[str, Any]:
    return vars(info) | {"problem": info.problem and info.problem.to_json()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _unreadable(path: Path, error: OSError) -> BadImage:
    template = "{path} cannot be read ({cause}); put it back, or train without it."
    return BadImage(template, path=path, cause=str(error.strerror))
