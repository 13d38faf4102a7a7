"""What a trained network is delivered as: its module, its weights, its scores, a script that names the classes of images."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nasmith.errors import UsageError
from nasmith.files import write_whole
from nasmith.space import Design

if TYPE_CHECKING:
    import numpy as np

    from nasmith.tasks.imagenet.image_sources import ImageSets
    from nasmith.tasks.imagenet.training_files import TrainingFolder

__all__ = ["accuracy", "deliver", "delivered_design", "predictor", "program"]

_MADE = re.compile(r"^    return Network\(\(([\d, ]+)\), (\d+)\)$", re.MULTILINE)

_PREDICTOR = '''\
"""Names the classes of images: python predict.py IMAGE ... (needs torch, safetensors, pillow and numpy)."""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from model import Model

RESOLUTION, CANVAS = {resolution}, {canvas}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
CLASSES = {classes}


def load(path: str) -> torch.Tensor:
    """Return an image as the network was judged by: the middle of its central square, normalised, (3, side, side)."""
    image = Image.open(path).convert("RGB")
    scale = CANVAS / min(image.size)
    image = image.resize([max(CANVAS, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - RESOLUTION) // 2 for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + RESOLUTION, top + RESOLUTION)))
    return ((torch.tensor(pixels) / 255 - MEAN) / STD).permute(2, 0, 1)


def main() -> None:
    here = Path(__file__).parent
    model = Model()
    model.load_state_dict(load_file(here / "weights.safetensors"))
    model.eval()
    for path in sys.argv[1:]:
        with torch.inference_mode():
            shares = model(load(path)[None]).softmax(1)[0]
        best = shares.topk(min(3, len(CLASSES)))
        print(path + ":", ", ".join(f"{{CLASSES[i]}} {{share:.1%}}" for share, i in zip(best.values, best.indices.tolist())))


if __name__ == "__main__":
    main()
'''


def program(design: Design, classes: int) -> str:
    """Return a module with the network of a design as `Model()`, untrained; it needs PyTorch alone."""
    source = (files("nasmith.tasks.imagenet") / "mobile_network.py").read_text(encoding="utf-8").rstrip()
    return f"{source}\n\n\ndef Model() -> Network:\n    return Network({design}, {classes})\n"


def predictor(resolution: int, canvas: int, classes: Sequence[str]) -> str:
    """Return a script that loads `model.py` and `weights.safetensors` beside it and names the classes of images."""
    return _PREDICTOR.format(resolution=resolution, canvas=canvas, classes=list(classes))


def delivered_design(folder: Path) -> Design:
    """Return the design of a folder that `deliver`, or `nasmith export`, wrote.

    Raises:
        UsageError: It holds no network of this space with weights.
    """
    try:
        found = _MADE.findall((folder / "model.py").read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder} holds no model.py: name a folder of `nasmith export` or `nasmith imagenet train`."
        ) from error
    if not found or not (folder / "weights.safetensors").is_file():
        raise UsageError(f"{folder} holds no trained network of the ImageNet mobile space.")
    return tuple(int(number) for number in found[-1][0].split(","))


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the percentage of labels that predictions meet; images that could not be read (-1) do not count.

    Raises:
        ValueError: No image could be read.
    """
    read = predictions >= 0
    if not read.any():
        raise ValueError("no image could be read")
    return 100.0 * float((predictions == labels)[read].mean())


def deliver(folder: TrainingFolder, sets: ImageSets) -> Mapping[str, float]:
    """Write a finished training's `model.py`, `weights.safetensors`, `predict.py` and `scores.json`; return the scores.

    Args:
        folder: Of the training.
        sets: The images that it was trained on.

    Returns:
        params, flops, and in percent val_accuracy of what was held out and test_accuracy, where there are any.
    """
    import numpy as np
    from safetensors.torch import save

    from nasmith.tasks.imagenet.mobile_space import table
    from nasmith.tasks.imagenet.train import parts

    training, result = folder.training(), folder.result()
    if result is None:
        raise RuntimeError("the training is not finished")
    classes = sets.train.classes
    params, flops, _ = table(classes=len(classes)).measure(np.array([training.design]))[0].tolist()
    scores = {"params": params, "flops": flops, **result["facts"]}
    labels = {"val": sets.train.labels[parts(training, sets)[1]], **({} if sets.test is None else {"test": sets.test.labels})}
    for name, predictions in result["predictions"].items():
        scores[f"{name}_accuracy"] = accuracy(predictions.numpy(), labels[name])
    recipe = training.recipe
    for name, data in {
        "model.py": program(training.design, len(classes)).encode(),
        "weights.safetensors": save(result["state"]),
        "predict.py": predictor(recipe.resolution, recipe.canvas, classes).encode(),
        "scores.json": (json.dumps(scores, indent=2) + "\n").encode(),
    }.items():
        write_whole(folder.path / name, data)
    return scores
