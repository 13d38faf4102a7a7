"""Naive few-shot prompting, a control of EvoPrompting: one round, prompts made of the seeds alone, no selection, no tuning.

Source: Chen, Dohan, So 2023, arXiv:2302.14838, section 4.1. Samples per prompt are raised until the totals match
EvoPrompting's: 10 prompts of 160 samples against 10 rounds of 10 prompts of 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasmith.space import Space
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.types import Brief, Candidate, Evaluation, Objective, Tune

__all__ = ["FewShot"]


class FewShot:
    """Prompt with the seeds and nothing else.

    Args:
        prompts: Prompts (m); each shows `parents` seeds, drawn uniformly with replacement.
        samples: Programs sampled from a prompt.
        parents: Seeds shown in a prompt (k).
        temperatures: As in EvoPrompting.
        operators: As in EvoPrompting.
        size: Metric that counts parameters.
        error: Metric that holds the validation error.
        error_threshold: As in EvoPrompting.
    """

    def __init__(
        self,
        prompts: int = 10,
        samples: int = 160,
        parents: int = 2,
        temperatures: Sequence[float] | None = None,
        operators: str | Sequence[str] | Mapping[str, float] | None = None,
        size: str = "params",
        error: str = "val_error",
        error_threshold: float = 0.5,
    ) -> None:
        self.prompts, self.samples, self.parents = prompts, samples, parents
        self.temperatures, self.operators, self.size, self.error = temperatures, operators, size, error
        self.error_threshold = error_threshold
        # One round of EvoPrompting never comes to select or tune: that is few-shot prompting.
        self._round = EvoPrompting(
            rounds=1, prompts=prompts, samples=samples, parents=parents, temperatures=temperatures, operators=operators,
            tuning=False, size=size, error=error, error_threshold=error_threshold,
        )  # fmt: skip

    @property
    def planned(self) -> int:
        """Children that a whole search makes."""
        return self.prompts * self.samples

    def enter(self, space: Space | None, objectives: Sequence[Objective]) -> None:
        """Take the task's objectives; there is no space."""
        self._round.enter(space, objectives)

    def begin(self, seed: int, temperatures: Sequence[float], operators: Mapping[str, float]) -> None:
        """Take the run's seed and what suits the language model."""
        self._round.begin(seed, temperatures, operators)

    def ask(self) -> Brief | Tune | None:
        """Return the next prompt; None once all are out."""
        return self._round.ask()

    def accepts(self, metrics: Mapping[str, float]) -> bool:
        """Whether the error is below the threshold; a task without one accepts all."""
        return self._round.accepts(metrics)

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """Learn how a seed did; children change nothing."""
        self._round.tell(candidate, evaluation)
