"""The soft prompt: a few vectors before the prompt, learned from programs, with the model itself frozen.

Lester, Al-Rfou, Constant 2021 (arXiv 2104.08691), as EvoPrompting uses it between rounds.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasmith.errors import UsageError
from nasmith.lms import adapters
from nasmith.seeding import derive

__all__ = ["SoftPrompt", "first_vectors", "read"]

KIND = "soft-prompt"
KEY = "prompt_embeddings"
"""Name of the tensor in an adapter file, as in the files of `peft`."""


class SoftPrompt:
    """Vectors before the prompt of a frozen model, ready to be tuned.

    Args:
        model: A causal LM of `transformers`; its weights stay as they are.
        vectors: Where to begin, shape (count, hidden size).
    """

    def __init__(self, model: Any, vectors: Tensor) -> None:
        self.model = model
        self._wrapped = _wrapped(model, vectors)

    @property
    def vectors(self) -> Tensor:
        """The vectors as they are now, shape (count, hidden size)."""
        return self.parameters()[0].detach().float().clone()

    def parameters(self) -> list[Tensor]:
        """What is learned."""
        return [parameter for parameter in self._wrapped.prompt_encoder.parameters() if parameter.requires_grad]

    def prefix(self) -> Tensor:
        """Vectors that stand before every prompt, shape (1, count, hidden size)."""
        return self._wrapped.get_prompt(batch_size=1)

    def optimiser(self, learning_rate: float) -> Any:
        """Return EvoPrompting's: Adafactor at a constant rate that is not scaled by the parameters."""
        from transformers.optimization import Adafactor

        return Adafactor(self.parameters(), lr=learning_rate, scale_parameter=False, relative_step=False, warmup_init=False)

    def write(self, path: Path, name: str) -> None:
        """Write the vectors whole or not at all; `name` says which model they belong to."""
        adapters.write(path, KIND, name, {KEY: self.vectors})


def first_vectors(embeddings: Tensor, count: int, seed: int) -> Tensor:
    """Return `count` embeddings of the vocabulary, drawn by the seed (shape (count, hidden size)), as Lester et al. begin."""
    draw = torch.Generator().manual_seed(derive(seed, "vectors"))
    places = torch.randperm(len(embeddings), generator=draw)[:count]
    return embeddings[places.to(embeddings.device)].detach().float().clone()


def read(path: Path, name: str, width: int) -> Tensor:
    """Return the vectors at `path`, shape (count, width).

    Args:
        path: What a tuning wrote.
        name: The model's.
        width: The model's hidden size.

    Raises:
        UsageError: The file is missing, damaged, or belongs to another model.
    """
    vectors = adapters.read(path, KIND, name)[0].get(KEY)
    if vectors is None or vectors.dim() != 2 or vectors.shape[1] != width:
        found = "no soft prompt" if vectors is None else f"vectors of shape {tuple(vectors.shape)}"
        raise UsageError(f"{path} holds {found}; this model needs vectors of width {width}. Was it tuned for another model?")
    return vectors.float()


def _wrapped(model: Any, vectors: Tensor) -> Any:
    from peft import PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model

    # peft asks for layers and heads, which not every model has, and does not use them here.
    config = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=len(vectors),
        token_dim=vectors.shape[1],
        num_layers=1,
        num_attention_heads=1,
        prompt_tuning_init=PromptTuningInit.RANDOM,
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
