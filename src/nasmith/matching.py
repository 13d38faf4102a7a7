"""Brings a task and a strategy together, or says why they cannot be."""

from __future__ import annotations

from nasmith import registry
from nasmith.errors import UsageError
from nasmith.protocols import LanguageModel, SpaceStrategy, Strategy, Task, space_of

__all__ = ["asks_lm", "default_lm", "fitting", "kind_of", "prepare", "suits"]

_PROGRAMS = frozenset({"programs"})


def suits(strategy: Strategy | type[Strategy]) -> frozenset[str]:
    """What a strategy's candidates can be: "programs", "spaces" or both."""
    return frozenset(getattr(strategy, "suits", _PROGRAMS))


def kind_of(task: Task | type[Task]) -> str:
    """What a task's candidates are: "programs" or "spaces" (designs of one)."""
    return "programs" if getattr(task, "space", None) is None else "spaces"


def asks_lm(strategy: Strategy | type[Strategy], kind: str) -> bool:
    """Whether a strategy asks a language model for candidates of a kind."""
    return kind not in getattr(strategy, "lm_free", ())


def default_lm(strategy: Strategy | type[Strategy], task: Task | type[Task]) -> str:
    """Name of the language model of a run where the user names none."""
    return "smollm2" if asks_lm(strategy, kind_of(task)) else "none"


def fitting(kind: str) -> list[str]:
    """Names of the strategies whose candidates can be of a kind, "programs" or "spaces"."""
    return [name for name in registry.names("strategies") if kind in suits(registry.load("strategies", name))]


def prepare(task: Task, strategy: Strategy, lm: LanguageModel | None = None) -> None:
    """Check that something can come of a task, and hand its space to the strategy. Called before anything is begun.

    Args:
        task: What to search for.
        strategy: Who decides.
        lm: Who proposes; None where that was not decided yet.

    Raises:
        UsageError: The strategy cannot work on the task, or the task cannot be used; the message says what to do.
    """
    space = space_of(task)
    kind = kind_of(task)
    if kind not in suits(strategy):
        what = "programs" if space is None else "designs of a fixed space"
        own = "designs of a fixed space" if space is None else "programs"
        name = registry.describe("strategies", strategy)["name"]
        raise UsageError(
            f"the strategy {name} proposes {own}, and the candidates of task {task.name} are {what}. "
            f"Strategies for it: {', '.join(fitting(kind))}."
        )
    asked = asks_lm(strategy, kind)
    if lm is not None and asked != (lm.name != "none"):
        name = registry.describe("strategies", strategy)["name"]
        raise UsageError(
            f"the strategy {name} asks a language model, and the run has none. Name one: --lm smollm2"
            if asked
            else f"the strategy {name} asks no language model on task {task.name}: leave {lm.name} out, it has nothing to do."
        )
    check = getattr(task, "check", None)
    if check is not None:
        check()
    if isinstance(strategy, SpaceStrategy):
        strategy.enter(space, task.objectives)
