"""Several language models as one: a request goes to the member that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import BoundedSemaphore

from nasmith.errors import ConfigError, UnknownNameError
from nasmith.protocols import HostedLanguageModel, LanguageModel, TunableLanguageModel, traits_of
from nasmith.types import Call, Completion, Example, Request, Traits, Tune, Tuning

__all__ = ["Ensemble"]


class Ensemble:
    """A few language models behind one name; each request says in `model` who is asked.

    It can be called from as many threads as its members together; each member is called from as many as its own traits allow,
    and others wait. It can be tuned where a member can: `tune` and `load` exist only then. Each member that can learns from all
    programs, its own and the others', and keeps its adapter in a file of its own.

    Args:
        members: The models; no two of one name. The first answers requests that name none, and gives the temperatures.
    """

    tune: Callable[[Tune, Sequence[Example], Path, Callable[[int, int], None] | None], Tuning]
    load: Callable[[Path | None], None]

    def __init__(self, members: Sequence[LanguageModel]) -> None:
        if not members:
            raise ConfigError("ensemble: members must name at least one language model.")
        names = [member.name for member in members]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"ensemble: two members are named {', '.join(twice)}. Give one of them another `name`.")
        self.members = members
        self.name = " + ".join(names)
        self.temperatures = members[0].temperatures
        self.models: Mapping[str, Mapping[str, float]] = {member.name: dict(member.operators) for member in members}
        self.operators = _together(self.models)
        self._by_name = {member.name: member for member in members}
        self._turns = {name: BoundedSemaphore(self.traits_of(name).concurrency) for name in names}
        self._tunable = [(number, member) for number, member in enumerate(members) if isinstance(member, TunableLanguageModel)]
        if self._tunable:  # a protocol is recognised by its methods: they are there only where they can be called
            self.tune, self.load = self._tune, self._load

    @property
    def traits(self) -> Traits:
        """What holds for all members: a trait where all have it, the smallest batch, and the sum of their concurrency."""
        traits = [self.traits_of(name) for name in self._by_name]
        return Traits(
            chat=all(own.chat for own in traits),
            batch=min((own.batch for own in traits if own.batch is not None), default=None),
            concurrency=sum(own.concurrency for own in traits),
            free=all(own.free for own in traits),
            exact=all(own.exact for own in traits),
            constrained=all(own.constrained for own in traits),
        )

    def traits_of(self, model: str) -> Traits:
        """Return how one member wants to be used; empty for the first."""
        return traits_of(self._member(model))

    def warm(self) -> None:
        """Load what every member needs."""
        for member in self.members:
            member.warm()

    def check(self, record: Callable[[Call], None]) -> None:
        """Have every member on a server find out whether it answers."""
        for member in self.members:
            if isinstance(member, HostedLanguageModel):
                member.check(record)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """US dollars for so many tokens of the dearest member: an upper bound, for estimates. None where a price is unknown."""
        prices = [_price(member, tokens_in, tokens_out) for member in self.members]
        known = [price for price in prices if price is not None]
        return max(known) if len(known) == len(prices) else None

    def complete(self, request: Request) -> list[Completion]:
        """Have the member that the request names answer it, when it is its turn.

        Raises:
            UnknownNameError: No member has that name.
        """
        member = self._member(request.model)
        with self._turns[member.name]:
            return member.complete(request)

    def close(self) -> None:
        """Free what the members hold; all of them, even if one cannot be closed."""
        with ExitStack() as stack:
            for member in self.members:
                stack.callback(member.close)

    def _tune(
        self, tune: Tune, examples: Sequence[Example], path: Path, progress: Callable[[int, int], None] | None = None
    ) -> Tuning:
        """Have every member learn that can, one after the other.

        Returns:
            The first member's that learned something, with the seconds and messages of all.
        """
        tunings = []
        for number, member in self._tunable:
            with self._turns[member.name]:
                tunings.append(member.tune(tune, examples, self._file(path, number), progress))
        first = next((tuning for tuning in tunings if tuning.accepted), tunings[0])
        said = [f"{member.name}: {own.message}" for (_, member), own in zip(self._tunable, tunings, strict=True) if own.message]
        return replace(
            first,
            weights=path.name if first.accepted else "",
            seconds=sum(tuning.seconds for tuning in tunings),
            message="; ".join(said),
        )

    def _load(self, path: Path | None) -> None:
        """Have every member use its adapter of the tuning that `path` is of; one that learned nothing then keeps its own."""
        for number, member in self._tunable:
            own = None if path is None else self._file(path, number)
            if own is None or own.is_file():
                with self._turns[member.name]:
                    member.load(own)

    def _file(self, path: Path, number: int) -> Path:
        """Return a member's adapter file: `path` for the first that learns, "adapter-0.1.safetensors" and so on for others."""
        return path if number == self._tunable[0][0] else path.with_name(f"{path.stem}.{number}{path.suffix}")

    def _member(self, model: str) -> LanguageModel:
        if not model:
            return self.members[0]
        if model not in self._by_name:
            raise UnknownNameError("member of the ensemble", model, self._by_name)
        return self._by_name[model]


def _together(models: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return weights of all members' operators: the mean of the shares that each member gives them."""
    weights: dict[str, float] = {}
    for own in models.values():
        total = sum(own.values()) or 1.0
        for operator, weight in own.items():
            weights[operator] = weights.get(operator, 0.0) + weight / total / len(models)
    return weights


def _price(member: LanguageModel, tokens_in: int, tokens_out: int) -> float | None:
    if isinstance(member, HostedLanguageModel):
        return member.price(tokens_in, tokens_out)
    return 0.0 if traits_of(member).free else None
