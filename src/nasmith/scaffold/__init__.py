"""Makes task folders: looks at the data, takes a model out of a project, writes the files."""

from __future__ import annotations

from nasmith.scaffold.looking import look_at_images, look_at_loader, look_at_table, look_at_texts
from nasmith.scaffold.writing import TEMPLATES, Wanted, write_folder

__all__ = ["TEMPLATES", "Wanted", "look_at_images", "look_at_loader", "look_at_table", "look_at_texts", "write_folder"]
