"""The folder of a training: what is to be trained, how far it is, and what came of it. All files are whole or not there."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasmith.errors import UsageError
from nasmith.files import write_whole
from nasmith.tasks.imagenet.recipes import Recipe

__all__ = ["Training", "TrainingFolder"]


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be trained.

    Attributes:
        design: 30 numbers from 0 to 6.
        place: Where the images are (`image_sources.open_images`).
        recipe: How.
        seed: Of the weights, the order of the images, and augmentation.
        device: "cpu", "cuda", "auto".
        split_seed: Says which images are held out, and which belong to a part.
        predicts: Sets of which predictions are wanted at the end: "val" for what is held out, "test".
        start: File of weights to begin from (safetensors); empty for random ones.
        checkpoint_seconds: Between checkpoints.
        checkpoint_steps: Steps between checkpoints, besides; 0 for none.
    """

    design: tuple[int, ...]
    place: str
    recipe: Recipe
    seed: int = 0
    device: str = "auto"
    split_seed: int = 0
    predicts: tuple[str, ...] = ("val",)
    start: str = ""
    checkpoint_seconds: float = 300.0
    checkpoint_steps: int = 0

    @property
    def identity(self) -> str:
        """What must be equal for a checkpoint to be of this training."""
        free = ("device", "predicts", "checkpoint_seconds", "checkpoint_steps")
        values = {name: value for name, value in asdict(self).items() if name not in free}
        values["recipe"] = {k: v for k, v in values["recipe"].items() if k not in ("loaders", "cache_mb", "compile")}
        return json.dumps(values, sort_keys=True)


class TrainingFolder:
    """Reads and writes the files of one training.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "train.log"
        self._training, self._progress = path / "training.json", path / "progress.json"
        self._checkpoint, self._result = path / "checkpoint.pt", path / "result.pt"
        self._error = path / "error.json"

    def begin(self, training: Training) -> None:
        """Write down what is to be trained.

        Raises:
            UsageError: The folder holds another training.
        """
        if self._training.is_file() and self.training().identity != training.identity:
            raise UsageError(f"{self.path} holds another training: name another folder, or remove it to begin anew.")
        write_whole(self._training, (json.dumps(asdict(training), indent=2) + "\n").encode())
        self._error.unlink(missing_ok=True)

    def training(self) -> Training:
        """Return what is to be trained.

        Raises:
            UsageError: The folder holds no training.
        """
        try:
            values = json.loads(self._training.read_text(encoding="utf-8"))
            lists = {name: tuple(values[name]) for name in ("design", "predicts")}
            return Training(**{**values, **lists, "recipe": Recipe(**values["recipe"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{self.path} holds no training: {error}.") from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a checkpoint."""
        self._write(self._checkpoint, state)

    def checkpoint(self) -> dict[str, Any] | None:
        """Return the last checkpoint; None where there is none."""
        return self._read(self._checkpoint)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write what came of the training, in place of the checkpoint."""
        self._write(self._result, result)
        self._checkpoint.unlink(missing_ok=True)
        self._progress.unlink(missing_ok=True)

    def result(self) -> dict[str, Any] | None:
        """Return what came of the training; None where it is not finished."""
        return self._read(self._result)

    def fail(self, kind: str, message: str) -> None:
        """Say why the training ended early."""
        write_whole(self._error, json.dumps({"kind": kind, "message": message}).encode())

    def failure(self) -> tuple[str, str] | None:
        """Return the kind and the message of `fail`; None where nothing was said."""
        try:
            said = json.loads(self._error.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return said["kind"], said["message"]

    def report(self, **progress: float) -> None:
        """Say how far it is."""
        write_whole(self._progress, json.dumps(progress).encode())

    def progress(self) -> dict[str, float]:
        """Return what was reported last: steps, done, images_per_second, seconds_left; empty where nothing is known."""
        try:
            found: dict[str, float] = json.loads(self._progress.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def write_text(self, name: str, text: str) -> None:
        """Write a file for people."""
        write_whole(self.path / name, text.encode())

    def _write(self, path: Path, values: Mapping[str, Any]) -> None:
        import torch

        buffer = io.BytesIO()
        torch.save(dict(values), buffer)
        write_whole(path, buffer.getvalue())

    def _read(self, path: Path) -> dict[str, Any] | None:
        import torch

        if not path.is_file():
            return None
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return found
