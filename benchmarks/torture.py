"""Kills the main process of real searches at random moments, resumes each time, and compares with a search left alone.

    python benchmarks/torture.py --kills 100
    python benchmarks/torture.py --embedded --kills 10

Real command line, worker processes and database file. By default the toy task and toy model of `nasmith.testing`, whose log
shows every call; with `--embedded` the embedded language model, real trainings and tunings. A run that ends before all kills
are used up is compared, and another begun. Exit code 1 where anything but times differs, a reply that was stored was asked for
again, or a process was left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from nasmith.api import open_storage
from nasmith.types import Brief

NAME = "run"
TOY = {
    "words": ["search", "nasmith.testing:ToyTask", "--lm", "nasmith.testing:ToyLM"],
    "settings": [
        "rounds=3", "prompts=4", "samples=4", "survivors=3", "lm.delay_seconds=0.3", "task.delay_seconds=0.15",
        "verify.best=2", "verify.front=0", "verify.seeds=2", "executor.workers=2",
    ],
}  # fmt: skip
EMBEDDED = {
    "words": ["search", "mnist1d", "--rounds", "2", "--prompts", "3", "--samples", "4", "--steps", "100"],
    "settings": ["survivors=1", "tuning_epochs=2", "error_threshold=0.8", "verify.best=1", "verify.front=0", "verify.seeds=2"],
}
_USAGE = 2  # the exit code of a user's mistake
GONE_SECONDS = 15.0  # until when the workers of a killed process must be gone
MOST_SECONDS = 900.0


@dataclass
class Tally:
    """What a whole torture came to."""

    kills: int = 0
    runs: int = 0
    repeated: int = 0  # calls whose replies had been stored
    in_flight: int = 0  # calls made again because a kill came before their replies were stored
    left: int = 0  # processes alive `GONE_SECONDS` after a kill
    slowest: float = 0.0  # seconds until the last worker was gone
    moments: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Trial:
    """One search in a folder of its own, killed and resumed until it ends."""

    def __init__(self, folder: Path, embedded: bool) -> None:
        folder.mkdir()
        self.storage, self.log, self.temporary = folder / "runs" / "nasmith.sqlite3", folder / "calls", folder / "tmp"
        self.temporary.mkdir()
        self._kind, self._toy = EMBEDDED if embedded else TOY, not embedded

    def start(self) -> subprocess.Popen[bytes]:
        """Begin the search, or resume it where it is stored."""
        words = ["resume", NAME]
        if not self.known():
            settings = [*self._kind["settings"], *([f"lm.log={self.log}"] if self._toy else [])]
            words = [*self._kind["words"], "--name", NAME, *(word for one in settings for word in ("--set", one))]
        command = [sys.executable, "-c", "from nasmith.cli import main; main()", *words, "--storage", str(self.storage)]
        errors = self.temporary.with_name("stderr")
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        with errors.open("wb") as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, env=environment)

    def known(self) -> bool:
        """Whether the run is stored."""
        if not self.storage.exists():
            return False
        opened = open_storage(self.storage)  # not read-only: the file may be as empty as the kill left it
        found = bool(opened.runs())
        opened.close()
        return found

    def calls(self) -> list[dict[str, int | str]]:
        """What the toy model was asked, in order; a last line that a kill cut off is none."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        whole = [line for line in lines if line.endswith("}")]
        return [json.loads(line) for line in whole]

    def answered(self) -> set[tuple[str, int]]:
        """The calls whose replies are stored: by seed of the request, tunings by round."""
        if not self.known():
            return set()
        opened = open_storage(self.storage, read_only=True)
        asked = [action for _, action in opened.asked(NAME)]
        replied = {step for step, _ in opened.completions(NAME)}
        seeds = {
            ("complete", action.sampling.seed) for i, action in enumerate(asked) if i in replied and isinstance(action, Brief)
        }
        found = seeds | {("tune", tuning.round) for tuning in opened.tunings(NAME).values()}
        opened.close()
        return found

    def moment(self) -> str:
        """What the run was at, by what is stored."""
        if not self.known():
            return "starting"
        opened = open_storage(self.storage, read_only=True)
        purposes = {evaluation.purpose for evaluation in opened.evaluations(NAME)}
        rounds = len(opened.tunings(NAME))
        done = opened.run(NAME).finished
        opened.close()
        if done:
            return "just finished"
        return "verification" if "verify" in purposes else f"round {rounds + 1}" if purposes else "seeds"

    def temporaries(self) -> list[str]:
        """Temporary files."""
        return [str(path) for path in self.temporary.rglob("*") if path.is_file()]

    def locks(self) -> list[str]:
        """Locks, of which a run that has ended leaves none."""
        return [str(path) for path in self.storage.parent.rglob("lock")]


def records(storage: Path) -> dict[str, object]:
    """All that must be equal: everything stored but times. Trainings end in any order, so evaluations are sorted."""
    opened = open_storage(storage, read_only=True)
    evaluations = [
        replace(e, seconds=0.0, metrics={name: value for name, value in e.metrics.items() if name != "train_seconds"})
        for e in opened.evaluations(NAME)
    ]
    found = {
        "wishes": [action for _, action in opened.asked(NAME)],
        "replies": {key: replace(completion, seconds=0.0) for key, completion in opened.completions(NAME).items()},
        "candidates": opened.candidates(NAME),
        "evaluations": sorted(evaluations, key=lambda e: (e.purpose, e.candidate, e.seed)),
        "tunings": {step: replace(tuning, seconds=0.0) for step, tuning in opened.tunings(NAME).items()},
        "unfinished": not opened.run(NAME).finished,
    }
    opened.close()
    return found


def kill(process: subprocess.Popen[bytes], tally: Tally) -> None:
    """SIGKILL the main process alone, and see its workers off."""
    workers: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    _, alive = psutil.wait_procs(workers, timeout=GONE_SECONDS)
    tally.slowest = max(tally.slowest, time.monotonic() - began)
    tally.kills += 1
    if alive:
        tally.left += len(alive)
        tally.faults.append(f"kill {tally.kills}: left {[' '.join(one.cmdline()) for one in alive]}")
        for one in alive:
            one.kill()


def torment(trial: Trial, dice: random.Random, longest: float, kills: int, tally: Tally) -> int:
    """Run a search to its end through at most `kills` kills; return the last exit code."""
    answered: set[tuple[str, int]] = set()
    made: Counter[tuple[str, int]] = Counter()
    while True:
        before = len(trial.calls())
        process = trial.start()
        try:
            code = process.wait(dice.uniform(0, longest) if tally.kills < kills else MOST_SECONDS)
        except subprocess.TimeoutExpired:
            kill(process, tally)
            moment = trial.moment()
            tally.moments[moment] += 1
            code = None
            if moment == "just finished":  # a resume has nothing to do but to say so, and to clear the dead run's lock away
                refused = trial.start().wait(MOST_SECONDS)
                code = 0 if refused == _USAGE else refused or 1
            tally.faults += [f"kill {tally.kills} left {path}" for path in trial.temporaries()]
        new = [(str(call["kind"]), int(call.get("seed", call.get("round", 0)))) for call in trial.calls()[before:]]
        tally.repeated += sum(call in answered for call in new)
        tally.in_flight += sum(made[call] > 0 and call not in answered for call in new)
        made.update(new)
        answered = trial.answered()
        if code is not None:
            return code


def differences(trial: Trial, expected: dict[str, object]) -> list[str]:
    """Say what of the stored records is not as in the undisturbed run."""
    found = records(trial.storage)
    different = [name for name in expected if found[name] != expected[name]]
    return [f"{name}: {_first_difference(expected[name], found[name])}" for name in different]


def _first_difference(expected: object, found: object) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        expected, found = list(expected.items()), list(found.items())
    if isinstance(expected, list) and isinstance(found, list):
        pairs = [(a, b) for a, b in zip(expected, found, strict=False) if a != b]
        return f"{len(expected)} and {len(found)}; first: {pairs[0] if pairs else 'all equal but the number'}"
    return f"{expected} and {found}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--embedded", action="store_true", help="the embedded language model and real trainings")
    arguments = parser.parse_args()
    dice, tally = random.Random(arguments.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = Trial(folder / "alone", arguments.embedded)
        began = time.monotonic()
        if alone.start().wait() != 0:
            sys.exit(f"the undisturbed run failed: {(folder / 'alone' / 'stderr').read_text()}")
        longest = time.monotonic() - began
        expected = records(alone.storage)
        print(f"undisturbed: {longest:.1f} s, {len(expected['evaluations'])} evaluations", flush=True)  # type: ignore[arg-type]
        while tally.kills < arguments.kills:
            tally.runs += 1
            trial = Trial(folder / f"killed-{tally.runs}", arguments.embedded)
            code = torment(trial, dice, 0.65 * longest, arguments.kills, tally)
            if code != 0:
                said = (trial.temporary.with_name("stderr")).read_text()
                tally.faults.append(f"run {tally.runs} ended with exit code {code}: {said}")
                break
            tally.faults += [f"run {tally.runs}: {one}" for one in differences(trial, expected)]
            tally.faults += [f"run {tally.runs} left {path}" for path in (*trial.temporaries(), *trial.locks())]
            print(f"run {tally.runs}: {tally.kills} kills so far, {len(tally.faults)} faults", flush=True)
    if tally.repeated:
        tally.faults.append(f"{tally.repeated} calls were made again though their replies were stored")
    moments = ", ".join(f"{moment} {count}" for moment, count in sorted(tally.moments.items()))
    print(f"{tally.kills} kills over {tally.runs} runs, each resumed to its end and compared")
    print(f"what the run was at: {moments}")
    if not arguments.embedded:
        print(
            f"calls of the model made again: {tally.repeated} whose replies were stored, {tally.in_flight} that were in flight"
        )
    print(f"processes left: {tally.left}; the last worker was gone {tally.slowest:.1f} s after the kill at the latest")
    print(*(tally.faults or ["no difference to the undisturbed run but times"]), sep="\n")
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
