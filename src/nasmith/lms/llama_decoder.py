"""Decodes Llama-like models for many continuations of one prompt, quicker than a general forward pass can.

The prompt's keys and values exist once, whatever the number of continuations; theirs lie in one block that only holds the rows
still alive. The projections that share an input are one matrix product, and the weights are packed for the processor; learned
changes of them are added before.
Activations are float32 throughout; the weights are float16 (packed by FBGEMM), bfloat16 or float32.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nasmith.lms import packed
from nasmith.lms.lora import LowRank

__all__ = ["LlamaDecoder", "can_decode"]

CHUNK = 128
"""Positions of a prompt that are computed together. Fixed, so that a reused prefix has the same bits as a fresh one."""
BLOCK = 64
"""Positions by which the continuations' memory grows."""


def can_decode(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` is computed exactly by `LlamaDecoder`."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return (
        config.get("model_type") == "llama"
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and not (config.get("attention_bias") or config.get("mlp_bias"))
        and "quantization_config" not in config
    )


class LlamaDecoder:
    """Continues one prompt in many rows.

    Args:
        folder: Holds `config.json` and the weights as safetensors.
        dtype: "float16", "bfloat16" or "float32": the weights' type.
        device: Where it computes.
        changes: Learned changes of the weights.

    Raises:
        UsageError: The changes were made for another model.
    """

    def __init__(self, folder: Path, dtype: str, device: str = "cpu", changes: LowRank | None = None) -> None:
        config = json.loads((folder / "config.json").read_text())
        self.device = torch.device(device)
        self.heads: int = config["num_attention_heads"]
        self.groups: int = config.get("num_key_value_heads") or self.heads
        self.width: int = config.get("head_dim") or config["hidden_size"] // self.heads
        self.layers: int = config["num_hidden_layers"]
        self.hidden_size: int = config["hidden_size"]
        self.epsilon: float = config["rms_norm_eps"]
        rope = config.get("rope_parameters") or {}
        theta = float(rope.get("rope_theta", config.get("rope_theta", 10000.0)))
        exponents = torch.arange(0, self.width, 2, dtype=torch.float32, device=self.device) / self.width
        self._frequencies = theta**-exponents
        self._load(_read_weights(folder, changes), dtype, bool(config.get("tie_word_embeddings")))
        self._prefix: list[Any] = []
        self._soft: Tensor | None = None  # kept alive, since the prefix knows it by its id
        self._prefix_keys = self._prefix_values = torch.empty(0)
        self._length = self._grown = 0
        self._keys = self._values = torch.empty(0)

    @torch.inference_mode()
    def begin(self, tokens: Sequence[int], soft: Tensor | None = None) -> Tensor:
        """Read a prompt and return the logits of its continuation, shape (1, vocabulary).

        Args:
            tokens: The prompt.
            soft: Vectors that stand before it, shape (count, hidden size).
        """
        virtual = 0 if soft is None else len(soft)
        identity: list[Any] = [("soft", id(soft), place) for place in range(virtual)] + list(tokens)
        kept = _common(self._prefix, identity)
        # At least one chunk is computed again, since its last hidden state gives the logits.
        start = min(kept, len(identity) - 1) // CHUNK * CHUNK
        self._prefix = identity[:start]  # what is sure, should this end in the middle
        self._keys = self._values = torch.empty(0)
        self._reserve(len(identity), start)
        embedded = F.embedding(torch.tensor(list(tokens), device=self.device), self._embeddings).float()
        if soft is not None:
            embedded = torch.cat([soft.to(embedded), embedded])
        last = embedded
        for first in range(start, len(identity), CHUNK):
            last = self._read_chunk(embedded[first : first + CHUNK], first)
        self._prefix, self._soft = identity, soft
        self._length = 0
        self._grown = 0
        return self._head(self._norm(last[-1:], self._final))

    @torch.inference_mode()
    def step(self, origins: Sequence[int], tokens: Sequence[int]) -> Tensor:
        """Append a token to each row and return the logits after it, shape (rows, vocabulary).

        Args:
            origins: For each row, the row of the last step that it continues (0 on the first step); a row left out has ended.
            tokens: For each row, its next token.
        """
        rows = len(tokens)
        self._make_room(origins)
        position = len(self._prefix) + self._length
        cos, sin = self._rotation(position, 1)
        hidden = F.embedding(torch.tensor(tokens, device=self.device), self._embeddings).float()
        count, self._length = self._length, self._length + 1
        prefix = len(self._prefix)
        for layer, (norm, project, output, norm2, expand, contract) in enumerate(self._layers):
            query, key, value = self._projected(project(self._norm(hidden, norm)), cos, sin)
            keys, values = self._keys[layer], self._values[layer]
            keys[:, :, count], values[:, :, count] = key, value
            # Queries of all rows meet the one prefix as a matrix product, and their own continuation row by row.
            flat = query.reshape(self.groups, -1, self.width)
            shared = torch.bmm(flat, self._prefix_keys[layer, :, :prefix].transpose(1, 2))
            own = torch.matmul(query, keys[:, :, : count + 1].transpose(2, 3))
            share = torch.cat([shared.view(*own.shape[:3], prefix), own], dim=-1).softmax(-1)
            seen = torch.bmm(share[..., :prefix].reshape(self.groups, -1, prefix), self._prefix_values[layer, :, :prefix])
            seen = seen.view_as(query) + torch.matmul(share[..., prefix:], values[:, :, : count + 1])
            hidden = hidden + output(seen.transpose(0, 1).reshape(rows, -1))
            hidden = hidden + self._feed_forward(self._norm(hidden, norm2), expand, contract)
        return self._head(self._norm(hidden, self._final))

    def key_value_bytes(self, rows: int, length: int) -> int:
        """Return what the prompt that was read and `rows` continuations of `length` tokens take in memory, in bytes."""
        return 2 * 4 * self.layers * self.groups * self.width * (len(self._prefix) + rows * length)

    def forget(self) -> None:
        """Free the memory of the prompt and its continuations."""
        self._prefix, self._soft, self._length, self._grown = [], None, 0, 0
        self._prefix_keys = self._prefix_values = self._keys = self._values = torch.empty(0)

    def _load(self, weights: Mapping[str, Tensor], dtype: str, tied: bool) -> None:
        def joined(layer: int, *names: str) -> Tensor:
            return torch.cat([weights[f"model.layers.{layer}.{name}.weight"] for name in names])

        def vector(name: str) -> Tensor:
            return weights[name].to(self.device, torch.float32)

        def product(weight: Tensor) -> Callable[[Tensor], Tensor]:
            return packed.product(weight.to(self.device), dtype)

        stored = torch.float32 if dtype == "float32" else weights["model.embed_tokens.weight"].dtype
        self._embeddings = weights["model.embed_tokens.weight"].to(self.device, stored)
        self._layers = []
        for layer in range(self.layers):
            query = joined(layer, "self_attn.q_proj").float() * self.width**-0.5
            rest = joined(layer, "self_attn.k_proj", "self_attn.v_proj")
            self._layers.append(
                (
                    vector(f"model.layers.{layer}.input_layernorm.weight"),
                    product(torch.cat([query, rest.float()])),
                    product(joined(layer, "self_attn.o_proj")),
                    vector(f"model.layers.{layer}.post_attention_layernorm.weight"),
                    product(joined(layer, "mlp.gate_proj", "mlp.up_proj")),
                    product(joined(layer, "mlp.down_proj")),
                )
            )
        self._final = vector("model.norm.weight")
        self._head = product(weights["model.embed_tokens.weight" if tied else "lm_head.weight"])

    def _read_chunk(self, hidden: Tensor, first: int) -> Tensor:
        """Add the keys and values of one chunk to the prefix and return its hidden states, shape (positions, hidden size)."""
        count = len(hidden)
        cos, sin = self._rotation(first, count)
        end = first + count
        mask = torch.ones(count, end, dtype=torch.bool, device=self.device).tril(first)
        mask = mask.repeat(self.heads // self.groups, 1)
        for layer, (norm, project, output, norm2, expand, contract) in enumerate(self._layers):
            query, key, value = self._projected(project(self._norm(hidden, norm)), cos, sin)
            self._prefix_keys[layer, :, first:end] = key
            self._prefix_values[layer, :, first:end] = value
            flat = query.transpose(1, 2).reshape(1, self.groups, -1, self.width)
            keys, values = self._prefix_keys[layer, :, :end], self._prefix_values[layer, :, :end]
            seen = F.scaled_dot_product_attention(flat, keys[None], values[None], attn_mask=mask, scale=1.0)
            seen = seen.view(self.groups, -1, count, self.width).permute(2, 0, 1, 3).reshape(count, -1)
            hidden = hidden + output(seen)
            hidden = hidden + self._feed_forward(self._norm(hidden, norm2), expand, contract)
        return hidden

    def _norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self.epsilon)

    def _feed_forward(self, hidden: Tensor, expand: Callable[[Tensor], Tensor], contract: Callable[[Tensor], Tensor]) -> Tensor:
        gate, up = expand(hidden).chunk(2, dim=-1)
        return contract(F.silu(gate) * up)

    def _projected(self, joint: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split into rotated queries (groups, rows, heads per group, width), keys and values (groups, rows, width)."""
        rows = len(joint)
        joint = joint.view(rows, -1, self.width)
        turned = joint[:, : self.heads + self.groups]
        left, right = turned.chunk(2, dim=-1)
        turned = turned * cos + torch.cat([-right, left], dim=-1) * sin
        query = turned[:, : self.heads].view(rows, self.groups, -1, self.width).transpose(0, 1)
        return query, turned[:, self.heads :].transpose(0, 1), joint[:, self.heads + self.groups :].transpose(0, 1)

    def _rotation(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        angles = torch.arange(first, first + count, dtype=torch.float32, device=self.device)[:, None] * self._frequencies
        angles = torch.cat([angles, angles], dim=-1)[:, None]
        return angles.cos(), angles.sin()

    def _reserve(self, length: int, kept: int) -> None:
        """Make room for a prefix of `length` positions, of which the first `kept` stay."""
        if self._prefix_keys.dim() == 4 and self._prefix_keys.shape[2] >= length:
            return
        room = -(-length // CHUNK) * CHUNK
        for name in ("_prefix_keys", "_prefix_values"):
            fresh = torch.zeros(self.layers, self.groups, room, self.width, device=self.device)
            if kept:
                fresh[:, :, :kept] = getattr(self, name)[:, :, :kept]
            setattr(self, name, fresh)

    def _make_room(self, origins: Sequence[int]) -> None:
        """Arrange the continuations' memory as `origins` says, with room for one more position."""
        grow = self._length >= self._grown
        if self._length == 0:
            shape = (self.layers, self.groups, len(origins), BLOCK, self.width)
            self._keys, self._values = torch.zeros(shape, device=self.device), torch.zeros(shape, device=self.device)
            self._grown = BLOCK
            return
        if list(origins) != list(range(self._keys.shape[2])):
            index = torch.tensor(list(origins), device=self.device)
            self._keys, self._values = self._keys.index_select(2, index), self._values.index_select(2, index)
        if grow:
            self._keys, self._values = F.pad(self._keys, (0, 0, 0, BLOCK)), F.pad(self._values, (0, 0, 0, BLOCK))
            self._grown += BLOCK


def _read_weights(folder: Path, changes: LowRank | None) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        weights |= load_file(path)
    if changes is not None:
        changes.check(name.removesuffix(".weight") for name in weights)
        for module in changes.modules:
            weights[f"{module}.weight"] = changes.added(module, weights[f"{module}.weight"])
    return weights


def _common(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Return how many first elements agree."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))
