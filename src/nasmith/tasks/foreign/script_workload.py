"""Runs a ShinkaEvolve `evaluate.py` on a program as a script, in the process that was made for it."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasmith.protocols import Data
from nasmith.tasks.foreign import stand_ins
from nasmith.tasks.foreign.combined_score import SCORE, NoScoreError, combined, numbers
from nasmith.tasks.foreign.evaluating import METRIC, checked, evaluation, importing, refusal

__all__ = ["ScriptWorkload"]

_RESULTS = "results"
_LARGEST = 10_000_000  # bytes of a result file


@dataclass(frozen=True)
class ScriptWorkload:
    """Imports what the script imports, once, in the process that jobs are forked from.

    The script works beside the program, in one process: a program can lie to it.

    Attributes:
        folder: Absolute path of the folder that holds `evaluate.py`.
        readable: What programs may read besides the libraries.
        links: Names in the folder that a program finds in its own place.
        guarded: Whether the script can be imported, because it does its work under `if __name__ == "__main__":`.
        imports: Modules that it imports, to be imported beforehand where it cannot be itself.
    """

    folder: str
    readable: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    guarded: bool = True
    imports: tuple[str, ...] = ()

    workshop = True

    def warm(self) -> None:
        """Import what the script imports."""
        stand_ins.supply()
        with importing(self.folder):
            if self.guarded:
                runpy.run_path(self._script, run_name="evaluate")
            else:
                for name in self.imports:
                    importlib.import_module(name)

    def screen(self, text: str) -> Mapping[str, float]:
        """Look whether the program is Python.

        Raises:
            ValueError: It is not; the message names the line.
        """
        return checked(text)

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Evaluate the program.

        Returns:
            The script's numbers as facts "metric/NAME", among them "metric/combined_score" and those of `public`; or in the
            array "reason" why there is no score.

        Raises:
            _EvaluatorError: The script raised.
        """
        metrics: Mapping[str, Any] = {}
        try:
            with evaluation(text, self.folder, self.links) as program:
                self._run(program)
                correct, metrics = (_read(program.parent / _RESULTS / name) for name in ("correct.json", "metrics.json"))
            if correct.get("correct") is not True:
                raise NoScoreError(f"not correct: {correct.get('error') or 'the evaluator gives no reason'}")
            if SCORE not in metrics:
                raise NoScoreError(f"metrics.json holds no {SCORE!r}")
            score = combined(metrics)
        except NoScoreError as error:
            return refusal(str(error), metrics), {}
        public = metrics.get("public")
        found = {**numbers(public if isinstance(public, Mapping) else {}), **numbers(metrics), SCORE: score}
        return {}, {METRIC + name: value for name, value in found.items()}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """There is nothing to examine.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a foreign folder's programs have no state")

    @property
    def _script(self) -> str:
        return str(Path(self.folder) / "evaluate.py")

    def _run(self, program: Path) -> None:
        """Run the script as `python evaluate.py --program_path … --results_dir …`, but in this process."""
        results = program.parent / _RESULTS
        results.mkdir(exist_ok=True)
        given, sys.argv = sys.argv, [self._script, "--program_path", str(program), "--results_dir", str(results)]
        try:
            runpy.run_path(self._script, run_name="__main__")
        except SystemExit as ended:
            if ended.code not in (None, 0):
                raise NoScoreError(f"evaluate.py ended with {ended.code!r}") from ended
        finally:
            sys.argv = given


def _read(path: Path) -> Mapping[str, Any]:
    """Read one of the script's result files.

    Raises:
        NoScoreError: It is missing, too large, or holds no JSON object.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise NoScoreError(f"{path.name} takes {path.stat().st_size / 1e6:.1f} MB; {_LARGEST / 1e6:g} are read")
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoScoreError(f"evaluate.py wrote no {path.name}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, NoScoreError):
            raise
        raise NoScoreError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise NoScoreError(f"{path.name} must hold a JSON object, got {type(found).__name__}")
    return found
