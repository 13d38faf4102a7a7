"""Bounds on parameters and FLOPs of designs, and the words for breaking them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from nasmith.errors import ConfigError
from nasmith.space import Design, Space

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Bounds"]

_UNITS = {"flops": "FLOPs", "params": "parameters"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that a design may have; None for no bound."""

    flops_min: float | None = None
    flops_max: float | None = None
    params_min: float | None = None
    params_max: float | None = None

    def __post_init__(self) -> None:
        for name in _UNITS:
            least, most = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if least is not None and most is not None and least > most:
                raise ConfigError(f"{name}_min is {least:,.10g} and {name}_max is {most:,.10g}: nothing lies between.")

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def broken(self, space: Space, design: Design) -> str:
        """Say which bound a design breaks, and by how much; empty where it keeps all.

        Raises:
            ConfigError: Nothing is known of designs of this space by which they could be bounded.
        """
        import numpy as np

        for name, (least, most) in self._given():
            value = float(_column(space, name, np.array([design]))[0])
            for bound, side, far in ((least, "lower", "below"), (most, "upper", "above")):
                if bound is not None and (value < bound if side == "lower" else value > bound):
                    return (
                        f"fails the constraint: {_amount(value)} {_UNITS[name]}, {_amount(abs(value - bound))} {far} the "
                        f"{side} bound of {_amount(bound)}"
                    )
        return ""

    def kept(self, space: Space, designs: np.ndarray) -> np.ndarray:
        """Return whether each of several designs, (n, positions) int, keeps the bounds, (n,) bool."""
        import numpy as np

        kept = np.ones(len(designs), dtype=bool)
        for name, (least, most) in self._given():
            values = _column(space, name, designs)
            kept &= (values >= (-np.inf if least is None else least)) & (values <= (np.inf if most is None else most))
        return kept

    def check(self, space: Space) -> None:
        """Refuse bounds that no design of the space keeps.

        Raises:
            ConfigError: There is none.
        """
        import numpy as np

        if not self:
            return
        designs = np.array(list(space.designs()))
        if not self.kept(space, designs).any():
            columns = [(name, _column(space, name, designs)) for name, _ in self._given()]
            seen = [f"{_amount(values.min())} to {_amount(values.max())} {_UNITS[name]}" for name, values in columns]
            raise ConfigError(f"no design of {space.name} keeps {self.words()}. Its designs have {' and '.join(seen)}.")

    def words(self) -> str:
        """Say the bounds: "at most 80 M FLOPs"."""
        parts = []
        for name, (least, most) in self._given():
            if least is not None:
                parts.append(f"at least {_amount(least)} {_UNITS[name]}")
            if most is not None:
                parts.append(f"at most {_amount(most)} {_UNITS[name]}")
        return " and ".join(parts)

    def _given(self) -> list[tuple[str, tuple[float | None, float | None]]]:
        both = {name: (getattr(self, f"{name}_min"), getattr(self, f"{name}_max")) for name in _UNITS}
        return [(name, pair) for name, pair in both.items() if pair != (None, None)]


def _column(space: Space, name: str, designs: np.ndarray) -> np.ndarray:
    if space.measure is None or name not in space.measures:
        raise ConfigError(f"{_UNITS[name]} of designs of {space.name} are not known, so that they cannot be bounded.")
    column: np.ndarray = space.measure(designs)[:, space.measures.index(name)]
    return column


def _amount(value: float) -> str:
    """Write a count for people: "95.4 M", "812"."""
    return f"{value / 1e6:,.4g} M" if abs(value) >= 1e5 else f"{value:,.10g}"
