"""How networks of the mobile space are trained: named presets, and what may be changed of them. No PyTorch is needed here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from nasmith.errors import ConfigError, UnknownNameError

__all__ = ["PRESETS", "Recipe", "recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A training with SGD, Nesterov's momentum off, and a cosine schedule that ends at 0.

    Attributes:
        epochs: Passes over the training images.
        resolution: Pixels a side.
        batch_size: Images of a step, of all GPUs together.
        learning_rate: The highest; for this batch size.
        weight_decay: On all parameters.
        momentum: Of SGD.
        warmup_epochs: In which the learning rate rises linearly from 0.
        dropout: Share of the last features that is dropped.
        randaugment: Operations drawn for each group of images (RandAugment's n); 0 for none.
        magnitude: Of these operations, above 0 and below 30 (RandAugment's m).
        label_smoothing: Share of the target that all classes have together.
        erasing: Share of the images from which a rectangle is erased.
        smallest_crop: Least share of the image that a random crop covers.
        ema: Decay of the exponential moving average of the weights, by step; 0 for none. It begins lower, at (1 + n) / (10 + n)
            after n steps, so that a short training is not the average of its beginning.
        data_share: Share of the training images that is used; the same ones for every network.
        held_out: Share of the training images that is not trained on: a search judges by them.
        accumulate: Parts into which a batch is cut, one after the other, to save memory. Batch normalisation sees the parts.
        precision: "bf16" for bfloat16 where it helps, "fp32"; "auto" for bf16 on a GPU that has it.
        compile: Whether `torch.compile` compiles the network. It takes a minute or more, so that it pays in long trainings.
        loaders: Processes of each GPU that read and decode images; 0 to do it in the training process.
        cache_mb: Decoded images are kept in memory if they take at most so much (1e6 bytes): each is decoded once.
    """

    epochs: int = 20
    resolution: int = 196
    batch_size: int = 1024
    learning_rate: float = 0.5
    weight_decay: float = 1e-4
    momentum: float = 0.9
    warmup_epochs: float = 0.0
    dropout: float = 0.0
    randaugment: int = 0
    magnitude: int = 9
    label_smoothing: float = 0.0
    erasing: float = 0.0
    smallest_crop: float = 0.08
    ema: float = 0.0
    data_share: float = 1.0
    held_out: float = 0.01
    accumulate: int = 1
    precision: str = "auto"
    compile: bool = False
    loaders: int = 0
    cache_mb: float = 4000.0

    def __post_init__(self) -> None:
        for name in ("epochs", "resolution", "batch_size", "learning_rate", "accumulate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("weight_decay", "warmup_epochs", "randaugment", "loaders", "cache_mb"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}.")
        for name in ("momentum", "dropout", "label_smoothing", "ema", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}.")
        for name in ("data_share", "smallest_crop"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}.")
        if not 0 <= self.erasing <= 1:
            raise ConfigError(f"erasing must be from 0 to 1, got {self.erasing}.")
        if self.resolution < 32:
            raise ConfigError(f"resolution must be at least 32, for 5 halvings, got {self.resolution}.")
        if self.randaugment and not 0 < self.magnitude < 30:
            raise ConfigError(f"magnitude must be above 0 and below 30, got {self.magnitude}.")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ConfigError(f'precision must be "auto", "bf16" or "fp32", got {self.precision!r}.')
        if self.batch_size % self.accumulate:
            raise ConfigError(f"batch_size ({self.batch_size}) must be a multiple of accumulate ({self.accumulate}).")
        if self.warmup_epochs >= self.epochs:
            raise ConfigError(f"warmup_epochs ({self.warmup_epochs:g}) must be fewer than epochs ({self.epochs}).")

    @property
    def canvas(self) -> int:
        """Pixels a side of decoded images: of these, 7/8 are seen when the network is judged."""
        return math.ceil(self.resolution * 8 / 7)

    def fitted(self, images: int, processes: int = 1) -> Recipe:
        """Return the recipe for so many training images: a batch holds no more, and the learning rate shrinks with it.

        Raises:
            ConfigError: There are too few, or a batch cannot be cut for so many processes.
        """
        cut = self.accumulate * processes
        if images < 2 * cut:
            raise ConfigError(f"{images} training images are too few for {cut} parts of a batch, of 2 images at least.")
        batch = self.batch_size if images >= self.batch_size else images // cut * cut
        if batch % cut:
            raise ConfigError(f"a batch of {batch} cannot be cut into {cut} equal parts: change batch_size.")
        return replace(self, batch_size=batch, learning_rate=self.learning_rate * batch / self.batch_size)

    def steps_per_epoch(self, images: int) -> int:
        """Return the steps of an epoch; an incomplete last batch is left out."""
        return images // self.batch_size


PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {
        "search": Recipe(loaders=8),
        "retrain": Recipe(
            epochs=500,
            resolution=224,
            batch_size=2048,
            learning_rate=0.8,
            weight_decay=4e-5,
            warmup_epochs=5,
            dropout=0.2,
            randaugment=2,
            label_smoothing=0.1,
            erasing=0.2,
            ema=0.99998,
            held_out=0.0,
            loaders=8,
        ),
        "proxy": Recipe(epochs=10, resolution=128, batch_size=256, learning_rate=0.125, data_share=0.1, loaders=8),
        "transfer": Recipe(
            epochs=50,
            resolution=224,
            batch_size=256,
            learning_rate=0.05,
            weight_decay=1e-4,
            warmup_epochs=1,
            dropout=0.2,
            randaugment=2,
            label_smoothing=0.1,
            held_out=0.0,
            smallest_crop=0.5,
            loaders=4,
        ),
        "tiny": Recipe(
            epochs=20, resolution=64, batch_size=32, learning_rate=0.1, smallest_crop=0.5, held_out=0.2, precision="fp32"
        ),
    }
)
"""Recipes by name.

- search: how GENIUS compares designs: 20 epochs at 196 pixels on 99% of the training images.
- retrain: how its final networks are trained: 500 epochs at 224 pixels on all of them.
- proxy: for a small budget: 10 epochs at 128 pixels on a tenth of the training images, about 1/47 of the work of "search".
- transfer: fine-tunes a trained network on another data set. The paper gives no numbers; these are common ones.
- tiny: for a few hundred small images on a CPU, such as those of `nasmith imagenet sample`.

The paper states no schedule, label smoothing or warm-up for "search": cosine, none and none.
"""


def recipe(preset: str, changes: Mapping[str, Any]) -> Recipe:
    """Return a preset with changes; None leaves a value as it is.

    A changed batch size changes the learning rate in proportion, unless that is given too (Goyal et al. 2017).

    Raises:
        UnknownNameError: There is no such preset, or no such value.
        ConfigError: A value breaks a rule.
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    given = {name: value for name, value in changes.items() if value is not None}
    known = {field.name for field in fields(Recipe)}
    for name in given.keys() - known:
        raise UnknownNameError("value of a recipe", name, known)
    base = PRESETS[preset]
    if "batch_size" in given and given["batch_size"] > 0:
        given.setdefault("learning_rate", base.learning_rate * given["batch_size"] / base.batch_size)
    if "epochs" in given and given["epochs"] > 0:
        given.setdefault("warmup_epochs", min(base.warmup_epochs, given["epochs"] / 10))
    return replace(base, **given)
