"""Keep your own training loop: ask for a program, train it as you like, and tell what you measured.

Here a program is a list of layer widths, and what proposes them rolls dice, so that the example takes seconds. Leave `lm` out
for the embedded language model. Candidates are code that a language model wrote: run them where they can do no harm.
"""

from itertools import pairwise

import torch
from torch import nn

import nasmith
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.testing import ToyLM

SEEDS = {
    "narrow": "def Model():\n    return [\n        4,\n        4,\n    ]\n",
    "wide": "def Model():\n    return [\n        64,\n    ]\n",
}
X = torch.linspace(-3, 3, 256)[:, None]
Y = torch.sin(2 * X)


def train(program: str, seed: int) -> dict[str, float]:
    """Fit a sine with a network of the program's widths; return its error and its size."""
    names: dict = {}
    exec(program, names)
    widths = [1, *names["Model"]()]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.Tanh())]
        model = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        loss = (model(X) - Y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"val_error": loss.item(), "params": sum(p.numel() for p in model.parameters())}


if __name__ == "__main__":
    with nasmith.OwnLoop(
        SEEDS,
        {"val_error": "minimize", "params": "minimize"},
        lm=ToyLM(),
        strategy=EvoPrompting(rounds=2, prompts=2, samples=3),
    ) as search:
        for candidate in search:
            try:
                metrics = train(candidate.text, search.training_seed(candidate))
            except (TypeError, ValueError, RuntimeError) as error:
                search.fail(candidate, f"{type(error).__name__}: {error}")
            else:
                search.tell(candidate, metrics)
    print(search.result)
    print(search.result.best().text)
