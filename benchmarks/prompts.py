"""What makes the embedded language model write valid new programs: share of replies by operator, temperature and style.

Run: `python benchmarks/prompts.py [--arms PATTERN] [--prompts 4] [--samples 16] [--steps 400]`. The columns, each a share of
all replies: *parse*; *valid*, the task's screen accepts it; *new*, its canonical form differs from the pool's and from all
earlier replies of its arm; *learns*, after a short training its error is below 0.5, EvoPrompting's threshold; *better*, its
parameters times its error are then below those of both parents, trained alike. Tokens are those that were sampled, the cut
ones included; seconds are the language model's alone.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console
from rich.table import Table

from nasmith import propose
from nasmith.canonical import canonical_hash
from nasmith.lms.smollm2 import SmolLM2
from nasmith.seeding import derive, generator
from nasmith.strategies.metrics_prompt import MetricsPrompt
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.tasks.torch_programs import screen
from nasmith.tasks.torch_settings import Rules
from nasmith.types import Brief, Candidate, Outcome, Sampling, Status

ACCURACY = {"large_cnn": 0.955, "reference_cnn": 0.93, "gru": 0.89, "mlp": 0.68}
"""About what the seeds reach; it stands in the prompts."""

LATER = {  # programs as a search has them after some rounds
    "a": (0.93, ["nn.Unflatten(1, (1, 40))", "nn.LazyConv1d(16, kernel_size=5, stride=2, padding=1)", "nn.ReLU()",
                 "nn.LazyConv1d(16, kernel_size=3, stride=2, padding=1)", "nn.ReLU()",
                 "nn.LazyConv1d(16, kernel_size=3, stride=2, padding=1)", "nn.ReLU()", "nn.Flatten()", "nn.LazyLinear(10)"]),
    "b": (0.91, ["nn.Unflatten(1, (1, 40))", "nn.LazyConv1d(12, kernel_size=5, stride=2, padding=1)", "nn.ReLU()",
                 "Residual(nn.LazyConv1d(12, kernel_size=3, padding=1), nn.ReLU())", "nn.AvgPool1d(2)",
                 "nn.LazyConv1d(12, kernel_size=3, stride=2, padding=1)", "nn.ReLU()", "nn.Flatten()", "nn.LazyLinear(10)"]),
    "c": (0.88, ["nn.Unflatten(1, (1, 40))", "GRU(1, 4, batch_first=True, bidirectional=True)", "nn.AvgPool1d(2)",
                 "nn.Flatten()", "nn.LazyLinear(10)"]),
    "d": (0.94, ["nn.Unflatten(1, (1, 40))", "nn.LazyConv1d(20, kernel_size=5, padding=2)", "nn.ReLU()", "nn.MaxPool1d(2)",
                 "nn.LazyConv1d(20, kernel_size=3, padding=1)", "nn.ReLU()", "nn.MaxPool1d(2)",
                 "nn.LazyConv1d(10, kernel_size=3, padding=1)", "nn.ReLU()", "nn.Flatten()", "nn.LazyLinear(10)"]),
}  # fmt: skip


@dataclass
class Arm:
    """One way to propose, and what came of it."""

    name: str
    operator: Callable[..., list[propose.Planned]]
    temperature: float
    style: Callable[[str], str] = str
    later: bool = False
    replies: int = 0
    tokens: int = 0
    seconds: float = 0.0
    parsed: int = 0
    valid: int = 0
    new: dict[str, tuple[str, float]] = field(default_factory=dict)
    learns: int = 0
    better: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def positional(text: str) -> str:
    """`LazyConv1d(25, 5, 2, 1)`: fewer tokens, less to read."""
    text = re.sub(r"kernel_size=(\d+), stride=(\d+), padding=(\d+)", r"\1, \2, \3", text)
    return re.sub(r"kernel_size=(\d+), padding", r"\1, padding", text)


def in_text(text: str) -> str:
    """The helper classes stand in the program's own text."""
    residual = "class Residual(nn.Sequential):\n    def forward(self, x):\n        return x + super().forward(x)\n\n\n"
    gru = "class GRU(nn.GRU):\n    def forward(self, x):\n"
    gru += "        return super().forward(x.transpose(1, -1))[0].transpose(1, -1)\n\n\n"
    return (residual if "Residual(" in text else "") + (gru if "GRU(" in text else "") + text


def listed(text: str) -> str:
    """`layers = [...]`, then `return nn.Sequential(*layers)`."""
    body = text.replace("return nn.Sequential(", "layers = [")
    return body.rstrip().removesuffix(")") + "]\n    return nn.Sequential(*layers)\n"


def commented(text: str) -> str:
    """A comment behind each convolution says what it is."""
    return re.sub(r"(LazyConv1d\((\d+),.*\),)$", r"\1  # \2 channels", text, flags=re.MULTILINE)


def appended(text: str) -> str:
    """A list that grows by one statement a layer."""
    layers = [line.strip().removesuffix(",") for line in text.splitlines()[2:-1]]
    return "\n".join(
        ["def Model():", "    net = nn.Sequential()", *(f"    net.append({x})" for x in layers), "    return net\n"]
    )


STYLES: list[Callable[[str], str]] = [str, positional, in_text, listed, commented, appended]


def pool(arm: Arm, task: Mnist1d, rules: Rules) -> list[tuple[Candidate, Mapping[str, str]]]:
    """Parents, and what a prompt says of them."""
    programs = {name: (ACCURACY[name], text) for name, text in task.seeds().items()}
    if arm.later:
        rows = {name: (accuracy, ",\n        ".join(layers)) for name, (accuracy, layers) in LATER.items()}
        programs = {n: (a, f"def Model():\n    return nn.Sequential(\n        {t},\n    )\n") for n, (a, t) in rows.items()}
    found = []
    for number, (accuracy, text) in enumerate(programs.values(), 1):
        styled = arm.style(text)
        params = screen(styled, rules)["params"]
        facts = {"num_params": str(int(params)), "val_accuracy": f"{accuracy:.3f}"}
        found.append((Candidate(number, styled), facts))
    return found


class Judge:
    """Screens children, and trains the new ones for a short while.

    Args:
        task: With few steps.
    """

    def __init__(self, task: Mnist1d) -> None:
        self.workload, self.task, self.data = task.workload(), task, task.data()
        self.rules = Rules(task.describe().preamble, (40,), (10,), task.max_params)
        self._products: dict[str, float | None] = {}

    def product(self, text: str) -> float | None:
        """Return parameters times error after the few steps; None where the error is 0.5 or more or it does not train."""
        name = canonical_hash(text)
        if name not in self._products:
            self._products[name] = self._train(text)
        return self._products[name]

    def _train(self, text: str) -> float | None:
        try:
            arrays, facts = self.workload.fit(text, 0, {split: self.data[split] for split in ("train", "val")})
            trained = Outcome(Status.OK, arrays, facts)
            arrays, facts = self.workload.examine(text, self.task.best_state(trained), {"val": self.data["val"]})
        except (ValueError, RuntimeError):
            return None
        metrics = self.task.score(trained, Outcome(Status.OK, arrays, facts), "search")
        return metrics["params"] * metrics["val_error"] if metrics["val_error"] < 0.5 else None

    def __call__(self, arm: Arm, child: propose.Child, known: set[str], parents: Mapping[int, str]) -> None:
        """Count one child."""
        try:
            name = canonical_hash(child.text)
        except ValueError as error:
            arm.reasons["does not parse" if child.text else str(error)] += 1
            return
        arm.parsed += 1
        try:
            params = screen(child.text, self.rules)["params"]
        except ValueError as error:
            arm.reasons[str(error)[:70]] += 1
            return
        arm.valid += 1
        if name in known:
            return
        known.add(name)
        arm.new[name] = child.text, params
        product = self.product(child.text)
        arm.learns += product is not None
        best = min((p for p in map(self.product, parents.values()) if p is not None), default=float("inf"))
        arm.better += product is not None and product < best


def run(arm: Arm, lm: SmolLM2, judge: Judge, prompts: int, samples: int) -> None:
    """Ask for `prompts` times `samples` replies and judge them."""
    parents = pool(arm, judge.task, judge.rules)
    known = {canonical_hash(candidate.text) for candidate, _ in parents}
    metrics = MetricsPrompt()
    for number in range(prompts):
        chosen = generator(7, "parents", number).choices(parents, k=2)
        target = metrics.target(
            [{"params": float(f["num_params"]), "val_error": 1 - float(f["val_accuracy"])} for _, f in chosen]
        )
        sampling = Sampling(samples, arm.temperature, derive(7, "sampling", number))
        brief = Brief("study", tuple(c.id for c, _ in chosen), tuple(f for _, f in chosen), target, sampling)
        for planned in arm.operator(brief, [c for c, _ in chosen], judge.task.describe()):
            completions = lm.complete(planned.request)
            arm.replies += len(completions)
            arm.tokens += sum(completion.tokens_out for completion in completions)
            arm.seconds += sum(completion.seconds for completion in completions)
            for child in propose.children(planned, completions):
                judge(arm, child, known, {c.id: c.text for c, _ in chosen})


def arms() -> list[Arm]:
    """What is compared; later questions build on the answers to earlier ones."""
    cross, fill, grow = propose.crossover, partial(propose.infill, ends=True), propose.regrow
    args = partial(fill, arguments=1.0)
    found = [Arm(f"crossover {t}", cross, t) for t in (0.3, 0.6, 0.8)]
    found += [Arm(f"crossover 0.5 {style.__name__}", cross, 0.5, style) for style in STYLES]
    found += [Arm(f"crossover {t} later", cross, t, later=True) for t in (0.6, 0.8)]
    found += [Arm(f"regrow {t}", grow, t) for t in (0.6, 0.8)]
    found += [Arm(f"regrow {t} later", grow, t, later=True) for t in (0.6, 0.8)]
    found += [Arm(f"infill {t}", fill, t) for t in (0.3, 0.6, 0.8, 1.0, 1.2)]
    found += [Arm(f"infill {t} later", fill, t, later=True) for t in (0.6, 0.8, 1.0)]
    found += [Arm(f"arguments {t}", args, t) for t in (0.6, 0.8, 1.0, 1.2)]
    found += [Arm(f"arguments {t} later", args, t, later=True) for t in (0.8, 1.0, 1.2)]
    inner = propose.infill
    found += [Arm(f"inner {t}{' later' * late}", inner, t, later=late) for t in (0.6, 0.8, 1.0) for late in (False, True)]
    mixed = partial(inner, arguments=0.5)
    found += [Arm(f"mixed {t}{' later' * late}", mixed, t, later=late) for t in (0.6, 0.8, 1.0) for late in (False, True)]
    found += [Arm("mixed 0.8 alone", partial(mixed, examples=0), 0.8)]
    found += [Arm(f"mixed 0.8 {n} a hole", partial(mixed, samples_per_hole=n), 0.8) for n in (1, 4)]
    found += [
        Arm(f"inner arguments {t}{' later' * late}", partial(inner, arguments=1), t, later=late)
        for t in (0.8, 1.0)
        for late in (False, True)
    ]
    found += [Arm("arguments 1.0 alone", partial(args, examples=0), 1.0)]
    found += [Arm("infill 0.8 alone", partial(fill, examples=0), 0.8)]
    found += [Arm(f"infill 0.8 {style.__name__}", fill, 0.8, style) for style in STYLES[1:]]
    found += [Arm(f"infill 0.8 {n} a hole", partial(fill, samples_per_hole=n), 0.8) for n in (1, 4)]
    found += [Arm(f"infill 0.8 {n} lines", partial(fill, lines=n), 0.8) for n in (2, 3)]
    found += [Arm("infill 0.8 inserted", partial(fill, replaced=0), 0.8)]
    found += [Arm("infill 0.8 one for two", partial(fill, replaced=2), 0.8)]
    found += [Arm("infill 0.8 two for two", partial(fill, lines=2, replaced=2), 0.8)]
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", default="", help="a regular expression; only arms whose names it matches")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=400, help="of the short training that says whether a child learns")
    parser.add_argument("--show", action="store_true", help="print the new valid programs")
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    lm, judge = SmolLM2(), Judge(Mnist1d(steps=options.steps, evaluations=4))
    lm.warm()
    columns = (
        "arm",
        "replies",
        "parse",
        "valid",
        "new",
        "learns",
        "better",
        "tokens",
        "s",
        "new/1000 tok",
        "learns/s",
        "better/s",
    )
    table = Table(*columns)
    for arm in arms():
        if not re.search(options.arms, arm.name):
            continue
        run(arm, lm, judge, options.prompts, options.samples)
        share = [f"{count / arm.replies:.0%}" for count in (arm.parsed, arm.valid, len(arm.new), arm.learns, arm.better)]
        rates = [
            f"{1000 * len(arm.new) / max(1, arm.tokens):.1f}",
            f"{arm.learns / arm.seconds:.2f}",
            f"{arm.better / arm.seconds:.2f}",
        ]
        row = [arm.name, str(arm.replies), *share, str(arm.tokens), f"{arm.seconds:.0f}", *rates]
        table.add_row(*row)
        print(*row, sep="  ", flush=True)
        if options.show:
            print(*(f"    {count} {reason}" for reason, count in arm.reasons.most_common(6)), sep="\n")
            for text, params in arm.new.values():
                print(f"--- {params:.0f} {judge.product(text)}\n{text}")
    Console(width=140).print(table)
    lm.close()


if __name__ == "__main__":
    main()
