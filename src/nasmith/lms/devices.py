"""Says which device a language model computes on, and recognises when its memory is exhausted."""

from __future__ import annotations

from nasmith.errors import ConfigError

__all__ = ["find", "is_out_of_memory"]


def find(device: str) -> str:
    """Return the device of this machine that `device` means: "auto" is CUDA, MPS or the processor, the first that is there.

    Raises:
        ConfigError: This machine has no such device.
    """
    import torch

    here = [name for name, part in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if part.is_available()] + ["cpu"]
    if device == "auto":
        return here[0]
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no one error for a device that is missing
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(
            f"device: PyTorch {torch.__version__} cannot compute on {device!r} here ({reason}). "
            f"Use one of auto, {', '.join(here)}, or install a PyTorch that knows the device."
        ) from error
    return device


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device had no more memory. MPS and the processor say it in words alone."""
    import torch

    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "can't allocate memory" in said
