"""The process that a candidate's code runs in: what it keeps, and how its result leaves it."""

from __future__ import annotations

import os
import select
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from nasmith.executors.attempt import attempt, explain, packed
from nasmith.executors.bundle import unpack
from nasmith.executors.order import Order
from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.sandbox.policy import Sandbox
from nasmith.protocols import Workload
from nasmith.types import Outcome, Status

__all__ = ["CONFINED", "Unwarmed", "run"]

CONFINED = b"\x06"
"""The first byte of every result, written before any of the candidate's code runs: what it lacks, the candidate did not do."""

_RESULT = 3


@dataclass(frozen=True, slots=True)
class Unwarmed:
    """A workload that starts threads when it is warmed, so that it must be warmed in every candidate's own process."""

    workload: Workload


def run(
    workload: Workload | Unwarmed,
    order: Order,
    limits: Limits,
    sandbox: Sandbox,
    result: int,
    output: int,
    folder: Path | None = None,
) -> int:
    """Do the job in a process that was forked for it, and write the outcome to the descriptor `result`.

    Args:
        workload: Warm, or to be warmed here.
        order: What to do, and descriptors of the data for it.
        limits: What it may use.
        sandbox: What holds it.
        result: Pipe to the supervisor.
        output: Pipe that takes standard output and standard error.
        folder: The job's own folder, where it has one.

    Returns:
        The exit code.
    """
    data = {split: unpack(*bundle) for split, bundle in order.data.items()}
    job = order.job if order.state is None else replace(order.job, state=unpack(*order.state))
    _detach(result, output)
    sandbox.confine(limits, [_RESULT], folder)
    if _abandoned():
        return 1
    _prepare_libraries(limits)
    if isinstance(workload, Unwarmed):
        workload = workload.workload
        workload.warm()
    os.write(_RESULT, CONFINED)
    own = os.getpid()
    try:
        outcome = attempt(workload, job, data)
    except BaseException as error:  # noqa: BLE001 - nobody presses Ctrl-C here: whatever comes is the candidate's
        outcome = Outcome(Status.FAILED, message=explain(error, job.text))
    if os.getpid() != own:  # a copy that the program made of its process, and did not end
        return 0
    frame = memoryview(packed(outcome, limits.output_bytes))
    while frame:
        frame = frame[os.write(_RESULT, frame) :]
    return 0


def _detach(result: int, output: int) -> None:
    """Leave the supervisor's session, its signal handlers and its input and output."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if result < _RESULT or output < _RESULT:
        raise OSError("standard input, output and error must be open in the process that jobs are forked from")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if result != _RESULT:
        os.dup2(result, _RESULT, inheritable=False)
    os.chdir("/")


def _abandoned() -> bool:
    """Whether the supervisor died before its death would end this process: nobody reads the result then."""
    poll = select.poll()
    poll.register(_RESULT, 0)
    return bool(poll.poll(0))


def _prepare_libraries(limits: Limits) -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if limits.threads > 1:
        torch.set_num_threads(limits.threads)
    if limits.gpu_memory_bytes is not None and torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limits.gpu_memory_bytes / whole))
