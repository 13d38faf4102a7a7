"""Finds the folder of a model by name: one on this machine, in the cache of the Hugging Face hub, or downloaded from there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nasmith.errors import ConfigError

__all__ = ["model_folder"]

WANTED = ["*.json", "*.jinja", "*.model", "*.txt", "*.safetensors"]
UNWANTED = ["*/*", "consolidated*"]
"""Folders hold the weights in other formats; "consolidated" are the same weights once more."""


def model_folder(name: str) -> Path:
    """Return the folder with a model's config, tokenizer and weights.

    A folder of this name comes first, then what the hub's cache holds, so that a model that is there is used as it is and
    nobody is asked.

    Args:
        name: A path, or a name on the hub, such as "Qwen/Qwen2.5-Coder-0.5B".

    Raises:
        ConfigError: There is no such model here, and it could not be downloaded; the folder holds none.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        missing = _missing(folder)
        if missing:
            raise ConfigError(
                f"folder: {folder} holds no {missing}; give a folder that `save_pretrained` of transformers wrote."
            )
        return folder
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise ConfigError(
            f"folder: there is no folder {folder}; give one that holds a model, or a name on the hub (Qwen/Qwen2.5-Coder-0.5B)."
        )
    return _cached(name) or _downloaded(name)


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder is not None and not _missing(folder) else None


def _downloaded(name: str) -> Path:
    from huggingface_hub import constants, errors, snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=UNWANTED))
        if not any(folder.glob("*.safetensors")):
            snapshot_download(name, allow_patterns=["pytorch_model*"], ignore_patterns=UNWANTED)
    # What the network raises is no OSError with every version of the hub's library.
    except (OSError, ValueError, errors.HfHubHTTPError.__bases__[0]) as error:  # type: ignore[misc]
        offline = "HF_HUB_OFFLINE is set, so that nothing was asked for. " if constants.HF_HUB_OFFLINE else ""
        raise ConfigError(
            f"folder: {name} is no folder here, is not (whole) in the hub's cache {constants.HF_HUB_CACHE}, and could not be "
            f"downloaded: {_first_line(error)}. {offline}Give a folder that holds the model, or run `hf download {name}` where "
            "there is a network (after `hf auth login` for a model that asks for it)."
        ) from error
    missing = _missing(folder)
    if missing:
        raise ConfigError(
            f"folder: {name} on the hub holds no {missing}; choose a causal language model with weights for transformers."
        )
    return folder


def _missing(folder: Path) -> str:
    """Return what a folder lacks to be a model; empty where it lacks nothing."""
    if not (folder / "config.json").is_file():
        return "config.json"
    index = next(iter(sorted(folder.glob("*.safetensors.index.json"))), folder / "pytorch_model.bin.index.json")
    if index.is_file():
        parts = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return next((part for part in parts if not (folder / part).is_file()), "")
    weights = any(folder.glob("*.safetensors")) or (folder / "pytorch_model.bin").is_file()
    return "" if weights else "model.safetensors"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0].rstrip(".: ")
