"""Whole searches on the toy task, for tests that break them off: how to run one, and what must be equal afterwards."""

from dataclasses import replace

import nasmith
from nasmith.api import open_storage
from nasmith.executors.inline import Inline
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask


def toy_search(storage, **options):
    settings = {"seed": 7, "name": "run", "verify": nasmith.Verification(best=2), **options}
    strategy = settings.pop("strategy", None) or EvoPrompting(rounds=3, prompts=3, samples=4, survivors=3)
    lm = settings.pop("lm", None) or ToyLM()
    return nasmith.search(ToyTask(), lm, strategy, settings.pop("executor", None) or Inline(), storage, **settings)


def records(storage, run="run"):
    """All that must be the same in an interrupted run and in one left alone: not times, not the order of parallel trainings."""
    opened = open_storage(storage)
    return (
        opened.candidates(run),
        sorted((replace(e, seconds=0.0) for e in opened.evaluations(run)), key=lambda e: (e.purpose, e.candidate, e.seed)),
        {key: replace(value, seconds=0.0) for key, value in opened.completions(run).items()},
        {step: replace(tuning, seconds=0.0) for step, tuning in opened.tunings(run).items()},
        [action for _, action in opened.asked(run)],
    )
