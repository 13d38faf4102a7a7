"""The trusted side of the ImageNet mobile space: ranges, data, and accuracies by labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError, MissingDependencyError, UsageError
from nasmith.protocols import Data
from nasmith.space import Space
from nasmith.tasks.imagenet.delivery import accuracy, predictor, program
from nasmith.tasks.imagenet.imagenet_workload import ImageNetWorkload
from nasmith.tasks.imagenet.ranges import FLOPS, LATENCY, Range
from nasmith.tasks.imagenet.recipes import Recipe, recipe
from nasmith.tasks.imagenet.training_files import Training
from nasmith.types import Description, Objective, Outcome, Purpose

if TYPE_CHECKING:
    import numpy as np

    from nasmith.tasks.imagenet.image_sources import ImageSets

__all__ = ["ImageNetMobile"]

_TITLE = "A mobile network that classifies images"
_STATEMENT = """\
The network classifies images of {classes} classes, {resolution}x{resolution} pixels in training. A 3x3 convolution with 16 \
channels and stride 2 and a depthwise separable convolution come first, then five stages of six layers, of which each is to \
be chosen; 0 leaves a layer out, so that a stage may be shallower. At the end come a 1x1 convolution with 320 channels, \
pooling, a linear layer with 1280 outputs and one with {classes}. Stages 1, 2, 3 and 5 halve the image in their first layer. \
All blocks have squeeze-excite and hard-swish.

Millions of FLOPs (multiply-adds for one image of 224x224 pixels) of the choices 0 to 6 of a layer:
{table}
All other layers together have {fixed:.1f}."""


class ImageNetMobile:
    """30 layers of a mobile network, trained on your images within a range of FLOPs (GENIUS, arXiv 2304.10970).

    A search judges a network by images that it holds out of the training set, and a verification by the test set, which is the
    folder "val" of ImageNet. Designs that are the same network count as one. The preset "search" is the paper's; "proxy" is for
    small budgets, "tiny" for a few hundred small images. See docs/imagenet.md.

    Args:
        folder: Where the images are: a folder with train/<class>/… and val/<class>/…, WebDataset shards, a data set of Hugging
            Face saved to disk, or its name, "hf:org/name".
        flops: Millions of multiply-adds that a network may have at 224 pixels: "270..330", "..330" or "270..".
        latency: Milliseconds for one image on the device that trains: "..8". With it, flops may be "any".
        preset: The recipe: search, proxy, tiny, retrain, transfer.
        epochs: Passes over the training images. This and what follows is as the preset says where it is left out.
        resolution: Pixels a side.
        batch_size: Images of a step.
        learning_rate: For this batch size; by default in proportion to it.
        data_share: Share of the training images that is used.
        held_out: Share of the training images that networks are judged by.
        accumulate: Parts into which a batch is cut to save memory.
        precision: "bf16", "fp32" or "auto".
        compile: Whether `torch.compile` compiles the network.
        loaders: Processes of each GPU that decode images.
        cache_mb: Decoded images are kept in memory if they take at most so much.
        device: "cuda", "cpu", "auto".
        gpus: Processes that share each batch, one GPU each (`torchrun`).
        checkpoint_seconds: Between checkpoints of a training.
        checkpoint_steps: Steps between checkpoints, besides; 0 for none.
    """

    name = "imagenet-mobile"
    resumable = True
    defaults: Mapping[str, Any] = {
        "strategy": "genius",
        "executor": "inline",
        "verify": {"best": 1, "front": 0, "seeds": 1},
    }

    def __init__(
        self,
        *,
        folder: str | None = None,
        flops: str = "270..330",
        latency: str | None = None,
        preset: str = "search",
        epochs: int | None = None,
        resolution: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        data_share: float | None = None,
        held_out: float | None = None,
        accumulate: int | None = None,
        precision: str | None = None,
        compile: bool | None = None,
        loaders: int | None = None,
        cache_mb: float | None = None,
        device: str = "auto",
        gpus: int = 1,
        checkpoint_seconds: float = 300.0,
        checkpoint_steps: int = 0,
    ) -> None:
        self.folder, self.flops, self.latency, self.preset = folder, flops, latency, preset
        self.epochs, self.resolution, self.batch_size, self.learning_rate = epochs, resolution, batch_size, learning_rate
        self.data_share, self.held_out, self.accumulate, self.precision = data_share, held_out, accumulate, precision
        self.compile, self.loaders, self.cache_mb = compile, loaders, cache_mb
        self.device, self.gpus = device, gpus
        self.checkpoint_seconds, self.checkpoint_steps = checkpoint_seconds, checkpoint_steps
        self._flops = None if flops == "any" else Range.parse(FLOPS, flops)
        self._latency = None if latency is None else Range.parse(LATENCY, latency)
        if gpus < 1 or checkpoint_seconds <= 0 or checkpoint_steps < 0:
            raise ConfigError("gpus must be at least 1, checkpoint_seconds above 0, checkpoint_steps at least 0.")
        changes = {
            "epochs": epochs,
            "resolution": resolution,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "data_share": data_share,
            "held_out": held_out,
            "accumulate": accumulate,
            "precision": precision,
            "compile": compile,
            "loaders": loaders,
            "cache_mb": cache_mb,
        }
        self._recipe: Recipe = recipe(preset, changes)
        if not self._recipe.held_out:
            raise ConfigError("a search judges networks by images that are held out: held_out must be above 0.")

    @property
    def objectives(self) -> Sequence[Objective]:
        """Accuracy first; then what is held to a range."""
        second = "flops" if self._latency is None else "latency_ms"
        return (Objective("val_accuracy", "maximize", "%"), Objective(second, "minimize", log=True))

    @cached_property
    def space(self) -> Space:
        """The space, with the range of FLOPs."""
        from nasmith.tasks.imagenet.mobile_space import mobile

        space = mobile(classes=self._classes)
        limits = () if self._flops is None else (("flops", *self._flops.limits),)
        return replace(space, limits=limits, stated=("flops",))

    def check(self) -> None:
        """Find the images, and see whether they can be trained on and judged by.

        Raises:
            UsageError: They cannot.
            MissingDependencyError: What trains is not installed.
        """
        from nasmith.tasks.imagenet.image_checks import check_classes, check_overlap
        from nasmith.tasks.imagenet.train import parts

        self._check_range()
        if find_spec("kornia") is None:
            raise MissingDependencyError('Kornia is not installed: pip install "nasmith[imagenet]"')
        check_classes(self._sets)
        check_overlap(self._sets)
        trained, _ = parts(self._training, self._sets)
        self._recipe.fitted(len(trained), self.gpus)

    def describe(self) -> Description:
        """What prompts and people need to know."""
        from nasmith.tasks.imagenet.mobile_space import table

        classes = self._classes
        sizes = table(classes=classes)
        lines = []
        for stage in range(5):
            for row, words in ((6 * stage, "layer 1"), (6 * stage + 1, "layers 2 to 6")):
                numbers = ", ".join(f"{value / 1e6:.1f}" for value in sizes.flops[row])
                lines.append(f"- stage {stage + 1}, {words}: {numbers}")
        statement = _STATEMENT.format(
            classes=classes, resolution=self._recipe.resolution, table="\n".join(lines), fixed=sizes.fixed[1] / 1e6
        )
        ranges = [each.words() for each in (self._flops, self._latency) if each is not None]
        if ranges:
            statement += f" A network must have {' and '.join(ranges)}."
        return Description(_TITLE, "a design", statement=statement)

    def notes(self) -> Sequence[str]:
        """Say what is trained on, and how long."""
        from nasmith.tasks.imagenet.train import parts

        trained, held_out = parts(self._training, self._sets)
        fitted, classes = self._recipe.fitted(len(trained)), len(self._sets.train.classes)
        steps = fitted.epochs * fitted.steps_per_epoch(len(trained))
        test = "no test set" if self._sets.test is None else f"{len(self._sets.test.labels):,} test images"
        each = f"{fitted.epochs} epochs at {fitted.resolution} pixels, {steps:,} steps of {fitted.batch_size:,} images"
        return [
            f"{len(trained):,} images to train on, {len(held_out):,} to judge by, {classes:,} classes, {test}.",
            f"Each network is trained for {each}.",
        ]

    def fingerprint(self) -> str:
        """Change with the images: their names and classes."""
        digest = hashlib.sha256()
        for source in (self._sets.train, self._sets.test):
            if source is not None:
                digest.update("\n".join(source.classes).encode())
                digest.update(source.labels.tobytes())
                for place in range(0, len(source.labels), max(1, len(source.labels) // 1000)):
                    digest.update(source.name(place).encode())
        return digest.hexdigest()[:32]

    def seeds(self) -> Mapping[str, str]:
        """None are needed."""
        return {}

    def workload(self) -> ImageNetWorkload:
        """What trains designs."""
        return ImageNetWorkload(self.space, self._training, self.gpus, self._flops, self._latency, self._classes)

    def data(self) -> Data:
        """Which images are predicted, as places in their source; the images stay on the disk.

        Raises:
            UsageError: There are none.
        """
        import numpy as np

        from nasmith.tasks.imagenet.train import parts

        _, held_out = parts(self._training, self._sets)
        found: dict[str, Mapping[str, Any]] = {"train": {}, "val": {"places": held_out}}
        if self._sets.test is not None:
            found["test"] = {"places": np.arange(len(self._sets.test.labels))}
        return found

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Compare predictions with labels; images that cannot be read do not count.

        Returns:
            val_accuracy: Of the images that were held out, in percent.
            test_accuracy: For "verify", of the test set, in percent, where there is one.
            params, flops: Of the network; latency_ms where it has a range.
            unreadable_images: Training images that could not be read.

        Raises:
            ValueError: The arrays are not what was asked for, or both accounts differ by more than 1% of the images.
        """
        from nasmith.tasks.imagenet.train import parts

        _, held_out = parts(self._training, self._sets)
        labels = self._sets.train.labels[held_out]
        first, second = (_judged(account, "val", labels) for account in (outcome, examined))
        metrics = {"val_accuracy": second}
        if abs(first - second) > 1.0 + 100 / len(labels):
            told = f"{first:.2f}% of the held-out images right, another one {second:.2f}%"
            raise ValueError(f"the process that trained it had {told}")
        if purpose == "verify" and self._sets.test is not None:
            metrics["test_accuracy"] = _judged(examined, "test", self._sets.test.labels)
        names = ("params", "flops", "latency_ms", "unreadable_images")
        return metrics | {name: outcome.facts[name] for name in names if name in outcome.facts}

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """The accuracy on what was held out, in percent; higher is better."""
        return metrics["val_accuracy"]

    def best_state(self, outcome: Outcome) -> Mapping[str, Any]:
        """The weights at the end of the training; their average where the recipe keeps one."""
        return {name.removeprefix("state/"): value for name, value in outcome.arrays.items() if name.startswith("state/")}

    def companions(self) -> Mapping[str, bytes]:
        """Return a script that names the classes of images, for an export."""
        return {"predict.py": predictor(self._recipe.resolution, self._recipe.canvas, self._sets.train.classes).encode()}

    def program(self, text: str) -> str:
        """Return a module with the network of a design as `Model()`; it needs PyTorch alone."""
        return program(self.space.read(text), self._classes)

    @cached_property
    def _sets(self) -> ImageSets:
        from nasmith.tasks.imagenet.image_sources import open_images

        if not self.folder:
            raise UsageError(
                "say where the images are: --data FOLDER, with train/<class>/… and val/<class>/…. "
                "A small set to try it with: nasmith imagenet sample FOLDER"
            )
        return open_images(self.folder)

    @cached_property
    def _classes(self) -> int:
        """How many there are; those of ImageNet where the images are not at hand, so that a run can be looked at anywhere."""
        try:
            return len(self._sets.train.classes)
        except UsageError:
            return 1000

    @property
    def _training(self) -> Training:
        return Training(
            design=(),
            place=self.folder or "",
            recipe=self._recipe,
            device=self.device,
            checkpoint_seconds=self.checkpoint_seconds,
            checkpoint_steps=self.checkpoint_steps,
        )

    def _check_range(self) -> None:
        """Refuse a range of FLOPs that no design keeps to.

        Raises:
            UsageError: None does.
        """
        from nasmith.tasks.imagenet.mobile_space import table

        if self._flops is None:
            return
        sizes = table()
        least, most = (int(each.sum() + sizes.fixed[1]) for each in (sizes.flops.min(axis=1), sizes.flops.max(axis=1)))
        if most < self._flops.limits[0] or least > self._flops.limits[1]:
            raise UsageError(
                f"no network of this space has {self._flops.words()}: they have {least / 1e6:,.0f} to {most / 1e6:,.0f} M."
            )


def _judged(outcome: Outcome, name: str, labels: np.ndarray) -> float:
    """Return the percentage of labels that an outcome's predictions meet."""
    predictions = outcome.arrays.get(f"predictions/{name}")
    if predictions is None or predictions.shape != labels.shape:
        raise ValueError(f"the worker returned no predictions for {len(labels)} images of {name!r}")
    return accuracy(predictions, labels)
