"""Builds searched functions from program texts, and screens them in about half a second: traced, and run once."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from nasmith.tasks.clrs.function_rules import check_text
from nasmith.tasks.clrs.parts import Part

__all__ = ["ProgramError", "build_function", "count", "screen_function"]

_FILE_NAME = "<program>"
_LONGEST_REASON = 300
_SIZES = ((2, 5), (3, 4))  # batch and nodes; all of them differ, so that an axis taken for another shows


class ProgramError(ValueError):
    """A reason, for people, why a program cannot be accepted."""


def build_function(text: str, part: Part) -> Callable[..., Any]:
    """Run a program below the part's preamble and return its function.

    Raises:
        ProgramError: It breaks a rule of `function_rules`, or raises.
    """
    try:
        check_text(text, part.function, part.arguments)
    except ValueError as error:
        raise ProgramError(str(error)) from error
    namespace: dict[str, Any] = {"__name__": "nasmith_program"}
    exec(compile(part.preamble, "<preamble>", "exec", dont_inherit=True), namespace)
    try:
        exec(compile(text, _FILE_NAME, "exec", dont_inherit=True), namespace)
        function: Callable[..., Any] = namespace[part.function]
    except MemoryError:
        raise
    except Exception as error:
        raise ProgramError(_reason("raises while it is defined", error)) from error
    return function


def screen_function(text: str, part: Part, hidden: int, features: int, *, compute: bool = True) -> dict[str, float]:
    """Check a program without compiling the network.

    The function is traced at two sizes, twice each: both must give the right shapes, parameters of float32, the same
    parameters at both sizes, and the same operations each time. Then it is run once on random numbers.

    Args:
        text: The program.
        part: What it is a function of.
        hidden: Hidden size of the network.
        features: Features of a triplet.
        compute: Whether to run it, which starts JAX's threads.

    Returns:
        part_params: Parameters of the function.
        flops: Floating point operations of the function for one graph of 16 nodes, as XLA counts them; only with `compute`.

    Raises:
        ProgramError: It breaks a rule; the message says which.
    """
    function = build_function(text, part)
    found = [_traced(function, part, (*size, hidden, features)) for size in _SIZES]
    if found[0] != found[1]:
        raise ProgramError("has other parameters for another number of nodes")
    facts = {"part_params": float(sum(found[0].values()))}
    if compute:
        _check_numbers(function, part, (*_SIZES[1], hidden, features))
        facts["flops"] = _flops(function, part, (1, 16, hidden, features))
    return facts


def count(params: Mapping[str, Mapping[str, Any]]) -> int:
    """Count the numbers in Haiku's parameters, or in their shapes."""
    return sum(int(np.prod(value.shape)) for values in params.values() for value in values.values())


def _traced(function: Callable[..., Any], part: Part, sizes: tuple[int, int, int, int]) -> dict[str, int]:
    """Trace twice and check; return the sizes of the parameters by name."""
    first, shapes, params = _trace(function, part, sizes)
    second, _, _ = _trace(function, part, sizes)
    if first != second:
        raise ProgramError("does something else when it is traced again: it keeps a state, or draws from outside of JAX")
    _check_shapes(shapes, part.shapes(*sizes)[1], sizes)
    named = {f"{module}/{name}": value for module, values in params.items() for name, value in values.items()}
    for name, value in named.items():
        if value.dtype != jnp.float32:
            raise ProgramError(f"parameter {name} has type {value.dtype}; it must be float32")
    return {name: int(np.prod(value.shape)) for name, value in named.items()}


def _trace(function: Callable[..., Any], part: Part, sizes: tuple[int, int, int, int]) -> tuple[str, Any, Any]:
    """Return the operations as text without addresses, the shapes of what is returned, and of the parameters."""
    takes, _ = part.shapes(*sizes)
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in takes if isinstance(shape, tuple)]
    call = _called(function, takes)

    def both(key: Any, *arrays: Any) -> tuple[Any, Any]:
        params = call.init(key, *arrays)
        return call.apply(params, key, *arrays), params

    try:
        jaxpr, (shapes, params) = jax.make_jaxpr(both, return_shape=True)(key, *arrays)
    except MemoryError:
        raise
    except Exception as error:
        raise ProgramError(_reason("cannot be traced", error)) from error
    if jaxpr.effects or "callback" in str(jaxpr):
        raise ProgramError("calls back into Python while it computes (jax.debug, jax.pure_callback, …)")
    return re.sub(r"0x[0-9a-f]+", "", str(jaxpr)), shapes, params


def _called(function: Callable[..., Any], takes: tuple[Any, ...]) -> Any:
    """Return the function of its arrays alone, as Haiku transforms it."""

    def call(*arrays: Any) -> Any:
        rest = iter(arrays)
        return function(*(next(rest) if isinstance(shape, tuple) else shape for shape in takes))

    return hk.transform(call)


def _check_shapes(found: Any, wanted: Any, sizes: tuple[int, int, int, int]) -> None:
    several = bool(wanted) and isinstance(wanted[0], tuple)
    if several and not (isinstance(found, tuple) and len(found) == len(wanted)):
        raise ProgramError(f"must return {len(wanted)} arrays")
    for value, shape in zip(found, wanted, strict=True) if several else [(found, wanted)]:
        if not hasattr(value, "shape"):
            raise ProgramError(f"returns a value of type {type(value).__name__}, not an array")
        if tuple(value.shape) != tuple(shape):
            raise ProgramError(
                f"returns shape {tuple(value.shape)} for a batch of {sizes[0]} graphs of {sizes[1]} nodes; it must be {shape}"
            )
        if value.dtype != jnp.float32:
            raise ProgramError(f"returns {value.dtype}; it must be float32")


def _check_numbers(function: Callable[..., Any], part: Part, sizes: tuple[int, int, int, int]) -> None:
    """Run it once with fresh parameters, and refuse what is not finite."""
    takes, _ = part.shapes(*sizes)
    call = _called(function, takes)
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=shape).astype(np.float32) for shape in takes if isinstance(shape, tuple)]

    def run(key: Any, *arrays: Any) -> Any:
        found = jax.tree.leaves(call.apply(call.init(key, *arrays), key, *arrays))
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in found]))

    if not jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})(jax.random.key(0), *arrays):
        raise ProgramError("returns numbers that are not finite for random inputs")


def _flops(function: Callable[..., Any], part: Part, sizes: tuple[int, int, int, int]) -> float:
    takes, _ = part.shapes(*sizes)
    call = _called(function, takes)
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in takes if isinstance(shape, tuple)]
    params = jax.eval_shape(call.init, key, *arrays)
    costs = jax.jit(call.apply).lower(params, key, *arrays).cost_analysis() or {}
    return float(costs.get("flops", 0.0))


def _reason(doing: str, error: Exception) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE_NAME]
    where = f" (line {lines[-1]})" if lines else ""
    said = " ".join(str(error).split("\n")[0].split())[:_LONGEST_REASON]
    return f"{doing}{where}: {type(error).__name__}: {said}"
