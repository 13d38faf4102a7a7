"""Measures how quickly the embedded language model writes 16 programs, beside plain `transformers.generate`.

A useful token is one of a returned program, up to its end; what was sampled beyond it is waste. Both sides continue the same
prompts, at the same temperature and limit, and are cut by the same rule. They take turns, so that other load on the machine
falls on both; ratios are of the medians. Rates per second of processor time, all threads together, are given too: they hardly
depend on what else runs.

    python benchmarks/sampling.py [--samples 16] [--limit 240] [--temperature 0.45] [--repeats 3] [--threads N]
                                  [--plain float32,bfloat16] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as nasmith sets it; see nasmith/__init__.py

import torch

from nasmith.lms.gguf_weights import converted
from nasmith.lms.smollm2 import WHEEL, SmolLM2
from nasmith.source import end_of_program
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Request

Writer = Callable[[str, int, int], list[str]]
"""(prompt, seed, limit of tokens) → replies."""

FACTS = {
    "large_cnn": ("91082", "0.955"),
    "reference_cnn": ("5210", "0.930"),
    "gru": ("5134", "0.890"),
    "mlp": ("15210", "0.680"),
}
PAIRS = [("reference_cnn", "mlp"), ("large_cnn", "reference_cnn"), ("reference_cnn", "gru")]


def header(parameters: str, accuracy: str) -> str:
    return f"\"\"\"Metrics:\n{{'num_params': '{parameters}', 'val_accuracy': '{accuracy}'}}\n\"\"\"\n"


def prompts() -> list[str]:
    """Two programs each with their metrics, then the wished-for metrics and a program's first line, as a search asks."""
    task = Mnist1d()
    seeds, first_line = task.seeds(), task.describe().first_line
    shown = {name: header(*FACTS[name]) + seeds[name].rstrip() + "\n" for name in FACTS}
    return ["\n".join([shown[one], shown[other], header("4600", "0.949") + first_line]) for one, other in PAIRS]


def plain(folder: Path, dtype: torch.dtype, tokenizer: Any, options: argparse.Namespace) -> Writer:
    """Return what writes by `generate`, as a careful user would call it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype).eval()

    def write(prompt: str, seed: int, limit: int) -> list[str]:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        with torch.random.fork_rng(), torch.inference_mode():
            torch.random.manual_seed(seed)
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=options.temperature,
                top_k=0,
                num_return_sequences=options.samples,
                max_new_tokens=limit,
                pad_token_id=model.config.eos_token_id,
            )
        return [tokenizer.decode(line) for line in out[:, ids.shape[1] :].tolist()]

    return write


def embedded(lm: SmolLM2, options: argparse.Namespace, stop: Callable[[str], int | None]) -> Writer:
    """Return what writes by nasmith."""

    def write(prompt: str, seed: int, limit: int) -> list[str]:
        request = Request(prompt, options.samples, options.temperature, seed, limit, stop)
        return [completion.text for completion in lm.complete(request)]

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--limit", type=int, default=240, help="most tokens of one reply")
    parser.add_argument("--temperature", type=float, default=0.45)
    parser.add_argument("--repeats", type=int, default=3, help="turns; each takes the next prompt")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--plain", default="float32,bfloat16", help="types in which `generate` runs")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    folder = converted(WHEEL)
    began = time.perf_counter()
    lm = SmolLM2(threads=options.threads)
    lm.warm()
    load_seconds = time.perf_counter() - began
    stop = partial(end_of_program, Mnist1d().describe().first_line)
    sides: dict[str, Writer] = {"nasmith": embedded(lm, options, stop)}
    for name in filter(None, options.plain.split(",")):
        sides[f"generate {name}"] = plain(folder, getattr(torch, name), lm._tokenizer, options)

    rates: dict[str, list[float]] = {name: [] for name in sides}
    shares: dict[str, list[float]] = {name: [] for name in sides}  # per second of processor time
    for write in sides.values():  # the first call of each is not counted
        write("def Model():", 0, 2)
    for turn in range(options.repeats):
        prompt = prompts()[turn % len(PAIRS)]
        for name, write in sides.items():
            began, busy = time.perf_counter(), time.process_time()
            replies = write(prompt, turn, options.limit)
            seconds, busy = time.perf_counter() - began, time.process_time() - busy
            useful = sum(len(lm._tokenizer.encode(reply[: stop(reply)]).ids) for reply in replies)
            rates[name].append(useful / seconds)
            shares[name].append(useful / busy)
            print(
                f"turn {turn + 1}: {name:18} {useful:5} useful tokens in {seconds:6.1f} s ({busy:6.1f} s of processor time): "
                f"{useful / seconds:6.1f} a second ({useful / busy:6.1f})",
                flush=True,
            )
    report(rates, shares, load_seconds, options.json)


def report(rates: dict[str, list[float]], shares: dict[str, list[float]], load_seconds: float, file: Path | None) -> None:
    medians, busy_medians = ({name: median(values) for name, values in kind.items()} for kind in (rates, shares))
    ratios = {name: medians["nasmith"] / value for name, value in medians.items() if name != "nasmith"}
    busy_ratios = {name: busy_medians["nasmith"] / value for name, value in busy_medians.items() if name != "nasmith"}
    for name, ratio in ratios.items():
        print(
            f"nasmith {medians['nasmith']:.1f} / {name} {medians[name]:.1f} useful tokens a second = {ratio:.2f} "
            f"(by processor time {busy_ratios[name]:.2f})"
        )
    print(f"loading the weights into nasmith: {load_seconds:.2f} s, {torch.get_num_threads()} threads, weights as {dtype()}")
    if file:
        record = {
            "useful_tokens_per_second": rates,
            "useful_tokens_per_processor_second": shares,
            "ratios": ratios,
            "ratios_by_processor_time": busy_ratios,
            "load_seconds": load_seconds,
            "dtype": dtype(),
        }
        file.write_text(json.dumps(record, indent=2) + "\n")


def dtype() -> str:
    from nasmith.lms.packed import best_dtype

    return best_dtype()


if __name__ == "__main__":
    main()
