"""Builds PyTorch models from program texts, and measures them without training: output shape, parameters, FLOPs.

A program is a text that defines `Model`: a callable without arguments that returns an `nn.Module`. It runs below a preamble.
All that can go wrong in such a text becomes a `ValueError` with the reason and, where there is one, the program's own line.
"""

from __future__ import annotations
import __future__

import inspect
import math
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from nasmith.tasks.torch_settings import Rules

__all__ = ["build", "count_parameters", "is_running_statistic", "materialize", "restore", "screen"]

_FILE_NAME = "<program>"
_LONGEST_REASON = 300
_TRAIN_BATCH, _EVAL_BATCH = 3, 2


class _Reasons:
    """A context in which a candidate's code runs: its exceptions leave as `ValueError` with a reason for people.

    Memory errors pass unchanged: they say something of the machine too. `SystemExit` and the like pass as well.
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, MemoryError | _RejectedError):
            return
        if isinstance(error, SyntaxError) and error.filename == _FILE_NAME:
            raise _RejectedError(f"does not parse: line {error.lineno}: {error.msg}") from error
        line = _program_line(error)
        where = f" (line {line})" if line else ""
        said = " ".join(str(error).split())[:_LONGEST_REASON]
        raise _RejectedError(f"{self.doing}{where}: {type(error).__name__}: {said}") from error


class _RejectedError(ValueError):
    """A reason that is already written for people."""


def build(text: str, preamble: str = "") -> nn.Module:
    """Run a program and return the model that its `Model()` makes; lazy layers are still without weights.

    Raises:
        ValueError: It does not parse, raises, defines no `Model`, or `Model()` is no module.
    """
    namespace: dict[str, Any] = {"__name__": "nasmith_program"}
    # `dont_inherit`: the __future__ imports that count are those of the preamble, not of this file.
    above = compile(preamble, "<preamble>", "exec", dont_inherit=True)
    exec(above, namespace)
    postponed = above.co_flags & __future__.annotations.compiler_flag
    with _Reasons("raises while building"):
        exec(compile(text, _FILE_NAME, "exec", flags=postponed, dont_inherit=True), namespace)
        make = namespace.get("Model")
        if not callable(make):
            raise _RejectedError("defines no Model")
        _check_arguments(make)
        model = make()
    if not isinstance(model, nn.Module):
        raise _RejectedError(f"Model() returns a value of type {type(model).__name__}, not an nn.Module")
    return model


def _check_arguments(make: Callable[..., object]) -> None:
    """Raise where `Model` cannot be called without arguments, and say what to do."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # it does not say what it takes
        return
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]
    if needed:
        names, plural = ", ".join(map(repr, needed)), len(needed) > 1
        given = ", ".join(f"{name}=…" for name in needed)
        raise _RejectedError(
            f"Model() needs the argument{'s' * plural} {names}: give {'them defaults' if plural else 'it a default'}, or "
            f"define `def Model(): return Net({given})` below a class Net"
        )


def materialize(model: nn.Module, example: torch.Tensor) -> None:
    """Give lazy layers their weights by one dry run in evaluation mode; leaves the model in training mode.

    Args:
        model: On the example's device.
        example: A small batch, float32 (batch, ...).

    Raises:
        ValueError: The forward pass raises.
    """
    model.eval()
    # Not inference_mode: parameters made in it could not be trained.
    with torch.no_grad(), _Reasons("raises on a forward pass"):
        model(example)
    model.train()


def screen(text: str, rules: Rules) -> dict[str, float]:
    """Check a program without training it.

    It is built and run on the meta device, where nothing is allocated or computed, once in training and once in evaluation
    mode, with batches of different sizes. A model that raises a RuntimeError there is tried again on the CPU, whose verdict
    stands: some valid code needs real numbers. Recurrent layers run on the CPU at once, since their meta kernels take half a
    second. A model of tokens runs on the CPU too, on the highest of them: only there an embedding says that it is too small.

    Returns:
        params: As `count_parameters` counts them.
        flops: Floating point operations to classify one input, counted by `torch.utils.flop_counter` in evaluation mode: two
            per multiply-accumulate of linear, convolution and attention layers; elementwise operations count as none.

    Raises:
        ValueError: The program breaks a rule; the message says which.
    """
    try:
        with torch.device("meta"):
            model = build(text, rules.preamble)
            _check_parameters(model, rules)  # before anything of that size is allocated
            if not any(isinstance(part, nn.RNNBase | nn.RNNCellBase) for part in model.modules()):
                facts = _measure(model, rules)
                if rules.input_type == "float32":
                    return facts
    except _RejectedError as error:
        if not isinstance(error.__cause__, RuntimeError):
            raise
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return _measure(build(text, rules.preamble), rules)


def restore(text: str, rules: Rules, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build a program on the CPU and give it a trained state.

    Args:
        text: The program.
        rules: What it keeps to.
        state: Tensors by the names of the model's state dict.

    Raises:
        ValueError: The program does not build, or its state has other names or shapes.
    """
    with torch.random.fork_rng(devices=[]):
        model = build(text, rules.preamble)
        materialize(model, _example(_TRAIN_BATCH, rules))
    with _Reasons("the trained state is not one of this program"):
        model.load_state_dict(dict(state))
    return model


def _measure(model: nn.Module, rules: Rules) -> dict[str, float]:
    """Run `model` on the device that is current, check it, and return its facts."""
    materialize(model, _example(_TRAIN_BATCH, rules))
    params = _check_parameters(model, rules)
    tokens = f" of the token {rules.highest_token}, the highest in the data" if rules.input_type == "int64" else ""
    with torch.no_grad(), _Reasons(f"raises on a forward pass{tokens}"):
        _check_output(model(_example(_TRAIN_BATCH, rules) + rules.highest_token), _TRAIN_BATCH, rules)
        model.eval()
        with FlopCounterMode(display=False) as counter:
            _check_output(model(_example(_EVAL_BATCH, rules)), _EVAL_BATCH, rules)
    flops = counter.get_total_flops() / _EVAL_BATCH
    if rules.max_flops is not None and flops > rules.max_flops:
        raise _RejectedError(f"takes {flops:,.0f} FLOPs for one input; at most {rules.max_flops:,.0f} are allowed")
    return {"params": float(params), "flops": flops}


def _example(batch: int, rules: Rules) -> torch.Tensor:
    """Return inputs of the right shape and type; they are zeros."""
    return torch.zeros(batch, *rules.input_shape, dtype=getattr(torch, rules.input_type))


def _check_output(output: object, batch: int, rules: Rules) -> None:
    wanted = (batch, *rules.output_shape)
    if not isinstance(output, torch.Tensor):
        raise _RejectedError(f"the model returns a value of type {type(output).__name__}, not a tensor")
    if tuple(output.shape) != wanted:
        raise _RejectedError(f"the output has shape {tuple(output.shape)} for a batch of {batch}; it must be {wanted}")
    if output.dtype != torch.float32:
        raise _RejectedError(f"the output has type {output.dtype}; it must be torch.float32")


def _check_parameters(model: nn.Module, rules: Rules) -> int:
    lazy = any(is_lazy(parameter) for parameter in model.parameters())
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise _RejectedError(f"parameter {name} has type {parameter.dtype}; it must be torch.float32")
    tensors = {
        id(tensor): (name, tensor)
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, torch.Tensor) and not is_lazy(tensor)
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.values()}
    params = count_parameters(shapes)
    if rules.max_params is not None and params > rules.max_params:
        raise _RejectedError(f"has {params:,} parameters; at most {rules.max_params:,} are allowed")
    if not lazy and not any(parameter.requires_grad for parameter in model.parameters()):
        raise _RejectedError("has no parameters to train")
    return params


def count_parameters(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Count the numbers that a trained model is made of, from the shapes of its state.

    Everything counts (frozen weights and buffers of any type too, because a model can keep what it learnt there) but the
    running mean and variance of normalisation layers, which the literature does not call parameters.
    """
    return sum(math.prod(shape) for name, shape in shapes.items() if not is_running_statistic(name, shapes))


def is_running_statistic(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a state entry is a running statistic of a normalisation layer, by its name and its neighbours.

    A vector counts as one only beside the layer's other statistics and a weight of the same length.
    """
    layer, dot, kind = name.rpartition(".")
    if kind not in {"running_mean", "running_var", "num_batches_tracked"}:
        return False
    weight, mean, var, count = (
        shapes.get(f"{layer}{dot}{part}") for part in ("weight", "running_mean", "running_var", "num_batches_tracked")
    )
    return count == () and weight is not None and len(weight) == 1 and mean == var == weight


def _program_line(error: BaseException) -> int | None:
    """The last line of the program that the exception went through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _FILE_NAME]
    return lines[-1] if lines else None
