"""The four spaces of the tables: positions, choices, how a design is written, and what is known of it without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from nasmith.space import Choice, Position, Space

if TYPE_CHECKING:
    import numpy as np

    from nasmith.tasks.tabular.counting import Counts

__all__ = ["channel_mobilenet", "channel_resnet", "macro", "nasbench201"]

_SIZES = ("params", "flops", "activations")
_PATHS = ("paths", "longest", "shortest", "shortcut", "dead")

_RESNET_BASES = (64, 64, 64, 128, 128, 128, 128)
_RESNET_PLACES = (
    "stem and output of blocks 1 and 2",
    "inner layer of block 1",
    "inner layer of block 2",
    "inner layer of block 3, where the image is halved",
    "output of blocks 3 to 5",
    "inner layer of block 4",
    "inner layer of block 5",
)
_MOBILENET_BASES = (32, 192, 192, 192, 64, 384, 256)
_MOBILENET_PLACES = (
    "stem and output of blocks 1 and 2",
    "inner layer of block 1",
    "inner layer of block 2",
    "inner layer of block 3, where the image is halved",
    "output of blocks 3 and 4",
    "inner layer of block 4",
    "last layer before pooling",
)


def macro() -> Space:
    """NAS-Bench-Macro: eight layers of three kinds, 3^8 designs, written "01201201" (Su et al. 2021, arXiv 2103.11922)."""
    layers = ((32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 256, 1))
    positions = tuple(
        Position(
            f"layer {number}: {inputs} to {outputs} channels, stride {stride}",
            (
                Choice("0", "identity", "passes its input on" if stride == 1 else "a 1x1 convolution that changes the shape"),
                Choice("1", "ir_k3_e3", "inverted residual block, kernel size 3, expansion 3"),
                Choice("2", "ir_k5_e6", "inverted residual block, kernel size 5, expansion 6"),
            ),
        )
        for number, (inputs, outputs, stride) in enumerate(layers, start=1)
    )
    return Space(
        "NAS-Bench-Macro", positions, "{}" * len(layers), form=_macro_form, measures=(*_SIZES, *_PATHS), measure=_measure_macro
    )


def channel_resnet() -> Space:
    """Channel-Bench-Macro, ResNet: seven numbers of channels, 4^7 designs, "1234123" (Su et al. 2021, arXiv 2105.10533)."""
    return _channels("Channel-Bench-Macro, ResNet", _RESNET_BASES, _RESNET_PLACES, _measure_resnet)


def channel_mobilenet() -> Space:
    """Channel-Bench-Macro, MobileNet: seven numbers of channels, 4^7 designs, "1234123" (Su et al. 2021, arXiv 2105.10533)."""
    return _channels("Channel-Bench-Macro, MobileNet", _MOBILENET_BASES, _MOBILENET_PLACES, _measure_mobilenet)


def nasbench201(classes: int, size: int) -> Space:
    """NAS-Bench-201: a cell of six operations, 5^6 designs, "|none~0|+|…" (Dong and Yang 2020, arXiv 2001.00326).

    Args:
        classes: Of the data set; the last layer's parameters depend on it.
        size: Of its images; FLOPs depend on it.
    """
    choices = (
        Choice("0", "none", "no connection: zeros"),
        Choice("1", "skip_connect", "passes its input on"),
        Choice("2", "nor_conv_1x1", "ReLU, 1x1 convolution, batch normalisation"),
        Choice("3", "nor_conv_3x3", "ReLU, 3x3 convolution, batch normalisation"),
        Choice("4", "avg_pool_3x3", "3x3 average pooling, stride 1"),
    )
    edges = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    return Space(
        "NAS-Bench-201",
        tuple(Position(f"from node {start} to node {end}", choices) for start, end in edges),
        template="|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|",
        written="name",
        form=_cell_form,
        measures=(*_SIZES, *_PATHS),
        measure=partial(_measure_cells, classes, size),
        conversation="running",
    )


def _channels(name: str, bases: tuple[int, ...], places: tuple[str, ...], measure: Callable[[np.ndarray], np.ndarray]) -> Space:
    """A space of multiples, 1 to 4, of a base at each position."""
    positions = tuple(
        Position(place, tuple(Choice(str(times), str(base * times), f"{base * times} channels") for times in range(1, 5)))
        for base, place in zip(bases, places, strict=True)
    )
    return Space(name, positions, "{}" * len(bases), shown="name", measures=_SIZES, measure=measure)


def _macro_form(designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular.cells import macro_canonical

    return macro_canonical(designs)


def _cell_form(designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular.cells import canonical

    return canonical(designs)


def _measure_macro(designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular import cells, counting

    return _columns(counting.macro(designs), cells.macro_paths(designs))


def _measure_cells(classes: int, size: int, designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular import cells, counting

    return _columns(counting.nasbench201(designs, classes, size), cells.paths(designs))


def _measure_resnet(designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular import counting

    return _columns(counting.channel_resnet(designs), {})


def _measure_mobilenet(designs: np.ndarray) -> np.ndarray:
    from nasmith.tasks.tabular import counting

    return _columns(counting.channel_mobilenet(designs), {})


def _columns(sizes: Counts, paths: Mapping[str, np.ndarray]) -> np.ndarray:
    import numpy as np

    return np.stack([*sizes, *(paths[name] for name in _PATHS if paths)], axis=1).astype(np.float64)
