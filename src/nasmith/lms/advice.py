"""Says what to do where a model cannot be asked: turns a fault that stays into an error for the user."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher

from nasmith.errors import UsageError
from nasmith.lms.exchange import Fault

__all__ = ["advice"]

_MOST_NAMES = 10


def advice(
    fault: Fault,
    *,
    name: str,
    model: str,
    where: str,
    variables: str,
    held: str,
    models: Callable[[], list[str]],
    clean: Callable[[str], str],
) -> UsageError:
    """Return the error that tells what to do.

    Args:
        fault: What came.
        name: The model as the user said it.
        model: The server's name of it.
        where: The address.
        variables: Those that may hold the key, in words.
        held: The one that does; empty where no key is known.
        models: Lists what the server has.
        clean: Takes secrets out of a text.
    """
    said = fault.message
    if fault.unreachable:
        text = f"nobody answers at {where} ({said}): start the server, or say where it is (PROVIDER/MODEL@URL)."
    elif fault.passing:
        text = f"{name} does not answer at {where} ({said}): try again later, or use another model."
    elif fault.outcome == "malformed":
        text = f"{where} does not answer as a server with OpenAI's interface ({said}): the address often ends in /v1."
    elif fault.code == "insufficient_quota":
        text = f"{name}: no credit is left ({said}). Look at the provider's page for billing, then go on."
    elif fault.status == 401 and not held:
        text = f"{where} wants a key ({said}): set the environment variable {variables}, or put it into the file .env."
    elif fault.status == 401:
        text = f"{where} does not take the key in {held} ({said}): set a valid one there, or in the file .env."
    elif fault.status == 403:
        text = f"the key in {held or variables} may not use {name} ({said}): use another key or another model."
    elif fault.status == 404:
        text = _unknown(said, model, where, models())
    elif fault.status // 100 == 3:
        text = f"{where} is not the address any more ({said}): give the new one (PROVIDER/MODEL@URL)."
    else:
        text = (
            f"{name} does not take the request ({said}). Change the option that this names; where the prompt is too long, show "
            "fewer or smaller examples."
        )
    return UsageError(clean(text))


def _unknown(said: str, model: str, where: str, names: list[str]) -> str:
    if not names:
        return f"{where} has no {model!r} ({said}): check the model's name, and the address, which often ends in /v1."
    nearest = sorted(names, key=lambda name: (-SequenceMatcher(None, model, name).ratio(), name))[:_MOST_NAMES]
    rest = ", …" if len(names) > _MOST_NAMES else ""
    return f"{where} has no model {model!r} ({said}). It has {', '.join(nearest)}{rest}."
