"""Workloads for the executors' tests: a "program" is a Python expression or statements that set `result`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import numpy as np


class Python:
    """Runs the text as Python: `screen(text)` runs what stands above a line of dashes, `fit` what stands below."""

    def warm(self) -> None:
        pass

    def screen(self, text: str) -> Mapping[str, float]:
        above, _, _ = text.rpartition("-----\n")
        names: dict[str, object] = {"np": np, "facts": {"screened": 1}}
        exec(compile(above, "<program>", "exec"), names)
        return names["facts"]  # type: ignore[return-value]

    def fit(self, text, seed, data, *, every_state=False):
        above, _, below = text.rpartition("-----\n")
        below = "\n" * above.count("\n") + ("\n" if above else "") + below
        names: dict[str, object] = {"np": np, "seed": seed, "splits": list(data), "data": data, "arrays": {}, "facts": {}}
        exec(compile(below, "<program>", "exec"), names)
        return names["arrays"], names["facts"]  # type: ignore[return-value]


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
