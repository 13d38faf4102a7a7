"""What both kinds of foreign folders do with a program: a place of its own, and words for what goes wrong in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nasmith.tasks.foreign.combined_score import NoScoreError

__all__ = ["METRIC", "PROGRAM", "REASON", "alarm", "checked", "evaluation", "importing", "refusal"]

METRIC = "metric/"
"""What the facts that an evaluator returned begin with."""

PROGRAM = "program.py"
REASON = "reason"
"""The array that says, as UTF-8, why a program has no score although its evaluation ended."""

_LINES, _LINE = 5, 200
_FRAMES = 3


class _EvaluatorError(Exception):
    """An evaluator raised; the message says what, and where in the program and the evaluator."""


def checked(text: str) -> Mapping[str, float]:
    """Look whether a program is Python, without running it.

    Raises:
        ValueError: It is not; the message names the line.
    """
    try:
        compile(text, "<program>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from error
    return {}


@contextlib.contextmanager
def importing(folder: str) -> Iterator[None]:
    """Run a block in a folder whose modules can be imported from then on."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def evaluation(text: str, folder: str, links: Sequence[str]) -> Iterator[Path]:
    """Write a program to a file in a folder made for it, be there for a block, and tell whatever is raised there in words.

    What the program's folder holds is linked there: an evaluator that names files relatively finds them. Processes that it
    starts by "spawn" find no main module, as that would be nasmith's own.

    Args:
        text: The program.
        folder: The folder that it belongs to.
        links: Names in it that are linked.

    Yields:
        Absolute path of the program's file.

    Raises:
        NoScoreError: It was raised.
        _EvaluatorError: Anything else was raised.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    place = Path(tempfile.mkdtemp(prefix="evaluation-")).absolute()
    try:
        for name in links:
            (place / name).symlink_to(Path(folder) / name)
        path = place / PROGRAM
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        with contextlib.chdir(place):
            yield path
    except NoScoreError:
        raise
    except Exception as error:
        raise _EvaluatorError(_words(error, place / PROGRAM, Path(folder))) from error
    finally:
        sys.modules["__main__"] = main
        if not _thrown_away(place):
            shutil.rmtree(place, ignore_errors=True)


def refusal(reason: str, texts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return arrays that say why a program has no score, with the last lines of what else the evaluator said."""
    lines = [reason]
    for name, text in texts.items():
        if isinstance(text, str) and text.strip():
            lines += [f"{name}:", *(f"  {line[:_LINE]}" for line in text.strip().splitlines()[-_LINES:])]
    return {REASON: np.frombuffer("\n".join(lines).encode(errors="replace"), dtype=np.uint8)}


@contextlib.contextmanager
def alarm(seconds: float, what: str) -> Iterator[None]:
    """End this process where a block takes longer than so many seconds, whatever the block swallows.

    Where the process is the user's own, and not one made for the program, it is left alone, and TimeoutError raised afterwards.
    """
    done = threading.Event()
    late = threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            late.set()
            _end(f"{what} took longer than {seconds:g} s")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    if late.is_set():
        raise TimeoutError(f"{what} took longer than {seconds:g} s")


def _end(words: str) -> None:
    """End this process as by its alarm clock, whatever handler was set for that; not a user's own."""
    if "NASMITH_WORKSHOP" in os.environ:
        import ctypes

        os.write(2, f"{words}\n".encode())
        ctypes.CDLL(None).signal(int(signal.SIGALRM), None)  # SIG_DFL; Python's own call is for the main thread alone
        os.kill(os.getpid(), signal.SIGALRM)


def _thrown_away(place: Path) -> bool:
    """Whether a place goes with the job's folder."""
    workshop = os.environ.get("NASMITH_WORKSHOP")
    return workshop is not None and place.is_relative_to(workshop)


def _words(error: Exception, program: Path, folder: Path) -> str:
    """Say what was raised, and the innermost lines of the program and of the evaluator's folder."""
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        file = Path(frame.filename)
        where = "" if frame.name == "<module>" else f" in {frame.name}"
        if file == program:
            lines.append(f"  line {frame.lineno}{where}: {frame.line}"[:_LINE])
        elif file.is_relative_to(folder):
            lines.append(f"  {file.relative_to(folder)}:{frame.lineno}{where}: {frame.line}"[:_LINE])
    return "\n".join([said, *lines[-_FRAMES:]])
