"""The records that flow through a search: frozen, stored before they are acted on.

Standard library only. Arrays appear as `Mapping[str, Any]` of NumPy arrays, so that this module does not import NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

__all__ = [
    "Bound",
    "Brief",
    "Call",
    "Candidate",
    "Completion",
    "Description",
    "Evaluation",
    "Example",
    "Job",
    "Message",
    "Objective",
    "Outcome",
    "Purpose",
    "Request",
    "Run",
    "Sampling",
    "Script",
    "Status",
    "Suggestion",
    "Traits",
    "Tune",
    "Tuning",
    "Wish",
]

Purpose = Literal["search", "verify", "rung"]
"""Why an evaluation was made: to steer the search, to check a winner on the test set with a new seed, or in the middle of a
training that went on from there."""


class Status(StrEnum):
    """How an evaluation ended. Only `OK` carries metrics."""

    OK = "ok"
    DUPLICATE = "duplicate"
    """The same program, in canonical form, was proposed before in this run."""
    INVALID = "invalid"
    """Rejected before training; the message says why."""
    FAILED = "failed"
    """The candidate's own code raised."""
    TIMEOUT = "timeout"
    OOM = "oom"
    KILLED = "killed"
    """The candidate's process ended by itself or by a signal, without a result."""
    ERROR = "error"
    """Our fault, not the candidate's."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One metric that a task wants low or high.

    Attributes:
        name: The metric's key in `Evaluation.metrics`.
        direction: Whether lower or higher is better.
        unit: What a person reads behind the number; may be empty.
        log: Whether plots show it on a logarithmic axis.
        weight: What it counts in a product (an exponent) or a weighted sum.
        tolerance: A difference, in the metric's own unit, that does not count where objectives are compared one after the
            other; 0 for a thousandth, or 0.1% with `log`.
    """

    name: str
    direction: Literal["minimize", "maximize"]
    unit: str = ""
    log: bool = False
    weight: float = 1.0
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """What a metric must keep to; a candidate that does not is no result.

    Attributes:
        name: The metric's key in `Evaluation.metrics`.
        at_most: None for no limit.
        at_least: None for no limit.
    """

    name: str
    at_most: float | None = None
    at_least: float | None = None

    def admits(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@dataclass(frozen=True, slots=True)
class Description:
    """What a task tells about its programs: for prompts, screens and people.

    Attributes:
        title: One line for people.
        first_line: The line that opens every program and closes every prompt, such as `def Model():`.
        preamble: Code that stands above every program when it runs (imports); never part of a candidate's text.
        example_script: A short script that loads an exported model (files `model.py`, `weights.safetensors` beside it) and
            prints its test error.
        statement: What a program must be, and what counts, told to a language model that is asked rather than continued:
            a paragraph of plain English.
        fixed: The parts of a program that may not change, in order, the lines of the marks included: n + 1 texts around the n
            parts that may; some may be empty. None of them where the whole program may change.
    """

    title: str
    first_line: str
    preamble: str = ""
    example_script: str = ""
    statement: str = ""
    fixed: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """The name that every program defines: "Model" of `def Model():`. Empty where it need not define any."""
        if not self.first_line:
            return ""
        return "".join(self.first_line.replace("(", " ").replace(":", " ").split()[1:2]) or "Model"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program, with only what is true when it is proposed.

    Attributes:
        id: Counts from 1 within the run, seeds first; the same in a resumed run.
        text: Source code that begins with the task's first line or with its helper classes. Empty where the reply held none.
        parents: Ids of the programs that it was made from.
        operator: "seed", "crossover", "infill", …
        canonical: Hash of the canonical form; equal for programs that differ in names, layout or keyword order alone.
        step: The ask that it came from; -1 for seeds.
        index: Its place among the children of that step (or its place among the seeds).
        round: The strategy's round; -1 for seeds.
        label: The seed's name; empty for children.
    """

    id: int
    text: str
    parents: tuple[int, ...] = ()
    operator: str = "seed"
    canonical: str = ""
    step: int = -1
    index: int = 0
    round: int = -1
    label: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One attempt to measure a candidate; a candidate may have many.

    Attributes:
        candidate: The candidate's id.
        status: How it ended.
        metrics: Numbers by name; empty unless the status is OK.
        seed: Seed of the training.
        fidelity: Optimiser steps that were asked for.
        seconds: Wall time in the worker.
        message: For people: why it was rejected, what it raised.
        purpose: Search or verification.
        weights: Path of the trained weights (safetensors) below the run's folder; empty where they were not kept.
    """

    candidate: int
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    fidelity: int = 0
    seconds: float = 0.0
    message: str = ""
    purpose: Purpose = "search"
    weights: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a language model is to be sampled: `n` replies at `temperature`, reproducible by `seed`."""

    n: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Brief:
    """What a strategy wants next, without knowing what a language model is.

    Attributes:
        operator: How children are to be made from the parents.
        parents: Candidate ids, in the order in which a prompt shows them.
        facts: For each parent, what the prompt says of it: strings by metric name.
        target: What the prompt asks of the child, in the same form.
        sampling: Count, temperature and seed.
        round: The strategy's round.
        model: Which member of an ensemble is to be asked; empty where there is one alone.
    """

    operator: str
    parents: tuple[int, ...]
    facts: tuple[Mapping[str, str], ...]
    target: Mapping[str, str]
    sampling: Sampling
    round: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Tune:
    """A strategy's wish that the language model learn from these candidates (ids) before it is asked again."""

    round: int
    candidates: tuple[int, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Candidates that a strategy has made itself: no language model is asked.

    Attributes:
        texts: One candidate each.
        operator: How they were made.
        parents: Ids of what they were made from.
        round: The strategy's round.
    """

    texts: tuple[str, ...]
    operator: str
    parents: tuple[int, ...] = ()
    round: int = 0


Wish = Brief | Suggestion | Tune
"""What a strategy asks for."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """An exchange with a language model that gave no completion: the check at the start, or something that went wrong.

    Attributes:
        model: Name of the model.
        outcome: "checked"; of replies that came and are of no use, "refused", "truncated", "empty", "malformed"; of requests
            that got none, "limited" (HTTP 408, 409, 429), "failed" (5xx), "timeout", "connection".
        message: For people; holds no secret.
        text: What came instead of a reply; may be empty.
        step: The wish that it was for; -1 for the check.
        index: The first child of the step that it was for.
        tokens_in: Tokens of the prompt that were charged.
        tokens_out: Tokens sampled that were charged.
        tokens_cached: Those of `tokens_in` that the provider had in its cache.
        cost: US dollars.
        seconds: Wall time.
    """

    model: str
    outcome: str
    message: str = ""
    text: str = ""
    step: int = -1
    index: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Traits:
    """How a language model wants to be used. A model without the attribute `traits` has these defaults.

    Attributes:
        chat: It is asked by messages; otherwise it continues a prompt.
        batch: Replies that one request may ask for; None for any number.
        concurrency: Requests that it takes at a time, each from a thread of its own.
        free: Its replies cost no money.
        exact: The same request gives the same reply.
        constrained: A reply is made of a request's `options`, where there are any.
    """

    chat: bool = False
    batch: int | None = None
    concurrency: int = 1
    free: bool = True
    exact: bool = True
    constrained: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a language model.

    Attributes:
        prompt: Text to continue; of a conversation, its transcript, for the records.
        n: Number of replies.
        temperature: Above 0; 0 means greedy.
        seed: The same request gives the same replies, where the model can promise it.
        max_tokens: Limit on the tokens of one reply.
        stop: Given the reply so far, the length in characters at which it is complete, or None where it is not yet. A model
            that cannot ask it while sampling ignores it; the caller cuts the reply again.
        stop_texts: Up to four texts that nothing useful follows, for models that cannot ask `stop`; a reply ends before them.
        messages: The conversation to answer; empty where `prompt` is to be continued.
        place: The step and the index of the first child that the replies are for.
        model: Which member of an ensemble is asked.
        record: Told of every exchange that gave no completion, when it ends. May be called from any thread.
        options: Given the reply so far, the texts that it may go on with, none of which begins another; none where it is
            complete. None where a reply is free. A model that cannot be held to it ignores it.
    """

    prompt: str
    n: int = 1
    temperature: float = 0.8
    seed: int = 0
    max_tokens: int = 512
    stop: Callable[[str], int | None] | None = None
    stop_texts: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    place: tuple[int, int] = (0, 0)
    model: str = ""
    record: Callable[[Call], None] | None = None
    options: Callable[[str], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One reply of a language model.

    Attributes:
        prompt: What it continued, or the transcript of the conversation that it answered.
        text: The reply, cut where the request's `stop` says.
        model: Name of the model, with its adapter where it has one.
        tokens_in: Tokens of the prompt, counted once per request (on its first completion; 0 on the others).
        tokens_out: Tokens sampled for this reply, the cut ones included.
        cost: US dollars.
        seconds: Wall time of the whole request divided by its completions.
        finish: "stop" (ended), "length" (cut at max_tokens), "failed" (no reply could be had; `text` is empty).
        tokens_cached: Those of `tokens_in` that the provider had in its cache.
        message: For people: why there is no reply.
    """

    prompt: str
    text: str
    model: str
    tokens_in: int
    tokens_out: int
    cost: float = 0.0
    seconds: float = 0.0
    finish: Literal["stop", "length", "failed"] = "stop"
    tokens_cached: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the reply that a language model should learn to give; the loss is on the reply alone.

    `messages` is the conversation that the reply answers, where there was one; `prompt` is its transcript then.
    """

    prompt: str
    text: str
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Tuning:
    """What one round of tuning did.

    Attributes:
        round: The round whose children were learned from.
        examples: How many.
        losses: Mean loss of each epoch in nats per token, the first before any step.
        accepted: False where the loss did not fall or was not finite: the former adapter stays.
        weights: Path of the adapter (safetensors) below the run's folder; empty where none was kept.
        seconds: Wall time.
        message: For people.
    """

    round: int
    examples: int
    losses: tuple[float, ...] = ()
    accepted: bool = False
    weights: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for an executor.

    Attributes:
        candidate: The candidate's id, for logs.
        text: Its source.
        seed: Seed of initialisation and batches.
        splits: Parts of the task's data that the process gets; it sees no others.
        action: "screen": only build and measure; "fit": screen, then train; "examine": measure the program again, with a
            trained state that it returned before; "export": give other forms of the program with such a state.
        state: For "examine" and "export", NumPy arrays by parameter name; for "fit" to a rung, the checkpoint to go on from, if
            there is one.
        rung: For "fit", the number of the rung to train to, from 0; None for the whole training at once.
        folder: For "fit", where the training may keep how far it is, so that it goes on after a crash; empty for nowhere.
    """

    candidate: int
    text: str
    seed: int
    splits: tuple[str, ...] = ("train", "val")
    action: Literal["screen", "fit", "examine", "export"] = "fit"
    state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    rung: int | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back from a worker. Nothing in it is a score, and nothing in it is trusted.

    Attributes:
        status: OK, INVALID, FAILED, TIMEOUT, OOM, KILLED or ERROR.
        arrays: NumPy arrays by name, as the task's workload returned them.
        facts: Numbers by name that the workload measured (flops, train_seconds, …).
        seconds: Wall time in the worker.
        message: For people.
    """

    status: Status
    arrays: Mapping[str, Any] = field(default_factory=dict, repr=False)
    facts: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All that is needed to do a search again.

    Attributes:
        name: Unique within a storage; people say it.
        config: The complete configuration, plain JSON values.
        version: Version of nasmith that began it.
        environment: Python, platform, processors, versions of the libraries that matter.
        created: ISO 8601, UTC.
        finished: ISO 8601, UTC; empty while the run can be resumed.
    """

    name: str
    config: Mapping[str, Any]
    version: str
    environment: Mapping[str, str]
    created: str
    finished: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """The course of a recorded run, for one that plays it again.

    Attributes:
        asked: The strategy's wishes by step, each with the number of evaluations told before it.
        told: Ids of the candidates in the order in which their evaluations were told.
        seconds: How long each evaluation took, by candidate: a strategy may decide by it.
    """

    asked: tuple[tuple[int, Wish], ...]
    told: tuple[int, ...]
    seconds: Mapping[int, float]
