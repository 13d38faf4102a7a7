"""Measures what a candidate costs beside its language model and its evaluation, in nasmith and in OpenEvolve.

    python benchmarks/foreign.py [--openevolve-python PATH] [--candidates 200] [--turns 3]

One folder of OpenEvolve, whose evaluator does next to nothing, is run by both, each with one worker, nasmith with the sandbox
on. A server on this machine answers at once, each time with another program. Both are run by their command lines, in turns. The
time of a candidate is what a longer run takes more than a shorter one, so that what each does once, such as importing its
libraries, is apart. PATH is the interpreter of an environment with the package `openevolve`, version 0.4; without it, nasmith
is measured alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nasmith.api import open_storage
from nasmith.testing import EchoServer
from nasmith.types import Status

_SHORT = 20
_PROGRAM = """
# EVOLVE-BLOCK-START
import math
import random


def search(rounds={number}, bounds=(-5.0, 5.0)):
    \"\"\"Look for the lowest point of a function by chance, and around the best point so far.\"\"\"
    source = random.Random(rounds)
    low, high = bounds
    best_x, best_y = source.uniform(low, high), source.uniform(low, high)
    best = height(best_x, best_y)
    width = high - low
    for step in range(rounds % 50 + 10):
        x = min(high, max(low, best_x + source.gauss(0, width)))
        y = min(high, max(low, best_y + source.gauss(0, width)))
        found = height(x, y)
        if found < best:
            best_x, best_y, best = x, y, found
        else:
            width = max(1e-3, 0.97 * width)
    return best_x, best_y, best
# EVOLVE-BLOCK-END


def height(x, y):
    \"\"\"A surface with many valleys.\"\"\"
    return math.sin(x) * math.cos(y) + math.sin(x * y) + (x * x + y * y) / 20


def run():
    \"\"\"Return the lowest point that was found, and how low it is.\"\"\"
    return search()
"""
_EVALUATOR = """
import importlib.util


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    x, y, lowest = program.run()
    return {"value": lowest, "distance": abs(x) + abs(y), "combined_score": 1.0 / (2.6 + lowest)}
"""
_CONFIG = """
max_iterations: {count}
checkpoint_interval: 1000000
log_level: ERROR
diff_based_evolution: false
llm:
  primary_model: stub
  api_base: {url}
  api_key: none
evaluator:
  cascade_evaluation: false
  parallel_evaluations: 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--openevolve-python", type=Path, help="interpreter of an environment with openevolve 0.4")
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    asked = parser.parse_args()
    numbers = itertools.count(1)
    found: dict[str, list[tuple[float, float]]] = {}
    with EchoServer(lambda body: f"```python{_PROGRAM.format(number=next(numbers))}```", models=["stub"]) as server:
        for _ in range(asked.turns):
            for system in ["nasmith", *(["openevolve"] if asked.openevolve_python else [])]:
                counts = (_SHORT, _SHORT + asked.candidates)
                short, long = (timed(system, count, server, asked.openevolve_python) for count in counts)
                found.setdefault(system, []).append((1000 * (long - short) / asked.candidates, short))
    print(json.dumps(report(found), indent=2))


def report(found: dict[str, list[tuple[float, float]]]) -> dict[str, object]:
    """Return medians over turns: milliseconds for a candidate, seconds of a short run."""
    shown: dict[str, object] = {
        system: {
            "ms_a_candidate": round(statistics.median(cost for cost, _ in runs), 2),
            f"s_with_{_SHORT}_candidates": round(statistics.median(short for _, short in runs), 2),
        }
        for system, runs in found.items()
    }
    if "openevolve" in found:
        mine, theirs = (statistics.median(cost for cost, _ in found[system]) for system in ("nasmith", "openevolve"))
        shown["openevolve_over_nasmith"] = round(theirs / mine, 2)
    return shown


def timed(system: str, count: int, server: EchoServer, python: Path | None) -> float:
    """Return the seconds of one run of so many candidates."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        folder.mkdir()
        (folder / "initial_program.py").write_text(_PROGRAM.format(number=0))
        (folder / "evaluator.py").write_text(_EVALUATOR)
        (folder / "config.yaml").write_text(_CONFIG.format(count=count, url=server.url))
        if system == "openevolve":
            line = [str(python), "-m", "openevolve.cli", "initial_program.py", "evaluator.py", "--config", "config.yaml"]
        else:
            line = [sys.executable, "-c", "from nasmith.cli import main; main()", "search", str(folder)]
            line += ["--lm", f"local/stub@{server.url}", "--set", "endpoint=chat", "--workers", "1"]
            line += ["--storage", f"{place}/runs.sqlite3", "--yes", "--quiet"]
        replies, began = server.charged.replies, time.perf_counter()
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": "none"})
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{system} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        scored = evaluated(f"{place}/runs.sqlite3") if system == "nasmith" else server.charged.replies - replies
        if scored < count:
            raise SystemExit(f"{system}: {scored} of {count} programs were made")
    return seconds


def evaluated(path: str) -> int:
    """Return how many programs of the only run in a database have a score."""
    storage = open_storage(path)
    scored = sum(evaluation.status is Status.OK for evaluation in storage.evaluations(storage.runs()[0].name))
    storage.close()
    return scored


if __name__ == "__main__":
    main()
