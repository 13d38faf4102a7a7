"""Plays a recorded run again without its language model: the same replies at the same places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nasmith.errors import ConfigError, ExhaustedError, RunStoppedError
from nasmith.protocols import LanguageModel, Storage, traits_of
from nasmith.types import Call, Completion, Example, Request, Script, Traits, Tune, Tuning

__all__ = ["Replay"]


class Replay:
    """Answers each request of a search as the language model of a recorded run did; nothing is asked of that model.

    What was charged, what went wrong and how long it took is told again as it was recorded. A tuning gives what the recorded
    one gave and writes no file. The search follows the recording, evaluation by evaluation, and ends where it ends.

    Args:
        run: Name of the recorded run.
        storage: Where it is; empty for the storage of the new run.
        recorded: The recorded run's language model, as its configuration has it. Filled in by `attach`.
    """

    shorthand = "run"

    def __init__(self, run: str, *, storage: str = "", recorded: Mapping[str, Any] | None = None) -> None:
        if not run:
            raise ConfigError("replay: say which run, as in --lm replay:RUN. See them with: nasmith runs")
        self.run, self.storage, self.recorded = run, storage, recorded
        self.name = f"replay:{run}"
        self.temperatures: Sequence[float] = (1.0,)
        self.operators: Mapping[str, float] = {}
        self.models: Mapping[str, Mapping[str, float]] = {}
        self.script = Script((), (), {})
        self._traits_of: Callable[[str], Traits] = lambda model: Traits()
        self._completions: Mapping[tuple[int, int], Completion] = {}
        self._calls: Sequence[Call] = ()
        self._tunings: Mapping[int, Tuning] = {}

    def attach(self, storage: Storage, make: Callable[[Mapping[str, Any]], LanguageModel]) -> None:
        """Read the recording from `storage`; `make` makes the recorded model, whose name and ways this one takes over.

        Raises:
            UnknownNameError: There is no such run.
        """
        run = storage.run(self.run)
        recorded = run.config["lm"]
        self.recorded = recorded["options"].get("recorded") or recorded  # a replay of a replay is one of the original
        model = make(self.recorded)
        self.name, self.temperatures, self.operators = model.name, model.temperatures, model.operators
        self.models = getattr(model, "models", {})
        self._traits_of = partial(traits_of, model)
        self._completions, self._calls = storage.completions(self.run), storage.calls(self.run)
        self._tunings = {tuning.round: tuning for tuning in storage.tunings(self.run).values()}
        told = [evaluation for evaluation in storage.evaluations(self.run) if evaluation.purpose == "search"]
        self.script = Script(
            tuple(storage.asked(self.run)),
            tuple(evaluation.candidate for evaluation in told),
            {evaluation.candidate: evaluation.seconds for evaluation in told},
        )

    @property
    def traits(self) -> Traits:
        """The recorded model's, but for what does not matter to a recording."""
        return self.traits_of("")

    def traits_of(self, model: str) -> Traits:
        """How the recorded model, or a member of a recorded ensemble, wants to be used."""
        # One by one: a recording may end within a batch.
        return replace(self._traits_of(model), batch=1, concurrency=1, free=True)

    def warm(self) -> None:
        """Need nothing."""

    def complete(self, request: Request) -> list[Completion]:
        """Return what was answered at the request's place.

        Raises:
            ExhaustedError: The recording ends before that place.
            RunStoppedError: Another prompt was answered there.
        """
        step, first = request.place
        places = range(first, first + request.n)
        for call in self._calls:
            if call.step == step and call.index in places and request.record is not None:
                request.record(call)
        replies = [self._completions[step, place] for place in places if (step, place) in self._completions]
        if len(replies) < request.n:
            raise ExhaustedError(f"the recording of {self.run} ends here")
        if replies[0].prompt != request.prompt:
            raise RunStoppedError(
                f"the recording of {self.run} has another prompt at step {step}. Play it with the task, strategy, seed, "
                "templates and version of nasmith that it was recorded with."
            )
        return replies

    def tune(
        self, tune: Tune, examples: Sequence[Example], path: Path, progress: Callable[[int, int], None] | None = None
    ) -> Tuning:
        """Return what the recorded tuning did; the recorded replies show the rest."""
        if tune.round not in self._tunings:
            raise ExhaustedError(f"the recording of {self.run} ends here")
        return self._tunings[tune.round]

    def load(self, path: Path | None) -> None:
        """Do nothing: what was learned shows in the recorded replies."""

    def check(self, record: Callable[[Call], None]) -> None:
        """Tell again what was recorded of the check."""
        for call in self._calls:
            if call.step < 0:
                record(call)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """Nothing: it is paid for."""
        return 0.0

    def close(self) -> None:
        """Hold nothing."""
