"""Folders of other systems, as they stand."""

from __future__ import annotations

from nasmith.tasks.foreign.openevolve import OpenEvolve
from nasmith.tasks.foreign.shinka import Shinka

__all__ = ["OpenEvolve", "Shinka"]
