"""What the language model is asked and what comes of it: split into the model's portions, stored when it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nasmith.dispatch import Dispatch, Errand
from nasmith.errors import ExhaustedError, NasmithError, RunStoppedError
from nasmith.events import TuningProgress
from nasmith.history import History
from nasmith.propose import Planned, Templates, requests
from nasmith.protocols import HostedLanguageModel, LanguageModel, Storage, TunableLanguageModel, traits_of
from nasmith.receipts import Receipts
from nasmith.seeding import derive
from nasmith.space import Space
from nasmith.spending import Purse
from nasmith.types import Brief, Candidate, Completion, Description, Example, Tune, Tuning

__all__ = ["Proposals", "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """Some of the replies to a step, with what is needed to make children of them."""

    step: int
    first: int  # index within the step of the first child
    round: int
    planned: Planned
    completions: list[Completion]
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What an errand is for; `planned` is None for a tuning, or the check of a resumed run's model."""

    step: int
    first: int = 0
    round: int = 0
    planned: Planned | None = None
    replayed: bool = False


class Proposals:
    """What the language model was asked and has not answered yet. Called from the loop's thread alone.

    A wish for more children than the model gives at once is split into parts. Each is stored when it arrives, whatever came
    before it, and handed on in the order in which it was asked.

    Args:
        lm: The language model; only the threads in here call it from now on.
        storage: Where replies and tunings are stored when they arrive.
        history: What arrived before the run was interrupted.
        description: The task's.
        purse: What replies may cost.
        templates: The texts of prompts.
        space: The space whose designs are asked for; None for programs.
    """

    def __init__(
        self,
        lm: LanguageModel,
        storage: Storage,
        history: History,
        description: Description,
        purse: Purse | None = None,
        templates: Templates | None = None,
        space: Space | None = None,
    ) -> None:
        self._lm, self._storage, self._history, self._description = lm, storage, history, description
        self._templates, self._space = templates or Templates(), space
        self.receipts = Receipts(storage, history.run, purse or Purse())
        self._dispatch = Dispatch(traits_of(lm).concurrency, self.receipts.purse)
        self._unchecked = isinstance(lm, HostedLanguageModel)
        self.ended = ""
        """Why no more is asked, in words; empty while more may be."""

    @property
    def futures(self) -> list[Future[Any]]:
        """What to wait for, in the order in which it was asked; empty where nothing is under way."""
        return self._dispatch.futures

    @property
    def children(self) -> int:
        """Children that are still to come of what was asked."""
        return self._dispatch.children

    @property
    def hungry(self) -> bool:
        """Whether the model could soon do with another wish, and may have it."""
        return not self.ended and self._dispatch.hungry

    def warm(self) -> Future[None]:
        """Have the model loaded."""
        return self._dispatch.prepare(self._lm.warm)

    def check(self) -> Future[None] | None:
        """Have a hosted model asked for a sign of life; None for others. A resumed run does that before its first request."""
        if not self._unchecked:
            return None
        self._unchecked = False
        return self._dispatch.prepare(partial(_check, self._lm, self.receipts))

    def propose(self, step: int, brief: Brief, parents: Sequence[Candidate], replies: Sequence[str] = ()) -> None:
        """Send a brief's requests, or take their stored replies. `replies` are the texts that the parents came from.

        Raises:
            RunStoppedError: The stored replies answer another prompt.
        """
        first = 0
        chat = traits_of(self._lm, brief.model).chat
        for planned in requests(
            brief, parents, self._description, chat=chat, prompts=self._templates, space=self._space, replies=replies
        ):
            for errand in self._split(_Part(step, first, brief.round, planned), brief.model):
                if self._unchecked and not errand.begun:
                    self._unchecked = False
                    self._dispatch.add(Errand(partial(_check, self._lm, self.receipts), data=_Part(step)))
                self._dispatch.add(errand)
            first += planned.request.n
        self._dispatch.begin()

    def tune(self, step: int, tune: Tune, lessons: list[Example]) -> None:
        """Have the model learn, or load what it learned before."""
        stored = self._history.tuning(step)
        call: Callable[[], Tuning]
        if stored is not None:
            call = partial(self._relearn, stored)
        elif isinstance(self._lm, TunableLanguageModel):
            path = self._storage.folder(self._history.run) / f"adapter-{tune.round}.safetensors"

            def report(done: int, total: int) -> None:
                self.receipts.note(TuningProgress(tune.round, done, total))

            call = partial(self._lm.tune, tune, lessons, path, report)
        else:
            call = partial(Tuning, tune.round, 0, message=f"{self._lm.name} cannot be tuned")
        self._dispatch.add(Errand(call, data=_Part(step, round=tune.round, replayed=stored is not None)))
        self._dispatch.begin()

    def arrived(self) -> Iterator[Reply]:
        """Take out what is done, in the order in which it was asked; replies and tunings are stored before they are seen."""
        for errand in self._dispatch.landed():
            self._receive(errand.data, errand.future)
        if self.ended:
            self._dispatch.drop_waiting()
        self._dispatch.begin()
        if self._dispatch.broke:
            self.ended = self.ended or self.receipts.purse.spent
            self._dispatch.drop_waiting()
        for errand in self._dispatch.in_order():
            part: _Part = errand.data
            if part.planned is not None and errand.future.exception() is None:
                yield Reply(part.step, part.first, part.round, part.planned, errand.future.result(), part.replayed)

    def drop_waiting(self) -> None:
        """Forget the calls that have not begun."""
        self._dispatch.drop_waiting()

    def save(self, *, wait: bool) -> None:
        """Store the replies that nobody will look at any more because the run breaks off; with `wait`, running calls' too.

        A reply may have cost money. What cannot be stored is let go: the run breaks off for a reason that was said.
        """
        self.drop_waiting()
        for errand in self._dispatch.clear():
            part: _Part = errand.data
            if part.planned is not None and not part.replayed and (wait or errand.future.done()):
                with suppress(NasmithError):
                    if errand.future.exception() is None:
                        self._storage.add_completions(self._history.run, part.step, part.first, errand.future.result())

    def close(self) -> None:
        """Take no more calls; those that run are not waited for."""
        self._dispatch.close()

    def _split(self, part: _Part, model: str) -> Iterator[Errand]:
        """Make errands of a request: of replies that are stored, and between them in the model's portions."""
        planned = part.planned
        assert planned is not None
        run, last = self._history.run, part.first + planned.request.n
        first, portion = part.first, traits_of(self._lm, model).batch or planned.request.n
        while first < last:
            known, missing = self._history.replies(part.step, first, last - first)
            if known and known[0].prompt != planned.request.prompt:
                raise RunStoppedError(
                    f"run {run!r} cannot be resumed: this version of nasmith writes the prompt of step {part.step} "
                    "otherwise. Resume it with the version that began it, or start a new run."
                )
            offset = first - part.first
            request = replace(
                planned.request,
                n=len(known) or min(portion, missing),
                seed=derive(planned.request.seed, "from", offset) if offset else planned.request.seed,
                place=(part.step, first),
                model=model,
                record=self.receipts.call,
            )
            errand = Errand(
                partial(self._lm.complete, request),
                request,
                replace(part, first=first, replayed=bool(known)),
                begun=bool(known),
            )
            if known:
                errand.future.set_result(known)
            yield errand
            first += request.n

    def _receive(self, part: _Part, future: Future[Any]) -> None:
        """Store what an errand brought.

        Raises:
            NasmithError: The model cannot go on, or the storage cannot.
        """
        if isinstance(future.exception(), ExhaustedError):
            self.ended = self.ended or str(future.exception())
            return
        result = future.result()
        if part.planned is not None and not part.replayed:
            self.receipts.replies(part.step, part.first, result)
        elif isinstance(result, Tuning):
            self.receipts.tuning(part.step, result, replayed=part.replayed)

    def _relearn(self, stored: Tuning) -> Tuning:
        """Load a stored adapter; runs on the model's thread, in its turn."""
        if stored.accepted and isinstance(self._lm, TunableLanguageModel):
            self._lm.load(self._storage.folder(self._history.run) / stored.weights)
        return stored


def _check(lm: LanguageModel, receipts: Receipts) -> None:
    """Have a hosted model asked for a sign of life; runs on one of the model's threads."""
    if isinstance(lm, HostedLanguageModel):
        lm.check(receipts.call)
