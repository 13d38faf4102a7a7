"""A folder of OpenEvolve as a task: `initial_program.py`, `evaluator.py`, and `config.yaml` as far as it has a meaning here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from nasmith.errors import ConfigError
from nasmith.tasks.foreign import folder_files
from nasmith.tasks.foreign.evaluator_workload import EvaluatorWorkload
from nasmith.tasks.foreign.foreign_task import ForeignTask
from nasmith.tasks.foreign.openevolve_config import CONFIG_FILE, OpenEvolveConfig, read_config

__all__ = ["OpenEvolve"]

_STAGES = ("evaluate_stage1", "evaluate_stage2", "evaluate_stage3")


class OpenEvolve(ForeignTask):
    """A folder of OpenEvolve, run as it is. Its evaluator is trusted, and sits beside the program: a program can lie to it.

    The score is `combined_score`, or else the mean of what the evaluator returns. Stages are run as OpenEvolve runs them, but
    where one raises or takes too long there is no score at all. The evaluator is run once for a program, not again after a
    failure.

    Args:
        path: The folder.
    """

    SYSTEM, PROGRAM, EVALUATOR = "OpenEvolve", "initial_program.py", "evaluator.py"

    def workload(self) -> EvaluatorWorkload:
        """How programs are evaluated."""
        config, private = self._config, self._private
        return EvaluatorWorkload(
            folder=str(self._folder),
            readable=tuple(folder_files.readable(self._folder, private)),
            links=tuple(folder_files.linked(self._folder, private)),
            timeout_seconds=config.timeout_seconds,
            cascade=config.cascade,
            thresholds=tuple(config.thresholds),
            arguments=dict(config.arguments),
            dimensions=tuple(config.dimensions),
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a run has where the user names nothing: what `config.yaml` says."""
        seed = self._config.seed
        return {**super().defaults, **({} if seed is None else {"seed": seed})}

    def check(self) -> None:
        """Look at the folder's files, without running them.

        Raises:
            UsageError: Something is missing or wrong; the message names the file, the line, and what to do.
        """
        self._check_files()
        _ = self._config, self._fixed
        path = self._folder / self.EVALUATOR
        if not self._defined & {"evaluate", "*"}:
            raise ConfigError(f"{path}: defines no function evaluate(program_path), which returns a dictionary of metrics.")
        if self._stages > 1 and not self._config.thresholds:
            raise ConfigError(
                f"{self._folder / CONFIG_FILE}: evaluator.cascade_thresholds is empty, and the evaluator has stages."
            )

    def ignored(self) -> list[str]:
        """Return the keys of `config.yaml` that have no meaning here."""
        return list(self._config.ignored)

    def notes(self) -> list[str]:
        """Return what people should know before a search."""
        notes = ["The evaluator runs beside each program, in the sandbox: a program could lie about its score."]
        if ignored := self.ignored():
            notes.append(f"Ignored of {CONFIG_FILE}: {', '.join(ignored)}.")
        if self._private:
            notes.append(f"{CONFIG_FILE} holds an API key, so that programs cannot read it.")
        return notes

    def message(self) -> str:
        """`prompt.system_message`."""
        return self._config.message

    def planned(self) -> int | None:
        """`max_iterations`."""
        return self._config.iterations

    def examples(self) -> int | None:
        """`prompt.num_top_programs`."""
        return self._config.examples

    def timeout_seconds(self) -> float:
        """`evaluator.timeout`, for each stage."""
        return self._config.timeout_seconds * self._stages

    @cached_property
    def _config(self) -> OpenEvolveConfig:
        return read_config(self._folder)

    @property
    def _private(self) -> Sequence[str]:
        return [CONFIG_FILE] if self._config.holds_key else []

    @cached_property
    def _defined(self) -> set[str]:
        return folder_files.defined(folder_files.parsed(self._folder / self.EVALUATOR))

    @property
    def _stages(self) -> int:
        """Stages of an evaluation; 1 where there are none."""
        count = 0
        while self._config.cascade and count < len(_STAGES) and _STAGES[count] in self._defined:
            count += 1
        return max(1, count)
