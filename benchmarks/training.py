"""Measures the training loop.

Two questions, one process, one thread:

- How many milliseconds does a step of `train` take beside a careful plain eager loop of the same model (fused AdamW, indices
  drawn beforehand, one thread)? Both run alternately; medians; for the four seeds. With CUDA the loop replays a captured graph.
- With `--early-stopping`: what share of the steps of a varied set of models does early stopping save, and how well does the
  order by fitness agree with that of full training (Kendall's tau)? A stopped run is the beginning of a full one, so that the
  full runs are made once, and the rule is applied to their curves.

    python benchmarks/training.py [--steps 60] [--repeats 21] [--device cpu] [--json FILE]
    python benchmarks/training.py --early-stopping [--steps 1500] [--json FILE]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import math
import platform
import random
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

from nasmith.tasks.mnist1d import Mnist1d
from nasmith.tasks.mnist1d.data import load
from nasmith.tasks.torch_programs import build, materialize
from nasmith.tasks.torch_settings import Recipe
from nasmith.tasks.torch_training import early_stop, resolve_device, train

DROPPED = 0.5


def made(text: str, task: Mnist1d, device: str) -> torch.nn.Module:
    """A model with weights, the same at each call."""
    torch.manual_seed(0)
    model = build(text, task.describe().preamble)
    materialize(model, torch.zeros(2, 40))
    return model.to(device)


def plain_ms(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int) -> float:
    """Milliseconds per step of the loop that a careful person writes first."""
    order = torch.randint(len(x), (steps, 128), device=x.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    model.train()
    synchronize(x.device)
    started = perf_counter()
    for batch in order:
        loss = cross_entropy(model(x.index_select(0, batch)), y.index_select(0, batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    synchronize(x.device)
    return (perf_counter() - started) / steps * 1e3


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure_speed(steps: int, repeats: int, device: str) -> dict[str, dict[str, float]]:
    task = Mnist1d()
    workload = task.workload()
    workload.warm()
    x, y = (torch.from_numpy(task.data()["train"][name]).to(device) for name in ("x", "y"))
    recipe = Recipe(steps=steps, evaluations=1, device=device)
    table = {}
    for name, text in task.seeds().items():
        ours, plain, graph = [], [], 0.0
        for repeat in range(repeats + 1):
            plain.append(plain_ms(made(text, task, device), x, y, steps))
            facts = train(made(text, task, device), x, y, {}, recipe, seed=repeat).facts
            ours.append(facts["train_seconds"] / steps * 1e3)
            graph = facts["graph"]
        # The first repetition warms up.
        ratios = [a / b for a, b in zip(ours[1:], plain[1:], strict=True)]
        table[name] = {
            "ours_ms": median(ours[1:]),
            "plain_ms": median(plain[1:]),
            "ratio": median(ratios),
            "cuda_graph": graph,
        }
        row = table[name]
        print(f"{name:15} {row['ours_ms']:7.3f} ms  plain {row['plain_ms']:7.3f} ms  ratio {row['ratio']:.3f}", flush=True)
    return table


def variants(seed: int) -> dict[str, str]:
    """Small models such as a search meets, made from a few shapes of program by seeded choices; some cannot learn much."""
    choose = random.Random(seed)
    programs = {}
    for i in range(10):
        rows = ["nn.Unflatten(1, (1, 40))"]
        for _ in range(choose.choice([1, 2, 3, 4])):
            width, kernel = choose.choice([3, 5, 8, 12, 16, 25]), choose.choice([3, 3, 5, 7])
            stride, padding = choose.choice([1, 2, 2]), choose.choice([0, 1])
            rows.append(f"nn.LazyConv1d({width}, kernel_size={kernel}, stride={stride}, padding={padding})")
            rows.append(choose.choice(["nn.ReLU()", "nn.ReLU()", "nn.GELU()", "nn.Tanh()"]))
        rows += choose.choice([["nn.Flatten()"], ["nn.Flatten()"], ["nn.AdaptiveAvgPool1d(4)", "nn.Flatten()"]])
        rows.append("nn.LazyLinear(10)")
        programs[f"cnn-{i}"] = rows
    for i, width in enumerate([4, 16, 32, 64]):
        hidden = [row for _ in range(choose.choice([1, 2])) for row in (f"nn.LazyLinear({width})", "nn.ReLU()")]
        programs[f"mlp-{i}"] = [*hidden, "nn.LazyLinear(10)"]
    conv = "nn.LazyConv1d(12, kernel_size=3, padding=1)"
    start = ["nn.Unflatten(1, (1, 40))", conv]
    programs |= {
        "linear": ["nn.LazyLinear(10)"],
        "sigmoids": ["nn.LazyLinear(64)", "nn.Sigmoid()"] * 4 + ["nn.LazyLinear(10)"],
        "bottleneck": ["nn.LazyLinear(2)", "nn.ReLU()", "nn.LazyLinear(10)"],
        "dropout": ["nn.LazyLinear(64)", "nn.Dropout(0.8)", "nn.ReLU()", "nn.LazyLinear(10)"],
        "softmax-last": ["nn.LazyLinear(32)", "nn.ReLU()", "nn.LazyLinear(10)", "nn.Softmax(1)"],
        "norm": [*start, "nn.LazyBatchNorm1d()", "nn.ReLU()", "nn.MaxPool1d(2)", "nn.Flatten()", "nn.LazyLinear(10)"],
        "pooled": [*start, "nn.ReLU()", "nn.AdaptiveMaxPool1d(1)", "nn.Flatten()", "nn.LazyLinear(10)"],
        "residual": [*start, f"Residual({conv}, nn.ReLU())", "nn.AvgPool1d(4)", "nn.Flatten()", "nn.LazyLinear(10)"],
    }
    return {
        name: "def Model():\n    return nn.Sequential(\n" + "".join(f"        {row},\n" for row in rows) + "    )\n"
        for name, rows in programs.items()
    }


def measure_early_stopping(steps: int, seed: int) -> dict[str, object]:
    task = Mnist1d(steps=steps, device="cpu")
    workload, data = task.workload(), {split: task.data()[split] for split in ("train", "val")}
    workload.warm()
    labels = load(split_seed=task.split_seed).val_y
    programs = {name: text for name, text in task.seeds().items() if name != "gru"} | variants(seed)
    rows = []
    for name, text in programs.items():
        try:
            params = workload.screen(text)["params"]
        except ValueError as error:
            print(f"{name:14} left out: {error}")
            continue
        arrays, facts = workload.fit(text, 1, data)
        errors = (arrays["predictions/val"] != labels).mean(axis=1).tolist()
        losses = arrays["train_loss"].tolist()
        stop = early_stop(losses, classes=10, planned=task.evaluations)
        row = {"name": name, "params": params, "seconds": facts["train_seconds"], "losses": losses, "errors": errors}
        row |= {"points": len(losses) if stop is None else stop, "error": min(errors), "stopped_error": min(errors[:stop])}
        rows.append(row)
        print(
            f"{name:14} {params:7.0f} parameters  error {row['error']:.3f}  stopped after {row['points']:2} of "
            f"{len(losses)} points with {row['stopped_error']:.3f}",
            flush=True,
        )
    return summary(rows) | {"rows": rows}


def summary(rows: list[dict]) -> dict[str, float]:
    """Share of the training time saved, and Kendall's tau of the order by fitness, of the better half and of all.

    Models that a search drops anyway, since full training leaves their error at 0.5 or more, take no part in the order.
    """
    seconds = sum(row["seconds"] for row in rows)
    spent = sum(row["seconds"] * row["points"] / len(row["losses"]) for row in rows)
    alive = sorted((row for row in rows if row["error"] < DROPPED), key=lambda row: row["params"] * row["error"])
    figures = {
        "saved": 1 - spent / seconds,
        "tau_top_half": tau(alive[: math.ceil(len(alive) / 2)]),
        "tau_all": tau(alive),
        "models": len(rows),
        "alive": len(alive),
        "wrongly_dropped": sum(row["stopped_error"] >= DROPPED for row in alive),
    }
    print(", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return figures


def tau(rows: list[dict]) -> float:
    """Kendall's tau-b between the fitness after full and after stopped training."""
    agree, ties_full, ties_stopped, pairs = 0, 0, 0, 0
    for i, a in enumerate(rows):
        for b in rows[:i]:
            full = math.copysign(1, d) if (d := a["params"] * a["error"] - b["params"] * b["error"]) else 0
            stopped = a["params"] * a["stopped_error"] - b["params"] * b["stopped_error"]
            stopped = math.copysign(1, stopped) if stopped else 0
            agree, pairs = agree + full * stopped, pairs + 1
            ties_full, ties_stopped = ties_full + (full == 0), ties_stopped + (stopped == 0)
    return agree / math.sqrt((pairs - ties_full) * (pairs - ties_stopped))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--early-stopping", action="store_true", help="measure early stopping, not speed")
    parser.add_argument("--steps", type=int, help="steps of a training (speed: 60; early stopping: 1500)")
    parser.add_argument("--repeats", type=int, default=21, help="repetitions, of which the median counts")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--models", type=int, default=8, help="seed of the models for early stopping; its rule was set on 7")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.early_stopping:
        figures: dict[str, object] = measure_early_stopping(options.steps or 1500, options.models)
    else:
        figures = dict(measure_speed(options.steps or 60, options.repeats, resolve_device(options.device)))
    if options.json:
        machine = {"platform": platform.platform(), "torch": torch.__version__}
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
