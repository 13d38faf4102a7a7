"""Finds out with one cheap request whether a hosted model answers, and what it takes."""

from __future__ import annotations

from collections.abc import Callable

from nasmith.lms.asking import Asker
from nasmith.lms.exchange import Fault
from nasmith.lms.replies import Reply
from nasmith.types import Call, Request

__all__ = ["check"]

_PROMPT = "Tell a long story of a river.\n\nOnce upon a time"  # no reply ends before its limit: so it shows what is counted
_ROOM = 16  # tokens; some models refuse a lower limit
_CHOICES = 2


def check(asker: Asker, temperature: float, record: Callable[[Call], None]) -> None:
    """Ask for two short replies with every parameter that a run uses; `asker` learns which of them it has to do without.

    Args:
        asker: Of the model.
        temperature: One that the run will use.
        record: Told of every exchange.

    Raises:
        UsageError: Nobody answers, or not as expected; the message says what to do.
    """
    request = Request(
        _PROMPT, _CHOICES, temperature, seed=1, max_tokens=_ROOM, stop_texts=("<end>",), place=(-1, 0), record=record
    )
    answer, seconds = asker.exchanged(request, min(_CHOICES, asker.batch), request.seed, _ROOM, first=True)
    if isinstance(answer, Fault):
        if not answer.passing:
            record(asker.call(request, answer.outcome, answer.message, seconds, text=answer.text))
        if answer.passing or answer.outcome == "malformed":
            raise asker.advise(answer)
        return
    if asker.batch > 1 and not _counts_all(answer):
        asker.parameters.refuse("n")
    without = ", ".join(sorted(asker.parameters.refused))
    shares = asker.shares(request, answer, max(1, len(answer.choices)), seconds)
    record(
        asker.call(
            request,
            "checked",
            f"answers; is asked without {without}" if without else "answers",
            seconds,
            tokens_in=sum(one.usage.tokens_in for one in shares),
            tokens_out=sum(one.usage.tokens_out for one in shares),
            tokens_cached=sum(one.usage.tokens_cached for one in shares),
            cost=sum(one.cost for one in shares),
        )
    )


def _counts_all(reply: Reply) -> bool:
    """Whether all the replies that were asked for came, and the tokens of all of them are counted."""
    least = sum(_ROOM if choice.finish == "length" else 1 for choice in reply.choices)
    return len(reply.choices) >= _CHOICES and (reply.usage is None or reply.usage.tokens_out >= least)
