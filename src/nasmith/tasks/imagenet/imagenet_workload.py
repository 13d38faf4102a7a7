"""The half of the task that trains: it reads a design, measures it without training, and has it trained in another process.

A candidate is a design and not a program: no code that a language model wrote is ever run here.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.protocols import Data
from nasmith.space import Design, Space
from nasmith.tasks.imagenet.ranges import Range
from nasmith.tasks.imagenet.training_files import Training, TrainingFolder

if TYPE_CHECKING:
    from torch import nn

    from nasmith.tasks.imagenet.process_group import Process

__all__ = ["ImageNetWorkload"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageNetWorkload:
    """Trains designs.

    Attributes:
        space: Of the designs.
        training: All but the design and the seed.
        gpus: Processes that share each batch.
        flops: What a design's FLOPs must lie in; None for no range.
        latency: What its latency must lie in, on the device that trains; None for no range, and none is measured.
        classes: Of the data set.
    """

    space: Space
    training: Training
    gpus: int
    flops: Range | None
    latency: Range | None
    classes: int

    def warm(self) -> None:
        """Need nothing: what trains is started for each design."""

    def screen(self, text: str) -> Mapping[str, float]:
        """Measure a design without training it.

        Returns:
            params, flops (`mobile_space`), and latency_ms where there is a range for it.

        Raises:
            ValueError: It is none, or misses a range.
        """
        import numpy as np

        design = self.space.read(text)
        assert self.space.measure is not None
        params, flops, *_ = self.space.measure(np.array([design]))[0].tolist()
        if self.flops is not None and (flaw := self.flops.broken(flops)):
            raise ValueError(flaw)
        facts = {"params": params, "flops": flops}
        if self.latency is not None:
            facts["latency_ms"] = milliseconds = self._latency(design)
            if flaw := self.latency.broken(milliseconds):
                raise ValueError(flaw)
        return facts

    def fit(self, text: str, seed: int, data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train a design as `fit_in` does, in a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="nasmith-") as folder:
            return self.fit_in(text, seed, data, folder)

    def fit_in(self, text: str, seed: int, data: Data, folder: str) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Train a design in a process of its own, from the folder's last checkpoint on.

        Returns:
            Arrays: predictions/val, int16 (n,), -1 for images that cannot be read; train_loss, float32 (points,);
            state/<name>. Facts: steps, train_loss (the last), train_seconds, unreadable_images.

        Raises:
            ValueError: The training failed.
            MemoryError: The batch does not fit; the message says which does.
        """
        import numpy as np

        from nasmith.tasks.imagenet.training_process import run

        place = TrainingFolder(Path(folder))
        place.begin(replace(self.training, design=self.space.read(text), seed=seed))
        run(place, self.gpus, _LOG.info)
        result = place.result()
        assert result is not None
        arrays: dict[str, object] = {f"predictions/{name}": value.numpy() for name, value in result["predictions"].items()}
        arrays |= {f"state/{name}": value.numpy() for name, value in result["state"].items()}
        arrays["train_loss"] = np.array([loss for _, loss in result["losses"]], dtype=np.float32)
        return arrays, result["facts"]

    def examine(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Count a design's network again, by building it, give it its trained state, and predict: predictions/<set>.

        Raises:
            ValueError: The state is not one of this network.
        """
        import torch

        from nasmith.tasks.imagenet.image_sources import open_images
        from nasmith.tasks.imagenet.mobile_space import count_by_building
        from nasmith.tasks.imagenet.process_group import Process
        from nasmith.tasks.imagenet.train import predict

        params, flops = count_by_building(self.space.read(text), classes=self.classes)
        process = Process(self.training.device)
        network = self._network(self.space.read(text), process)
        try:
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        except RuntimeError as error:
            raise ValueError(f"the trained state is not one of this network: {' '.join(str(error).split())[:200]}") from error
        sets = open_images(self.training.place)
        arrays = {}
        for name, part in data.items():
            source = sets.test if name == "test" and sets.test is not None else sets.train
            arrays[f"predictions/{name}"] = predict(network, source, part["places"], self.training.recipe, process)
        return arrays, {"params": float(params), "flops": float(flops)}

    def export(self, text: str, state: Mapping[str, Any], data: Data) -> tuple[Mapping[str, object], Mapping[str, float]]:
        """Give a trained network as ONNX, for any batch size: the array `onnx`, bytes as uint8, and the fact `onnx_exported`.

        Raises:
            ValueError: It cannot be exported; the message says why.
        """
        import torch

        from nasmith.tasks.imagenet.mobile_network import Network
        from nasmith.tasks.torch_onnx import to_onnx

        network, side = Network(self.space.read(text), self.classes), self.training.recipe.resolution
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        return {"onnx": to_onnx(network.eval(), (3, side, side), "float32")}, {"onnx_exported": 1.0}

    def _latency(self, design: Design) -> float:
        """Time the network on one image, in milliseconds."""
        import torch

        from nasmith.tasks.folder.timing import latency
        from nasmith.tasks.imagenet.process_group import Process, precision_of

        process, side = Process(self.training.device), self.training.recipe.resolution
        x = torch.zeros(1, 3, side, side, device=process.device).contiguous(memory_format=torch.channels_last)
        with precision_of(self.training.recipe, process.device)():
            return latency(self._network(design, process).eval(), x)["latency_ms"]

    def _network(self, design: Design, process: Process) -> nn.Module:
        import torch

        from nasmith.tasks.imagenet.mobile_network import Network

        with torch.random.fork_rng(devices=[]):
            network = Network(design, self.classes)
        return network.to(process.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
