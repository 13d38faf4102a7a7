"""The six tables as tasks."""

from __future__ import annotations

from functools import partial

from nasmith.tasks.tabular import spaces
from nasmith.tasks.tabular.catalogue import Bench
from nasmith.tasks.tabular.tabular_task import TabularTask
from nasmith.types import Objective

__all__ = [
    "ChannelBenchMobileNet",
    "ChannelBenchResNet",
    "NasBench201Cifar10",
    "NasBench201Cifar100",
    "NasBench201ImageNet16",
    "NasBenchMacro",
]

_MACRO_STATEMENT = """\
The network classifies the images of CIFAR-10 (32x32, 10 classes). A 3x3 convolution with 32 channels comes first, then eight \
layers, of which each is to be chosen, then a 1x1 convolution with 1280 channels, pooling and a linear layer."""

_RESNET_STATEMENT = """\
The network classifies the images of CIFAR-10 (32x32, 10 classes). It is a ResNet of a first convolution with stride 2 and \
five residual blocks of two 3x3 convolutions. The numbers of channels are to be chosen: those of the first convolution, which \
the first two blocks share, of the layers inside the blocks, and of the last three blocks, which share theirs."""

_MOBILENET_STATEMENT = """\
The network classifies the images of CIFAR-10 (32x32, 10 classes). It is a MobileNet of a first convolution with stride 2, \
four inverted residual blocks, and a 1x1 convolution before pooling. The numbers of channels are to be chosen: those of the \
first convolution, which the first two blocks share, inside the blocks, of the last two blocks, and of the last convolution."""

_CELL_STATEMENT = """\
The network classifies the images of {data}. It is a stack of equal cells, five in each of three stages with 16, 32 and 64 \
channels. A cell has four nodes: node 0 is its input, node 3 its output, and each node is the sum of what comes from all \
earlier nodes. What lies on each of the six connections is to be chosen."""

_VALIDATED = (Objective("val_accuracy", "maximize", "%"), Objective("flops", "minimize", log=True))
_TESTED = (Objective("test_accuracy", "maximize", "%"), Objective("flops", "minimize", log=True))
_CELL_FIELDS = ("val_acc_200", "test_acc_200", "rank")
_MEAN_FIELDS = ("mean", "mean", "")


class NasBenchMacro(TabularTask):
    """NAS-Bench-Macro on CIFAR-10: eight layers of three kinds (Su et al. 2021, arXiv 2103.11922); shows test accuracy."""

    name = "nasbench-macro"
    objectives = _TESTED
    bench = Bench(
        title="NAS-Bench-Macro, CIFAR-10",
        file="nas-bench-macro_cifar10.json",
        fields=("mean_acc", "mean_acc", ""),
        shown="test_accuracy",
        space=spaces.macro,
        network="macro.py",
        options="",
        statement=_MACRO_STATEMENT,
    )


class ChannelBenchResNet(TabularTask):
    """Channel-Bench-Macro, ResNet on CIFAR-10: seven widths (Su et al. 2021, arXiv 2105.10533); shows test accuracy."""

    name = "channelbench-resnet"
    objectives = _TESTED
    bench = Bench(
        title="Channel-Bench-Macro, ResNet, CIFAR-10",
        file="Results_ResNet.json",
        fields=_MEAN_FIELDS,
        shown="test_accuracy",
        space=spaces.channel_resnet,
        network="channel_resnet.py",
        options="",
        statement=_RESNET_STATEMENT,
    )


class ChannelBenchMobileNet(TabularTask):
    """Channel-Bench-Macro, MobileNet on CIFAR-10: seven widths (Su et al. 2021, arXiv 2105.10533); shows test accuracy."""

    name = "channelbench-mobilenet"
    objectives = _TESTED
    bench = Bench(
        title="Channel-Bench-Macro, MobileNet, CIFAR-10",
        file="Results_MobileNet.json",
        fields=_MEAN_FIELDS,
        shown="test_accuracy",
        space=spaces.channel_mobilenet,
        network="channel_mobilenet.py",
        options="",
        statement=_MOBILENET_STATEMENT,
    )


def _cell_bench(title: str, file: str, data: str, classes: int, size: int) -> Bench:
    return Bench(
        title=f"NAS-Bench-201, {title}",
        file=file,
        fields=_CELL_FIELDS,
        shown="val_accuracy",
        space=partial(spaces.nasbench201, classes, size),
        network="nasbench201.py",
        options=f", {classes}",
        statement=_CELL_STATEMENT.format(data=f"{data} ({size}x{size}, {classes} classes)"),
    )


class NasBench201Cifar10(TabularTask):
    """NAS-Bench-201 on CIFAR-10: a cell of six operations (Dong and Yang 2020, arXiv 2001.00326); shows validation."""

    name = "nasbench201-cifar10"
    objectives = _VALIDATED
    bench = _cell_bench("CIFAR-10", "nasbench201_cifar10.json", "CIFAR-10", 10, 32)


class NasBench201Cifar100(TabularTask):
    """NAS-Bench-201 on CIFAR-100: a cell of six operations (Dong and Yang 2020, arXiv 2001.00326); shows validation."""

    name = "nasbench201-cifar100"
    objectives = _VALIDATED
    bench = _cell_bench("CIFAR-100", "nasbench201_cifar100.json", "CIFAR-100", 100, 32)


class NasBench201ImageNet16(TabularTask):
    """NAS-Bench-201 on ImageNet-16-120: a cell of six operations (Dong and Yang 2020, arXiv 2001.00326); shows validation."""

    name = "nasbench201-imagenet16"
    objectives = _VALIDATED
    bench = _cell_bench("ImageNet-16-120", "nasbench201_imagenet.json", "ImageNet-16-120", 120, 16)
