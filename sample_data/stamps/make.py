"""Make this folder of photos from the Debian package `tuxpaint-stamps-default`.

    apt-get download tuxpaint-stamps-default
    python sample_data/stamps/make.py tuxpaint-stamps-default_2022.06.04-1_all.deb

The argument may also be the unpacked folder (`…/usr/share/tuxpaint/stamps`). A .deb needs `dpkg-deb`, the rest needs
Pillow. The same source gives the same pixels; the same bytes only with the same release of Pillow.
"""

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
CLASSES = {
    "birds": "animals/birds",
    "mammals": "animals/mammals",
    "flowers": "plants/flowers",
    "fruit": "food/fruit",
    "vegetables": "food/vegetables",
}
NOT_PHOTOS = frozenset({"cartoon", "toys", "plastic"})  # Folders of the package.
DRAWINGS = frozenset({"dog", "echidna", "hedgehog"})
BAD_CUT_OUTS = frozenset({"albino_peahen", "tamarin_emperor"})  # Bleached out; see-through.
GFDL_ONLY = frozenset(
    {"apricot", "Apricot_whole", "Cherry_Stella", "helmeted_guineafowl", "otter", "Strawberry2"}
)  # By the credits of the source package; see README.md.
LEFT_OUT = DRAWINGS | BAD_CUT_OUTS | GFDL_ONLY

SIDE = 256  # Pixels of the square canvas.
MARGIN = 8  # Pixels of white at least, on each side.
VISIBLE = 16  # Alpha (0-255) below which a pixel counts as background when the subject is framed.
QUALITY = 88


def main() -> None:
    parser = argparse.ArgumentParser(description="Make sample_data/stamps from Debian's tuxpaint-stamps-default.")
    parser.add_argument("source", type=Path, help="the .deb, or the unpacked folder of stamps")
    parser.add_argument("--out", type=Path, default=HERE, help="where the class folders go (default: this folder)")
    options = parser.parse_args()
    with unpacked(options.source) as stamps:
        for name, folder in CLASSES.items():
            shutil.rmtree(options.out / name, ignore_errors=True)
            (options.out / name).mkdir(parents=True)
            for stamp in photos(stamps / folder):
                target = options.out / name / f"{stamp.stem.lower().replace('-', '_')}.jpg"
                on_white(stamp).save(target, quality=QUALITY, subsampling=0, optimize=True)


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """The folder of stamps in `source`, unpacked to a temporary place if `source` is a package."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["dpkg-deb", "-x", source, scratch], check=True)
        yield Path(scratch, "usr/share/tuxpaint/stamps")


def photos(folder: Path) -> list[Path]:
    """The PNG stamps below `folder` that are sound photographs and free to ship. (Every SVG stamp is a drawing.)"""
    pngs = (path for path in folder.rglob("*.png") if NOT_PHOTOS.isdisjoint(path.relative_to(folder).parts))
    return sorted(path for path in pngs if path.stem not in LEFT_OUT)


def on_white(path: Path) -> Image.Image:
    """The subject of one stamp, scaled to fit and centred on a white square: RGB, SIDE × SIDE."""
    stamp = Image.open(path).convert("RGBA")
    subject = stamp.crop(stamp.getchannel("A").point(lambda alpha: 255 * (alpha >= VISIBLE)).getbbox())
    scale = (SIDE - 2 * MARGIN) / max(subject.size)
    width, height = (max(1, round(side * scale)) for side in subject.size)
    scaled = subject.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (SIDE, SIDE), "white")
    canvas.alpha_composite(scaled, ((SIDE - width) // 2, (SIDE - height) // 2))
    return canvas.convert("RGB")


if __name__ == "__main__":
    main()
