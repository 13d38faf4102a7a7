"""Finds data sets of images and reads them, each image by its number: folders, WebDataset shards, Hugging Face data sets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nasmith.errors import MissingDependencyError, UsageError
from nasmith.files import cache_folder, write_whole

__all__ = ["FolderImages", "HubImages", "ImageSets", "ImageSource", "ShardImages", "decode", "open_images"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
_TEST = ("val", "validation", "test")
_LABELS = ("label", "labels", "fine_label", "class", "cls")
_HUB = "hf:"
_FORMS = (
    "train/CLASS/*.jpg and val/CLASS/*.jpg; WebDataset shards, train-*.tar and val-*.tar; a data set of Hugging Face "
    "(a folder of save_to_disk or of parquet files, or hf:org/name)"
)


class ImageSource(Protocol):
    """Images with their classes. It travels to other processes; what it opens, it opens there."""

    classes: tuple[str, ...]
    """Names, in the order of the labels."""
    labels: np.ndarray
    """Class of each image, int64 (n,)."""

    def name(self, index: int) -> str:
        """Say which image it is, for people."""

    def read(self, index: int) -> bytes:
        """Return the encoded image."""


@dataclass(frozen=True, slots=True)
class ImageSets:
    """A data set.

    Attributes:
        train: What networks are trained on, and judged by in a search.
        test: What a search never sees; None where there is none.
        form: "folder", "shards" or "datasets".
    """

    train: ImageSource
    test: ImageSource | None
    form: str


def open_images(place: str) -> ImageSets:
    """Return the data set that a folder, or a name such as "hf:org/name", stands for.

    Raises:
        UsageError: There is none, or it is in a form that is not known; the message says which are.
        MissingDependencyError: The package `datasets` is needed.
    """
    if place.startswith(_HUB):
        return _hub_sets(_loaded(place.removeprefix(_HUB)), place)
    root = Path(place).expanduser()
    if not root.is_dir():
        raise UsageError(f"there is no folder {place!r} with images. It must hold {_FORMS}.")
    if (root / "dataset_info.json").is_file() or (root / "dataset_dict.json").is_file():
        return _hub_sets(_from_disk(root), place)
    if shards := _shards(root):
        train, test = (ShardImages(paths) if paths else None for paths in shards)
        assert train is not None
        return ImageSets(train, None if test is None else test.with_classes(train.classes), "shards")
    if any(root.rglob("*.parquet")):
        return _hub_sets(_loaded(str(root)), place)
    return _folder_sets(root, place)


def decode(data: bytes, side: int) -> np.ndarray | None:
    """Return the central square of an image, uint8 (3, side, side); None where it cannot be read.

    The shorter side becomes `side` pixels (bilinear, antialiased). Transparency is laid on white. The orientation that a camera
    noted is ignored, as the usual pipelines for ImageNet do.

    Args:
        data: The encoded image.
        side: Pixels.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (side, side))  # a JPEG is decoded at a half, a quarter, … where that suffices
            image = _rgb(opened)
            scale = side / min(image.size)
            resized = image.resize([max(side, round(scale * each)) for each in image.size], Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError, MemoryError):
        return None
    left, top = ((each - side) // 2 for each in resized.size)
    pixels = np.asarray(resized.crop((left, top, left + side, top + side)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class FolderImages:
    """Images below a folder for each class.

    Args:
        root: The folder of the folders.
        classes: Names of the folders.
    """

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        self.root, self.classes = root, tuple(classes)
        found = [sorted(_images_below(root / name)) for name in self.classes]
        self._paths = [path for paths in found for path in paths]
        self.labels = np.repeat(np.arange(len(found), dtype=np.int64), [len(paths) for paths in found])

    def name(self, index: int) -> str:
        """Say which image it is: "train/cat/12.jpg"."""
        return str(Path(self._paths[index]).relative_to(self.root.parent))

    def path(self, index: int) -> Path:
        """Return where an image lies."""
        return Path(self._paths[index])

    def read(self, index: int) -> bytes:
        """Return the file; nothing where it cannot be read, so that it counts as a broken image."""
        try:
            return Path(self._paths[index]).read_bytes()
        except OSError:
            return b""


class ShardImages:
    """Images in WebDataset shards: tar files whose members share a name up to the first dot.

    Each shard is indexed once (where each image begins, and its label) and then read at any place. The package `webdataset`
    reads shards from the beginning to the end, in an order that a training could not go on in at any step. Indexes are cached.

    Args:
        paths: The shards.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        rows, named = [], []
        for number, path in enumerate(paths):
            for key, offset, size, label in _index(path):
                rows.append((number, offset, size))
                named.append((key, label))
        if not rows:
            raise UsageError(f"the shards in {paths[0].parent} hold no images with a label (cls, or json).")
        self._paths, self._rows, self._keys = tuple(paths), np.array(rows, dtype=np.int64), [key for key, _ in named]
        self.classes, self.labels = _numbered([label for _, label in named])

    def with_classes(self, classes: Sequence[str]) -> ShardImages:
        """Return these images with labels as another set numbers them.

        Raises:
            UsageError: There are other classes.
        """
        numbers = {name: number for number, name in enumerate(classes)}
        if other := sorted(set(self.classes) - numbers.keys()):
            raise UsageError(f"the test shards have classes that the training shards lack: {', '.join(other[:5])}.")
        self.labels = np.array([numbers[self.classes[label]] for label in self.labels], dtype=np.int64)
        self.classes = tuple(classes)
        return self

    def name(self, index: int) -> str:
        """Say which image it is: "train-0003.tar: 000123"."""
        return f"{self._paths[self._rows[index, 0]].name}: {self._keys[index]}"

    def read(self, index: int) -> bytes:
        """Return the encoded image; nothing where its shard cannot be read."""
        number, offset, size = (int(value) for value in self._rows[index])
        try:
            with self._paths[number].open("rb") as shard:
                shard.seek(offset)
                return shard.read(size)
        except OSError:
            return b""


class HubImages:
    """Images of a data set of Hugging Face.

    Args:
        rows: A `datasets.Dataset`.
        place: Where it is from, for people.
    """

    def __init__(self, rows: Any, place: str) -> None:
        from datasets import ClassLabel, Image

        features = rows.features
        image = next((name for name, feature in features.items() if isinstance(feature, Image)), None)
        label = next((name for name, feature in features.items() if isinstance(feature, ClassLabel)), None)
        label = label or next((name for name in _LABELS if name in features), None)
        if image is None or label is None:
            raise UsageError(f"{place} has the columns {', '.join(features)}; an image and a label are needed.")
        values = rows.with_format(None)[label]
        self._image, self._rows = image, rows.select_columns([image]).cast_column(image, Image(decode=False))
        names = getattr(features[label], "names", None)
        if names:
            self.classes, self.labels = tuple(names), np.array(list(values), dtype=np.int64)
        else:
            self.classes, self.labels = _numbered([str(value) for value in values])

    def name(self, index: int) -> str:
        """Say which image it is: "row 17"."""
        return f"row {index}"

    def read(self, index: int) -> bytes:
        """Return the encoded image; nothing where its file is missing."""
        found = self._rows[int(index)][self._image]
        if found["bytes"] is not None:
            return bytes(found["bytes"])
        try:
            return Path(found["path"]).read_bytes()
        except (OSError, TypeError):
            return b""


def _rgb(image: Any) -> Any:
    """Return an image in red, green and blue."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        span = 65535.0 if image.mode != "F" or values.max() > 255 else 255.0
        return Image.fromarray((values / span * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _folder_sets(root: Path, place: str) -> ImageSets:
    train, test = root / "train", next((root / name for name in _TEST if (root / name).is_dir()), None)
    if not train.is_dir():
        train, test = root, None
    classes = _class_folders(train)
    if not classes or not any(True for name in classes for _ in _images_below(train / name)):
        raise UsageError(f"{place} holds no images that are known as a data set. It must hold {_FORMS}.")
    if test is None:
        return ImageSets(FolderImages(train, classes), None, "folder")
    others = _class_folders(test)
    for one, other, lacks in ((others, classes, train), (classes, others, test)):
        if missing := sorted(set(one) - set(other)):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise UsageError(f"{lacks} lacks the classes {', '.join(missing[:5])}{more}, which the other folder has.")
    return ImageSets(FolderImages(train, classes), FolderImages(test, classes), "folder")


def _class_folders(root: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def _images_below(folder: Path) -> Iterator[str]:
    """Yield the paths of images, without a look at each file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(_SUFFIXES):
                yield entry.path
            elif "." not in entry.name and entry.is_dir():
                yield from _images_below(Path(entry.path))


def _shards(root: Path) -> tuple[list[Path], list[Path]] | None:
    """Return the training and the test shards of a folder; None where it holds no shards."""
    here, below = sorted(root.glob("*.tar")), sorted((root / "train").glob("*.tar"))
    if below:
        test = next((found for name in _TEST if (found := sorted((root / name).glob("*.tar")))), [])
        return below, test
    if not here:
        return None
    test = [path for path in here if any(word in path.stem.lower().split("-") for word in _TEST) or path.stem.startswith(_TEST)]
    train = [path for path in here if path not in test]
    if not train:
        raise UsageError(f"{root} holds test shards alone: training shards are named train-*.tar.")
    return train, test


def _index(path: Path) -> list[tuple[str, int, int, str]]:
    """Return key, offset, size and label of each image in a shard, from the cache where it is known.

    Raises:
        UsageError: It is no whole tar file.
    """
    stat = path.stat()
    digest = hashlib.sha256(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:32]
    cached = cache_folder() / "shards" / f"{digest}.json"
    if cached.is_file():
        return [tuple(row) for row in json.loads(cached.read_text(encoding="utf-8"))]
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key, suffix = f"{folder}/{stem}".lstrip("/"), suffix.lower()
                if f".{suffix}" in _SUFFIXES:
                    images[key] = (member.offset_data, member.size)
                elif suffix in ("cls", "json"):
                    content = shard.extractfile(member)
                    label = _label(b"" if content is None else content.read(), suffix)
                    if label:
                        labels[key] = label
        if stat.st_size < 1024 or not images:
            raise tarfile.ReadError("no images")
    except (tarfile.TarError, OSError, ValueError) as error:
        raise UsageError(f"the shard {path} is no whole tar file of images: {error}.") from error
    rows = [(key, *images[key], labels[key]) for key in sorted(images) if key in labels]
    write_whole(cached, json.dumps(rows).encode())
    return rows


def _label(content: bytes, suffix: str) -> str:
    text = content.decode("utf-8").strip()
    if suffix == "cls":
        return text
    values = json.loads(text)
    return next((str(values[name]) for name in _LABELS if name in values), "") if isinstance(values, dict) else str(values)


def _numbered(words: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the classes, numbers in their order, and the label of each word."""
    classes = sorted(set(words), key=lambda word: (0, int(word), "") if word.isdigit() else (1, 0, word))
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(classes), np.array([numbers[word] for word in words], dtype=np.int64)


def _hub_sets(found: Any, place: str) -> ImageSets:
    """Return the sets of a `datasets.Dataset`, or of a dictionary of them."""
    parts = dict(found) if hasattr(found, "keys") else {"train": found}
    if "train" not in parts:
        raise UsageError(f"{place} has the parts {', '.join(parts)}; one called train is needed.")
    test = next((parts[name] for name in _TEST if name in parts), None)
    train = HubImages(parts["train"], place)
    tested = None if test is None else HubImages(test, place)
    if tested is not None and tested.classes != train.classes:
        raise UsageError(f"{place}: its training and its test part have other classes.")
    return ImageSets(train, tested, "datasets")


def _loaded(name: str) -> Any:
    """Load a data set by its name, "org/name" or "org/name:configuration", or from a folder."""
    datasets = _datasets()
    path, _, configuration = (name, "", "") if Path(name).is_dir() else name.partition(":")
    try:
        return datasets.load_dataset(path, configuration or None)
    except Exception as error:
        raise UsageError(f"the data set {name!r} cannot be loaded: {' '.join(str(error).split())[:300]}") from error


def _from_disk(root: Path) -> Any:
    try:
        return _datasets().load_from_disk(str(root))
    except (OSError, ValueError) as error:
        raise UsageError(f"{root} is no whole data set of save_to_disk: {error}") from error


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError('the package datasets is not installed: pip install "nasmith[imagenet]"') from error
    datasets.disable_progress_bars()
    return datasets
