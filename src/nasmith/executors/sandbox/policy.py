"""The sandbox as a whole: which layers a level has, and in which process each is put on."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import nasmith
from nasmith.executors.sandbox.limits import Limits, limit_threads, set_limits

if sys.platform != "win32":  # where `Processes` refuses to begin, and says what to do
    import fcntl
    import resource

__all__ = ["THREAD_VARIABLES", "Level", "Sandbox", "readable_paths"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/dev/zero",
)
_GPU_DEVICES = ("nvidia*", "nvidia-caps/*", "kfd", "dri/*", "shm")
_MOST_DESCRIPTORS = 1 << 20
_OUT_OF_THE_WAY = 64  # a descriptor above those that a candidate's process rearranges
_THREADS_SPARE = 8  # what libraries start besides those that were asked for


class Level(StrEnum):
    """How a candidate is held.

    STRICT: Landlock and seccomp, or nothing is run; namespaces besides, where the system gives them.
    NAMESPACES: The same, and nothing is run without namespaces.
    BWRAP: bubblewrap and seccomp, for kernels without Landlock.
    OFF: Limits of time, memory and output alone: a candidate has the user's rights.
    """

    STRICT = "strict"
    NAMESPACES = "namespaces"
    BWRAP = "bwrap"
    OFF = "off"


class Sandbox:
    """Holds candidates on Linux. Made in the zygote, entered by each supervisor, confined to by each candidate's process.

    Args:
        level: What is asked for.
        hidden: Top-level modules whose files candidates must not read, because they hold or make what a candidate is scored on.
        devices: Whether a GPU is used.

    Raises:
        OSError: This system does not have what the level needs; the message says what.
    """

    def __init__(self, level: Level, hidden: Sequence[str] = (), devices: bool = False) -> None:
        self.level, self.devices = level, devices
        self.namespaces = False
        self._rules: int | None = None
        self._uid: int | None = None
        self._keep_reading = False
        if level is Level.OFF:
            return
        from nasmith.executors.sandbox import identity, kernel, landlock, namespaces

        kernel.machine()  # raises for a processor that is not known
        readable = list(readable_paths(hidden))
        self._keep_reading = not identity.readable_by_all(path for path in readable if path.is_dir())
        if level is Level.BWRAP:
            kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # closes /proc/PID of this process and its children to their own user
        else:
            nodes = [Path(os.devnull)]  # may be written, too
            if devices:
                nodes += [path for pattern in _GPU_DEVICES for path in Path("/dev").glob(pattern)]
            if not landlock.version():
                raise OSError("this kernel has no Landlock (Linux 5.13 or newer, with Landlock among its security modules)")
            rules = landlock.ruleset([*readable, *([Path("/sys/devices"), Path("/proc/driver")] if devices else [])], nodes)
            self._rules = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
            os.close(rules)
            self.namespaces = namespaces.available()
            if level is Level.NAMESPACES and not self.namespaces:
                raise OSError("this system does not let a process make namespaces for itself")

    @property
    def layers(self) -> list[str]:
        """The names of the layers that hold a candidate, for people."""
        if self.level is Level.OFF:
            return []
        first = "bubblewrap" if self.level is Level.BWRAP else "Landlock"
        return [first, "seccomp", *(["namespaces"] if self.namespaces else []), *(["no root"] if os.geteuid() == 0 else [])]

    def enter(self) -> list[int]:
        """Make this process, a supervisor, one whose children are in the sandbox; return helpers that must stay alive."""
        if self.level is Level.OFF:
            return []
        helpers = []
        if self.namespaces:
            from nasmith.executors.sandbox import namespaces

            namespaces.enter()
            helpers.append(namespaces.start_init())
        if os.geteuid() == 0:
            from nasmith.executors.sandbox import identity

            self._uid = identity.unused_uid(os.getpid())
        return helpers

    def confine(self, limits: Limits, keep: Sequence[int]) -> None:
        """Give up what a candidate must not have; called in its process before any of its code, and never undone.

        Args:
            limits: What it may use.
            keep: Descriptors that stay open, beside 0 to 2.

        Raises:
            OSError: A layer could not be put on: nothing may be run then.
        """
        most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_DESCRIPTORS)  # before it is lowered
        set_limits(limits, strict=self.level is not Level.OFF, devices=self.devices)
        if self.level is Level.OFF:
            if sys.platform == "linux":
                from nasmith.executors.sandbox import kernel

                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            _close_all_but(keep, most)
            return
        from nasmith.executors.sandbox import identity, kernel, landlock, seccomp

        if self._uid is not None:
            identity.become_nobody(self._uid, self._keep_reading)
        else:
            identity.keep_capabilities(0)  # an ordinary user has all of them in a user namespace
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if limits.threads > 1:
            limit_threads(4 * limits.threads + _THREADS_SPARE)
        if self._rules is not None:
            landlock.restrict(self._rules)
        _close_all_but(keep, most)
        os.environ.clear()
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(limits.threads)))  # libraries that are imported late ask
        seccomp.install(seccomp.filter_for(limits.threads, self.devices))


def readable_paths(hidden: Sequence[str] = ()) -> Iterator[Path]:
    """Return what a candidate may read: the interpreter, installed packages but the hidden ones, system libraries, and nasmith.

    The folder of a project is not among them, though its modules are imported: what it holds beside them is nobody's business.
    """
    for name in _SYSTEM:
        yield from _without(Path(name), hidden)
    paths = sysconfig.get_paths()
    installed = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        installed.add(site.getusersitepackages())
    installed |= {entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}}
    for root in sorted(installed):
        yield from _without(Path(root), hidden)
    yield from (Path(sys.base_prefix) / "lib").glob("libpython*")
    yield Path(nasmith.__file__).parent


def _without(root: Path, hidden: Sequence[str]) -> Iterator[Path]:
    """Return `root`, or, where a hidden module lies somewhere in it, everything else in it."""
    places = {found.resolve() for found in _places(hidden, root)}
    yield from _spared(root, places)


def _spared(root: Path, places: set[Path]) -> Iterator[Path]:
    real = root.resolve()
    if real in places:
        return
    if not any(real in place.parents for place in places):
        yield root
        return
    with contextlib.suppress(OSError):
        for entry in root.iterdir():
            yield from _spared(entry, places)


def _places(hidden: Sequence[str], root: Path) -> Iterator[Path]:
    """Return where the hidden modules' files lie: what would be imported, and other copies in `root`."""
    from importlib.machinery import PathFinder

    for name in hidden:
        spec = PathFinder.find_spec(name)
        if spec is not None:
            yield from map(Path, spec.submodule_search_locations or ())
            if spec.origin:
                yield Path(spec.origin)
                yield from Path(spec.origin).parent.glob(f"__pycache__/{name}.*")
        for folder in ("", "python3*/dist-packages/", "python3*/site-packages/"):
            for pattern in (name, f"{name}.*", f"__pycache__/{name}.*"):
                yield from root.glob(folder + pattern)


def _close_all_but(keep: Sequence[int], most: int) -> None:
    first = 3
    for number in sorted(keep):
        os.closerange(first, number)
        first = max(first, number + 1)
    os.closerange(first, most)
