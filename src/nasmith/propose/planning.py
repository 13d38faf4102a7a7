"""Plans the requests that a strategy's brief needs."""

from __future__ import annotations

from collections.abc import Sequence

from nasmith.errors import UnknownNameError
from nasmith.propose.chat import CHAT_OPERATORS
from nasmith.propose.continuation import OPERATORS
from nasmith.propose.conversations import DESIGN_OPERATORS
from nasmith.propose.making import Planned
from nasmith.propose.templates import DEFAULT, Templates
from nasmith.space import Space
from nasmith.types import Brief, Candidate, Description

__all__ = ["requests"]


def requests(
    brief: Brief,
    parents: Sequence[Candidate],
    description: Description,
    *,
    chat: bool = False,
    prompts: Templates | None = None,
    max_tokens: int | None = None,
    space: Space | None = None,
    replies: Sequence[str] = (),
) -> list[Planned]:
    """Plan the requests that a brief needs; their counts of replies add up to `brief.sampling.n`.

    Args:
        brief: What the strategy wants.
        parents: The candidates that `brief.parents` names, in that order.
        description: The task's.
        chat: Whether the model is asked by messages; otherwise it continues a prompt.
        prompts: Templates; None for nasmith's own.
        max_tokens: Limit of one reply; None for the operator's own.
        space: The space whose designs are asked for; None for programs.
        replies: The texts that the parents came from, for what goes on with a conversation.

    Raises:
        UnknownNameError: There is no such operator for that kind of model.
        ValueError: `parents` are not those of the brief.
    """
    operators = DESIGN_OPERATORS if space is not None else CHAT_OPERATORS if chat else OPERATORS
    if brief.operator not in operators:
        kind = "operator for designs" if space is not None else f"operator of a {'chat' if chat else 'base'} model"
        raise UnknownNameError(kind, brief.operator, operators)
    if tuple(parent.id for parent in parents) != brief.parents:
        raise ValueError(f"the brief names the parents {brief.parents}, not {tuple(parent.id for parent in parents)}")
    if space is not None:
        plan = DESIGN_OPERATORS[brief.operator]
        return plan(brief, parents, replies, description, space, prompts or DEFAULT, max_tokens, chat=chat)
    return operators[brief.operator](brief, parents, description, prompts or DEFAULT, max_tokens)
