"""torchvision's data sets by name: tiny ones in the very form of the real ones, from a server on this machine."""

import gzip
import hashlib
import json
import pickle
import shutil
import socket
import struct
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from core.data.images import decode
from core.data.scan import read_image_folder
from core.data.split import Draw, split
from core.errors import BadData
from core.events import Progress
from core.intake import public_fetch
from core.intake.archive import Incoming, Member, Unreadable
from core.intake.importer import create_dataset
from core.intake.public import PUBLIC_SETS, PublicFile
from core.intake.public_fetch import public_members
from tests.conftest import result_of, serving

PER_CLASS = {"train": 4, "test": 2}
"""Pictures of each class in every tiny set; where there is an official validation split, half of `train` is in it."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without writing a line for each request."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the server."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def address(served: Path) -> Iterator[str]:
    with serving(partial(Quiet, directory=served)) as address:
        yield f"{address}/"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def publish(served: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Put a tiny set into the server's folder and have Thaw look for it there; returns the address."""

    def make(name: str) -> str:
        publish_at(name, served, address, monkeypatch)
        return address

    return make


def publish_at(name: str, served: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a tiny set in the folder `served`, and have its files be looked for at the address."""
    PUBLISHERS[name](served, monkeypatch)
    tiny = tuple(
        replace(file, url=address + file.name, md5=md5((served / file.name).read_bytes()))
        for file in PUBLIC_SETS[name].files
    )
    monkeypatch.setitem(PUBLIC_SETS, name, replace(PUBLIC_SETS[name], files=tiny))


def refused() -> str:
    """The address of a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def jpeg(seed: int) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels(seed, 20, 24, 3)).save(file, "JPEG")
    return file.getvalue()


def tar(path: Path, contents: dict[str, bytes]) -> str:
    """Write a packed tar archive; returns its MD5, as the other makers do."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))
    return md5(path.read_bytes())


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def cifar10(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(CLASSES["CIFAR10"])

    def batch(seed: int, each: int) -> bytes:
        labels = list(range(10)) * each
        content = pickle.dumps({"data": pixels(seed, len(labels), 3072), "labels": labels}, protocol=2)
        # The real ones are of a time when numpy wrote 0 and 1 for False and True.
        return content.replace(b"\x89\x88\x87", b"K\x00K\x01\x87")

    files = {f"data_batch_{number}": batch(number, 1 if number < 5 else 0) for number in range(1, 6)}
    files |= {"test_batch": batch(6, 2), "batches.meta": pickle.dumps({"label_names": names}, protocol=2)}
    lists = [[name, md5(content)] for name, content in files.items()]
    cifar = datasets.CIFAR10
    content = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
    tar(served / cifar.filename, content)
    monkeypatch.setattr(cifar, "train_list", lists[:5])
    monkeypatch.setattr(cifar, "test_list", lists[5:6])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": lists[6][1]})


def fashion_mnist(served: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {}
    for file, each in (("train", 4), ("t10k", 2)):
        labels = bytes(range(10)) * each
        images = pixels(each, len(labels), 28, 28).tobytes()
        contents[f"{file}-images-idx3-ubyte.gz"] = struct.pack(">4i", 0x803, len(labels), 28, 28) + images
        contents[f"{file}-labels-idx1-ubyte.gz"] = struct.pack(">2i", 0x801, len(labels)) + labels
    for name, content in contents.items():
        (served / name).write_bytes(gzip.compress(content))


def flowers102(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    labels = np.repeat([1, 10, 60], 6)
    numbers = np.arange(1, 19)
    splits = {"trnid": numbers[0::3], "valid": numbers[1::3], "tstid": numbers[2::3]}
    savemat(served / "imagelabels.mat", {"labels": labels.astype(np.uint8)})
    savemat(served / "setid.mat", {key: ids.astype(np.uint16) for key, ids in splits.items()})
    images = tar(served / "102flowers.tgz", {f"jpg/image_{number:05}.jpg": jpeg(number) for number in numbers})
    sums = [images] + [md5((served / name).read_bytes()) for name in ("imagelabels.mat", "setid.mat")]
    files = ("102flowers.tgz", "imagelabels.mat", "setid.mat")
    keyed = dict(zip(("image", "label", "setid"), zip(files, sums, strict=True), strict=True))
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", keyed)


def oxford_iiit_pet(served: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{breed}_{number}" for breed in ("Abyssinian", "american_bulldog") for number in range(6)]
    lines = [f"{name} {1 + place // 6} {1 + place // 6} 1" for place, name in enumerate(names)]
    parts = {"trainval": lines[0:4] + lines[6:10], "test": lines[4:6] + lines[10:12]}
    images = {f"images/{name}.jpg": jpeg(place) for place, name in enumerate(names)}
    notes = {f"annotations/{part}.txt": "\n".join(chosen).encode() for part, chosen in parts.items()}
    tar(served / "images.tar.gz", images)
    tar(served / "annotations.tar.gz", notes)


def eurosat(served: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path = served / "EuroSAT.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind in ("AnnualCrop", "Forest", "SeaLake"):
            archive.mkdir(f"2750/{kind}")
            for number in range(1, 7):
                archive.writestr(f"2750/{kind}/{kind}_{number}.jpg", jpeg(number))


def food101(served: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    named = {dish: [f"{dish}/{number}" for number in range(6)] for dish in ("apple_pie", "sushi")}
    train, test = ({dish: names[part] for dish, names in named.items()} for part in (slice(4), slice(4, 6)))
    contents = {f"food-101/images/{name}.jpg": jpeg(i) for names in named.values() for i, name in enumerate(names)}
    contents |= {f"food-101/meta/{n}.json": json.dumps(v).encode() for n, v in (("train", train), ("test", test))}
    tar(served / "food-101.tar.gz", contents)


def dtd(served: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{kind}/{kind}_{number:04}.jpg" for number in range(6) for kind in ("banded", "polka-dotted")]
    contents = {f"dtd/images/{name}": jpeg(place) for place, name in enumerate(names)}
    for place, part in enumerate(("train", "val", "test")):
        contents[f"dtd/labels/{part}1.txt"] = "".join(f"{name}\n" for name in names[4 * place : 4 * place + 4]).encode()
    tar(served / "dtd-r1.0.1.tar.gz", contents)


PUBLISHERS = {
    "CIFAR10": cifar10,
    "FashionMNIST": fashion_mnist,
    "Flowers102": flowers102,
    "OxfordIIITPet": oxford_iiit_pet,
    "EuroSAT": eurosat,
    "Food101": food101,
    "DTD": dtd,
}
CLASSES = {
    "CIFAR10": {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
    "FashionMNIST": {
        *("T-shirt or top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    },
    "Flowers102": {"pink primrose", "globe thistle", "pink-yellow dahlia"},
    "OxfordIIITPet": {"Abyssinian", "American Bulldog"},
    "EuroSAT": {"Annual Crop", "Forest", "Sea Lake"},
    "Food101": {"apple pie", "sushi"},
    "DTD": {"banded", "polka-dotted"},
}


def members(events: list[Progress | Incoming]) -> list[Member]:
    return [event for event in events if isinstance(event, Member)]


def names(*asked: object, **options: int) -> list[str]:
    return [member.name for member in members(list(public_members(*asked, **options)))]  # type: ignore[arg-type]


def left_over(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*.partial")]


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_torchvision_has_every_known_set(name: str) -> None:
    assert issubclass(getattr(datasets, name), datasets.VisionDataset)
    assert PUBLIC_SETS[name].name == name
    assert name in public_fetch._LAYOUTS


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_files_are_those_of_torchvision(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it calls to download, and to unpack beside the download, takes notes only."""
    asked: list[tuple[object, ...]] = []

    def plain(url: str, root: str, filename: str | None = None, md5: str | None = None) -> None:
        asked.append((url, Path(root) / (filename or url.rpartition("/")[2]), md5, False))

    def archive(url: str, download_root: str, filename: str | None = None, md5: str | None = None) -> None:
        asked.append((url, Path(download_root) / (filename or url.rpartition("/")[2]), md5, True))

    make = getattr(datasets, name)
    module = sys.modules[make.__module__]
    monkeypatch.setattr(module, "download_url", plain, raising=False)
    monkeypatch.setattr(module, "download_and_extract_archive", archive)
    with suppress(RuntimeError):  # It says that the files are still not there.
        make(str(cache), **next(iter(public_fetch._LAYOUTS[name].splits.values()))[0], download=True)
    ours = [(file.url, cache / file.folder / file.name, file.md5, file.is_archive) for file in PUBLIC_SETS[name].files]
    assert ours == asked


def test_an_archive_writes_nowhere_else(
    publish: Callable[[str], str], served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one whose checksum is right; limits that people set for their own archives do not matter here."""
    for variable in ("FILES", "FILE_MB", "UNPACKED_MB", "DEPTH", "NAME"):
        monkeypatch.setenv(f"THAW_MAX_{variable}", "1")
    contents = {"../evil": b"x", "../../evil": b"x", str(tmp_path / "evil"): b"x", "dtd/../../evil": b"x"}
    tar(served / "more.tar.gz", contents)
    more = PublicFile("more.tar.gz", md5((served / "more.tar.gz").read_bytes()), "dtd")
    address = publish("DTD")
    known = PUBLIC_SETS["DTD"]
    monkeypatch.setitem(
        PUBLIC_SETS, "DTD", replace(known, files=(replace(more, url=f"{address}more.tar.gz"), *known.files))
    )
    assert len(names("DTD", tmp_path / "deep" / "cache", None)) == 12
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_set_is_downloaded_once_and_gives_its_pictures(
    name: str, publish: Callable[[str], str], served: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    publish(name)
    events = list(public_members(name, cache, None))
    found = members(events)

    parts = {"": 6} if name == "EuroSAT" else PER_CLASS
    expected = {f"{part}/{label}".lstrip("/"): count for part, count in parts.items() for label in CLASSES[name]}
    assert Counter(member.name.rpartition("/")[0] for member in found) == expected
    assert len({member.name for member in found}) == len(found)

    kept = {path.read_bytes() for path in cache.rglob("*.jpg")}
    assert len(kept) > 0 or name in ("CIFAR10", "FashionMNIST")
    for member in found:
        content = member.read()
        assert decode(content, member.name).mode == "RGB"
        assert content in kept if kept else content.startswith(b"\x89PNG")

    shares = [member.share for member in found]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1 / len(found), 1.0)

    loading = [event for event in events if isinstance(event, Progress) and str(event.stage).startswith("Downloading")]
    everything = sum(path.stat().st_size for path in served.iterdir())
    assert {str(event.stage) for event in loading} == {f"Downloading {PUBLIC_SETS[name].title}"}
    assert [event.done for event in loading] == sorted({event.done for event in loading})
    assert (loading[-1].done, loading[-1].total) == (everything, everything)
    assert events.index(found[0]) > max(events.index(event) for event in events if isinstance(event, Progress))

    shutil.rmtree(served)
    again = list(public_members(name, cache, None))
    assert [member.name for member in members(again)] == [member.name for member in found]
    assert len(again) == len(found)
    assert left_over(cache) == []
    assert capfd.readouterr() == ("", "")


def test_the_official_test_is_the_test(publish: Callable[[str], str], cache: Path, tmp_path: Path) -> None:
    """Validation is drawn from the pictures to train on."""
    publish("FashionMNIST")
    arriving = (one for one in public_members("FashionMNIST", cache, None) if not isinstance(one, Progress))
    made = result_of(create_dataset(tmp_path / "library", "Clothes", "", arriving, "a" * 12))
    folder = read_image_folder(made.folder)
    drawn = split(folder, Draw(val_fraction=0.25, seed=0))
    assert folder.val is None
    assert [len(part) for part in (drawn.train, drawn.val, drawn.test)] == [30, 10, 20]


def test_pictures_are_what_was_published(publish: Callable[[str], str], cache: Path) -> None:
    publish("FashionMNIST")
    found = {member.name: member.read() for member in members(list(public_members("FashionMNIST", cache, None)))}
    whole = pixels(2, 20, 28, 28)
    for number in (0, 19):
        label = "T-shirt or top" if number == 0 else "Ankle boot"
        with Image.open(BytesIO(found[f"test/{label}/{number:05}.png"])) as image:
            assert np.array_equal(np.asarray(image), whole[number])


def test_colours_keep_their_order(publish: Callable[[str], str], cache: Path) -> None:
    publish("CIFAR10")
    found = {member.name: member.read() for member in members(list(public_members("CIFAR10", cache, None)))}
    with Image.open(BytesIO(found["test/truck/00019.png"])) as image:
        planes = pixels(6, 20, 3072)[19].reshape(3, 32, 32)
        assert np.array_equal(np.asarray(image), planes.transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["CIFAR10", "DTD", "EuroSAT"])
def test_some_of_each_class_are_drawn(name: str, publish: Callable[[str], str], cache: Path) -> None:
    publish(name)
    whole = names(name, cache, None)
    drawn = names(name, cache, 1, seed=7)
    assert set(Counter(path.rpartition("/")[0] for path in drawn).values()) == {1}
    assert {path.rpartition("/")[0] for path in drawn} == {path.rpartition("/")[0] for path in whole}
    assert [path for path in whole if path in drawn] == drawn
    assert names(name, cache, 1, seed=7) == drawn
    assert any(names(name, cache, 1, seed=seed) != drawn for seed in range(5))
    assert names(name, cache, 1000) == whole


def test_only_pictures_that_are_drawn_are_needed(publish: Callable[[str], str], cache: Path) -> None:
    publish("EuroSAT")
    drawn = members(list(public_members("EuroSAT", cache, 2)))
    files = {member.name.rpartition("/")[2] for member in drawn}
    for path in cache.rglob("*.jpg"):
        if path.name not in files:
            path.write_bytes(b"no picture")
    for member in members(list(public_members("EuroSAT", cache, 2))):
        decode(member.read(), member.name)


def test_a_picture_that_is_gone_is_unreadable(publish: Callable[[str], str], cache: Path) -> None:
    publish("EuroSAT")
    first = members(list(public_members("EuroSAT", cache, None)))[0]
    shutil.rmtree(cache)
    with pytest.raises(Unreadable):
        first.read()


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_given_up_at_any_event_it_is_whole_the_next_time(
    name: str, publish: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(name)
    whole = list(public_members(name, tmp_path / "whole", None))
    monkeypatch.setattr(public_fetch, "CHUNK", 1500)
    monkeypatch.setattr("core.files.CHUNK", 1500)
    steps = [event for event in public_members(name, tmp_path / "counted", None) if isinstance(event, Progress)]
    assert {str(event.stage).split()[0] for event in steps} == {"Downloading", "Unpacking"}
    cache = tmp_path / "cache"
    for step in {0, 1, len(steps) // 2, len(steps) - 2, len(steps) - 1}:
        shutil.rmtree(cache, ignore_errors=True)
        events = public_members(name, cache, None)
        for _ in range(step + 1):
            next(events)
        events.close()  # type: ignore[attr-defined]
        assert left_over(cache) == []
        found = members(list(public_members(name, cache, None)))
        assert [(one.name, one.read()) for one in found] == [(one.name, one.read()) for one in members(whole)]


def test_an_archive_that_is_there_is_only_unpacked(publish: Callable[[str], str], served: Path, cache: Path) -> None:
    publish("EuroSAT")
    events = public_members("EuroSAT", cache, None)
    assert any(str(event.stage) == "Unpacking EuroSAT" for event in events if isinstance(event, Progress))
    events.close()  # type: ignore[attr-defined]
    shutil.rmtree(served)
    stages = {str(event.stage) for event in public_members("EuroSAT", cache, None) if isinstance(event, Progress)}
    assert stages == {"Unpacking EuroSAT"}


def test_a_damaged_batch_is_unpacked_again(publish: Callable[[str], str], served: Path, cache: Path) -> None:
    publish("CIFAR10")
    whole = names("CIFAR10", cache, None)
    batch = cache / "cifar-10-batches-py" / "test_batch"
    batch.write_bytes(batch.read_bytes()[:100])
    shutil.rmtree(served)
    assert names("CIFAR10", cache, None) == whole


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_without_a_network(name: str, served: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to do; doing it helps."""
    publish_at(name, served, refused(), monkeypatch)
    missing = {path.name for path in served.iterdir()}
    while missing:
        with pytest.raises(BadData) as caught:
            list(public_members(name, cache, None))
        sentence = str(caught.value)
        (file,) = (file for file in missing if sentence.find(f"/{file} (") > 0)
        folder = Path(sentence.partition("Copy that file into ")[2].partition(f" as {file} by hand")[0])
        assert PUBLIC_SETS[name].title in sentence
        assert "Connection refused" in sentence
        assert "sample data" in sentence
        assert "of your own" in sentence
        assert folder.is_relative_to(cache)
        assert left_over(cache) == []
        shutil.copy(served / file, folder)
        missing.remove(file)
    assert {path.split("/")[-2] for path in names(name, cache, None)} == CLASSES[name]


@pytest.mark.parametrize("content", [b"another content", None])
def test_another_content_and_none(
    content: bytes | None, publish: Callable[[str], str], served: Path, cache: Path
) -> None:
    address = publish("DTD")
    path = served / "dtd-r1.0.1.tar.gz"
    genuine = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadData) as caught:
        list(public_members("DTD", cache, None))
    assert f"{address}{path.name} ({'HTTP Error 404' if content is None else 'what arrived'}" in str(caught.value)
    assert list(cache.rglob("*.gz*")) == []
    path.write_bytes(genuine)
    assert len(names("DTD", cache, None)) == 12


def test_a_silent_server(cache: Path, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.files.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publish_at("DTD", served, f"http://127.0.0.1:{silent.getsockname()[1]}/", monkeypatch)
        with pytest.raises(BadData, match="timed out"):
            list(public_members("DTD", cache, None))


def test_a_full_disk_is_no_missing_network(publish: Callable[[str], str], cache: Path) -> None:
    """Writing more than is allowed fails in the same way."""
    resource = pytest.importorskip("resource")
    publish("DTD")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            list(public_members("DTD", cache, None))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_over(cache) == []
    assert len(names("DTD", cache, None)) == 12


def test_flowers_say_beforehand_what_package_they_need(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(BadData, match="pip install scipy"):
        next(iter(public_members("Flowers102", cache, None)))
    assert not cache.exists()
