"""The ImageNet mobile space: FLOPs in the loop, the training recipes, transfer."""

from __future__ import annotations

from nasmith.tasks.imagenet.imagenet_task import ImageNetMobile

__all__ = ["ImageNetMobile"]
