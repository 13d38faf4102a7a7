"""A user's own task: a folder with data, a metric and seed models."""

from __future__ import annotations

from nasmith.tasks.folder.folder import Folder

__all__ = ["Folder"]
