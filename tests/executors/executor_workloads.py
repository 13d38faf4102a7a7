"""Workloads for the executors' tests: a "program" is a Python expression or statements that set `result`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from nasmith.protocols import Data


@cache
def holds(level: str = "strict") -> bool:
    """Whether this machine can hold a sandbox of this level; a process made for it tries."""
    code = (
        "import sys\nfrom nasmith.executors.sandbox.canary import try_out\n"
        "from nasmith.executors.sandbox.policy import Level, Sandbox\nsys.exit(bool(try_out(Sandbox(Level(sys.argv[1])))))"
    )
    return subprocess.run([sys.executable, "-c", code, level], capture_output=True, check=False).returncode == 0


class Python:
    """Runs the text as Python: `screen(text)` runs what stands above a line of dashes, `fit` what stands below."""

    def warm(self) -> None:
        pass

    def screen(self, text: str) -> Mapping[str, float]:
        above, _, _ = text.rpartition("-----\n")
        names: dict[str, object] = {"np": np, "facts": {"screened": 1}}
        exec(compile(above, "<program>", "exec"), names)
        return names["facts"]  # type: ignore[return-value]

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        above, _, below = text.rpartition("-----\n")
        below = "\n" * above.count("\n") + ("\n" if above else "") + below
        names: dict[str, object] = {"np": np, "seed": seed, "splits": list(data), "data": data, "arrays": {}, "facts": {}}
        exec(compile(below, "<program>", "exec"), names)
        return names["arrays"], names["facts"]  # type: ignore[return-value]

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        names: dict[str, Any] = {"np": np, "state": state, "facts": {"screened": 1}}
        exec(compile(text, "<program>", "exec"), names)
        return {split: part["x"] for split, part in data.items()}, names["facts"]


class WarmsUpBadly(Python):
    def warm(self) -> None:
        raise LookupError("the table of data is not there")


class ExitsWhileWarming(Python):
    def warm(self) -> None:
        sys.stderr.write("no room for the table")
        sys.stderr.flush()
        os._exit(7)


class StartsAThread(Python):
    def warm(self) -> None:
        import threading

        threading.Thread(target=threading.Event().wait, daemon=True).start()
