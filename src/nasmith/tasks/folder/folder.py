"""A user's own task: a folder with `task.yaml`, `task.py` and seed programs. The trusted side: data, labels, scores."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith import valuing
from nasmith.errors import ConfigError
from nasmith.problems import Splits
from nasmith.protocols import Data
from nasmith.tasks.folder.definition import Definition
from nasmith.tasks.folder.scoring import Scoring, check_clock, compare
from nasmith.tasks.folder.settings import MACHINE_METRICS, TASK_FILE
from nasmith.tasks.folder.statement import statement
from nasmith.tasks.folder.workload import FolderWorkload
from nasmith.tasks.torch_accounts import checked_params, flops_of, state_at
from nasmith.types import Bound, Description, Objective, Outcome, Purpose

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Folder"]


class Folder:
    """A task folder: your own data, model and metric. `nasmith init DIR` writes one, `nasmith check DIR` tries it.

    Nothing is read before it is needed. What `task.py` does is trusted; what seeds and their children do is not.

    Args:
        path: The folder.
        steps: Optimiser steps of a training, instead of those that `task.yaml` names.
        device: Where programs are trained, likewise: "auto", "cpu", "cuda", "cuda:1", …
    """

    shorthand = "path"

    def __init__(self, path: str, steps: int | None = None, device: str | None = None) -> None:
        if steps is not None and steps < 1:
            raise ConfigError(f"folder: steps must be at least 1, got {steps}.")
        self._folder = Path(path).expanduser().absolute()
        self.path, self.steps, self.device = str(self._folder), steps, device
        self._definition = Definition(self._folder, steps, device)
        self._scoring = Scoring(self._definition)

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether a folder is one of these."""
        return (path / TASK_FILE).is_file()

    @property
    def name(self) -> str:
        """The folder's name, in small letters, digits and dashes."""
        return re.sub(r"[^a-z0-9]+", "-", self._folder.name.lower()).strip("-") or "folder"

    @cached_property
    def objectives(self) -> Sequence[Objective]:
        """What counts, the most important first. Metrics of the problem begin with "val_"."""
        return tuple(
            Objective(
                _stored(aim.name),
                aim.direction,
                unit={"latency_ms": "ms", "peak_memory_mb": "MB"}.get(aim.name, ""),
                log=aim.name in MACHINE_METRICS,
                weight=aim.weight,
                tolerance=aim.tolerance,
            )
            for aim in self._definition.settings.objectives
        )

    @property
    def bounds(self) -> Sequence[Bound]:
        """What metrics must keep to."""
        bounds = self._definition.settings.bounds
        return tuple(Bound(_stored(name), limit.at_most, limit.at_least) for name, limit in bounds.items())

    @property
    def rungs(self) -> Sequence[int]:
        """Optimiser steps at which a training may be given up, the last for a whole one; empty for none."""
        return tuple(rung.steps for rung in self._definition.rungs())

    @property
    def planned_steps(self) -> int:
        """Optimiser steps of a whole training."""
        return self._definition.plan.recipe.steps

    @property
    def splits(self) -> Splits:
        """The data, labels included: for the trusted process alone."""
        return self._definition.splits

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a run has where the user names nothing: the section `search`, the limits, and how parents are chosen."""
        limits = self._definition.settings.limits.model_dump(exclude_none=True)
        limits["threads"] = self._definition.settings.training.threads
        strategy: dict[str, Any] = {"error_threshold": 1.0}
        if self._definition.settings.selection == "pareto":
            strategy["selection"] = "pareto"
        return {
            "strategy": {"name": "evoprompting", "options": strategy},
            "executor": {"name": "processes", "options": limits},
            **self._definition.settings.search,
        }

    def describe(self) -> Description:
        """What prompts, exports and people need to know. Loads the data on first use."""
        seeds = list(self.seeds().values())
        is_class = all(re.search(r"^class Model\b", text, re.MULTILINE) for text in seeds)
        return Description(
            title=self._definition.settings.title or self._folder.name,
            first_line="class Model(nn.Module):" if is_class else "def Model():",
            preamble=self._definition.preamble(),
            statement=statement(self._definition.settings, self._definition.problem, self._definition.plan),
            fixed=self._definition.fixed,
        )

    def seeds(self) -> Mapping[str, str]:
        """The seed programs by file name, in order of it.

        Raises:
            SeedError: There is none, or one cannot be read.
        """
        return self._definition.seeds

    def workload(self) -> FolderWorkload:
        """How programs are checked and trained."""
        self._definition.code.register()
        return FolderWorkload(self._definition.plan)

    def data(self) -> Data:
        """Training data, and inputs to predict."""
        splits = self._definition.splits
        x, y = splits.train
        return {"train": {"x": x, "y": y}, "val": {"x": splits.val[0]}, "test": {"x": splits.test[0]}}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Metrics of a training, from outputs and a state that are checked, and labels that no worker ever had.

        Returns:
            `val_<metric>` of the problem (or of `score` in task.py) at the best point, `params`, `flops`, `train_seconds`,
            what is measured besides (`latency_ms`, `latency_noise_ms`, `peak_memory_mb`); in a verification `test_<metric>`.

        Raises:
            ValueError: What the workers returned is not what was asked for.
        """
        best, points = self._scoring.best_point(outcome)
        params = checked_params(state_at(outcome, best), examined, self._definition.plan.max_params or math.inf)
        compare(points[best], self._scoring.outputs(examined, "val")[0])
        check_clock(examined)
        metrics = _prefixed("val_", self._scoring.measured("val", self._scoring.outputs(examined, "val")[0]))
        metrics |= {"params": float(params), "flops": flops_of(examined), "train_seconds": outcome.seconds}
        extra = ("latency_ms", "latency_noise_ms", "peak_memory_mb")
        metrics |= {name: float(examined.facts[name]) for name in extra if name in examined.facts}
        metrics |= {name: float(outcome.facts[name]) for name in ("diverged",) if outcome.facts.get(name)}
        if purpose == "verify":
            metrics |= _prefixed("test_", self._scoring.measured("test", self._scoring.outputs(examined, "test")[0]))
            metrics["best_point"] = float(best)
        return metrics

    def provisional(self, outcome: Outcome) -> Mapping[str, float]:
        """Metrics of a training that is not over, by the worker's own account: they decide only whether it goes on.

        Raises:
            ValueError: What the worker returned is not what was asked for.
        """
        best, points = self._scoring.best_point(outcome)
        metrics = _prefixed("val_", self._scoring.measured("val", points[best]))
        return metrics | {name: float(outcome.facts[name]) for name in ("params", "flops") if name in outcome.facts}

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """One number by `selection`; higher is better. Objectives that were not measured are left out."""
        known = [objective for objective in self.objectives if objective.name in metrics]
        return valuing.value(metrics, known, self._definition.settings.selection)

    def best_state(self, outcome: Outcome) -> Mapping[str, np.ndarray]:
        """The trained weights by name at the best validation point.

        Raises:
            ValueError: The arrays are not what a worker returns.
        """
        return state_at(outcome, self._scoring.best_point(outcome)[0])

    def companions(self) -> Mapping[str, bytes]:
        """Files that an export needs besides: the test data, and a script that reproduces the score on it."""
        from nasmith.tasks.folder import exhibit

        x, y = self._definition.splits.test
        code = self._definition.code
        return exhibit.companions(self._definition.problem, x, y, code.extract("score") if code.defines("score") else "")

    def check(self) -> None:
        """Read everything, once, before anything is begun.

        Raises:
            UsageError: Something is wrong; the message names the file, the line, and what to do.
        """
        valuing.check(self.objectives, self._definition.settings.selection)
        self._definition.check()

    def fingerprint(self) -> str:
        """Return what is equal as long as the folder's files are the same: a hash of them."""
        digest = hashlib.sha256()
        for path in sorted([*self._folder.glob("*.py"), *self._folder.glob("seeds/*.py"), self._folder / TASK_FILE]):
            digest.update(f"{path.relative_to(self._folder)}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


def _stored(name: str) -> str:
    """Return the key under which evaluations hold what task.yaml calls `name`."""
    return name if name in MACHINE_METRICS else f"val_{name}"


def _prefixed(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {prefix + name: float(value) for name, value in metrics.items()}
