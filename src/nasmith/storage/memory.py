"""Keeps the records of runs in this process alone: for many short runs that are stored elsewhere once they are whole."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nasmith.errors import RunBusyError, StorageError, UnknownNameError
from nasmith.redaction import redacted
from nasmith.types import Call, Candidate, Completion, Evaluation, Run, Tuning, Wish

__all__ = ["Memory"]


@dataclass(slots=True)
class _Records:
    """What there is of one run."""

    run: Run
    asked: dict[int, tuple[int, Wish]] = field(default_factory=dict)
    completions: dict[tuple[int, int], Completion] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    candidates: dict[int, Candidate] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    tunings: dict[int, Tuning] = field(default_factory=dict)


class Memory:
    """A `Storage` that forgets all when the process ends. May be shared between threads, and pickled.

    Args:
        folder: Where the runs' folders are; None for one that is made when it is asked for, and removed by `close`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._own: Path | None = None
        self._runs: dict[str, _Records] = {}
        self._held: set[str] = set()
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Only the records travel."""
        return self._runs

    def __setstate__(self, runs: dict[str, _Records]) -> None:
        self.__init__()  # type: ignore[misc]
        self._runs = runs

    def add_run(self, run: Run) -> None:
        """Begin a run; StorageError where there is one of this name."""
        with self._lock:
            if run.name in self._runs:
                raise StorageError(f"a run {run.name!r} already exists; resume it or choose another name")
            self._runs[run.name] = _Records(run)

    def run(self, name: str) -> Run:
        """The run of this name; UnknownNameError where there is none."""
        return self._of(name).run

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return [records.run for records in self._runs.values()]

    def finish_run(self, name: str, finished: str) -> None:
        """Record when a run ended; an empty `finished` opens it again."""
        records = self._of(name)
        records.run = replace(records.run, finished=finished)

    @contextmanager
    def claim(self, name: str) -> Iterator[None]:
        """Hold the run, stored or about to be, while the block runs; RunBusyError where another block holds it."""
        with self._lock:
            if name in self._held:
                raise RunBusyError(f"another thread works on run {name!r}. Wait until it ends.")
            self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def folder(self, name: str) -> Path:
        """The run's folder for files, made where it is missing."""
        self._of(name)
        with self._lock:
            if self._folder is None and self._own is None:
                self._own = Path(tempfile.mkdtemp(prefix="nasmith-"))
        folder = (self._folder or self._own or Path()) / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def add_asked(self, run: str, step: int, told: int, action: Wish) -> None:
        """Record the `step`-th wish of the strategy, made after `told` evaluations had been told."""
        with self._lock:
            asked = self._of(run).asked
            _refuse(step in asked, f"step {step} of run {run!r} is already stored")
            asked[step] = told, action

    def asked(self, run: str) -> list[tuple[int, Wish]]:
        """All wishes in order of step: (told, action)."""
        return [wish for _, wish in sorted(self._of(run).asked.items(), key=lambda item: item[0])]

    def add_completions(self, run: str, step: int, first: int, completions: Sequence[Completion]) -> None:
        """Record replies `first`, `first`+1, … of a step, all or none."""
        with self._lock:
            stored = self._of(run).completions
            new = {(step, index): completion for index, completion in enumerate(completions, first)}
            _refuse(not stored.keys().isdisjoint(new), f"a reply of step {step} of run {run!r} is already stored")
            stored.update(new)

    def completions(self, run: str, step: int | None = None) -> dict[tuple[int, int], Completion]:
        """Replies by (step, index), in that order; of one step or of all."""
        stored = self._of(run).completions
        return {key: stored[key] for key in sorted(stored) if step is None or key[0] == step}

    def add_call(self, run: str, call: Call) -> None:
        """Record an exchange with a language model that gave no completion."""
        self._of(run).calls.append(replace(call, message=redacted(call.message), text=redacted(call.text)))

    def calls(self, run: str) -> list[Call]:
        """In the order in which they were added."""
        return list(self._of(run).calls)

    def add_candidates(self, run: str, candidates: Sequence[Candidate]) -> None:
        """Record candidates, all or none."""
        with self._lock:
            stored = self._of(run).candidates
            new = {candidate.id: candidate for candidate in candidates}
            twice = len(new) < len(candidates) or not stored.keys().isdisjoint(new)
            _refuse(twice, f"one of the candidates {', '.join(map(str, new))} of run {run!r} is already stored")
            stored.update(new)

    def candidates(self, run: str) -> list[Candidate]:
        """In order of id."""
        stored = self._of(run).candidates
        return [stored[number] for number in sorted(stored)]

    def add_evaluation(self, run: str, evaluation: Evaluation) -> None:
        """Record an evaluation of a candidate that is stored already."""
        records = self._of(run)
        _refuse(
            evaluation.candidate not in records.candidates, f"candidate {evaluation.candidate} of run {run!r} is not stored"
        )
        if evaluation.message:
            evaluation = replace(evaluation, message=redacted(evaluation.message))
        records.evaluations.append(evaluation)

    def evaluations(self, run: str) -> list[Evaluation]:
        """In the order in which they were added."""
        return list(self._of(run).evaluations)

    def add_tuning(self, run: str, step: int, tuning: Tuning) -> None:
        """Record what the tuning that was asked for in `step` did."""
        with self._lock:
            tunings = self._of(run).tunings
            _refuse(step in tunings, f"the tuning of step {step} of run {run!r} is already stored")
            tunings[step] = replace(tuning, message=redacted(tuning.message))

    def tunings(self, run: str) -> dict[int, Tuning]:
        """By step."""
        return dict(sorted(self._of(run).tunings.items()))

    def close(self) -> None:
        """Forget everything, and remove the folder that was made; may be called twice."""
        self._runs.clear()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._own = None

    def _of(self, name: str) -> _Records:
        records = self._runs.get(name)
        if records is None:
            raise UnknownNameError("run", name, self._runs)
        return records


def _refuse(broken: bool, reason: str) -> None:
    if broken:
        raise StorageError(reason)
