"""Fixed spaces whose designs were all trained and published: a search looks them up."""

from __future__ import annotations

from nasmith.tasks.tabular.benches import (
    ChannelBenchMobileNet,
    ChannelBenchResNet,
    NasBench201Cifar10,
    NasBench201Cifar100,
    NasBench201ImageNet16,
    NasBenchMacro,
)

__all__ = [
    "ChannelBenchMobileNet",
    "ChannelBenchResNet",
    "NasBench201Cifar10",
    "NasBench201Cifar100",
    "NasBench201ImageNet16",
    "NasBenchMacro",
]
