"""Fixtures that several tests share: a small recorded run, written as a real one would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nasmith.protocols import Storage
from nasmith.seeding import generator
from nasmith.types import Brief, Candidate, Completion, Evaluation, Run, Sampling, Status, Tune, Tuning

RUN = "quiet-otter"
_SEEDS = {"large_cnn": (91082, 0.058), "reference_cnn": (5210, 0.076), "gru": (5134, 0.092), "mlp": (15210, 0.334)}
_OUTCOMES = [Status.OK] * 9 + [Status.DUPLICATE] * 4 + [Status.INVALID] * 4 + [Status.FAILED, Status.TIMEOUT, Status.KILLED]
_REASONS = {
    Status.DUPLICATE: "the same program as candidate 2",
    Status.INVALID: "output has shape (2, 40, 10), and must have (2, 10)",
    Status.FAILED: "RuntimeError: the loss is not finite",
    Status.TIMEOUT: "not done after 120 s",
    Status.KILLED: "the process ended with signal 11",
}
_TEXT = """def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.LazyConv1d({width}, kernel_size=5, stride=2, padding=1),
        nn.ReLU(),
        nn.LazyConv1d({width}, kernel_size=3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
"""
_HOSTILE = (
    "def Model():\n    # <script>alert('candidate')</script>\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))\n"
)


def record_run(storage: Storage, name: str = RUN, children: int = 40) -> None:
    """Write a plausible finished run: four seeds, children of two operators, two tunings, verified winners and seeds."""
    from nasmith.tasks.mnist1d import Mnist1d

    random = generator(7, name)
    config = {
        "task": {"name": "mnist1d", "options": {"steps": 500}},
        "lm": {"name": "scripted", "options": {}},
        "strategy": {"name": "evoprompting", "options": {"rounds": 2}},
        "executor": {"name": "inline", "options": {}},
        "seed": 0,
    }
    environment = {"python": "3.11.2", "platform": "Linux", "torch": "2.13.0"}
    storage.add_run(Run(name, config, "0.1.0", environment, "2026-01-01T10:00:00+00:00"))
    storage.add_candidates(
        name,
        [
            Candidate(i + 1, text, canonical=f"seed-{label}", index=i, label=label)
            for i, (label, text) in enumerate(Mnist1d().seeds().items())
        ],
    )
    for i, label in enumerate(Mnist1d().seeds()):
        storage.add_evaluation(name, _ok(i + 1, *_SEEDS[label]))
    parents = [1, 2, 3, 4]
    good: list[tuple[float, int, int, float]] = []
    for step in range(children // 8):
        operator = "crossover" if step % 2 else "infill"
        chosen = (parents[-1], parents[-2])
        facts = tuple({"num_params": "5210", "val_accuracy": "0.924"} for _ in chosen)
        brief = Brief(
            operator, chosen, facts, {"num_params": "4700", "val_accuracy": "0.942"}, Sampling(8, 0.4, step), step // 3
        )
        storage.add_asked(name, step, 4 + step, brief)
        numbers = range(5 + 8 * step, 13 + 8 * step)
        texts = [_TEXT.format(width=random.randrange(6, 30)) if n != 9 else _HOSTILE for n in numbers]
        prompt = "\"\"\"Metrics:\n{'num_params': '4700', 'val_accuracy': '0.942'}\n\"\"\"\ndef Model():\n"
        replies = [
            Completion(prompt, t.partition("\n")[2], "smollm2", 220 if i == 0 else 0, 130, 0.0, 1.1)
            for i, t in enumerate(texts)
        ]
        storage.add_completions(name, step, 0, replies)
        storage.add_candidates(
            name,
            [
                Candidate(n, t, chosen, operator, f"c{n}", step, i, step // 3)
                for i, (n, t) in enumerate(zip(numbers, texts, strict=True))
            ],
        )
        for n in numbers:
            status = Status.OK if n == 9 else random.choice(_OUTCOMES)
            if status is Status.OK:
                params = int(10 ** random.uniform(2.9, 4.2))
                error = round(min(0.9, 0.05 + 120 / params * random.uniform(0.4, 1.6)), 4)
                storage.add_evaluation(name, _ok(n, params, error))
                good.append((params * error, n, params, error))
            else:
                storage.add_evaluation(name, Evaluation(n, status, seconds=0.2, message=_REASONS[status]))
        good.sort()
        parents = [1, 2, *(item[1] for item in good[:2])]
    storage.add_asked(name, 99, 30, Tune(0, (5, 6), 0))
    storage.add_tuning(name, 99, Tuning(0, 12, (1.31, 1.02, 0.95), True, "adapter-0.safetensors", 81.0))
    storage.add_tuning(name, 100, Tuning(1, 9, (0.97, 0.99), False, "", 60.0, "the loss did not fall"))
    for i, label in enumerate(Mnist1d().seeds()):
        _verify(storage, name, i + 1, *_SEEDS[label], worse=0.004)
    for place, (_, n, params, error) in enumerate(good[:5]):
        _verify(storage, name, n, params, error, worse=0.08 if place == 1 else 0.004)
    storage.finish_run(name, "2026-01-01T10:12:00+00:00")


def _ok(n: int, params: int, error: float) -> Evaluation:
    values = {"val_error": error, "params": params, "flops": 60.0 * params, "train_seconds": 4.0, "fitness": -params * error}
    return Evaluation(n, Status.OK, values, seed=1, fidelity=500, seconds=4.2)


def _verify(storage: Storage, name: str, n: int, params: int, error: float, worse: float) -> None:
    from safetensors.numpy import save_file

    for seed in range(3):
        val = error + 0.004 * seed
        weights = f"weights-{n}-{seed}.safetensors"
        save_file({"0.weight": np.full((2, 2), seed, dtype=np.float32)}, storage.folder(name) / weights)
        values = {"val_error": val, "test_error": val + worse - 0.003 * seed, "params": params, "flops": 60.0 * params}
        values["fitness"] = -params * val
        storage.add_evaluation(name, Evaluation(n, Status.OK, values, 100 + seed, 500, 4.0, "", "verify", weights))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a database that holds the run `quiet-otter`; tests must only read it."""
    from nasmith.storage.sql import Sql

    path = tmp_path_factory.mktemp("recorded") / "nasmith.db"
    storage = Sql(path)
    record_run(storage)
    storage.close()
    return path


@pytest.fixture
def recorded_storage(recorded: Path) -> Iterator[Storage]:
    """The recorded run's storage, open for reading."""
    from nasmith.storage.sql import Sql

    storage = Sql(recorded, read_only=True)
    yield storage
    storage.close()
