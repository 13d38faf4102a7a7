"""Half an hour of candidates of every kind, and of noise for everything that reads what a worker or a language model wrote.

    python benchmarks/soak.py                    # 20 minutes of candidates, 10 of noise
    python benchmarks/soak.py --minutes 3        # the same shares of three minutes

Good, failing, hanging, exploding, exiting, crashing, forking and printing programs go through the worker processes in random
order. Each must have the status of its kind; the memory of the processes that stay must be flat; at the end no process is left.
The noise must give a value or the one exception that the reader promises. Exit code 1 where anything of this fails.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil

from nasmith import source
from nasmith.canonical import canonical_hash
from nasmith.executors.processes import Processes
from nasmith.executors.wire import WireError, pack_outcome, unpack_outcome
from nasmith.protocols import Data
from nasmith.types import Job, Outcome, Status

KINDS: dict[str, tuple[str, Status]] = {
    "good": ("result = np.arange(1000.0)", Status.OK),
    "large": ("result = np.ones(500_000)", Status.OK),
    "failing": ("1 / 0", Status.FAILED),
    "hanging": ("while True: pass", Status.TIMEOUT),
    "asleep": ("import time\ntime.sleep(1000)", Status.TIMEOUT),
    "exploding": ("kept = []\nwhile True: kept.append(np.ones(10**7))", Status.OOM),
    "exiting": ("import os\nos._exit(3)", Status.KILLED),
    "crashing": ("import ctypes\nctypes.string_at(0)", Status.KILLED),
    "forking": ("import os\nos.fork()", Status.FAILED),
    "printing": ("while True: print('x' * 100_000)", Status.INVALID),
    "forging": ("import os\nos.write(3, b'nas1' * 100)\nos._exit(0)", Status.INVALID),
    "too much": ("result = np.ones(5_000_000)", Status.INVALID),
    "objects": ("result = np.array([object()])", Status.INVALID),
}
WEIGHTS = {"good": 30, "hanging": 0.3, "asleep": 0.3, "exploding": 1}
GROWTH_BYTES = 20_000_000


class Soaked:
    """Runs a text and returns what it calls `result`."""

    def warm(self) -> None:
        """Need nothing more than NumPy."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Accept everything."""
        return {}

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Run the text."""
        names: dict[str, Any] = {"np": np}
        exec(compile(text, "<program>", "exec"), names)
        return {"result": names["result"]}, {}

    def examine(self, text: str, state: Mapping[str, object], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Look at nothing."""
        return {}, {}


def resident() -> int:
    """Bytes of the processes that stay: this one and those below it, candidates left out as far as they can be told."""
    total = psutil.Process().memory_info().rss
    for process in psutil.Process().children(recursive=True):
        if "zygote" in " ".join(process.cmdline()):
            total += process.memory_full_info().uss
    return total


def candidates(minutes: float, seed: int) -> list[str]:
    """Run candidates for so long; return what was wrong."""
    draw = random.Random(seed)
    executor = Processes(workers=2, timeout_seconds=3, memory_mb=400, output_mb=8)
    executor.start(Soaked())
    names = list(KINDS)
    weights = [WEIGHTS.get(name, 3) for name in names]
    seen: Counter[tuple[str, Status]] = Counter()
    sizes: list[int] = []
    end, number = time.monotonic() + 60 * minutes, 0
    try:
        while time.monotonic() < end:
            batch = draw.choices(names, weights, k=40)
            futures = [executor.submit(Job(number + index, KINDS[name][0], 0)) for index, name in enumerate(batch)]
            for name, future in zip(batch, futures, strict=True):
                seen[name, future.result(timeout=60).status] += 1
            number += len(batch)
            sizes.append(resident())
    finally:
        executor.close()
    wrong = [f"{count} of {name!r} ended as {status}" for (name, status), count in seen.items() if status is not KINDS[name][1]]
    growth = max(sizes[-5:]) - max(sizes[: max(5, len(sizes) // 5)])
    if growth > GROWTH_BYTES:
        wrong.append(f"the processes that stay grew by {growth / 1e6:.0f} MB")
    if left := psutil.Process().children(recursive=True):
        wrong.append(f"left over: {left}")
    rate = number / (60 * minutes)
    print(f"{number:,} candidates of {len(seen)} kinds and statuses, {rate:.0f} a second, growth {growth / 1e6:+.1f} MB")
    return wrong


def noise(minutes: float, seed: int) -> list[str]:
    """Read noise for so long; return what was wrong."""
    draw = random.Random(seed)
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(True)}
    frame = pack_outcome(Outcome(Status.OK, arrays, {"params": 3.0}, message="x"), 10**6)
    program = "def Model():\n    return nn.Sequential(nn.LazyLinear(10), nn.ReLU())\n"
    readers: dict[str, tuple[Callable[[bytes], object], bytes, type[Exception]]] = {
        "results": (lambda data: unpack_outcome(data, 10**6), frame, WireError),
        "replies": (_read_reply, program.encode(), ValueError),
        "programs": (lambda data: canonical_hash(data.decode(errors="replace")), program.encode(), ValueError),
    }
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end and not wrong:
        for name, (read, sample, promised) in readers.items():
            data = _spoil(sample, draw)
            try:
                read(data)
            except promised:
                pass
            except Exception as error:  # noqa: BLE001 - what this script looks for
                wrong.append(f"{name}: {type(error).__name__}: {error} for {data!r}")
            counts[name] += 1
    print(f"noise read: {dict(counts)}")
    return wrong


def _read_reply(data: bytes) -> object:
    """Do with a reply what a proposal does: find its end, its holes and its names."""
    text = data.decode(errors="replace")
    return (
        source.end_of_program("def Model():", text),
        source.end_of_lines("def Model():\n", text),
        source.names(text),
        source.holes(text),
    )


def _spoil(sample: bytes, draw: random.Random) -> bytes:
    """Change, cut, repeat or insert some bytes."""
    data = bytearray(sample)
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(5)
        if kind == 0 and place < len(data):
            data[place] = draw.randrange(256)
        elif kind == 1:
            del data[place : place + draw.randint(1, 8)]
        elif kind == 2:
            data[place:place] = draw.randbytes(draw.randint(1, 8))
        elif kind == 3:
            data[place:place] = data[max(0, place - 20) : place] * draw.randint(1, 3)
        else:
            data[place:place] = draw.choice(
                [b"\xff\xff\xff\xff", b"-1", b"1e999", b"null", b"[]", b"{}", b"\x00" * 8, b"((((" * 50]
            )
    return bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wrong = candidates(arguments.minutes * 2 / 3, arguments.seed) + noise(arguments.minutes / 3, arguments.seed)
    print("\n".join(wrong) or "nothing was wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
