"""Runs a training in processes of its own: one, or one for each GPU below `torchrun`. They end when this process does."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable

from nasmith.errors import UsageError
from nasmith.tasks.imagenet.training_files import TrainingFolder

__all__ = ["run"]

_MODULE = "nasmith.tasks.imagenet.train"
_PR_SET_PDEATHSIG = 1
_TAIL = 20  # lines of what a crashed process said


def run(folder: TrainingFolder, gpus: int, say: Callable[[str], None]) -> None:
    """Do the training of a folder; return when it is finished. What it says goes to `train.log`, too.

    Args:
        folder: Says what is to be trained.
        gpus: Processes that share each batch.
        say: Takes the lines that the training says.

    Raises:
        UsageError: It cannot be done as it is described.
        ValueError: The training failed: the loss is not finite, say.
        MemoryError: The memory does not suffice; the message says which batch fits, where that is known.
        RuntimeError: The process ended without a word.
    """
    if folder.result() is not None:
        return
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"] if gpus > 1 else []
    command = [sys.executable, *several, "-m", _MODULE, str(folder.path)]
    share = max(1, (os.cpu_count() or 1) // gpus)
    threads = {} if gpus == 1 else {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(share))}
    last: deque[str] = deque(maxlen=_TAIL)
    with (
        folder.log.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **threads},
            start_new_session=True,  # Ctrl-C is for this process: the training ends in good order, or with it
            preexec_fn=_end_with_parent,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                last.append(line.rstrip())
                say(line.rstrip())
        except BaseException:
            process.terminate()  # it writes a checkpoint
            raise
    if process.returncode == 0 and folder.result() is not None:
        return
    kind, message = folder.failure() or ("", "")
    if kind == "usage":
        raise UsageError(message)
    if kind == "training":
        raise ValueError(message)
    if kind == "memory" or process.returncode == -signal.SIGKILL:
        raise MemoryError(message or "the training was killed, probably because the memory ran out")
    said = " / ".join(line for line in last if line.strip())[-600:]
    raise RuntimeError(f"the training ended with exit code {process.returncode}: {said or 'it said nothing'}")


_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends, however it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
