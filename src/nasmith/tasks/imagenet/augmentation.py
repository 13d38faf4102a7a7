"""Augmentation of whole batches on the device that trains, by Kornia; and the view by which a network is judged."""

from __future__ import annotations

import torch
from torch import nn

from nasmith.errors import MissingDependencyError
from nasmith.tasks.imagenet.recipes import Recipe

__all__ = ["MEAN", "STD", "Augmentation", "centre"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, in [0, 1]
_GROUPS = 8  # parts of a batch that RandAugment draws its operations for


class Augmentation(nn.Module):
    """Random crops, flips, RandAugment and erased rectangles, as a recipe says.

    All that it draws comes from PyTorch's global generator. Kornia draws RandAugment's operations once for a batch; here a
    batch is cut into 8 parts that have operations of their own. Crops are of the central square of an image, where the usual
    ones are of the whole image: images are decoded to squares, so that they can be kept and moved as one tensor.

    Args:
        recipe: Says what is done.

    Raises:
        MissingDependencyError: Kornia is not installed.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        try:
            import kornia.augmentation as kornia
            from kornia.augmentation.auto import RandAugment
        except ImportError as error:
            raise MissingDependencyError('Kornia is not installed: pip install "nasmith[imagenet]"') from error
        side = recipe.resolution
        self.crop = kornia.RandomResizedCrop((side, side), scale=(recipe.smallest_crop, 1.0))
        self.flip = kornia.RandomHorizontalFlip()
        self.policy = RandAugment(recipe.randaugment, recipe.magnitude) if recipe.randaugment else None
        self.erase = kornia.RandomErasing(p=recipe.erasing) if recipe.erasing else None

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Turn decoded images, uint8 (batch, 3, canvas, canvas), into inputs, float32 (batch, 3, resolution, resolution)."""
        x = self.flip(self.crop(x.float() / 255))
        if self.policy is not None:
            size = -(-len(x) // _GROUPS)
            x = torch.cat([self.policy(part) for part in x.split(size)]).clamp(0, 1)
        x = _normalised(x)
        return x if self.erase is None else self.erase(x)


def centre(x: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return the middle of decoded images, uint8 (batch, 3, canvas, canvas), as inputs like those of `Augmentation`."""
    edge = (x.shape[-1] - resolution) // 2
    return _normalised(x[..., edge : edge + resolution, edge : edge + resolution].float() / 255)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / std
