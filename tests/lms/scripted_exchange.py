"""A way to a model that answers from a list, for tests of what stands above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasmith.errors import UsageError
from nasmith.lms.asking import Asker, Manner
from nasmith.lms.exchange import Fault
from nasmith.lms.parameters import Parameters
from nasmith.lms.retries import Retries


class ScriptedExchange:
    """Gives the answers in order: JSON values, or faults; keeps (endpoint, body)."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    def send(self, endpoint: str, body: Mapping[str, Any]) -> Any:
        self.sent.append((endpoint, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Fault):
            raise answer
        return answer

    def models(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


def asker(answers: Sequence[Any], *, tries: int = 2, refused: Sequence[str] = (), **manner: Any) -> Asker:
    """Return one whose every token costs a cent, and whose secret is "hunter22"."""
    options = {"name": "n", "model": "m", "chat": True, "batch": 8, "max_tokens": None, "rejections": 2, **manner}
    return Asker(
        ScriptedExchange(answers),
        Manner(**options),
        Parameters(refused),
        Retries(tries, 0.0),
        price=lambda tokens_in, tokens_out, cached: 0.01 * (tokens_in + tokens_out - cached),
        clean=lambda text: text.replace("hunter22", "[KEY]"),
        advise=lambda fault: UsageError(f"advice on {fault.message}"),
    )


def reply(*texts: str, tokens: tuple[int, int] | None = (10, 8), finish: str = "stop", cached: int = 0) -> dict[str, Any]:
    """Return the JSON of a chat reply."""
    choices = [{"message": {"content": text}, "finish_reason": finish} for text in texts]
    if tokens is None:
        return {"choices": choices}
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "prompt_tokens_details": details}
    return {"choices": choices, "usage": usage}
