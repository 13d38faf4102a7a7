"""What a task folder says: its settings, code, data and seeds, each read once, when it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from nasmith import frames
from nasmith.errors import ConfigError, SeedError, UsageError
from nasmith.problems import Problem, Splits
from nasmith.tasks.folder.plan import Plan, Rung
from nasmith.tasks.folder.settings import MACHINE_METRICS, Settings, read_settings
from nasmith.tasks.folder.user_code import UserCode
from nasmith.tasks.torch_settings import Recipe
from nasmith.yaml_files import YamlFile

__all__ = ["Definition"]

_DEFAULT_PREAMBLE = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


class Definition:
    """A task folder, read. Whatever is wrong is raised as UsageError with file, line and what to do.

    Args:
        folder: Absolute path.
        steps: Optimiser steps of a training, instead of those that `task.yaml` names.
        device: Where programs are trained, likewise.
    """

    def __init__(self, folder: Path, steps: int | None = None, device: str | None = None) -> None:
        self.folder, self._steps, self._device = folder, steps, device

    @cached_property
    def _read(self) -> tuple[Settings, YamlFile]:
        return read_settings(self.folder)

    @property
    def settings(self) -> Settings:
        """What `task.yaml` holds."""
        return self._read[0]

    def at(self, key: str) -> str:
        """Say where a key stands in `task.yaml`: "file:line: "."""
        return self._read[1].at(key)

    @cached_property
    def code(self) -> UserCode:
        """`task.py`."""
        places = [self.folder / place for place in self.settings.import_from]
        for place, named in zip(places, self.settings.import_from, strict=True):
            if not place.is_dir():
                raise ConfigError(f"{self.at('import_from')}there is no folder {named!r}. It is relative to {self.folder}.")
        return UserCode(self.folder / "task.py", [place.resolve() for place in places])

    @cached_property
    def splits(self) -> Splits:
        """The user's data, checked: labels included, for this process alone.

        Raises:
            UsageError: It cannot be loaded or used; the message names the file, the line and the reason.
        """
        what = "data(), which returns the training, validation and test data as nasmith.problems.Splits"
        self.code.value("data", what)
        splits = self.code.call("data")
        where = self.code.line("data")
        if not isinstance(splits, Splits):
            raise ConfigError(f"{where}data() must return a nasmith.problems.Splits, got {type(splits).__name__}.")
        try:
            splits.check(self.named_problem)
        except UsageError as error:
            raise ConfigError(f"{where}{error}") from error
        return splits

    @cached_property
    def named_problem(self) -> Problem:
        """The problem as `task.py` names it."""
        problem = self.code.value("problem", "the kind of problem, such as nasmith.problems.Classification()")
        if not isinstance(problem, Problem):
            raise ConfigError(
                f"{self.code.path}: `problem` must be a problem of nasmith.problems, such as Classification(); "
                f"got {type(problem).__name__}."
            )
        return problem

    @cached_property
    def problem(self) -> Problem:
        """The problem, with what follows from the training targets."""
        return self.named_problem.fitted(self.splits)

    @cached_property
    def seeds(self) -> Mapping[str, str]:
        """The seed programs by file name, in order of it."""
        found = {}
        for path in sorted((self.folder / "seeds").glob("*.py")):
            try:
                with path.open(encoding="utf-8-sig", newline="") as stream:  # line ends stay as they are
                    found[path.stem] = stream.read()
            except (OSError, UnicodeDecodeError) as error:
                raise SeedError(f"{path} cannot be read: {error}. Save it as UTF-8.") from error
        if not found:
            what = "holds no seed program. Put your model there, as a file that defines Model"
            raise SeedError(f"{self.folder / 'seeds'} {what}.")
        return found

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """The parts of every program that may not change; none where all of it may."""
        if self.settings.change == "all":
            return ()
        try:
            return frames.agree(self.seeds)
        except ValueError as error:
            raise SeedError(f"{self.folder / 'seeds'}: {error}") from error

    @cached_property
    def plan(self) -> Plan:
        """What workers are told."""
        settings, splits, problem = self.settings, self.splits, self.problem
        x = splits.train[0]
        training = settings.training
        bounds = {name: limit.at_most for name, limit in settings.bounds.items() if limit.at_most is not None}
        recipe = Recipe(
            steps=self._steps or training.steps,
            batch_size=min(training.batch_size, len(x)),
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            evaluations=training.evaluations,
            threads=training.threads,
            device=self._device or training.device,
        )
        integers = x.dtype.kind == "i"
        return Plan(
            folder=str(self.folder),
            task_file=str(self.code.path),
            preamble=self.preamble(),
            problem=problem,
            input_shape=tuple(x.shape[1:]),
            input_type=str(x.dtype),
            output_shape=problem.output_shape(splits),
            recipe=recipe,
            highest_token=max(int(part[0].max()) for part in (splits.train, splits.val, splits.test)) if integers else 0,
            max_params=None if "params" not in bounds else int(bounds["params"]),
            max_flops=bounds.get("flops"),
            rungs=self.rungs(),
            measures=settings.measures() & {"latency_ms", "peak_memory_mb"},
            latency_batch=training.latency_batch,
            own_fit=self.code.defines("fit"),
            hide=tuple(settings.hide),
            import_from=tuple(map(str, self.code.folders)),
        )

    def rungs(self) -> tuple[Rung, ...]:
        """Return the rungs: each `factor` times the steps of the one before, and where asked so, of the data."""
        wanted, steps = self.settings.rungs, self._steps or self.settings.training.steps
        if wanted is None:
            return ()
        shares = [wanted.factor ** (place - wanted.count + 1) for place in range(wanted.count)]
        rungs = [Rung(max(1, round(steps * share)), share if wanted.of == "data" else 1.0) for share in shares]
        if len({rung.steps for rung in rungs}) < len(rungs):
            raise ConfigError(
                f"{self.at('rungs')}{wanted.count} rungs with factor {wanted.factor:g} do not fit into {steps} steps: "
                "name fewer rungs, a smaller factor, or more steps."
            )
        return tuple(rungs)

    def preamble(self) -> str:
        """Code that stands above every program."""
        path = self.folder / "preamble.py"
        return path.read_text(encoding="utf-8") if path.is_file() else _DEFAULT_PREAMBLE

    def check(self) -> None:
        """Read everything, and look whether each objective and bound is something that somebody measures."""
        _ = self.fixed, self.plan
        if self.code.defines("score"):
            return  # what it returns is known once something was trained
        for key, names in {
            "objectives": [aim.name for aim in self.settings.objectives],
            "bounds": list(self.settings.bounds),
        }.items():
            for place, name in enumerate(names):
                if name not in self.named_problem.metrics and name not in MACHINE_METRICS:
                    where = self.at(f"{key}.{place if key == 'objectives' else name}")
                    raise ConfigError(where + self.nobody_returns(name, self.named_problem.metrics))

    def nobody_returns(self, name: str, known: Iterable[str]) -> str:
        """Say that a metric is not measured, and which are."""
        return (
            f"nobody returns {name!r}. Known here: {', '.join(sorted({*known, *MACHINE_METRICS}))}. For a metric of your own "
            "define score(outputs, targets) in task.py, which returns a dictionary of numbers by name."
        )
