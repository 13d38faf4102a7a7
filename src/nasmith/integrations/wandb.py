"""Logs a search to Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from nasmith.events import Event
from nasmith.integrations.following import Following, clean, identity, needs
from nasmith.types import Run

__all__ = ["WandB"]

_Mode = Literal["online", "offline"]


class WandB:
    """An observer that logs a search as one run of Weights & Biases; a resumed search goes on in it, by its id.

    What the terminal shows, the state of a git repository, the installed packages and the machine's description are not sent.

    Args:
        project: The project's name.
        entity: The user or team; None for the one that is logged in.
        mode: "offline" keeps everything in files, for `wandb sync`; None for what the environment says (WANDB_MODE).
        folder: Where it keeps its files, in a subfolder `wandb`; None for what the environment says (WANDB_DIR), or here.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    def __init__(
        self,
        project: str = "nasmith",
        entity: str | None = None,
        mode: _Mode | None = None,
        folder: str | Path | None = None,
    ) -> None:
        needs("wandb", "wandb", "wandb")
        self._following = Following("WandB", _Runs(project, entity, mode, folder))

    def __call__(self, event: Event) -> None:
        """Take in an event of the search."""
        self._following(event)


class _Runs:
    """The `Tracker`: one run at a time."""

    def __init__(self, project: str, entity: str | None, mode: _Mode | None, folder: str | Path | None) -> None:
        self._project, self._entity, self._mode, self._folder = project, entity, mode, folder
        self._run: Any = None

    def begin(self, run: Run, resumed: bool) -> bool:
        import wandb

        folder = Path(self._folder or os.environ.get("WANDB_DIR") or ".")
        # Offline, nobody but these files knows whether the run was logged before.
        former = any(folder.glob(f"wandb/*run-*-{identity(run)}"))
        private = {"x_disable_meta": True, "x_disable_stats": True, "x_save_requirements": False}  # they come and go
        known: dict[str, Any] = {name: value for name, value in private.items() if name in wandb.Settings.model_fields}
        settings = wandb.Settings(console="off", disable_code=True, disable_git=True, silent=True, **known)
        self._run = wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            dir=folder,
            id=identity(run),
            name=run.name,
            config=clean(run.config),
            resume="allow",
            reinit="create_new",  # whatever else this process logs
            settings=settings,
        )
        return former or bool(self._run.resumed)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def write(self, name: str, text: str) -> None:
        Path(self._run.dir, name).write_text(text, encoding="utf-8")  # what lies there is sent at the end

    def end(self, complete: bool) -> None:
        self._run.finish(exit_code=0 if complete else 1)
