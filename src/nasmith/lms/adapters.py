"""Writes and reads the file of an adapter: what a language model has learned, with the kind and the model it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nasmith.errors import UsageError
from nasmith.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read", "write"]


def write(path: Path, kind: str, model: str, tensors: Mapping[str, Tensor], **facts: str) -> None:
    """Write an adapter whole or not at all.

    Args:
        path: A safetensors file.
        kind: "soft-prompt" or "lora".
        model: Name of the model that it belongs to.
        tensors: By name.
        facts: What else is needed to use it.
    """
    from safetensors.torch import save

    metadata = {"format": "pt", "adapter": kind, "model": model, **facts}
    write_whole(path, save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, metadata=metadata))


def read(path: Path, kind: str, model: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return (tensors on the processor, facts) of an adapter.

    Raises:
        UsageError: The file is missing, damaged, of another kind or of another model.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it cannot be iterated)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"cannot read the adapter {path}: {error}. Give the file that the tuning wrote.") from error
    found = facts.get("adapter", "soft-prompt")  # the first versions knew no other
    if found != kind:
        raise UsageError(f"{path} holds an adapter of the kind {found}, and this model takes {kind}; set adapter={found}.")
    if facts.get("model", model) != model:
        raise UsageError(
            f"{path} was tuned for the model {facts['model']}, not for {model}; use the one that it was tuned for, by its name."
        )
    return tensors, facts
