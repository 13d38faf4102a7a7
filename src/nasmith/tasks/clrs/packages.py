"""Imports `dm-clrs`, and with it JAX and TensorFlow, so that it says nothing, starts no thread and takes no memory ahead."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from nasmith.errors import MissingDependencyError

__all__ = ["check_installed", "kept_handlers", "load_clrs"]

_NEEDED = ("dm-clrs", "dm-haiku", "jax", "optax")
_SETTINGS = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow, which TensorFlow imports where pandas is installed
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def check_installed() -> None:
    """Find out whether the extra is there; nothing is imported.

    Raises:
        MissingDependencyError: It is not; the message holds the command that installs it.
    """
    for package in _NEEDED:
        try:
            version(package)
        except PackageNotFoundError:
            raise MissingDependencyError(
                f'CLRS needs JAX, Haiku and dm-clrs, and {package} is not installed: pip install "nasmith[clrs]"'
            ) from None


def load_clrs() -> None:
    """Import the package; what it needs of the environment is set before.

    It takes two to four seconds.

    Raises:
        MissingDependencyError: The extra is not installed.
    """
    check_installed()
    threads = os.environ.get("OMP_NUM_THREADS", "")  # as many as a candidate may use
    for name, value in {**_SETTINGS, **({"NPROC": threads} if threads else {})}.items():
        os.environ.setdefault(name, value)
    if "clrs" in sys.modules:
        return
    with kept_handlers(), _silenced():
        importlib.import_module("clrs")


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Let the root logger have no more handlers afterwards than before: `absl`, which logs for these packages, gives it one."""
    before = list(logging.root.handlers)
    try:
        yield
    finally:
        for handler in [handler for handler in logging.root.handlers if handler not in before]:
            logging.root.removeHandler(handler)


@contextmanager
def _silenced() -> Iterator[None]:
    """Send standard error away while C++ libraries greet, which no setting prevents."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
