"""What the tests of nasmith and of its plug-ins share: fakes that cost nothing, and tests that every component must pass."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nasmith.testing.python_workload import PythonWorkload
from nasmith.testing.server import EchoServer
from nasmith.testing.toy_space import TOY_SPACE, ToySpaceTask
from nasmith.testing.toys import ToyLM, ToyTask, ToyWorkload

if TYPE_CHECKING:
    from nasmith.testing.contracts import LanguageModelContract, StrategyContract, TaskContract
    from nasmith.testing.executor_contract import ExecutorContract
    from nasmith.testing.storage_contract import StorageContract

__all__ = [
    "TOY_SPACE",
    "EchoServer",
    "ExecutorContract",
    "LanguageModelContract",
    "PythonWorkload",
    "StorageContract",
    "StrategyContract",
    "TaskContract",
    "ToyLM",
    "ToySpaceTask",
    "ToyTask",
    "ToyWorkload",
]

_CONTRACTS = tuple(f"nasmith.testing.{module}" for module in ("contracts", "executor_contract", "storage_contract"))

if "pytest" in sys.modules:  # a failed assertion of a contract then shows its values, as one in a test file does
    sys.modules["pytest"].register_assert_rewrite(*_CONTRACTS)


def __getattr__(name: str) -> Any:
    """Import the contracts when they are named: they need pytest, and whoever only wants a fake may not have it."""
    from importlib import import_module

    if name.endswith("Contract") and name in __all__:
        return next(getattr(module, name) for module in map(import_module, _CONTRACTS) if name in module.__all__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
