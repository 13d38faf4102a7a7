"""Where the records of every run are kept."""

from __future__ import annotations

__all__ = ["DEFAULT_STORAGE"]

DEFAULT_STORAGE = "nasmith-runs/nasmith.sqlite3"
"""Where runs are kept that name no other place; the folder also takes the files of runs whose records are not on this disk."""
