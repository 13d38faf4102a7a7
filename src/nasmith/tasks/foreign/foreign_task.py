"""What both kinds of foreign folders are as tasks: one seed program, one score, and a workload that gives it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from nasmith import frames
from nasmith.errors import ConfigError, SeedError
from nasmith.protocols import Data
from nasmith.tasks.foreign.combined_score import SCORE
from nasmith.tasks.foreign.evaluating import METRIC, REASON
from nasmith.tasks.foreign.folder_files import text_of
from nasmith.types import Description, Objective, Outcome, Purpose

__all__ = ["ForeignTask"]

_PROMPTS, _SAMPLES, _SURVIVORS = 4, 4, 6
_MEASURED = f"A program is measured by `{SCORE}`; higher is better."


class ForeignTask:
    """A folder of another system: an initial program, and an evaluator that scores programs.

    The evaluator runs beside the program, in one process: a program can lie to it, and win by that. In nasmith's own tasks it
    cannot. The sandbox holds either kind: files outside the folder, network, keys and other processes are out of reach.

    Args:
        path: The folder.
    """

    shorthand = "path"
    objectives: Sequence[Objective] = (Objective(SCORE, "maximize"),)

    SYSTEM: ClassVar[str]
    PROGRAM: ClassVar[str]
    EVALUATOR: ClassVar[str]

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = Path(path).expanduser().absolute()

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether a folder is one of these."""
        return (path / cls.PROGRAM).is_file() and (path / cls.EVALUATOR).is_file()

    @property
    def name(self) -> str:
        """The folder's name, in small letters, digits and dashes."""
        return re.sub(r"[^a-z0-9]+", "-", self._folder.name.lower()).strip("-") or "folder"

    def seeds(self) -> Mapping[str, str]:
        """The initial program.

        Raises:
            SeedError: It cannot be read.
        """
        return {Path(self.PROGRAM).stem: self._program}

    def describe(self) -> Description:
        """What prompts and people need to know."""
        statement = "\n\n".join(filter(None, [self.message().strip(), _MEASURED]))
        return Description(title=self._folder.name, first_line="", statement=statement, fixed=self._fixed)

    def data(self) -> Data:
        """Nothing: the evaluator has what it needs."""
        return {}

    def score(self, outcome: Outcome, examined: Outcome, purpose: Purpose) -> Mapping[str, float]:
        """Return the numbers that the evaluator returned, `combined_score` among them.

        Raises:
            ValueError: It returned none; the message says why.
        """
        if REASON in outcome.arrays:
            raise ValueError(bytes(outcome.arrays[REASON]).decode(errors="replace"))
        metrics = {name.removeprefix(METRIC): value for name, value in outcome.facts.items() if name.startswith(METRIC)}
        if not math.isfinite(metrics.get(SCORE, math.nan)):
            raise ValueError(f"there is no {SCORE}")
        return metrics

    def fitness(self, metrics: Mapping[str, float]) -> float:
        """Return the score; higher is better."""
        return metrics[SCORE]

    def best_state(self, outcome: Outcome) -> None:
        """There is no state that could be examined."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a run has where the user names nothing: short rounds, and no verification, because there is no test set."""
        planned, examples = self.planned(), self.examples()
        strategy: dict[str, Any] = {"prompts": _PROMPTS, "samples": _SAMPLES, "survivors": _SURVIVORS}
        if examples is not None:
            strategy["parents"] = max(1, examples)
        defaults: dict[str, Any] = {
            "executor": {"name": "processes", "options": {"timeout_seconds": self.timeout_seconds()}},
            "verify": {"best": 0, "front": 0, "seeds": 1, "baselines": False},
        }
        if planned is not None:
            strategy["rounds"] = math.ceil(planned / (_PROMPTS * _SAMPLES))
            defaults["budget"] = {"evaluations": planned}
        return {**defaults, "strategy": {"name": "evoprompting", "options": strategy}}

    def fingerprint(self) -> str:
        """Return what is equal as long as the folder's own files are the same: a hash of its Python and YAML files."""
        digest = hashlib.sha256()
        for path in sorted([*self._folder.glob("*.py"), *self._folder.glob("*.y*ml")]):
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def message(self) -> str:
        """What the folder tells a language model; may be empty."""
        return ""

    def planned(self) -> int | None:
        """Programs of a search; None where the folder does not say."""
        return None

    def examples(self) -> int | None:
        """Programs that a prompt shows; None where the folder does not say."""
        return None

    def timeout_seconds(self) -> float:
        """Wall time of a whole evaluation."""
        return 300.0

    @cached_property
    def _program(self) -> str:
        return text_of(self._folder / self.PROGRAM)

    @cached_property
    def _fixed(self) -> tuple[str, ...]:
        try:
            return frames.agree({Path(self.PROGRAM).stem: self._program})
        except ValueError as error:
            raise SeedError(f"{self._folder / self.PROGRAM}: {error}.") from error

    def _check_files(self) -> None:
        """Raise ConfigError where the folder or one of its two files is missing."""
        if not self._folder.is_dir():
            raise ConfigError(f"there is no folder {self.path!r}.")
        for file in (self.PROGRAM, self.EVALUATOR):
            if not (self._folder / file).is_file():
                raise ConfigError(f"{self._folder} holds no {file}, which a folder of {self.SYSTEM} has.")
