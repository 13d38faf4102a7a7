"""Replies a second through `OpenAICompatible.complete`, and through bare `httpx2` that posts the same bodies to one server.

    python benchmarks/client.py [--seconds 2] [--repeats 7] [--json FILE]

The server is an `EchoServer` in a process of its own that answers at once, so that what is measured is the client alone. Both
sides take turns; the ratio of a concurrency is the median over the turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import httpx2

from nasmith.lms.openai_compatible import OpenAICompatible
from nasmith.types import Message, Request

SERVER = """
import sys
from nasmith.testing import EchoServer
with EchoServer() as server:
    server.requests = type("Nothing", (list,), {"append": lambda self, item: None})()
    print(server.url, flush=True)
    sys.stdin.read()
"""
PROGRAM = "def Model():\n    return nn.Sequential(\n" + "        nn.LazyConv1d(25, 5, stride=2, padding=1),\n" * 20 + "    )\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn of each side")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--concurrency", default="1,8,64")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    record: dict[str, dict[str, list[float]]] = {}
    for concurrency in map(int, options.concurrency.split(",")):
        rates: dict[str, list[float]] = {"nasmith": [], "httpx2": []}
        with served() as url, sides(url, concurrency) as calls:
            for name in [*rates] * (1 + options.repeats):
                rates[name].append(rate(calls[name], concurrency, options.seconds))
        rates = {name: values[1:] for name, values in rates.items()}  # the first turn opens connections
        ratio = median(ours / bare for ours, bare in zip(rates["nasmith"], rates["httpx2"], strict=True))
        print(
            f"concurrency {concurrency:3}: nasmith {median(rates['nasmith']):7.0f}, httpx2 {median(rates['httpx2']):7.0f} "
            f"replies a second, ratio {ratio:.2f}",
            flush=True,
        )
        record[str(concurrency)] = rates
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


@contextmanager
def served() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


@contextmanager
def sides(url: str, concurrency: int) -> Iterator[dict[str, Callable[[], object]]]:
    """Yield the two ways to one reply."""
    messages = (Message("system", "You write models in PyTorch."), Message("user", PROGRAM))
    lm = OpenAICompatible(f"vllm/echo@{url}", concurrency=concurrency)
    request = Request(PROGRAM, messages=messages)
    body = {
        "model": "echo",
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "n": request.n,
        "temperature": request.temperature,
        "seed": request.seed,
        "max_tokens": request.max_tokens,
    }
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    with httpx2.Client(base_url=url, limits=limits, timeout=300) as client:
        yield {"nasmith": partial(lm.complete, request), "httpx2": lambda: client.post("/chat/completions", json=body).json()}
    lm.close()


def rate(call: Callable[[], object], concurrency: int, seconds: float) -> float:
    """Return calls a second from `concurrency` threads."""
    end = time.perf_counter() + seconds

    def work() -> int:
        done = 0
        while time.perf_counter() < end:
            call()
            done += 1
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        done = sum(future.result() for future in [pool.submit(work) for _ in range(concurrency)])
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
