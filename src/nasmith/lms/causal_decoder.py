"""Decodes any causal language model of `transformers` for many continuations of one prompt, by its own forward pass.

The fallback for models that `LlamaDecoder` does not compute. The prompt is read once; its keys and values, or whatever else the
model remembers, are repeated for the rows, as the model's own cache wants it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasmith.errors import ConfigError

__all__ = ["CausalDecoder", "load_model"]


class CausalDecoder:
    """Continues one prompt in many rows.

    Args:
        model: A causal LM of `transformers`, in evaluation mode.

    Raises:
        ConfigError: The model keeps no memory that rows can share.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.hidden_size: int = model.get_input_embeddings().weight.shape[1]
        arguments = inspect.signature(model.forward).parameters
        self._memory = next((name for name in ("past_key_values", "cache_params") if name in arguments), "")
        if not self._memory:
            raise ConfigError(
                f"folder: models of the kind {model.config.model_type} cannot be continued in rows; choose another."
            )
        # Only the last position's logits are wanted; the few models that cannot be asked so give them all.
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in arguments else {}
        self._cache: Any = None
        self._rows: list[int] = []
        self._length = 0

    @torch.inference_mode()
    def begin(self, tokens: Sequence[int], soft: Tensor | None = None) -> Tensor:
        """Read a prompt and return the logits of its continuation, shape (1, vocabulary).

        Args:
            tokens: The prompt.
            soft: Vectors that stand before it, shape (count, hidden size).
        """
        self.forget()
        ids = torch.tensor([list(tokens)], device=self.model.device)
        inputs = {"input_ids": ids}
        if soft is not None:
            embedded = self.model.get_input_embeddings()(ids)
            inputs = {"inputs_embeds": torch.cat([soft.to(embedded)[None], embedded], dim=1)}
        out = self.model(**inputs, **self._last, use_cache=True)
        self._cache, self._rows = out[self._memory], [0]
        self._length = len(tokens) + (0 if soft is None else len(soft))
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
            self._cache.reorder_cache(torch.tensor(list(origins), device=device))
        self._rows = list(range(len(tokens)))
        ids = torch.tensor(list(tokens), device=device)[:, None]
        out = self.model(input_ids=ids, use_cache=True, **{self._memory: self._cache})
        self._cache = out[self._memory]
        return out.logits[:, -1].float()

    def key_value_bytes(self, rows: int, length: int) -> int:
        """Return what `rows` continuations of `length` tokens take in memory with the prompt that was read, in bytes.

        Called after `begin`. Every row has the prompt's keys and values, too.
        """
        kept = [getattr(layer, name, None) for layer in getattr(self._cache, "layers", ()) for name in ("keys", "values")]
        held = sum(tensor.nbytes for tensor in kept if tensor is not None)
        return rows * held * (self._length + length) // self._length

    def forget(self) -> None:
        """Free the memory of the prompt and its continuations."""
        self._cache, self._rows = None, []


def load_model(folder: Path, dtype: str, device: str) -> Any:
    """Return the causal LM in a folder, in evaluation mode and without gradients.

    Args:
        folder: As `save_pretrained` of `transformers` writes it.
        dtype: "float32", "float16" or "bfloat16".
        device: Where it is put.

    Raises:
        ConfigError: The folder's model is no causal LM, or needs code that is not in `transformers`.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        # Code that a model brings along would run with all rights of this process.
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=getattr(torch, dtype), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(f"folder: transformers cannot load {folder} as a causal language model: {reason}.") from error
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.eval().requires_grad_(False).to(device)
