"""Tunes a soft prompt: a few vectors before the prompt, learned from programs, with the model itself frozen.

Lester, Al-Rfou, Constant 2021 (arXiv 2104.08691), as EvoPrompting uses it between rounds. The loss is on the programs' tokens
alone, given their prompts. Programs that share a prompt are read behind one copy of it: each sees the prompt and itself, at the
positions that it would have alone, so that the loss is the same and most of the work is saved. Gradients are summed over such
packs, which bounds the memory.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nasmith.errors import UsageError
from nasmith.files import write_whole
from nasmith.seeding import derive, generator

__all__ = ["Pair", "Settings", "first_vectors", "learn", "read", "select", "write"]

KEY = "prompt_embeddings"
"""Name of the tensor in an adapter file, as in the files of `peft`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a soft prompt is tuned.

    Attributes:
        virtual_tokens: Number of vectors.
        epochs: Passes over the examples.
        batch: Examples of one optimiser step.
        learning_rate: Of Adafactor, constant and not scaled by the parameters.
        examples: At most so many examples are learned from, drawn by the seed.
        tokens: Limit of one example; its prompt is cut at the beginning, its program never.
        pack: Limit of the tokens that are in memory at once.
    """

    virtual_tokens: int = 16
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


def first_vectors(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` embeddings of the vocabulary, drawn by the seed (shape (count, hidden size)), as Lester et al. begin."""
    draw = torch.Generator().manual_seed(derive(seed, "vectors"))
    places = torch.randperm(len(embeddings), generator=draw)[:count]
    return embeddings[places.to(embeddings.device)].detach().float().clone()


def learn(
    model: Any,
    vectors: Tensor,
    pairs: Sequence[Pair],
    settings: Settings,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, tuple[float, ...]]:
    """Tune `vectors` on `pairs`.

    Args:
        model: A causal LM of `transformers`; its weights stay as they are.
        vectors: Where to begin, shape (count, hidden size).
        pairs: Examples, from `select`.
        settings: Numbers of the optimisation.
        seed: Fixes the order of the examples.
        progress: Called with (steps done, steps in all).

    Returns:
        The tuned vectors, and losses in nats per token: before the first step, the mean of each epoch, after the last step.
        Ends early, with the loss that is not finite as the last one, where one is met.
    """
    peft_model = _wrapped(model, vectors)
    parameter = next(parameter for parameter in peft_model.prompt_encoder.parameters() if parameter.requires_grad)
    optimiser = _optimiser(parameter, settings.learning_rate)
    steps = settings.epochs * math.ceil(len(pairs) / settings.batch)
    # With one batch an epoch, the first epoch's loss is the loss before any step.
    losses = [] if len(pairs) <= settings.batch else [_mean_loss(peft_model, _packed(pairs, settings))]
    done = 0
    for epoch in range(settings.epochs):
        total, tokens = 0.0, 0
        for batch in _batches(pairs, settings.batch, derive(seed, "epoch", epoch)):
            count = sum(len(pair.program) for pair in batch)
            optimiser.zero_grad()
            for pack in _packed(batch, settings):
                loss = _loss(peft_model, pack)
                (loss / count).backward()
                total += loss.item()
            tokens += count
            if not math.isfinite(total):
                return parameter.detach().float().clone(), (*losses, total)
            optimiser.step()
            done += 1
            if progress is not None:
                progress(done, steps)
        losses += [total / tokens] * (2 if not losses else 1)
    losses.append(_mean_loss(peft_model, _packed(pairs, settings)))
    return parameter.detach().float().clone(), tuple(losses)


def write(path: Path, vectors: Tensor, name: str) -> None:
    """Write an adapter whole or not at all; `name` says which model it belongs to."""
    from safetensors.torch import save

    write_whole(path, save({KEY: vectors.contiguous().cpu()}, metadata={"format": "pt", "model": name}))


def read(path: Path, width: int) -> Tensor:
    """Return the vectors at `path`, shape (count, width).

    Raises:
        UsageError: The file is missing, damaged, or belongs to a model of another width.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        vectors = load_file(path).get(KEY)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read the soft prompt {path}: {error}. Give the file that the tuning wrote.") from error
    if vectors is None or vectors.dim() != 2 or vectors.shape[1] != width:
        found = "no soft prompt" if vectors is None else f"vectors of shape {tuple(vectors.shape)}"
        raise UsageError(f"{path} holds {found}; this model needs vectors of width {width}. Was it tuned for another model?")
    return vectors.float()


def _wrapped(model: Any, vectors: Tensor) -> Any:
    from peft import PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model

    config = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(vectors), prompt_tuning_init=PromptTuningInit.RANDOM
    )
    # peft fills the vectors from the global random numbers, and then they are replaced by ours. It also asks transformers in
    # a way that newer versions warn of.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        wrapped = get_peft_model(model, config)
    wrapped.eval()
    weight = next(parameter for parameter in wrapped.prompt_encoder.parameters() if parameter.requires_grad)
    with torch.no_grad():
        weight.data = vectors.to(weight.device, torch.float32).clone()
    return wrapped


def _optimiser(parameter: Tensor, learning_rate: float) -> Any:
    from transformers.optimization import Adafactor

    return Adafactor([parameter], lr=learning_rate, scale_parameter=False, relative_step=False, warmup_init=False)


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


def _packed(pairs: Sequence[Pair], settings: Settings) -> list[_Pack]:
    """Return the examples as packs of one prompt each, within the limit of tokens."""
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for pair in pairs:
        groups.setdefault(pair.prompt, []).append(pair.program)
    packs = []
    for prompt, programs in groups.items():
        room = settings.pack - settings.virtual_tokens - len(prompt)
        part: list[tuple[int, ...]] = []
        for program in programs:
            if part and sum(map(len, part)) + len(program) > room:
                packs.append(_Pack(prompt, tuple(part)))
                part = []
            part.append(program)
        packs.append(_Pack(prompt, tuple(part)))
    return packs


def _mean_loss(peft_model: Any, packs: Sequence[_Pack]) -> float:
    with torch.no_grad():
        total = sum(_loss(peft_model, pack).item() for pack in packs)
    return total / sum(len(program) for pack in packs for program in pack.programs)


def _loss(peft_model: Any, pack: _Pack) -> Tensor:
    """Return the sum over the programs' tokens of their negative log-likelihood in nats."""
    model = peft_model.get_base_model()
    soft = peft_model.get_prompt(batch_size=1)
    count = soft.shape[1] + len(pack.prompt)
    tokens, positions, spans = list(pack.prompt), list(range(count)), []
    places: list[int] = []
    targets: list[int] = []
    for program in pack.programs:
        start = soft.shape[1] + len(tokens)
        spans.append((start, start + len(program) - 1))
        places += [count - 1, *range(start, start + len(program) - 1)]
        targets += program
        tokens += program[:-1]
        positions += range(count, count + len(program) - 1)
    device = soft.device
    embedded = model.get_input_embeddings()(torch.tensor([tokens], dtype=torch.long, device=device))
    out = model(
        inputs_embeds=torch.cat([soft.to(embedded.dtype), embedded], dim=1),
        attention_mask=_mask(count, spans, len(positions), embedded),
        position_ids=torch.tensor([positions], device=device),
        use_cache=False,
        logits_to_keep=torch.tensor(places, device=device),
    )
    return F.cross_entropy(out.logits[0].float(), torch.tensor(targets, device=device), reduction="sum")


def _mask(prefix: int, spans: Sequence[tuple[int, int]], length: int, like: Tensor) -> Tensor:
    """Return the additive mask by which each span sees the first `prefix` positions and itself, causally."""
    sees = torch.zeros(length, length, dtype=torch.bool, device=like.device)
    sees[:, :prefix] = True
    for first, last in spans:
        sees[first:last, first:last] = True
    mask = torch.zeros(length, length, dtype=like.dtype, device=like.device)
    return mask.masked_fill(~sees.tril(), torch.finfo(like.dtype).min)[None, None]
