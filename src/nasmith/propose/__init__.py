"""Turns a strategy's brief into requests to a language model, and its replies into programs or designs.

Everything here is a function of the brief, the parents' texts, the templates and the replies, so that a resumed run proposes
the same.
"""

from __future__ import annotations

from nasmith.propose.chat import CHAT_OPERATORS, transcript
from nasmith.propose.continuation import OPERATORS, crossover, infill, regrow
from nasmith.propose.conversations import DESIGN_OPERATORS
from nasmith.propose.making import Child, Planned, children, example
from nasmith.propose.planning import requests
from nasmith.propose.templates import Templates

__all__ = [
    "CHAT_OPERATORS",
    "DESIGN_OPERATORS",
    "OPERATORS",
    "Child",
    "Planned",
    "Templates",
    "children",
    "crossover",
    "example",
    "infill",
    "regrow",
    "requests",
    "transcript",
]
