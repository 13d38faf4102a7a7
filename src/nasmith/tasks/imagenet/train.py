"""Trains one network of the mobile space, on one device or on several GPUs; it goes on at any step after a kill.

`python -m nasmith.tasks.imagenet.train FOLDER` does what the folder says (`training_files`). Below `torchrun` each process
takes its part of every batch. All that a step draws depends on the seed and the number of the step alone. On a CPU a training
that was killed and goes on with as many threads is equal to one that was not to the last bit; on a GPU as far as its kernels
are deterministic.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nasmith.errors import NasmithError
from nasmith.tasks.imagenet.augmentation import centre
from nasmith.tasks.imagenet.batch_memory import BatchTooLargeError
from nasmith.tasks.imagenet.image_batches import Images, loader
from nasmith.tasks.imagenet.image_checks import split, subset
from nasmith.tasks.imagenet.image_sources import ImageSets, ImageSource, open_images
from nasmith.tasks.imagenet.process_group import Process, precision_of
from nasmith.tasks.imagenet.recipes import Recipe
from nasmith.tasks.imagenet.trainer import Trainer
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

__all__ = ["main", "parts", "predict", "train"]

_TOLD = 20  # names of unreadable images in the log


def parts(training: Training, sets: ImageSets) -> tuple[np.ndarray, np.ndarray]:
    """Return which images are trained on, and which are held out, as places in the training source."""
    recipe, labels = training.recipe, sets.train.labels
    if recipe.held_out:
        trained, held_out = split(labels, recipe.held_out, training.split_seed, sets.train.classes)
    else:
        trained, held_out = np.arange(len(labels)), np.empty(0, dtype=np.int64)
    return (trained if recipe.data_share == 1 else subset(trained, labels, recipe.data_share, training.split_seed)), held_out


def predict(network: nn.Module, source: ImageSource, places: np.ndarray, recipe: Recipe, process: Process) -> np.ndarray:
    """Return the class that a network names for each image, int16 (n,); -1 for those that cannot be read.

    Args:
        network: On the process's device; it is left in evaluation mode.
        source: Of the images.
        places: Which, as places in the source.
        recipe: Resolution, precision, and how images are loaded.
        process: Takes its part of the work; the answer is whole in every process.
    """
    network.eval()
    own = np.arange(process.rank, len(places), process.world)
    images = Images(source, places, recipe.canvas, 0, shared=recipe.loaders > 0, substitute=False)
    size = max(1, min(256, recipe.batch_size))
    batches = [own[start : start + size].tolist() for start in range(0, len(own), size)]
    context, found = precision_of(recipe, process.device), [np.empty(0, dtype=np.int16)]
    with torch.inference_mode():
        for batch in loader(images, batches, recipe.loaders, pinned=process.device.type == "cuda"):
            x = centre(batch.images.to(process.device), recipe.resolution).contiguous(memory_format=torch.channels_last)
            with context():
                named = network(x).argmax(1).cpu().numpy().astype(np.int16)
            found.append(np.where(batch.labels.numpy() < 0, np.int16(-1), named))
    predictions = np.empty(len(places), dtype=np.int16)
    for rank, part in enumerate(process.gathered(np.concatenate(found))):
        predictions[rank :: process.world] = part
    return predictions


def train(folder: TrainingFolder, say: Callable[[str], None]) -> None:
    """Do the training of a folder, from its last checkpoint on, and write what came of it there.

    Raises:
        UsageError: It cannot be done as it is described.
        ValueError: The loss is not finite.
    """
    training = folder.training()
    if folder.result() is not None:
        return
    process = Process(training.device)
    with process.joined():
        sets = open_images(training.place)
        places, held_out = parts(training, sets)
        trainer = Trainer(training, process, sets.train, places, say if process.rank == 0 else _quiet)
        saved = folder.checkpoint()
        if saved is not None and saved["identity"] == training.identity:
            trainer.restore(saved)
            say(f"goes on after step {trainer.done:,}")
        began = time.monotonic()
        trainer.run(folder)
        recipe = trainer.recipe
        known = {
            "val": (sets.train, held_out),
            "test": (sets.test, np.arange(0 if sets.test is None else len(sets.test.labels))),
        }
        predictions = {
            name: predict(trainer.judged, known[name][0] or sets.train, known[name][1], recipe, process)
            for name in training.predicts
            if len(known[name][1])
        }
        if process.rank:
            return
        names = [sets.train.name(place) for place in sorted(trainer.unreadable)]
        _tell_unreadable(folder, names, say)
        folder.write_text("curve.csv", trainer.curve())
        folder.finish(
            {
                "state": {name: value.detach().cpu().contiguous() for name, value in trainer.judged.state_dict().items()},
                "predictions": {name: torch.from_numpy(value) for name, value in predictions.items()},
                "losses": trainer.losses,
                "facts": {
                    "steps": float(trainer.done),
                    "train_loss": trainer.losses[-1][1],
                    "unreadable_images": float(len(names)),
                    "train_seconds": time.monotonic() - began,
                },
            }
        )


def main(arguments: Sequence[str]) -> int:
    """Train what a folder says; return the exit code."""
    folder = TrainingFolder(Path(arguments[0]))
    try:
        train(folder, lambda line: print(line, flush=True))
    except BatchTooLargeError as error:
        folder.fail("memory", str(error))
        return 3
    except (NasmithError, ValueError) as error:
        folder.fail("usage" if isinstance(error, NasmithError) else "training", str(error))
        print(error, file=sys.stderr, flush=True)
        return 2
    except torch.OutOfMemoryError as error:
        folder.fail("memory", " ".join(str(error).split())[:300])
        return 3
    return 0


def _tell_unreadable(folder: TrainingFolder, names: Sequence[str], say: Callable[[str], None]) -> None:
    if names:
        folder.write_text("unreadable.txt", "\n".join(names) + "\n")
        more = f" and {len(names) - _TOLD} more, see unreadable.txt" if len(names) > _TOLD else ""
        say(f"{len(names)} images could not be read and were left out: {', '.join(names[:_TOLD])}{more}")


def _quiet(line: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
