"""Make this folder of images from the handwritten digits that scikit-learn carries (`load_digits`).

    pip install scikit-learn==1.9.1
    python sample_data/digits/make.py

The first 40 images of each digit in the order of the data set; nothing is random.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
PER_DIGIT = 40
INK = 16  # The data set's largest value: a cell of paper that is all ink.
SIDE = 64  # Pixels.


def main() -> None:
    parser = argparse.ArgumentParser(description="Make sample_data/digits from scikit-learn's handwritten digits.")
    parser.add_argument("--out", type=Path, default=HERE, help="where the class folders go (default: this folder)")
    out: Path = parser.parse_args().out
    cells, labels = load_digits(return_X_y=True)
    for digit in range(10):
        folder = out / str(digit)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for index in np.flatnonzero(labels == digit)[:PER_DIGIT]:
            on_paper(cells[index]).save(folder / f"{index:04d}.png", optimize=True)


def on_paper(cells: np.ndarray) -> Image.Image:
    """One digit, its 64 amounts of ink in 0..INK, as dark strokes on white: grey, SIDE × SIDE."""
    # Strokes reach the edge of the 8 × 8 grid; a cell of paper around them survives the centre crop of validation.
    ink = np.pad(cells.reshape(8, 8), 1)
    grey = np.round(255 * (1 - ink / INK)).astype(np.uint8)
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
