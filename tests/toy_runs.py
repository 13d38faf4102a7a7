"""Whole searches on the toy task, for tests that break them off: how to run one, and what must be equal afterwards."""

from dataclasses import replace

import nasmith
from nasmith.api import open_storage
from nasmith.executors.inline import Inline
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask
from nasmith.types import Call, Traits

SCRIPT = """
import os, signal, sys
import nasmith
from nasmith.api import open_storage
from nasmith.executors.inline import Inline
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM, ToyTask, ToyWorkload

storage, log, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = 0

def deadly(cls, method, call):
    # kill this process in the middle of a call
    whole, calls = getattr(cls, method), []

    def wrapped(*arguments, **named):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **named)

    setattr(cls, method, wrapped)

if len(sys.argv) > 4:
    deadly({"complete": ToyLM, "tune": ToyLM, "fit": ToyWorkload}[sys.argv[4]], sys.argv[4], int(sys.argv[5]))

def observer(event):
    global count
    count += 1
    if count == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

if os.path.exists(storage) and open_storage(storage).runs():
    nasmith.resume("run", storage, observers=[observer])
else:
    nasmith.search(
        ToyTask(), ToyLM(log=log), EvoPrompting(rounds=3, prompts=3, samples=4, survivors=3), Inline(), storage,
        name="run", seed=7, verify=nasmith.Verification(best=2), observers=[observer],
    )
"""
"""Begins or resumes a run: arguments are storage, log of calls, event at which to die (0: never), and method and call of it."""


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


class Paid(ToyLM):
    """A hosted model: two replies a request, a dollar a thousand tokens."""

    traits = Traits(batch=2, concurrency=2, free=False)

    def __init__(self, log: str = "", price_known: bool = True) -> None:
        super().__init__(log=log)
        self.price_known = price_known

    def check(self, record):
        record(Call(self.name, "checked", tokens_in=3, cost=0.003))

    def price(self, tokens_in, tokens_out):
        return (tokens_in + tokens_out) / 1000 if self.price_known else None

    def complete(self, request):
        return [replace(reply, cost=(reply.tokens_in + reply.tokens_out) / 1000) for reply in super().complete(request)]
