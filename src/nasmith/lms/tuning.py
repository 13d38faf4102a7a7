"""Tunes what is added to a frozen language model: on which examples, in which batches, by which loss, and whether it helped.

The loss is on the programs' tokens alone, given their prompts. Programs that share a prompt are read behind one copy of it:
each sees the prompt and itself, at the positions that it would have alone, so that the loss is the same and most of the work is
saved. Gradients are summed over such packs, which bounds the memory; a pack that does not fit is halved.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nasmith.lms.devices import is_out_of_memory
from nasmith.seeding import derive, generator

__all__ = ["Adapter", "Pair", "Settings", "fell", "learn", "select", "tokens_within"]

Result = TypeVar("Result")


class Adapter(Protocol):
    """What is learned beside a frozen model."""

    model: Any
    """A causal LM of `transformers`; its forward pass has the adapter in it, but for the prefix."""

    def parameters(self) -> list[Tensor]:
        """What is learned."""

    def prefix(self) -> Tensor | None:
        """Vectors that stand before every prompt, shape (1, count, hidden size); None for none."""

    def optimiser(self, learning_rate: float) -> Any:
        """Return an optimiser of the parameters."""

    def write(self, path: Path, name: str) -> None:
        """Write what was learned whole or not at all; `name` is the model's."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an adapter is tuned.

    Attributes:
        epochs: Passes over the examples.
        batch: Examples of one optimiser step.
        learning_rate: Of the adapter's optimiser.
        examples: At most so many examples are learned from, drawn by the seed.
        tokens: Limit of one example; its prompt is cut at the beginning, its program never.
        pack: Limit of the tokens that are in memory at once, if more than one program is.
    """

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 0.1
    examples: int = 32
    tokens: int = 384
    pack: int = 1024


@dataclass(frozen=True, slots=True)
class Pair:
    """The tokens of an example: a prompt and the program to be learned."""

    prompt: tuple[int, ...]
    program: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Pack:
    """One prompt and programs that follow it; the unit of a forward pass."""

    prompt: tuple[int, ...]
    programs: tuple[tuple[int, ...], ...]

    def halves(self) -> tuple[_Pack, _Pack]:
        """Return the same work in two parts."""
        middle = len(self.programs) // 2
        return _Pack(self.prompt, self.programs[:middle]), _Pack(self.prompt, self.programs[middle:])


def select(pairs: Sequence[Pair], settings: Settings, seed: int) -> list[Pair]:
    """Return the examples to learn from: as many as the settings allow, none whose program alone is too long, prompts cut."""
    fitting = [pair for pair in pairs if 0 < len(pair.program) <= settings.tokens]
    if len(fitting) > settings.examples:
        kept = sorted(generator(seed, "examples").sample(range(len(fitting)), settings.examples))
        fitting = [fitting[place] for place in kept]
    # Examples of one prompt are cut alike, so that they still share it.
    longest: dict[tuple[int, ...], int] = {}
    for pair in fitting:
        longest[pair.prompt] = max(longest.get(pair.prompt, 0), len(pair.program))
    return [
        Pair(pair.prompt[max(0, len(pair.prompt) + longest[pair.prompt] - settings.tokens) :], pair.program) for pair in fitting
    ]


def learn(
    adapter: Adapter,
    pairs: Sequence[Pair],
    settings: Settings,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[float, ...]:
    """Tune `adapter` on `pairs`.

    Args:
        adapter: What is learned, and the model.
        pairs: Examples, from `select`.
        settings: Numbers of the optimisation.
        seed: Fixes the order of the examples.
        progress: Called with (steps done, steps in all).

    Returns:
        Losses in nats per token: before the first step, the mean of each epoch, after the last step. Ends early, with the loss
        that is not finite as the last one, where one is met.
    """
    parameters, optimiser = adapter.parameters(), adapter.optimiser(settings.learning_rate)
    steps = settings.epochs * math.ceil(len(pairs) / settings.batch)
    # With one batch an epoch, the first epoch's loss is the loss before any step.
    losses = [] if len(pairs) <= settings.batch else [_mean_loss(adapter, pairs, settings)]
    done = 0
    for epoch in range(settings.epochs):
        total, tokens = 0.0, 0
        for batch in _batches(pairs, settings.batch, derive(seed, "epoch", epoch)):
            count = sum(len(pair.program) for pair in batch)
            optimiser.zero_grad()
            for pack in _packed(batch, settings, adapter):
                for loss, gradients in _in_parts(partial(_gradients, adapter, parameters, count), pack):
                    total += loss
                    _accumulate(parameters, gradients)
            tokens += count
            if not math.isfinite(total):
                return (*losses, total)
            optimiser.step()
            done += 1
            if progress is not None:
                progress(done, steps)
        losses += [total / tokens] * (2 if not losses else 1)
    return (*losses, _mean_loss(adapter, pairs, settings))


def fell(losses: Sequence[float]) -> bool:
    """Whether a tuning helped: the loss is finite, and lower than before."""
    return math.isfinite(losses[-1]) and losses[-1] < losses[0]


def tokens_within(memory_bytes: int, config: Any) -> int:
    """Return how many tokens of a pack fit into memory, by an estimate of what a forward pass keeps for the gradients.

    Args:
        memory_bytes: The limit.
        config: The model's, of `transformers`.
    """
    text = config.get_text_config()
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    floats = text.num_hidden_layers * (12 * text.hidden_size + 4 * inner) + 3 * text.vocab_size
    return max(1, memory_bytes // (4 * floats))


def _batches(pairs: Sequence[Pair], size: int, seed: int) -> list[list[Pair]]:
    """Return the examples in batches, in an order drawn by the seed in which examples of one prompt stay together."""
    groups: dict[tuple[int, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.prompt, []).append(pair)
    order = list(groups.values())
    draw = generator(seed)
    draw.shuffle(order)
    line = [pair for group in order for pair in draw.sample(group, len(group))]
    return [line[first : first + size] for first in range(0, len(line), size)]


def _packed(pairs: Sequence[Pair], settings: Settings, adapter: Adapter) -> list[_Pack]:
    """Return the examples as packs of one prompt each, within the limit of tokens."""
    if not _attends_alone(adapter.model):
        return [_Pack(pair.prompt, (pair.program,)) for pair in pairs]
    prefix = adapter.prefix()
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for pair in pairs:
        groups.setdefault(pair.prompt, []).append(pair.program)
    packs = []
    for prompt, programs in groups.items():
        room = settings.pack - (0 if prefix is None else prefix.shape[1]) - len(prompt)
        part: list[tuple[int, ...]] = []
        for program in programs:
            if part and sum(map(len, part)) + len(program) > room:
                packs.append(_Pack(prompt, tuple(part)))
                part = []
            part.append(program)
        packs.append(_Pack(prompt, tuple(part)))
    return packs


def _attends_alone(model: Any) -> bool:
    """Whether what a position sees is fixed by a mask and positions alone.

    Models with a recurrent state or convolutions carry it from one program to the next; those without positions as an argument
    count them along the line.
    """
    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    return (
        "position_ids" in inspect.signature(model.forward).parameters
        and not getattr(model, "_is_stateful", False)
        and not getattr(text, "alibi", False)
        and all(kind.endswith("_attention") and kind != "linear_attention" for kind in kinds)
    )


def _in_parts(work: Callable[[_Pack], Result], pack: _Pack) -> list[Result]:
    """Do `work` on a pack, or on its halves where the memory does not hold it."""
    try:
        return [work(pack)]
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(pack.programs) == 1:
            raise
    # Outside of the handler, whose traceback holds what the attempt had computed.
    return [result for half in pack.halves() for result in _in_parts(work, half)]


def _gradients(
    adapter: Adapter, parameters: Sequence[Tensor], count: int, pack: _Pack
) -> tuple[float, Sequence[Tensor | None]]:
    """Return a pack's loss and the gradients of its share of the mean over `count` tokens."""
    loss = _loss(adapter, pack)
    # Not `backward`, which would leave half of the gradients behind where the memory ends in the middle.
    return loss.item(), torch.autograd.grad(loss / count, list(parameters), allow_unused=True)


def _accumulate(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def _mean_loss(adapter: Adapter, pairs: Sequence[Pair], settings: Settings) -> float:
    packs = _packed(pairs, settings, adapter)
    with torch.no_grad():
        total = sum(loss for pack in packs for loss in _in_parts(lambda part: _loss(adapter, part).item(), pack))
    return total / sum(len(pair.program) for pair in pairs)


def _loss(adapter: Adapter, pack: _Pack) -> Tensor:
    """Return the sum over the programs' tokens of their negative log-likelihood in nats."""
    model, prefix = adapter.model, adapter.prefix()
    before = 0 if prefix is None else prefix.shape[1]
    count = before + len(pack.prompt)
    tokens, positions, spans = list(pack.prompt), list(range(count)), []
    places: list[int] = []
    targets: list[int] = []
    for program in pack.programs:
        start = before + len(tokens)
        spans.append((start, start + len(program) - 1))
        # With nothing before it, the first token cannot be predicted.
        places += [*([count - 1] if count else []), *range(start, start + len(program) - 1)]
        targets += program if count else program[1:]
        tokens += program[:-1]
        positions += range(count, count + len(program) - 1)
    inputs = _inputs(model, tokens, prefix)
    if _attends_alone(model):
        inputs["attention_mask"] = _mask(count, spans, len(positions), model)
        inputs["position_ids"] = torch.tensor([positions], device=model.device)
    kept = torch.tensor(places, device=model.device)
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits = model(**inputs, use_cache=False, logits_to_keep=kept).logits[0]
    else:
        logits = model(**inputs, use_cache=False).logits[0, kept]
    return F.cross_entropy(logits.float(), torch.tensor(targets, device=model.device), reduction="sum")


def _inputs(model: Any, tokens: Sequence[int], prefix: Tensor | None) -> dict[str, Any]:
    ids = torch.tensor([list(tokens)], dtype=torch.long, device=model.device)
    if prefix is None:
        return {"input_ids": ids}
    embedded = model.get_input_embeddings()(ids)
    return {"inputs_embeds": torch.cat([prefix.to(embedded.dtype), embedded], dim=1)}


def _mask(prefix: int, spans: Sequence[tuple[int, int]], length: int, model: Any) -> Tensor:
    """Return the additive mask by which each span sees the first `prefix` positions and itself, causally."""
    sees = torch.zeros(length, length, dtype=torch.bool, device=model.device)
    sees[:, :prefix] = True
    for first, last in spans:
        sees[first:last, first:last] = True
    mask = torch.zeros(length, length, dtype=model.dtype, device=model.device)
    return mask.masked_fill(~sees.tril(), torch.finfo(model.dtype).min)[None, None]
