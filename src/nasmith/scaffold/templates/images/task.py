"""Images in folders, a folder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image

from nasmith.problems import Classification, Splits

DATA = Path({{ data }})
SIZE = {{ size }}  # images are scaled to SIZE x SIZE pixels
MODE = "{{ mode }}"  # "RGB", or "L" for grey
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}

problem = Classification()


def read(path: Path) -> np.ndarray:
    """Return an image as float32 (channels, SIZE, SIZE) from 0 to 1."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert(MODE).resize((SIZE, SIZE)), dtype=np.float32) / 255
    return pixels.transpose(2, 0, 1) if MODE == "RGB" else pixels[None]


def data() -> Splits:
    """Read all images; classes are numbered in order of their folders' names."""
    paths = [path for path in sorted(DATA.glob("[!.]*/[!.]*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise FileNotFoundError(f"no images in {DATA}: it should hold a folder of images for each class")
    x = np.stack([read(path) for path in paths])
    y = np.unique([path.parent.name for path in paths], return_inverse=True)[1]
    return Splits.random(x, y, val=0.15, test=0.15, seed=0, stratify=True)
