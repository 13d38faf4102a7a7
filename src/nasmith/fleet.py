"""Makes whole runs in worker processes: for searches that take milliseconds, where storing each record would take longest.

A run is made in the memory of a process and handed back when it is finished. No candidate's code is run here: candidates are
designs of a space, which is data. So what comes back may be unpickled.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection, resource_tracker
from typing import Any

from nasmith import api, registry
from nasmith.choosing import Choice
from nasmith.errors import NasmithError, RunStoppedError
from nasmith.loop import Budget
from nasmith.matching import prepare
from nasmith.protocols import Storage, Task
from nasmith.storage.memory import Memory
from nasmith.verify import Verification

__all__ = ["Order", "made_whole", "processors", "recommendations"]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Workers fill the processors already; NumPy's threads would wait for each other. Read once, when NumPy is imported."""

_AHEAD = 2  # orders under way for each worker, so that none waits for this process


@dataclass(frozen=True, slots=True)
class Order:
    """A run that is to be made.

    Attributes:
        name: The run's.
        config: But for the seed, as `nasmith.api.search` stores it.
        seed: The run's.
        comparison: What it is made for.
    """

    name: str
    config: Mapping[str, Any]
    seed: int
    comparison: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A run that is finished, with what its strategy recommended; or why it could not be made."""

    memory: Memory | None = None
    recommended: Sequence[int | None] | None = None
    failure: str = ""


Made = tuple[Order, Memory, Sequence[int | None] | None]
"""What was ordered, the storage with the finished run, and what the strategy recommended."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def made_whole(orders: Sequence[Order], workers: int, stopped: Callable[[], bool]) -> Iterator[Made]:
    """Yield finished runs in the order in which they end. What is under way when `stopped` says so is finished, no more begun.

    Where a run fails, those that are under way are finished first.

    Args:
        orders: What is to be made.
        workers: Processes; with one, runs are made in this very process, and where a component is defined in the script that
            is running, too: no other process finds it there.
        stopped: Asked between runs.

    Raises:
        RunStoppedError: A run could not be made, or a worker ended.
    """
    workers = min(workers, len(orders))
    if workers <= 1 or any("__main__" in json.dumps(order.config, default=str) for order in orders):
        for order in orders:
            if stopped():
                return
            made = _perform(order)
            if made.memory is None and not made.failure:
                return  # Ctrl-C reached the run itself
            yield from _yielded(order, made)
        return
    try:
        yield from _in_parallel(orders, workers, stopped)
    except BrokenProcessPool as error:
        raise RunStoppedError("a worker process of the comparison ended: out of memory, or killed.") from error


def recommendations(storage: Storage, run: str, task: Task) -> list[int | None] | None:
    """Play a finished run's wishes and evaluations to a fresh strategy; return what it recommends after each evaluation.

    None where the strategy has no attribute `recommendation`, or says by `recommends` that it has no rule of its own: the
    fittest candidate so far is meant then.
    """
    config = storage.run(run).config
    strategy = registry.create("strategies", config["strategy"]["name"], config["strategy"]["options"])
    if not hasattr(strategy, "recommendation") or not getattr(strategy, "recommends", True):
        return None
    lm = registry.create("lms", config["lm"]["name"], config["lm"]["options"])
    prepare(task, strategy)
    strategy.begin(config["seed"], lm.temperatures, lm.operators)
    candidates = {candidate.id: candidate for candidate in storage.candidates(run)}
    asked = [told for told, _ in storage.asked(run)]
    evaluations = [evaluation for evaluation in storage.evaluations(run) if evaluation.purpose == "search"]
    found: list[int | None] = []
    for told, evaluation in enumerate(evaluations):
        while asked and asked[0] == told:
            strategy.ask()
            asked.pop(0)
        strategy.tell(candidates[evaluation.candidate], evaluation)
        found.append(strategy.recommendation)
    return found


def _yielded(order: Order, made: _Made) -> Iterator[Made]:
    if made.failure:
        raise RunStoppedError(f"run {order.name!r} could not be made: {made.failure}")
    if made.memory is not None:
        yield order, made.memory, made.recommended


def _in_parallel(orders: Sequence[Order], workers: int, stopped: Callable[[], bool]) -> Iterator[Made]:
    waiting = list(reversed(orders))
    running: dict[Future[_Made], Order] = {}
    failed: tuple[Order, _Made] | None = None
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        while True:
            while waiting and len(running) < _AHEAD * workers and not failed and not stopped():
                order = waiting.pop()
                with _starting():  # an order may start a worker
                    running[pool.submit(_perform, order)] = order
            if not running:
                break
            done, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in done:
                order, made = running.pop(future), future.result()
                if made.failure:
                    failed = failed or (order, made)
                else:
                    yield from _yielded(order, made)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if failed:
        yield from _yielded(*failed)


@contextmanager
def _starting() -> Iterator[None]:
    """Have new processes leave Ctrl-C to this one, and not run the script that this one runs: it may have no guard."""
    threads = {name: value for name, value in _ONE_THREAD.items() if name not in os.environ}
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: main.__dict__[name] for name in ("__spec__", "__file__") if name in main.__dict__}
    resource_tracker.ensure_running()  # it would unblock the signal
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main.__spec__ = None
    main.__dict__.pop("__file__", None)
    os.environ.update(threads)
    try:
        yield
    finally:
        for name in threads:
            del os.environ[name]
        main.__dict__.update(hidden)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _begin() -> None:
    """Make a worker ready: it ends with the process that started it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _perform(order: Order) -> _Made:
    """Make a run; in a worker, or in this process."""
    config, memory = order.config, Memory()
    try:
        task = _task(json.dumps(config["task"], sort_keys=True))
        parts = {
            part: registry.create(kind, config[part]["name"], config[part]["options"])
            for part, kind in registry.PARTS.items()
            if part != "task"
        }
        result = api.search(
            task,
            **parts,
            storage=memory,
            name=order.name,
            seed=order.seed,
            budget=Budget(**config["budget"]),
            verify=Verification(**config["verify"]),
            choice=Choice(**config["choice"]),
            templates=config["templates"],
            comparison=order.comparison,
        )
        if not result.run.finished:  # it was stopped
            return _Made()
        return _Made(memory, recommendations(memory, order.name, task))
    except NasmithError as error:  # not all of them can be sent to another process
        return _Made(failure=str(error))


@cache
def _task(part: str) -> Task:
    """Return a task, made once in a process: it may have read a large table."""
    described = json.loads(part)
    made: Task = registry.create("tasks", described["name"], described["options"])
    return made
