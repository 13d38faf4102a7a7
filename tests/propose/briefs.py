"""Programs, briefs and replies that the tests of this folder share."""

from framed import FIRST_LINES, FRAMED, frame_of
from nasmith.propose import requests
from nasmith.types import Brief, Candidate, Completion, Description, Sampling

DESCRIPTION = Description("toy", "def Model():", statement="What counts is the sum.", preamble="from torch import nn\n")
CNN = """def Model():
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.LazyConv1d(8, kernel_size=3),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(10),
    )
"""
MLP = """def Model():
    return nn.Sequential(
        nn.LazyLinear(100),
        nn.LazyLinear(10),
    )
"""
HELPERS = """class Base(nn.Sequential):
    pass


class Residual(Base):
    def forward(self, x):
        return x + super().forward(x)


"""
RESIDUAL = HELPERS + MLP.replace("nn.LazyLinear(100)", "Residual(nn.LazyLinear(40))")
PARENTS = [Candidate(3, CNN), Candidate(8, MLP)]


def brief(operator, n=16, parents=PARENTS, seed=1, facts=None):
    said = ({"num_params": "4800", "val_accuracy": "0.865"}, {"num_params": "100", "val_accuracy": "0.600"})
    return Brief(
        operator=operator,
        parents=tuple(parent.id for parent in parents),
        facts=facts or said[: len(parents)],
        target={"num_params": "4300", "val_accuracy": "0.882"},
        sampling=Sampling(n, 0.5, seed),
    )


def plan(operator, parents=PARENTS, *, chat=False, prompts=None, description=DESCRIPTION, **options):
    return requests(brief(operator, parents=parents, **options), parents, description, chat=chat, prompts=prompts)


def plan_chat(operator, **options):
    """One request of a chat model; a fix is of the first parent."""
    if operator == "fix":
        options = {"parents": PARENTS[:1], "facts": ({"error": "line 3: a bracket is open"},)} | options
    (planned,) = plan(operator, chat=True, **options)
    return planned


def reply(text, **options):
    return Completion("prompt", text, "lm", 1, 1, **options)


def framed(name):
    """A description of programs with fixed parts, and two of them: one as it is written, one with other numbers."""
    frame, text = frame_of(name), FRAMED[name]
    changed = [part.replace("relu", "tanh").replace("10", "20") for part in frame.parts(text)]
    description = Description("framed", FIRST_LINES[name], statement="What counts is the sum.", fixed=frame.fixed)
    return description, [Candidate(3, text), Candidate(8, frame.joined(changed))]


def plan_framed(operator, name, *, chat=False, **options):
    description, parents = framed(name)
    if operator == "fix":
        parents, options = parents[:1], {"facts": ({"error": "line 3: a bracket is open"},)} | options
    return requests(brief(operator, parents=parents, **options), parents, description, chat=chat)
