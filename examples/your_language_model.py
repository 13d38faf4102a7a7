"""Search with a language model of your own: any object with these few methods. This one rolls dice."""

import re

import nasmith
from nasmith.seeding import generator
from nasmith.strategies.evoprompting import EvoPrompting
from nasmith.tasks.mnist1d import Mnist1d
from nasmith.types import Completion, Request


class Dice:
    """Copies the prompt's last example with another width: a control that any language model should beat."""

    name = "dice"

    def __init__(self) -> None:
        self.temperatures = (1.0,)
        self.operators = {"crossover": 1.0}

    def warm(self) -> None:
        """Nothing to load."""

    def complete(self, request: Request) -> list[Completion]:
        """Return `request.n` programs."""
        last = request.prompt.split('"""\n')[-2].partition("def Model():")[2]
        dice = generator(request.seed)
        body = [re.sub(r"(Conv1d\(|Linear\()(?!10\))\d+", rf"\g<1>{dice.randint(4, 64)}", last) for _ in range(request.n)]
        return [Completion(request.prompt, text, self.name, tokens_in=0, tokens_out=0) for text in body]

    def close(self) -> None:
        """Nothing to free."""


if __name__ == "__main__":
    result = nasmith.search(
        Mnist1d(steps=200, evaluations=4),
        Dice(),
        EvoPrompting(rounds=1, prompts=4, samples=3),
        verify=nasmith.Verification(best=1, front=0, seeds=1, baselines=False),
    )
    best = result.best()
    print(best.text if best else "no child was below the threshold")
