"""Logs a search for TensorBoard."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasmith.events import Event
from nasmith.integrations.following import Following, clean, identity, needs
from nasmith.types import Run

__all__ = ["TensorBoard"]


class TensorBoard:
    """An observer that logs a search into a folder of its own below `folder`; a resumed search goes on there.

    To look at it: `tensorboard --logdir FOLDER`.

    Args:
        folder: Made where it is missing.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path = "tensorboard") -> None:
        needs("TensorBoard", "torch.utils.tensorboard", "tensorboard")
        self._following = Following("TensorBoard", _Events(Path(folder)))

    def __call__(self, event: Event) -> None:
        """Take in an event of the search."""
        self._following(event)


class _Events:
    """The `Tracker`: event files, one run at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._step = 0

    def begin(self, run: Run, resumed: bool) -> bool:
        from torch.utils.tensorboard import SummaryWriter

        place = self._folder / identity(run)
        former = any(place.glob("events.out.tfevents.*"))
        self._writer, self._step = SummaryWriter(str(place)), 0
        if not former:
            self.write("config", json.dumps(clean(run.config), indent=2))
        return former

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # what was logged outlives a crash, as what was stored does

    def write(self, name: str, text: str) -> None:
        self._writer.add_text(name, textwrap.indent(text, "    "), self._step)  # Markdown: code

    def end(self, complete: bool) -> None:
        self._writer.close()
