"""Measures training of the ImageNet mobile space against a plain loop, and how fast networks are counted.

    python benchmarks/imagenet.py training [--device cpu] [--resolution 64 196] [--batch 32] [--epochs 3] [--turns 3]
    python benchmarks/imagenet.py counting
    python benchmarks/imagenet.py proxy [--designs 6] [--flops 100..330]

training: GENIUS-329 is trained on a generated set of images by nasmith and by a plain loop, in turns, in one process. The plain
loop is what one writes first: a `Dataset` that decodes an image and augments it on the CPU by the same operations of Kornia, a
`DataLoader`, float32, the default memory layout, the same SGD step. Both get the same recipe, number of loading processes,
batches and epochs; the first epoch of each counts too. Prints images per second and the ratio, with and without RandAugment and
erasing, and the memory of the process.

proxy: designs drawn within a range are trained in full (the preset "tiny" on 4 generated classes) and by shorter trainings.
Prints the rank correlation of the test accuracies, and what a shorter training takes of the time. It says something of these
images alone.

counting: encodings per second whose parameters and FLOPs are counted by the table, and by building the network.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from nasmith.tasks.imagenet.augmentation import MEAN, STD
from nasmith.tasks.imagenet.delivery import accuracy
from nasmith.tasks.imagenet.image_sources import ImageSource, open_images
from nasmith.tasks.imagenet.mobile_network import Network
from nasmith.tasks.imagenet.mobile_space import count_by_building, count_by_layers, mobile, table
from nasmith.tasks.imagenet.process_group import Process
from nasmith.tasks.imagenet.ranges import FLOPS, Range
from nasmith.tasks.imagenet.recipes import Recipe, recipe
from nasmith.tasks.imagenet.sample_images import write_sample
from nasmith.tasks.imagenet.train import parts, predict
from nasmith.tasks.imagenet.trainer import Trainer
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

GENIUS_329 = (1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 4, 0, 4, 3, 0, 0, 4, 3, 0, 4, 4, 0, 5, 0, 5, 5, 5, 0)
_FULL = {"randaugment": 2, "erasing": 0.2, "label_smoothing": 0.1, "dropout": 0.2, "ema": 0.99998}


class PlainImages(Dataset[tuple[torch.Tensor, int]]):
    """Decodes and augments one image at a time."""

    def __init__(self, source: ImageSource, which: Recipe) -> None:
        import kornia.augmentation as kornia
        from kornia.augmentation.auto import RandAugment

        self.source, self.side = source, which.canvas
        steps = [
            kornia.RandomResizedCrop((which.resolution, which.resolution), scale=(which.smallest_crop, 1.0)),
            kornia.RandomHorizontalFlip(),
            *([RandAugment(which.randaugment, which.magnitude)] if which.randaugment else []),
            kornia.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
            *([kornia.RandomErasing(p=which.erasing)] if which.erasing else []),
        ]
        self.augment = torch.nn.Sequential(*steps)

    def __len__(self) -> int:
        return len(self.source.labels)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        image = Image.open(io.BytesIO(self.source.read(place))).convert("RGB")
        scale = self.side / min(image.size)
        image = image.resize([max(self.side, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
        left, top = ((side - self.side) // 2 for side in image.size)
        pixels = np.array(image.crop((left, top, left + self.side, top + self.side)))
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        return self.augment(x)[0], int(self.source.labels[place])


def plain(source: ImageSource, which: Recipe, device: torch.device) -> float:
    """Train by a plain loop; return images per second."""
    torch.manual_seed(0)
    network = Network(GENIUS_329, len(source.classes), which.dropout).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), which.learning_rate, which.momentum, weight_decay=which.weight_decay)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=which.label_smoothing)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(which.ema), use_buffers=True
    )
    began, seen = time.perf_counter(), 0
    batches = DataLoader(PlainImages(source, which), which.batch_size, shuffle=True, drop_last=True, num_workers=which.loaders)
    for _ in range(which.epochs):
        for x, y in batches:
            loss = loss_of(network(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if which.ema:
                average.update_parameters(network)
            seen += len(x)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return seen / (time.perf_counter() - began)


def nasmith(place: str, source: ImageSource, which: Recipe, device: str) -> float:
    """Train as nasmith does; return images per second."""
    training = Training(GENIUS_329, place, which, device=device, checkpoint_seconds=1e9)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trainer = Trainer(training, Process(device), source, np.arange(len(source.labels)), lambda line: None)
        trainer.run(TrainingFolder(Path(folder)))
        if trainer.process.device.type == "cuda":
            torch.cuda.synchronize()
        return trainer.done * which.batch_size / (time.perf_counter() - began)


def training(arguments: argparse.Namespace) -> None:
    """Compare both loops."""
    device = Process(arguments.device).device
    print(f"PyTorch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {arguments.loaders} loading processes")
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "set", classes=4, train=arguments.images // 4, test=4, size=256)
        place = str(Path(folder) / "set")
        source = open_images(place).train
        for resolution in arguments.resolution:
            for name, more in (("crops and flips", {}), ("and RandAugment, erasing, EMA", _FULL)):
                values = {"batch_size": arguments.batch, "epochs": arguments.epochs, "loaders": arguments.loaders, **more}
                which = recipe("tiny", {"resolution": resolution, "learning_rate": 0.01, "precision": "auto", **values})
                ours, theirs = [], []
                for _ in range(arguments.turns):
                    theirs.append(plain(source, which, device))
                    ours.append(nasmith(place, source, which, arguments.device))
                ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
                own, other, ratio = (statistics.median(values) for values in (ours, theirs, ratios))
                spread = f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(
                    f"{resolution} pixels, {name}: nasmith {own:,.1f} images/s, plain {other:,.1f}, ratio {spread}", flush=True
                )
    print(f"memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")
    if device.type == "cuda":
        print(f"memory of the GPU: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def accuracy_of(design: tuple[int, ...], place: str, which: Recipe, seed: int) -> tuple[float, float]:
    """Train a design on the CPU; return its test accuracy in percent, and the seconds of the training."""
    training = Training(design, place, which, seed=seed, device="cpu", checkpoint_seconds=1e9)
    sets = open_images(place)
    assert sets.test is not None
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trainer = Trainer(training, Process("cpu"), sets.train, parts(training, sets)[0], lambda line: None)
        trainer.run(TrainingFolder(Path(folder)))
        seconds = time.perf_counter() - began
    predictions = predict(trainer.judged, sets.test, np.arange(len(sets.test.labels)), trainer.recipe, trainer.process)
    return accuracy(predictions, sets.test.labels), seconds


def proxy(arguments: argparse.Namespace) -> None:
    """Compare shorter trainings with full ones."""
    from scipy.stats import spearmanr

    full = recipe("tiny", {})
    shorter = {
        "half the epochs": recipe("tiny", {"epochs": 10}),
        "a quarter of the epochs, 48 pixels": recipe("tiny", {"epochs": 5, "resolution": 48}),
        "a quarter of the epochs, 48 pixels, half the images": recipe(
            "tiny", {"epochs": 5, "resolution": 48, "data_share": 0.5}
        ),
    }
    space = replace(mobile(), limits=(("flops", *Range.parse(FLOPS, arguments.flops).limits),))
    designs = [space.sample(Random(seed)) for seed in range(arguments.designs)]
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "set", classes=4, train=60, test=100)
        place = str(Path(folder) / "set")
        whole = [accuracy_of(design, place, full, 0) for design in designs]
        again = [accuracy_of(design, place, full, 1) for design in designs]
        print(
            f"{len(designs)} designs of {arguments.flops} M FLOPs, in full: {min(whole)[0]:.1f} to {max(whole)[0]:.1f}% right"
        )
        rows = {"in full, another seed": again}
        for name, which in shorter.items():
            rows[name] = [accuracy_of(design, place, which, 2) for design in designs]
        for name, found in rows.items():
            correlation = spearmanr([row[0] for row in found], [row[0] for row in whole]).statistic
            share = sum(row[1] for row in found) / sum(row[1] for row in whole)
            print(f"{name}: rank correlation {correlation:.2f}, {share:.2f} of the time", flush=True)


def counting() -> None:
    """Count networks by both ways, and see that they agree."""
    space, draw = mobile(), Random(0)
    designs = [space.sample(draw) for _ in range(10_000)]
    sizes = table()
    began = time.perf_counter()
    one_by_one = [sizes.measure(np.array([design]))[0, :2] for design in designs]
    print(f"by the table, one at a time: {len(designs) / (time.perf_counter() - began):,.0f} encodings/s")
    began = time.perf_counter()
    sizes.measure(np.array(designs))
    print(f"by the table, together: {len(designs) / (time.perf_counter() - began):,.0f} encodings/s")
    count_by_building(designs[0])
    began = time.perf_counter()
    built = [count_by_building(design) for design in designs[:40]]
    print(f"by building and counting: {len(built) / (time.perf_counter() - began):,.1f} encodings/s")
    began = time.perf_counter()
    layered = [count_by_layers(design) for design in designs[:1000]]
    print(
        f"by counting each layer once: {len(layered) / (time.perf_counter() - began):,.0f} encodings/s, the first one included"
    )
    built += layered
    one_by_one = one_by_one[:40] + one_by_one[:1000]
    differing = sum(tuple(a) != b for a, b in zip(one_by_one, built, strict=True))
    print(f"{differing} of {len(built)} differ")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="counting", choices=["training", "counting", "proxy"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--resolution", type=int, nargs="+", default=[64, 196])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--loaders", type=int, default=0)
    parser.add_argument("--designs", type=int, default=6)
    parser.add_argument("--flops", default="100..330")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    {"training": training, "counting": lambda _: counting(), "proxy": proxy}[arguments.what](arguments)


if __name__ == "__main__":
    main()
