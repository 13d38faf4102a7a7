"""Low-rank changes of a frozen model's linear layers (LoRA), tuned by `peft` and added to the weights for sampling.

Hu et al. 2021 (arXiv 2106.09685). A layer's weight W becomes W + (alpha / rank) · B · A. Once
added, sampling costs what it cost before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nasmith.errors import ConfigError, UsageError
from nasmith.lms import adapters
from nasmith.seeding import derive

__all__ = ["LowRank", "LowRankTuning", "merge", "read"]

KIND = "lora"
_BEFORE, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""How `peft` names the two factors of a module."""


@dataclass(frozen=True, eq=False, slots=True)
class LowRank:
    """Learned changes of weights.

    Attributes:
        factors: By `peft`'s names: for each module A, shape (rank, inputs), and B, shape (outputs, rank).
        rank: Inner dimension of the factors.
        alpha: The product is scaled by alpha / rank.
    """

    factors: Mapping[str, Tensor]
    rank: int
    alpha: float

    @property
    def modules(self) -> list[str]:
        """Names of the changed modules, such as "model.layers.0.self_attn.q_proj", sorted."""
        return sorted(name.removeprefix(_BEFORE).removesuffix(_DOWN) for name in self.factors if name.endswith(_DOWN))

    def check(self, modules: Iterable[str]) -> None:
        """Hold that all changed modules are among those of the model.

        Raises:
            UsageError: One is not.
        """
        unknown = sorted(set(self.modules) - set(modules))
        if unknown:
            raise UsageError(f"the LoRA adapter changes {unknown[0]}, which this model lacks. Was it tuned for another model?")

    def added(self, module: str, weight: Tensor) -> Tensor:
        """Return a module's weight, shape (outputs, inputs), with its change; the very same where it has none.

        Raises:
            UsageError: The change has another shape.
        """
        down, up = (self.factors.get(f"{_BEFORE}{module}{end}") for end in (_DOWN, _UP))
        if down is None or up is None:
            return weight
        if (len(up), down.shape[1]) != tuple(weight.shape):
            raise UsageError(
                f"the LoRA adapter changes {module} as {(len(up), down.shape[1])}, and here it has the shape "
                f"{tuple(weight.shape)}. Was it tuned for another model?"
            )
        change = (up.float() @ down.float()) * (self.alpha / self.rank)
        return weight.float() + change.to(weight.device)


class LowRankTuning:
    """Low-rank changes beside the layers of a frozen model, ready to be tuned.

    Args:
        model: A causal LM of `transformers`; its own weights stay as they are.
        start: Where to go on; its rank, scale and modules are kept. None begins with no change.
        rank: Of new factors.
        alpha: Scale of new factors.
        targets: Ends of the names of the linear modules to change; all but the output's where none are given.
        seed: Fixes the first values of A; B begins as zero.

    Raises:
        ConfigError: No linear layer has such a name.
    """

    def __init__(
        self, model: Any, start: LowRank | None, *, rank: int, alpha: float, targets: Sequence[str] | None, seed: int
    ) -> None:
        from peft import LoraConfig, TaskType, get_peft_model, set_peft_model_state_dict

        self.model = model
        self._rank, self._alpha = (rank, alpha) if start is None else (start.rank, start.alpha)
        names: Any = (list(targets) if targets else "all-linear") if start is None else start.modules
        config = LoraConfig(task_type=TaskType.CAUSAL_LM, r=self._rank, lora_alpha=self._alpha, target_modules=names)  # type: ignore[arg-type]
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that store their weight transposed, which peft then sees by itself
            torch.random.manual_seed(derive(seed, "lora"))
            try:
                self._wrapped = get_peft_model(model, config)
            except ValueError as error:
                raise ConfigError(f"lora_targets: {error} Give ends of names of the model's linear layers.") from error
        if start is not None:
            set_peft_model_state_dict(self._wrapped, dict(start.factors))
        self._wrapped.eval()
        self._check(targets)

    def parameters(self) -> list[Tensor]:
        """What is learned."""
        return [parameter for parameter in self._wrapped.parameters() if parameter.requires_grad]

    def prefix(self) -> None:
        """Nothing stands before the prompts."""

    def optimiser(self, learning_rate: float) -> Any:
        """Return AdamW at a constant rate; the factors are small already, so that weights do not decay."""
        return torch.optim.AdamW(self.parameters(), lr=learning_rate, weight_decay=0.0)

    @property
    def state(self) -> LowRank:
        """The changes as they are now."""
        from peft import get_peft_model_state_dict

        factors = get_peft_model_state_dict(self._wrapped, save_embedding_layers=False)
        return LowRank(
            {name: tensor.detach().float().cpu().clone() for name, tensor in factors.items()}, self._rank, self._alpha
        )

    def write(self, path: Path, name: str) -> None:
        """Write the factors whole or not at all; `name` says which model they belong to."""
        adapters.write(path, KIND, name, self.state.factors, rank=str(self._rank), alpha=repr(self._alpha))

    def _check(self, targets: Sequence[str] | None) -> None:
        """Refuse what cannot be added to a weight, and the output layer, whose weight often is that of the embeddings."""
        output = self.model.get_output_embeddings()
        changed = set(self.state.modules)
        head = {name for name, module in self.model.named_modules() if output is not None and module is output} & changed
        if head or not changed or any(not name.endswith((_DOWN, _UP)) for name in self.state.factors):
            raise ConfigError(
                f"lora_targets must name linear layers of attention and MLP, not embeddings or the output; got {targets!r}."
            )


def read(path: Path, name: str) -> LowRank:
    """Return the changes at `path`.

    Raises:
        UsageError: The file is missing, damaged, or belongs to another model.
    """
    factors, facts = adapters.read(path, KIND, name)
    try:
        return LowRank(factors, int(facts["rank"]), float(facts["alpha"]))
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path} does not say its rank and alpha. Give the file that the tuning wrote.") from error


@torch.no_grad()
def merge(model: Any, changes: LowRank) -> None:
    """Add the changes to the weights of a causal LM of `transformers`.

    Raises:
        UsageError: They were made for another model.
    """
    from transformers.pytorch_utils import Conv1D

    modules = dict(model.named_modules())
    changes.check(modules)
    for name in changes.modules:
        weight = modules[name].weight
        if isinstance(modules[name], Conv1D):  # stores (inputs, outputs)
            weight.copy_(changes.added(name, weight.T).T)
        else:
            weight.copy_(changes.added(name, weight))
