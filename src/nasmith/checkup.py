"""Tries a task before anything is spent: its data, its seeds, what could leak to a candidate, and the first prompt."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nasmith import registry
from nasmith.errors import NasmithError, UsageError
from nasmith.loop import check_seeds
from nasmith.propose import requests
from nasmith.protocols import Data, Executor, LanguageModel, Task, Workload, space_of, traits_of
from nasmith.trials import Trial, judge
from nasmith.types import Brief, Candidate, Job, Outcome, Sampling, Status

__all__ = ["Checkup", "Finding", "SeedTrial", "check_task"]

_STEPS = 30
_SLOW_SHARE = 0.8  # of the time limit


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the user should know: an error makes a search impossible or worthless, a warning may."""

    level: Literal["error", "warning"]
    text: str


@dataclass(frozen=True, slots=True)
class SeedTrial:
    """What came of a few steps of one seed.

    Attributes:
        label: Its name.
        status: How it ended.
        metrics: Of the few steps.
        steps: How many were trained; 0 where the task has none.
        seconds: Of the few steps, start of the process included.
        expected_seconds: Of a whole training, by the time of a step; None where that is not known.
        memory_mb: Most resident memory of its process, libraries included (1e6 bytes); None where that is not known.
        message: Why it failed.
    """

    label: str
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    expected_seconds: float | None = None
    memory_mb: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What a task looked like.

    Attributes:
        title: The task's.
        shapes: Shape and type of each array that a job may be given, by "split.name".
        seeds: A trial of each seed.
        findings: Errors first.
        prompt: The first prompt that a language model would be sent.
    """

    title: str = ""
    shapes: Mapping[str, str] = field(default_factory=dict)
    seeds: Sequence[SeedTrial] = ()
    findings: Sequence[Finding] = ()
    prompt: str = ""

    @property
    def sound(self) -> bool:
        """Whether a search can begin."""
        return not any(finding.level == "error" for finding in self.findings)


def check_task(task: Task, lm: LanguageModel, executor: Executor) -> Checkup:
    """Try a task, with nothing stored, and no language model asked.

    Args:
        task: The task. Where it takes an option `steps`, its seeds are trained for 30 steps.
        lm: Who would be asked, for the form of the prompt.
        executor: Fresh; it is closed at the end.
    """
    findings: list[Finding] = []
    try:
        with _opened_files() as opened:
            check = getattr(task, "check", None)
            if check is not None:
                check()
            data = task.data()
        description = task.describe()
        findings += _leaks(task.workload(), opened)
        findings += _overlaps(task)
    except UsageError as error:
        executor.close()
        return Checkup(findings=(Finding("error", str(error)),))
    seeds, more = _try_seeds(task, data, executor)
    prompt = _first_prompt(task, lm, seeds)
    ordered = sorted([*findings, *more], key=lambda finding: finding.level)
    return Checkup(description.title, _shapes(data), seeds, tuple(ordered), prompt)


def _shapes(data: Data) -> dict[str, str]:
    return {
        f"{split}.{name}": f"{' x '.join(f'{size:,}' for size in array.shape)} {array.dtype}"
        for split, part in data.items()
        for name, array in part.items()
    }


def _try_seeds(task: Task, data: Data, executor: Executor) -> tuple[list[SeedTrial], list[Finding]]:
    """Train each seed for a few steps, one after the other, and look whether labels lie in the memory of such a process."""
    short = _shortened(task)
    findings = []
    trials = []
    try:
        labels = _digests(task)
        executor.start(_Probe(short.workload(), labels, os.getpid()) if labels else short.workload(), lambda: data)
        check_seeds(short, executor)
        for number, (label, text) in enumerate(short.seeds().items(), start=1):
            trial, outcome = _try(short, Candidate(number, text, label=label), executor)
            trials.append(_with_expectation(trial, outcome, task))
            if outcome.facts.get("labels_found"):
                findings.append(_LABELS)
    except NasmithError as error:
        return trials, [Finding("error", str(error))]
    finally:
        executor.close()
    limit = getattr(executor, "timeout_seconds", None)
    for trial in trials:
        if trial.status is not Status.OK:
            findings.append(Finding("error", f"seed {trial.label!r} {_ended(trial)}"))
        elif limit is not None and trial.expected_seconds is not None and trial.expected_seconds > _SLOW_SHARE * limit:
            findings.append(
                Finding(
                    "error" if trial.expected_seconds > limit else "warning",
                    f"seed {trial.label!r} takes about {trial.expected_seconds:,.0f} s to train, and the limit is {limit:,.0f} "
                    "s: raise limits.timeout_seconds in task.yaml (executor.timeout_seconds), or lower training.steps.",
                )
            )
    return trials, list(dict.fromkeys(findings))


_LABELS = Finding(
    "error",
    "labels of the validation or test data lie in the memory of the processes that run candidates: task.py, or a module that "
    "preamble.py imports, loads the data when it is imported. Load it inside of data().",
)


def _ended(trial: SeedTrial) -> str:
    reason = trial.message or "no reason is known"
    return f"cannot be used ({trial.status}): {reason.rstrip('.')}. Mend the seed, or what measures it."


def _shortened(task: Task) -> Task:
    """Return the task with few steps, where it takes that option."""
    described = registry.describe("tasks", task)
    if "steps" not in described["options"]:
        return task
    options = {**described["options"], "steps": _STEPS}
    if options.get("evaluations", 0) > _STEPS:
        options["evaluations"] = _STEPS
    short: Task = registry.create("tasks", described["name"], options)
    return short


def _try(task: Task, candidate: Candidate, executor: Executor) -> tuple[SeedTrial, Outcome]:
    """Train, examine and score one program, as a verification does: so that the test data is tried, too."""
    outcome = executor.submit(Job(candidate.id, candidate.text, 0)).result()
    trial, last = Trial(candidate, Job(candidate.id, candidate.text, 0), "verify"), outcome
    if outcome.status is Status.OK:
        try:
            state = task.best_state(outcome)
        except ValueError as error:
            return SeedTrial(candidate.label, Status.INVALID, message=str(error)), outcome
        if state is not None:
            trial = Trial(candidate, trial.job, "verify", trained=outcome)
            last = executor.submit(Job(candidate.id, candidate.text, 0, ("val", "test"), "examine", state)).result()
    evaluation = judge(task, trial, last, lambda metrics: True)
    tried = SeedTrial(
        candidate.label,
        evaluation.status,
        evaluation.metrics,
        evaluation.fidelity,
        evaluation.seconds,
        memory_mb=outcome.facts.get("resident_mb"),
        message=evaluation.message,
    )
    return tried, outcome


def _with_expectation(trial: SeedTrial, outcome: Outcome, task: Task) -> SeedTrial:
    """Add what a whole training will take, by what a step took."""
    whole, taken = getattr(task, "planned_steps", None), outcome.facts.get("train_seconds")
    if whole is None or taken is None or not trial.steps:
        return trial
    return replace(trial, expected_seconds=trial.seconds - taken + taken / trial.steps * whole)


# What could leak.


@contextmanager
def _opened_files() -> Iterator[set[Path]]:
    """Collect the files that this process opens for reading meanwhile. The hook cannot be removed; it is only switched off."""
    found: set[Path] = set()
    on = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if on[0] and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            found.add(Path(os.fsdecode(arguments[0])))

    sys.addaudithook(hook)
    try:
        yield found
    finally:
        on[0] = False


def _leaks(workload: Workload, opened: set[Path]) -> list[Finding]:
    """Name data files that candidates could read themselves: those in installed packages that are not hidden from them."""
    from nasmith.executors.sandbox.policy import readable_paths

    readable = [place.resolve() for place in readable_paths(getattr(workload, "hidden_modules", ()))]
    packages: dict[str, Path] = {}
    for path in sorted(opened):
        real = path.resolve()
        if real.suffix in _CODE or not real.is_file():
            continue
        for parent in real.parents:
            if parent.name in {"site-packages", "dist-packages"} and any(p == real or p in real.parents for p in readable):
                packages.setdefault(real.relative_to(parent).parts[0], real)
    return [
        Finding(
            "error",
            f"candidates could read the data: data() opens {path}, which lies in the installed package {name}. "
            f"Add `hide: [{name}]` to task.yaml; candidates can then not import {name}.",
        )
        for name, path in packages.items()
    ]


_CODE = {".py", ".pyc", ".pyi", ".so", ".pth", ".typed", ".txt", ".toml", ".cfg", ".ini", ".json", ".pem", ".metadata", ""}


def _overlaps(task: Task) -> list[Finding]:
    """Warn of inputs that training shares with validation or test data."""
    overlaps = getattr(getattr(task, "splits", None), "overlaps", None)
    found: Mapping[str, int] = {} if overlaps is None else overlaps()
    return [
        Finding("warning", f"{count:,} inputs of {what} are in the training data too: scores on them prove nothing.")
        for what, count in found.items()
        if count
    ]


def _digests(task: Task) -> frozenset[tuple[int, str]]:
    """Return length and hash of the labels that no candidate must have."""
    splits = getattr(task, "splits", None)
    labels = [] if splits is None else [splits.val[1], splits.test[1]]
    return frozenset((label.size, _digest(label)) for label in labels)


def _digest(array: Any) -> str:
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(array, dtype=np.float64).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Probe:
    """A workload that also looks for labels in the memory of its process, if that is not the one that has them: `owner`.

    The labels are known to it by hash alone.
    """

    workload: Workload
    digests: frozenset[tuple[int, str]]
    owner: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pickle asks before there is a workload
            raise AttributeError(name)
        return getattr(self.workload, name)

    def warm(self) -> None:
        """Warm the task's own."""
        self.workload.warm()

    def screen(self, text: str) -> Mapping[str, float]:
        """Screen as the task does."""
        return self.workload.screen(text)

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train as the task does, and say whether labels were found before."""
        found = os.getpid() != self.owner and self._labels_in_memory()
        arrays, facts = self.workload.fit(text, seed, data)
        return arrays, {**facts, "labels_found": float(found), **_resident()}

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Examine as the task does."""
        return self.workload.examine(text, state, data)

    def _labels_in_memory(self) -> bool:
        import numpy as np
        import torch

        gc.unfreeze()  # what was made before the fork
        sizes = {size for size, _ in self.digests}
        for holder in gc.get_objects():
            for value in _held(holder):
                if type(value) is torch.Tensor and value.numel() in sizes:
                    array = value.detach().cpu().numpy()
                elif type(value) is np.ndarray and value.size in sizes and value.dtype.kind in "biuf":
                    array = value
                else:
                    continue
                if (array.size, _digest(array)) in self.digests:
                    return True
        return False


def _held(holder: object) -> Iterator[object]:
    """Yield what an object refers to, and what tuples in it hold: the collector does not list tuples of arrays themselves."""
    for value in gc.get_referents(holder):
        if type(value) is tuple and not gc.is_tracked(value):
            yield from value
        else:
            yield value


def _resident() -> dict[str, float]:
    """Return the most resident memory of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
    return {"resident_mb": peak / 1e6}


def _first_prompt(task: Task, lm: LanguageModel, trials: Sequence[SeedTrial]) -> str:
    """Return a prompt such as a search begins with, with the metrics of the few steps."""
    seeds = [Candidate(number, text) for number, text in enumerate(list(task.seeds().values())[:2], start=1)]
    if space_of(task) is not None or not seeds or lm.name == "none":
        return ""
    known = {trial.label: trial.metrics for trial in trials}
    facts = [
        {o.name.removeprefix("val_"): f"{known[label][o.name]:.4g}" for o in task.objectives if o.name in known.get(label, {})}
        for label in list(task.seeds())[:2]
    ]
    operator = max(lm.operators, key=lambda name: lm.operators[name])
    brief = Brief(operator, tuple(seed.id for seed in seeds), tuple(facts), facts[0], Sampling(1, 1.0, 0))
    return requests(brief, seeds, task.describe(), chat=traits_of(lm).chat)[0].request.prompt
