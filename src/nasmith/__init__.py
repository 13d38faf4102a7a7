"""nasmith: search for neural architectures with a language model that learns during the search.

import nasmith

result = nasmith.search("mnist1d", budget=nasmith.Budget(minutes=60))
print(result.best().text)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasmith.api import load, resume, search
    from nasmith.choosing import Choice
    from nasmith.comparing import compare
    from nasmith.comparison import Comparison
    from nasmith.loop import Budget
    from nasmith.own_loop import OwnLoop
    from nasmith.result import Result
    from nasmith.stopping import StopSearch
    from nasmith.verify import Verification

# OpenMP threads that wait by spinning starve the workers, and are starved by them: beside two busy processes on two processors
# the language model wrote 16 tokens a second with spinning and 166 without. It is read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = [
    "Budget",
    "Choice",
    "Comparison",
    "OwnLoop",
    "Result",
    "StopSearch",
    "Verification",
    "compare",
    "load",
    "resume",
    "search",
]

_HOMES = {
    "Budget": "loop", "Choice": "choosing", "Comparison": "comparison", "OwnLoop": "own_loop", "Result": "result",
    "StopSearch": "stopping", "Verification": "verify", "compare": "comparing", "load": "api", "resume": "api", "search": "api",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: workers import this package too, and start faster without the loop."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nasmith' has no attribute {name!r}")
    return getattr(import_module(f"nasmith.{_HOMES[name]}"), name)
