"""Measures CLRS trainings against the loop of dm-clrs's own example, and how well the small preset orders functions.

    python benchmarks/graph_functions.py steps [--tasks bfs graham_scan] [--hidden 128 32] [--lengths 4 11 16]
    python benchmarks/graph_functions.py children [--task graham_scan] [--children 20] [--steps 100] [--hidden 32] [--workers 2]
    python benchmarks/graph_functions.py screens
    python benchmarks/graph_functions.py ranks [--task bfs] [--paper-steps 2000] [--again] [--output ranks.jsonl]

steps: one training step of the standard function at each length, in nasmith's training and in the package's
(`BaselineModel.feedback`, which its `examples/run.py` calls), on the same batch, in turns: milliseconds of a step (median), and
seconds that the first one takes more, to trace and compile.

children: so many different functions are trained for so many steps: by nasmith's workers (screening, training, validation at
the end, second account, score), and by the package's loop in a new process for each, one after the other, as one does with
`examples/run.py` (imports, samplers, training with the package's model, validation at the end). Neither is tested at length 64.

screens: milliseconds to accept the seeds and to refuse broken functions.

ranks: trains the nine seeds with the presets small and paper and prints the rank correlations of their errors; with --again,
also those of paper with paper trained from other random numbers. What is done is kept in the output file, one line each, and
not done again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nasmith.executors.processes import Processes
from nasmith.tasks.clrs import Clrs
from nasmith.tasks.clrs.packages import load_clrs
from nasmith.types import Job, Status

_MEMORY_MB = 8000
_BROKEN = {
    "another shape": ("hk.Linear(out_size)(messages)", "hk.Linear(3)(messages)"),
    "a branch on a value": ("    node_1", "    if z.sum() > 0:\n        z = -z\n    node_1"),
    "an import": ("def get", "import os\n\n\ndef get"),
    "a state": ("    node_1", "    z = z * len(jnp.shape(z)) + id(object())\n    node_1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=everything)
    commands = parser.add_subparsers()
    what = commands.add_parser("steps")
    what.add_argument("--tasks", nargs="+", default=["bfs", "graham_scan"])
    what.add_argument("--hidden", nargs="+", type=int, default=[128, 32])
    what.add_argument("--lengths", nargs="+", type=int, default=[4, 11, 16])
    what.set_defaults(run=lambda given: steps(given.tasks, given.hidden, given.lengths))
    what = commands.add_parser("children")
    what.add_argument("--task", default="graham_scan")
    what.add_argument("--children", type=int, default=20)
    what.add_argument("--steps", type=int, default=100)
    what.add_argument("--hidden", type=int, default=32)
    what.add_argument("--workers", type=int, default=2)
    what.add_argument("--alone", default="", help=argparse.SUPPRESS)
    what.set_defaults(run=children)
    what = commands.add_parser("screens")
    what.set_defaults(run=lambda given: screens())
    what = commands.add_parser("ranks")
    what.add_argument("--task", default="bfs")
    what.add_argument("--output", type=Path, default=Path("ranks.jsonl"))
    what.add_argument("--paper-steps", type=int, default=2000, help="fewer than the paper's 2,000, where time is short")
    what.add_argument("--again", action="store_true", help="the preset paper twice: how far its ranks are chance")
    what.set_defaults(run=lambda given: ranks(given.task, given.output, given.paper_steps, given.again))
    given = parser.parse_args()
    given.run(given)


def everything(_: argparse.Namespace) -> None:
    """What `make bench` runs: a few minutes."""
    screens()
    steps(["bfs"], [32], [4, 16])
    run_children("bfs", 4, 50, 32, 2)


def packages_model(task: Clrs, seed: str = "v1") -> tuple[object, dict[int, object]]:
    """Return the package's model with a function in it, and a batch of each length, as `examples/run.py` has them."""
    load_clrs()
    import clrs

    from nasmith.tasks.clrs.graph_network import processed

    workload, recipe = task.workload(), task.recipe
    network, spec = workload._network(task.seeds()[seed])
    batches = {}
    for length in recipe.lengths:
        sampler, _ = clrs.build_sampler(task.algorithm, seed=1, num_samples=recipe.batch_size, length=length)
        batches[length] = next(processed(task.algorithm, iter([sampler.next()]), np.random.default_rng(0))[1])
    model = clrs.models.BaselineModel(
        spec=[dict(spec)],
        dummy_trajectory=[batches[max(batches)]],
        processor_factory=network.processor,
        hidden_dim=recipe.hidden,
        encode_hints=True,
        decode_hints=True,
        encoder_init="xavier_on_scalars",
        learning_rate=recipe.learning_rate,
        grad_clip_max_norm=recipe.clip,
    )
    return model, batches


def steps(tasks: list[str], sizes: list[int], lengths: list[int]) -> None:
    load_clrs()
    import jax

    from nasmith.tasks.clrs.clrs_training import optimised

    print(f"{'task':22} {'hidden':>6} {'nodes':>5} | compile s: package  nasmith ratio | step ms: package  nasmith ratio")
    for name in tasks:
        for hidden in sizes:
            task = Clrs(name, hidden=hidden, lengths=lengths, device="cpu")
            model, batches = packages_model(task)
            network, _ = task.workload()._network(task.seeds()["v1"])
            step, start = optimised(network, task.recipe, 0)
            model.init([batches[min(batches)].features], 1)
            params = jax.tree.map(lambda value: value.copy(), model.params)
            state, key = start(params), jax.random.PRNGKey(0)
            for length, batch in batches.items():
                own, turns = plain(batch), ([], [])
                while len(turns[0]) < 6 or (sum(map(sum, turns)) < 20 and len(turns[0]) < 100):
                    began = time.perf_counter()
                    float(model.feedback(key, batch, 0))
                    middle = time.perf_counter()
                    params, state, loss = step(params, state, len(turns[0]), own)
                    float(loss)
                    turns[0].append(middle - began)
                    turns[1].append(time.perf_counter() - middle)
                theirs, mine = (float(np.median(turn[1:])) for turn in turns)
                slow, fast = turns[0][0] - theirs, turns[1][0] - mine
                print(
                    f"{name:22} {hidden:6} {length:5} | {slow:18.1f} {fast:8.1f} {slow / fast:5.2f}"
                    f" | {1000 * theirs:16.1f} {1000 * mine:8.1f} {theirs / mine:5.2f}",
                    flush=True,
                )


def plain(batch: Any) -> dict[str, Any]:
    """Return a batch of the package's as nasmith's training takes it."""
    parts = {"inputs": batch.features.inputs, "hints": batch.features.hints, "outputs": batch.outputs}
    return {kind: {point.name: point.data for point in points} for kind, points in parts.items()} | {
        "lengths": batch.features.lengths
    }


def children(given: argparse.Namespace) -> None:
    if given.alone:
        alone(given.task, given.alone, given.steps, given.hidden)
    else:
        run_children(given.task, given.children, given.steps, given.hidden, given.workers)


def functions(count: int) -> list[str]:
    """Return so many different functions: the standard one with another number of features of each triplet."""
    text = Clrs("bfs").seeds()["v1"]
    return [text.replace("size = nb_triplet_fts", f"size = {4 + number}") for number in range(count)]


def run_children(name: str, count: int, number: int, hidden: int, workers: int) -> None:
    task = Clrs(name, hidden=hidden, steps=number, evaluations=1, device="cpu")
    task.data()  # is kept: the samples of a search are drawn once
    began = time.perf_counter()
    executor = Processes(workers=workers, memory_mb=_MEMORY_MB, timeout_seconds=3600)
    executor.start(task.workload(), task.data)
    trained = [(text, executor.submit(Job(place, text, 0))) for place, text in enumerate(functions(count))]
    scores = []
    for text, future in trained:
        outcome = future.result()
        assert outcome.status is Status.OK, outcome.message
        examined = executor.submit(Job(0, text, 0, ("val",), "examine", task.best_state(outcome))).result()
        scores.append(1 - task.score(outcome, examined, "search")["val_error"])
    executor.close()
    ours = time.perf_counter() - began
    print(
        f"nasmith: {count} children of {number} steps in {ours:.0f} s, scores {min(scores):.3f} to {max(scores):.3f}",
        flush=True,
    )
    began = time.perf_counter()
    for place in range(count):
        line = [sys.executable, __file__, "children", "--task", name, "--alone", str(place), "--steps", str(number)]
        subprocess.run([*line, "--hidden", str(hidden)], check=True)
    theirs = time.perf_counter() - began
    print(
        f"package: {count} children of {number} steps in {theirs:.0f} s, one after the other: {theirs / ours:.2f} times as long"
    )


def alone(name: str, place: str, number: int, hidden: int) -> None:
    """Train one function as `examples/run.py` does, with endless samplers, and validate at the end."""
    load_clrs()
    import clrs
    import jax

    from nasmith.tasks.clrs import algorithm_samples
    from nasmith.tasks.clrs.graph_network import processed
    from nasmith.tasks.clrs.part_functions import build_function
    from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES

    task = Clrs(name, hidden=hidden, steps=number, evaluations=1, device="cpu")
    recipe, generator = task.recipe, np.random.default_rng(0)
    options = {"p": tuple((0.5 if name in algorithm_samples._SPARSE else 1.0) * (0.1 + 0.1 * i) for i in range(9))}
    options = algorithm_samples._taken(name, options)

    def endless(sampler, size):
        while True:
            yield sampler.next(size)

    training = []
    for length in recipe.lengths:
        sampler, _ = clrs.build_sampler(name, seed=length, num_samples=-1, length=length, **options)
        training.append(processed(name, endless(sampler, recipe.batch_size), generator)[1])
    count = algorithm_samples.full_size(name)[0]
    sampler, _ = clrs.build_sampler(name, seed=99, num_samples=count, length=16, **options)
    validation = next(processed(name, endless(sampler, None), generator)[1])
    model, _ = packages_model(task)
    function = build_function(functions(int(place) + 1)[-1], TRIPLET_MESSAGES)
    model.__init__(
        spec=model._spec,
        dummy_trajectory=[validation],
        processor_factory=TRIPLET_MESSAGES.processor(function, recipe.features),
        hidden_dim=hidden,
        encode_hints=True,
        decode_hints=True,
        encoder_init="xavier_on_scalars",
        learning_rate=recipe.learning_rate,
        grad_clip_max_norm=recipe.clip,
    )
    key = jax.random.PRNGKey(0)
    for step in range(number):
        feedback = next(training[step % len(training)])
        if step == 0:
            model.init([feedback.features], 1)
        key, _ = jax.random.split(key)
        float(model.feedback(key, feedback, 0))
    found, _ = model.predict(key, validation.features, 0)
    clrs.evaluate(validation.outputs, found)


def screens() -> None:
    task = Clrs("articulation_points", device="cpu")
    workload = task.workload()
    workload.warm()
    for name, text in task.seeds().items():
        began = time.perf_counter()
        workload.screen(text)
        print(f"{name} accepted in {1000 * (time.perf_counter() - began):.0f} ms")
    for name, (old, new) in _BROKEN.items():
        began = time.perf_counter()
        try:
            workload.screen(task.seeds()["v1"].replace(old, new, 1))
            verdict = "accepted"
        except ValueError:
            verdict = "refused"
        print(f"{name} {verdict} in {1000 * (time.perf_counter() - began):.0f} ms")


def ranks(name: str, output: Path, paper_steps: int, again: bool) -> None:
    done = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    trainings = {"small": ("small", 0), "paper": ("paper", 0), **({"paper, again": ("paper", 1)} if again else {})}
    for training, (preset, random_seed) in trainings.items():
        fewer = {"steps": paper_steps, "evaluations": paper_steps // 50} if preset == "paper" else {}
        task = Clrs(name, preset=preset, device="cpu", **fewer)
        missing = [seed for seed in task.seeds() if not any((row["preset"], row["seed"]) == (training, seed) for row in done)]
        executor = Processes(workers=2, memory_mb=_MEMORY_MB, timeout_seconds=36_000, output_mb=1024)
        executor.start(task.workload(), task.data)
        trained = {seed: executor.submit(Job(0, task.seeds()[seed], random_seed)) for seed in missing}
        for seed, future in trained.items():
            outcome = future.result()
            assert outcome.status is Status.OK, outcome.message
            job = Job(0, task.seeds()[seed], random_seed, ("val", "test"), "examine", task.best_state(outcome))
            examined = executor.submit(job).result()
            done.append({"preset": training, "seed": seed, **task.score(outcome, examined, "verify")})
            with output.open("a") as stream:
                stream.write(json.dumps(done[-1]) + "\n")
            print(done[-1], flush=True)
        executor.close()
    rows = {training: {row["seed"]: row for row in done if row["preset"] == training} for training in trainings}
    for one, other in itertools.combinations(rows, 2):
        for metric in ("val_error", "test_error"):
            pairs = [(rows[one][seed][metric], rows[other][seed][metric]) for seed in rows[one]]
            found = spearmanr(*zip(*pairs, strict=True)).statistic
            print(f"{metric}: rank correlation of {one!r} with {other!r} {found:.2f} over {len(pairs)} functions")
    for training, of_training in rows.items():
        seconds = np.median([row["train_seconds"] for row in of_training.values()])
        print(f"{training}: {seconds:.0f} s a training (median, with compiling)")


if __name__ == "__main__":
    main()
