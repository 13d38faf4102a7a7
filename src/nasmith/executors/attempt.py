"""Runs one job in this very process, and turns every way in which it can fail by raising into an outcome."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from nasmith.executors.wire import WireError, pack_outcome
from nasmith.protocols import Data, Workload
from nasmith.types import Job, Outcome, Status

__all__ = ["attempt", "explain", "packed"]

_CHAIN = 8
_FRAMES = 3
_NAME_LENGTH = 60
_LINES = 6
_LINE_LENGTH = 300
_PROGRAM_FILES = ("<program>", "<string>")
_OUT_OF_MEMORY_NAMES = frozenset({"OutOfMemoryError", "XlaRuntimeError"})
_OUT_OF_MEMORY_WORDS = ("can't allocate memory", "cannot allocate memory", "out of memory", "resource_exhausted")


def attempt(workload: Workload, job: Job, data: Data) -> Outcome:
    """Do the job and say how that ended; `seconds` stays 0.

    The status is OK; INVALID where `screen` or `examine` raised ValueError; OOM where memory ran out; KILLED where the program
    asked the process to exit; FAILED where anything else was raised. What `screen` measured is kept where `fit` failed.
    """
    facts: dict[str, float] = {}
    training = False
    try:
        arrays: Mapping[str, object] = {}
        if job.action == "examine":
            arrays, more = workload.examine(job.text, job.state, data)
            facts.update(more)
        elif job.action == "export":
            export: Callable[..., tuple[Mapping[str, object], Mapping[str, float]]] = workload.export  # type: ignore[attr-defined]
            arrays, more = export(job.text, job.state, data)
            facts.update(more)
        else:
            facts.update(workload.screen(job.text))
        if job.action == "fit":
            training = True
            arrays, more = _fit(workload, job, data)
            facts.update(more)
    except SystemExit as error:
        return Outcome(Status.KILLED, facts=facts, message=f"called sys.exit({error.code!r})"[:_LINE_LENGTH])
    except Exception as error:  # noqa: BLE001 - the one boundary: whatever a candidate's code raises is its result
        if _ran_out_of_memory(error):
            return Outcome(Status.OOM, facts=facts, message=f"ran out of memory: {_first_line(error)}")
        if not training and isinstance(error, ValueError):
            return Outcome(Status.INVALID, facts=facts, message=_text(error) or type(error).__name__)
        return Outcome(Status.FAILED, facts=facts, message=explain(error, job.text))
    return Outcome(Status.OK, arrays=arrays, facts=facts)


def _fit(workload: Workload, job: Job, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
    """Train, to the end or to a rung; in a folder where the workload wants one."""
    if job.folder:
        within: Callable[..., tuple[Mapping[str, object], Mapping[str, float]]] = workload.fit_in  # type: ignore[attr-defined]
        return within(job.text, job.seed, data, job.folder)
    if job.rung is None:
        return workload.fit(job.text, job.seed, data)
    to_rung: Callable[..., tuple[Mapping[str, object], Mapping[str, float]]] = workload.fit_rung  # type: ignore[attr-defined]
    return to_rung(job.text, job.seed, data, job.rung, job.state)


def packed(outcome: Outcome, limit: int) -> bytes:
    """Pack an outcome; one that cannot be packed becomes INVALID with the reason."""
    try:
        return pack_outcome(outcome, limit)
    except WireError as error:
        return pack_outcome(Outcome(Status.INVALID, message=str(error)), limit)
    except Exception as error:  # noqa: BLE001 - what the candidate returned may raise from any of its own methods
        return pack_outcome(Outcome(Status.INVALID, message=f"the result cannot be read: {_first_line(error)}"), limit)


def explain(error: BaseException, text: str) -> str:
    """Return the exception's type and message, and the last lines of its traceback that are the program's own.

    Lines are found where the workload compiles the program under the file name "<program>", without anything above it.
    """
    name = type(error).__name__
    message = _text(error) if name.startswith("_") else f"{name}: {_text(error)}".rstrip(": ")
    return "\n".join([message, *_own_lines(error.__traceback__, text.splitlines())])


def _own_lines(trace: TracebackType | None, lines: Sequence[str]) -> list[str]:
    """Return the innermost few of the program's frames, the innermost last."""
    found = []
    for frame, number in traceback.walk_tb(trace):
        code = frame.f_code
        if code.co_filename in _PROGRAM_FILES and 1 <= number <= len(lines):
            where = "" if code.co_name == "<module>" else f" in {code.co_name[:_NAME_LENGTH]}"
            found.append(f"  line {number}{where}: {lines[number - 1].strip()[:_LINE_LENGTH]}")
    return found[-_FRAMES:]


def _ran_out_of_memory(error: BaseException | None) -> bool:
    """Whether the exception, or one that it was raised from, says that memory ran out."""
    for _ in range(_CHAIN):
        if error is None:
            return False
        if isinstance(error, MemoryError) or type(error).__name__ in _OUT_OF_MEMORY_NAMES:
            return True
        if isinstance(error, RuntimeError | OSError) and any(word in _text(error).lower() for word in _OUT_OF_MEMORY_WORDS):
            return True
        error = error.__cause__
    return False


def _text(error: BaseException) -> str:
    """Return the exception's own words, a few lines of them; a program's exception may fail even at that."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - `__str__` may be the candidate's
        return "(its message cannot be read)"
    more = ["…"] if len(lines) > _LINES else []
    return "\n".join([line[:_LINE_LENGTH] for line in lines[:_LINES]] + more)


def _first_line(error: BaseException) -> str:
    return next(iter(_text(error).splitlines()), type(error).__name__)
