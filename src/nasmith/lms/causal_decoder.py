"""Decodes any causal language model of `transformers` for many continuations of one prompt, by its own forward pass.

The fallback for models that `LlamaDecoder` does not compute. The prompt is read once; its keys and values are repeated for the
rows, as the model's own cache wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["CausalDecoder"]


class CausalDecoder:
    """Continues one prompt in many rows.

    Args:
        model: A causal LM of `transformers`, in evaluation mode.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._cache: Any = None
        self._rows: list[int] = []

    @torch.inference_mode()
    def begin(self, tokens: Sequence[int], soft: Tensor | None = None) -> Tensor:
        """Read a prompt and return the logits of its continuation, shape (1, vocabulary).

        Args:
            tokens: The prompt.
            soft: Vectors that stand before it, shape (count, hidden size).
        """
        device = self.model.device
        embedded = self.model.get_input_embeddings()(torch.tensor([list(tokens)], device=device))
        if soft is not None:
            embedded = torch.cat([soft.to(embedded)[None], embedded], dim=1)
        out = self.model(inputs_embeds=embedded, use_cache=True, logits_to_keep=1)
        self._cache, self._rows = out.past_key_values, [0]
        return out.logits[:, -1].float()

    @torch.inference_mode()
    def step(self, origins: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Append a token to each row and return the logits after it, shape (rows, vocabulary).

        Args:
            origins: For each row, the row of the last step that it continues (0 on the first step); a row left out has ended.
            tokens: For each row, its next token.
        """
        device = self.model.device
        if list(origins) != self._rows:
            self._cache.batch_select_indices(torch.tensor(list(origins), device=device))
        self._rows = list(range(len(tokens)))
        ids = torch.tensor(list(tokens), device=device)[:, None]
        out = self.model(input_ids=ids, past_key_values=self._cache, use_cache=True)
        self._cache = out.past_key_values
        return out.logits[:, -1].float()

    def forget(self) -> None:
        """Free the memory of the prompt and its continuations."""
        self._cache, self._rows = None, []
