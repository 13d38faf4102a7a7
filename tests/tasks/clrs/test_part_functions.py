from __future__ import annotations

import pytest

pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

from dataclasses import replace

from clrs_toys import V1
from nasmith.tasks.clrs.part_functions import ProgramError, build_function, screen_function
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES as PART

BODY = "    node_1 ="  # how the standard function's body begins


def screen(text, **options):
    return screen_function(text, PART, 32, 8, **options)


def test_the_standard_function_has_11448_parameters_at_hidden_size_128():
    assert screen_function(V1, PART, 128, 8)["part_params"] == 11_448


def test_operations_are_counted():
    assert screen(V1)["flops"] > screen(PART.seeds["v8"])["flops"] > 0
    assert "flops" not in screen(V1, compute=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (V1.replace("hk.Linear(out_size)", "hk.Linear(3)"), r"returns shape \(2, 5, 5, 3\) for a batch of 2 graphs of 5 nodes"),
        (V1.replace("return ", "return z, "), "type tuple, not an array"),
        (V1.replace("return ", "x = "), "type NoneType, not an array"),
        (PART.seeds["v8"].replace("z.shape[1]", "5"), r"for a batch of 3 graphs of 4 nodes; it must be \(3, 4, 4, 32\)"),
        (
            V1.replace("out_size)(messages)", "out_size)(messages).astype(jnp.bfloat16)"),
            "bfloat16",
        ),
        (V1.replace(BODY, "    if z.sum() > 0:\n        z = -z\n" + BODY), r"cannot be traced \(line 3\)"),
        ("import numpy\n" + V1.replace(BODY, "    numpy.asarray(z)\n" + BODY), r"cannot be traced \(line 4\)"),
        ("seen = []\n" + V1.replace(BODY, "    seen.append(1)\n    z = z * len(seen)\n" + BODY), "when it is traced again"),
        (V1.replace(BODY, "    jax.debug.print('{x}', x=z)\n" + BODY), "calls back into Python"),
        (V1.replace("return ", "return jnp.log(-1.0) * "), "not finite"),
        (V1.replace("out_size)(mess", "z.shape[1])(mess"), "shape"),
        ("raise RuntimeError('no')\n" + V1, r"raises while it is defined \(line 1\): RuntimeError: no"),
        ("import os\n" + V1, "imports os"),
        (V1 + "    (", "was never closed"),
        (V1.replace("(z)", "(y)", 1), r"cannot be traced \(line 3\): NameError"),
    ],
)
def test_what_is_refused_and_why(text, said):
    assert text != V1
    with pytest.raises(ProgramError, match=said):
        screen(text)


def test_parameters_may_not_depend_on_the_number_of_nodes():
    text = V1.replace(
        "    messages =", "    z = z + 0 * hk.get_parameter('p', [z.shape[1], 1], init=jnp.zeros)\n    messages ="
    )
    with pytest.raises(ProgramError, match="other parameters for another number of nodes"):
        screen(text)


def test_parameters_are_float32():
    text = V1.replace("    messages =", "    hk.get_parameter('p', [2], jnp.bfloat16, init=jnp.zeros)\n    messages =")
    with pytest.raises(ProgramError, match="bfloat16"):
        screen(text)


def test_programs_may_have_functions_and_classes_of_their_own():
    text = (
        "class Own(hk.Module):\n    def __init__(self, size):\n        super().__init__()\n        self._size = size\n\n"
        "    def __call__(self, x):\n        return hk.Linear(self._size)(x)\n\n\n"
    ) + V1.replace("hk.Linear(out_size)", "Own(out_size)")
    assert screen(text) == screen(V1)


def test_a_part_may_return_several_arrays():
    part = replace(
        PART,
        function="both",
        arguments=("z", "size"),
        shapes=lambda batch, nodes, hidden, features: (
            ((batch, nodes, hidden), hidden),
            ((batch, nodes, hidden), (batch, hidden)),
        ),
    )
    good = "def both(z, size):\n    return hk.Linear(size)(z), z.mean(1)\n"
    assert screen_function(good, part, 32, 8)["part_params"] == 32 * 32 + 32
    with pytest.raises(ProgramError, match="must return 2 arrays"):
        screen_function(good.replace(", z.mean(1)", ""), part, 32, 8)
    with pytest.raises(ProgramError, match=r"it must be \(2, 32\)"):
        screen_function(good.replace("mean(1)", "mean(2)"), part, 32, 8)


def test_a_function_is_built_below_the_preamble():
    assert callable(build_function(V1, PART))
