"""Says what became of a candidate: from what its supervisor saw, and from what it wrote itself."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nasmith.executors.sandbox.limits import Limits
from nasmith.executors.wire import WireError, printable, unpack_outcome
from nasmith.types import Outcome, Status

__all__ = ["judge"]


def judge(verdict: Mapping[str, Any], result: bytearray, limits: Limits) -> Outcome:
    """Turn what a supervisor saw, and what the candidate wrote, into an outcome.

    Args:
        verdict: The header of the supervisor's reply, see `supervise`.
        result: The body of it.
        limits: What the candidate was allowed.
    """
    cause = verdict["cause"]
    if cause == "error":
        words = verdict.get("message") or f"its process ended before it was confined: {verdict.get('tail', '').strip()}"
        return Outcome(Status.ERROR, message=printable(words))
    megabytes = limits.output_bytes / 1e6
    advice = "it should print and write less, or output_mb of the executor be more"
    ends = {
        "timeout": (Status.TIMEOUT, f"took longer than {limits.timeout_seconds:g} s"),
        "cpu": (Status.TIMEOUT, f"used more than {limits.cpu_seconds or 0:g} s of processor time"),
        "memory": (Status.OOM, f"used more than {limits.memory_bytes / 1e6:g} MB of memory"),
        "threads": (Status.KILLED, "started too many threads"),
        "output": (Status.INVALID, f"wrote more than the {megabytes:g} MB that a result may take"),
        "printed": (Status.INVALID, f"printed more than the {megabytes:g} MB that it may: {advice}"),
        "disk": (Status.INVALID, f"wrote more than the {megabytes:g} MB of files that it may: {advice}"),
    }
    seconds = float(verdict["seconds"])
    if cause in ends:
        status, message = ends[cause]
        return Outcome(status, seconds=seconds, message=message)
    return replace(_of_exit(verdict["code"], verdict, result, limits.output_bytes), seconds=seconds)


def _of_exit(code: int | None, verdict: Mapping[str, Any], result: bytearray, output_bytes: int) -> Outcome:
    tail = printable(verdict["tail"])
    last = "".join(f"\n  {line[:200]}" for line in tail.strip().splitlines()[-5:])
    if code is None:
        return Outcome(Status.KILLED, message="could not be ended by the system")
    if code == -signal.SIGALRM:  # an alarm that was set beforehand, and that nothing in the program could swallow
        return Outcome(Status.TIMEOUT, message=f"took longer than it gave itself{last}")
    if code < 0:
        starved = (code == -signal.SIGKILL and verdict["oom"]) or (code == -signal.SIGABRT and "std::bad_alloc" in tail)
        if starved:
            return Outcome(Status.OOM, message="was ended when memory ran out")
        return Outcome(Status.KILLED, message=f"ended by signal {_signal_name(-code)}{last}")
    if not result:
        return Outcome(Status.KILLED, message=f"exited with code {code} without a result{last}")
    try:
        outcome = unpack_outcome(result, output_bytes)
    except WireError as error:
        return Outcome(Status.INVALID, message=str(error))
    return outcome if code == 0 else Outcome(Status.KILLED, message=f"exited with code {code} after its result{last}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
