"""The sandbox as a whole: which layers a level has, and in which process each is put on."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import nasmith
from nasmith.executors.sandbox import workshop as folders
from nasmith.executors.sandbox.limits import Limits, limit_threads, most_processes, set_limits

if sys.platform != "win32":  # where `Processes` refuses to begin, and says what to do
    import fcntl
    import resource

if TYPE_CHECKING:
    from nasmith.executors.sandbox import seccomp

__all__ = ["THREAD_VARIABLES", "Level", "Sandbox", "program_paths", "readable_paths", "without_hidden"]

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
_PROGRAMS = ("/bin", "/usr/bin", "/usr/local/bin", "/usr/include", "/usr/local/include")
_TOLD = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHASHSEED", "PYTHONPATH", "TZ", "VIRTUAL_ENV")
_WORKSHOP = "NASMITH_WORKSHOP"  # by which a workload knows that it is in a process of its own
_OLDEST_FOR_WRITING = 3  # the version of Landlock from which truncating is guarded
_OLDEST_FOR_SIGNALS = 6
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
        readable: Files and folders that candidates may read besides.
        workshop: Whether each job has a folder of its own to write in, and may start processes and threads.
        spare_threads: Threads that the task's libraries start besides those that a candidate is allowed.

    Attributes:
        memory: Whether that folder lies in memory that no other process sees, and whose size the kernel holds.

    Raises:
        OSError: This system does not have what the level needs; the message says what.
    """

    def __init__(
        self,
        level: Level,
        hidden: Sequence[str] = (),
        devices: bool = False,
        readable: Sequence[str] = (),
        workshop: bool = False,
        spare_threads: int = 0,
    ) -> None:
        self.level, self.devices, self.workshop, self.spare_threads = level, devices, workshop, spare_threads
        self.namespaces = self.memory = False
        self._rules: int | None = None
        self._workshop_rules: int | None = None
        self._freedom: seccomp.Freedom | None = None
        self._variables: dict[str, str] = {}
        self._uid: int | None = None
        self._keep_reading = False
        self._readable, self._nodes = list[Path](), list[Path]()
        self._place: Path | None = None  # where a supervisor makes its jobs' folders
        self.parent: Path | None = None  # where supervisors make their places, unless each has a file system of its own
        if level is not Level.OFF:
            self._prepare(hidden, [Path(path) for path in readable])
        if workshop and not self.memory:
            self.parent = Path(tempfile.mkdtemp(prefix="nasmith-"))
            self.parent.chmod(0o711)
            self._keep_reading |= not _open_to_all([self.parent])

    def _prepare(self, hidden: Sequence[str], more: Sequence[Path]) -> None:
        """Find out what this system has, and which files candidates may read."""
        from nasmith.executors.sandbox import identity, kernel, landlock, namespaces, seccomp  # noqa: F401 - before any fork

        kernel.machine()  # raises for a processor that is not known
        self._readable = [*readable_paths(hidden), *(program_paths() if self.workshop else ()), *more]
        self._keep_reading = not identity.readable_by_all(path for path in self._readable if path.is_dir())
        self._keep_reading |= not _open_to_all(more)
        if self.level is Level.BWRAP:
            kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # closes /proc/PID of this process and its children to their own user
            self.namespaces = self.workshop and namespaces.available()
        else:
            self._nodes = [Path(os.devnull)]  # may be written, too
            if self.devices:
                self._nodes += [path for pattern in _GPU_DEVICES for path in Path("/dev").glob(pattern)]
                self._readable += [Path("/sys/devices"), Path("/proc/driver")]
            if not landlock.version():
                raise OSError("this kernel has no Landlock (Linux 5.13 or newer, with Landlock among its security modules)")
            if self.workshop and landlock.version() < _OLDEST_FOR_WRITING:
                raise OSError("where candidates write files, Landlock of Linux 6.2 or newer is needed")
            rules = landlock.ruleset(self._readable, self._nodes)
            self._rules = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
            os.close(rules)
            self.namespaces = namespaces.available()
            if self.level is Level.NAMESPACES and not self.namespaces:
                raise OSError("this system does not let a process make namespaces for itself")
        self.memory = self.workshop and self.namespaces and namespaces.available(mounts=True)
        if self.level is Level.BWRAP and self.workshop and not self.memory and os.geteuid() != 0:
            raise OSError("a process in bubblewrap cannot mount a file system here, which keeps candidates' files apart")

    @property
    def layers(self) -> list[str]:
        """The names of the layers that hold a candidate, for people."""
        if self.level is Level.OFF:
            return []
        first = "bubblewrap" if self.level is Level.BWRAP else "Landlock"
        return [first, "seccomp", *(["namespaces"] if self.namespaces else []), *(["no root"] if os.geteuid() == 0 else [])]

    def enter(self) -> list[int]:
        """Make this process, a supervisor, one whose children are in the sandbox; return helpers that must stay alive."""
        helpers = []
        if self.namespaces:
            from nasmith.executors.sandbox import namespaces

            namespaces.enter(mounts=self.memory)
            helpers.append(namespaces.start_init())
        if self.level is not Level.OFF and os.geteuid() == 0:
            from nasmith.executors.sandbox import identity

            self._uid = identity.unused_uid(os.getpid())
        if self.parent is not None:
            self._place = self.parent / str(os.getpid())
            self._place.mkdir(mode=0o711, exist_ok=True)
        return helpers

    def open_folder(self, limits: Limits) -> Path | None:
        """Make the folder of the next job; None where jobs have none. Called in the supervisor.

        Raises:
            OSError: It cannot be made.
        """
        if not self.workshop:
            return None
        if self._place is None:
            from nasmith.executors.sandbox import namespaces

            namespaces.mount_memory(limits.output_bytes, folders.MOST_ENTRIES)
            self._place = namespaces.MEMORY
        folder = folders.make(self._place, self._uid)
        if self.level is not Level.OFF and self._freedom is None:
            self._prepare_workshop(folder, limits)
        return folder

    def overfull(self, limits: Limits) -> bool:
        """Whether the job has written more than it may; in memory the kernel does not let it."""
        return self._place is not None and not self.memory and folders.oversized(self._place, limits.output_bytes)

    def clear_folder(self) -> None:
        """Remove the last job's folder, once its processes have ended."""
        if self._place is not None:
            folders.clear(self._place)

    def close(self) -> None:
        """Remove what supervisors have left, once they have ended. Called in the zygote."""
        if self.parent is not None:
            with contextlib.suppress(FileNotFoundError):
                folders.clear(self.parent)
                self.parent.rmdir()

    def confine(self, limits: Limits, keep: Sequence[int], folder: Path | None = None) -> None:
        """Give up what a candidate must not have; called in its process before any of its code, and never undone.

        Args:
            limits: What it may use.
            keep: Descriptors that stay open, beside 0 to 2.
            folder: The job's own folder, where it has one: from now on the current one, and that for temporary files.

        Raises:
            OSError: A layer could not be put on: nothing may be run then.
        """
        most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _MOST_DESCRIPTORS)  # before it is lowered
        set_limits(limits, strict=self.level is not Level.OFF, devices=self.devices, workshop=folder is not None)
        if folder is not None:
            os.chdir(folder)
            tempfile.tempdir = str(folder)
        if self.level is Level.OFF:
            if sys.platform == "linux":
                from nasmith.executors.sandbox import kernel

                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            if folder is not None:
                os.environ.update({"TMPDIR": str(folder), _WORKSHOP: str(folder)})
            _close_all_but(keep, most)
            return
        from nasmith.executors.sandbox import identity, kernel, landlock, seccomp

        rules = self._rules if folder is None else self._workshop_rules
        if self._uid is not None:
            identity.become_nobody(self._uid, self._keep_reading, programs=folder is not None)
        else:
            identity.keep_capabilities(0)  # an ordinary user has all of them in a user namespace
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if folder is not None:
            limit_threads(most_processes(limits), present=1 if self._uid is not None else None)
        elif limits.threads > 1 or self.spare_threads:
            limit_threads(4 * limits.threads + _THREADS_SPARE + self.spare_threads)
        if rules is not None:
            landlock.restrict(rules)
        _close_all_but(keep, most)
        told = {} if folder is None else self._variables
        os.environ.clear()
        os.environ.update(told | dict.fromkeys(THREAD_VARIABLES, str(limits.threads)))  # libraries that are imported late ask
        threads = max(limits.threads, 2) if self.spare_threads else limits.threads  # with one, none can be started
        seccomp.install(seccomp.filter_for(threads, self.devices, None if folder is None else self._freedom))

    def _prepare_workshop(self, folder: Path, limits: Limits) -> None:
        """Make what confines each job with a folder, once: every job has its folder in the same place."""
        from nasmith.executors.sandbox import landlock, seccomp

        scoped = False
        if self.level is not Level.BWRAP:
            scoped = landlock.version() >= _OLDEST_FOR_SIGNALS
            rules = landlock.ruleset(self._readable, self._nodes, writable=[folder.parent], programs=True)
            self._workshop_rules = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
            os.close(rules)
        nobody = self._uid is not None
        self._freedom = seccomp.Freedom(signals=nobody or self.namespaces or scoped, modes=nobody)
        self._variables = _told(folder)
        seccomp.filter_for(limits.threads, self.devices, self._freedom)  # kept, where it is the same for every process


def readable_paths(hidden: Sequence[str] = ()) -> Iterator[Path]:
    """Return what a candidate may read: the interpreter, installed packages but the hidden ones, system libraries, and nasmith.

    The folder of a project is not among them, though its modules are imported: what it holds beside them is nobody's business.
    """
    for name in _SYSTEM:
        yield from without_hidden(Path(name), hidden)
    paths = sysconfig.get_paths()
    installed = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    if site.ENABLE_USER_SITE:
        installed.add(site.getusersitepackages())
    installed |= {entry for entry in sys.path if Path(entry).name in {"site-packages", "dist-packages"}}
    for root in sorted(installed):
        yield from without_hidden(Path(root), hidden)
    yield from (Path(sys.base_prefix) / "lib").glob("libpython*")
    yield Path(nasmith.__file__).parent


def program_paths() -> Iterator[Path]:
    """Return what a candidate that may start programs may read and run besides: the system's and the interpreter's."""
    yield from map(Path, _PROGRAMS)
    yield from (Path(sys.prefix) / "bin", Path(sys.prefix) / "pyvenv.cfg", Path(sys.base_prefix) / "bin")


def _open_to_all(paths: Iterable[Path]) -> bool:
    """Whether every user can read these files, and enter these folders and read what lies directly in them."""
    from nasmith.executors.sandbox import identity

    for path in paths:
        inside = path.iterdir() if path.is_dir() else [path]
        if not all(entry.is_symlink() or entry.stat().st_mode & stat.S_IROTH for entry in inside):
            return False
        if not identity.readable_by_all([path]):
            return False
    return True


def _told(folder: Path) -> dict[str, str]:
    """Return the variables of a job that may start programs; none of them holds a secret."""
    places = dict.fromkeys([str(Path(sys.executable).parent), str(Path(sys.base_prefix) / "bin"), *_PROGRAMS[:3]])
    kept = {name: os.environ[name] for name in _TOLD if name in os.environ}
    return kept | {"HOME": str(folder), "TMPDIR": str(folder), _WORKSHOP: str(folder), "PATH": os.pathsep.join(places)}


def without_hidden(root: Path, hidden: Sequence[str]) -> Iterator[Path]:
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
