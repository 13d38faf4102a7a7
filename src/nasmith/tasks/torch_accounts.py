"""Reads what PyTorch workers returned, in the trusted process: states, their parameters, and operations, each checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nasmith.types import Outcome

if TYPE_CHECKING:
    import numpy as np

__all__ = ["checked_params", "count_state", "flops_of", "state_at"]

_OTHERS = frozenset({"train_loss", "predictions", "outputs", "checkpoint"})


def state_at(outcome: Outcome, point: int) -> dict[str, np.ndarray]:
    """Return the state of an evaluation point, from the arrays "state/<point>/<name>".

    Raises:
        ValueError: There is none, or it is not what a worker may return.
    """
    import numpy as np

    prefix = f"state/{point}/"
    state: dict[str, np.ndarray] = {}
    for key, value in outcome.arrays.items():
        kind, _, rest = key.partition("/")
        index, _, name = rest.partition("/")
        if key in _OTHERS or kind in _OTHERS:
            continue
        if kind != "state" or not index.isdecimal() or not name:
            raise ValueError(f"the worker returned an array of unknown name {key!r}")
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise ValueError(f"{key} is not an array of numbers")
        if key.startswith(prefix):
            state[name] = value
    if not state:
        raise ValueError(f"the worker returned no state of evaluation point {point}, where its predictions are best")
    return state


def checked_params(state: Mapping[str, np.ndarray], examined: Outcome, limit: float) -> int:
    """Return the parameters of a trained state, which the second account must not undercut.

    Args:
        state: Arrays by name.
        examined: The second account.
        limit: The most that are allowed.

    Raises:
        ValueError: It has more than the program was measured with, or than are allowed.
    """
    params = count_state(state)
    if params > examined.facts.get("params", params):  # fewer where two of its weights are one
        raise ValueError(f"the trained state has {params:,} parameters; the program was measured with fewer")
    if params > limit:  # a program may build another model than the one that was screened
        raise ValueError(f"the trained model has {params:,} parameters; at most {int(limit):,} are allowed")
    return params


def count_state(state: Mapping[str, np.ndarray]) -> int:
    """Count the parameters of a returned state.

    Entries with the same content are one weight under two names (tied) and count once, unless all their numbers are equal:
    those are more likely two weights that were never touched.
    """
    from nasmith.tasks.torch_programs import count_parameters

    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[tuple[tuple[int, ...], bytes]] = set()
    for name, value in state.items():
        content = (value.shape, value.tobytes())
        if content in seen and (value != value.flat[0]).any():
            continue
        seen.add(content)
        shapes[name] = value.shape
    return count_parameters(shapes)


def flops_of(examined: Outcome) -> float:
    """Return the FLOPs for one input.

    Raises:
        ValueError: The model that predicts takes more than the one that was measured.
    """
    measured, predicting = (float(examined.facts.get(name, math.nan)) for name in ("flops", "predict_flops"))
    if not predicting <= measured * (1 + 1e-6):
        raise ValueError(
            f"one input takes {measured:,.10g} FLOPs when the program is measured, and {predicting:,.10g} to predict"
        )
    return measured
