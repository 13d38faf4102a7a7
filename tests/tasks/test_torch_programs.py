from __future__ import annotations

import pytest
import torch

from nasmith.tasks.torch_programs import build, count_parameters, is_running_statistic, materialize, screen
from nasmith.tasks.torch_settings import Rules

PREAMBLE = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
RULES = Rules(PREAMBLE, (40,), (10,), 20_000)


def sequential(*rows: str) -> str:
    return "def Model():\n    return nn.Sequential(\n" + "".join(f"        {row},\n" for row in rows) + "    )\n"


def reason(text: str) -> str:
    with pytest.raises(ValueError) as caught:
        screen(text, RULES)
    return str(caught.value)


class_style = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(40, 10)

    def forward(self, x):
        return self.out(x)
"""


def test_linear_layer_has_the_size_and_flops_counted_by_hand():
    facts = screen(sequential("nn.LazyLinear(10)"), RULES)
    assert facts == {"params": 40 * 10 + 10, "flops": 2 * 40 * 10}


def test_convolutions_have_the_flops_counted_by_hand():
    text = sequential(
        "nn.Unflatten(1, (1, 40))", "nn.LazyConv1d(8, 5, stride=2, padding=1)", "nn.Flatten()", "nn.LazyLinear(10)"
    )
    length = (40 + 2 - 5) // 2 + 1
    assert screen(text, RULES)["flops"] == 2 * (8 * 5 * length + 8 * length * 10)


def test_recurrent_layers_have_the_flops_counted_by_hand():
    text = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(1, 6, batch_first=True)
        self.out = nn.LazyLinear(10)

    def forward(self, x):
        return self.out(self.gru(x[..., None])[0].flatten(1))
"""
    assert screen(text, RULES)["flops"] == 2 * (40 * (18 * 1 + 18 * 6) + 240 * 10)


def test_a_class_is_a_program_too():
    assert screen(class_style, RULES)["params"] == 410


def test_syntax_error_is_told_with_the_programs_own_line():
    assert reason("def Model():\n    return nn.Sequential(\n        nn.LazyLinear(10)\n        nn.ReLU())\n").startswith(
        "does not parse: line 3"
    )


def test_error_while_building_names_the_exception_and_the_line():
    assert reason("def Model():\n    size = undefined\n    return nn.Linear(40, size)\n") == (
        "raises while building (line 2): NameError: name 'undefined' is not defined"
    )


def test_error_in_forward_names_the_line():
    text = class_style.replace("self.out(x)", "self.out(x[:, :20])")
    assert reason(text).startswith("raises on a forward pass (line 8): RuntimeError: mat1 and mat2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "defines no Model"),
        ("def Model():\n    return 3\n", "not an nn.Module"),
        (sequential("nn.ReLU()", "nn.AdaptiveAvgPool1d(10)"), "no parameters"),
        (sequential("nn.LazyLinear(11)"), "the output has shape (3, 11) for a batch of 3; it must be (3, 10)"),
        (sequential("nn.LazyLinear(600)", "nn.LazyLinear(10)"), "has 30,610 parameters; at most 20,000 are allowed"),
        (sequential("nn.LazyLinear(10, dtype=torch.float64)"), "torch.float64"),
        (class_style.replace("self.out(x)", "(self.out(x),)"), "type tuple, not a tensor"),
        (class_style.replace("self.out(x)", "self.out(x).to(torch.float16)"), "type torch.float16"),
    ],
)
def test_broken_rule_is_named(text, said):
    assert said in reason(text)


def test_a_huge_layer_is_rejected_without_allocating_it():
    assert "at most 20,000" in reason(sequential("nn.Linear(40, 10**9)", "nn.Linear(10**9, 10**9)", "nn.LazyLinear(10)"))
    assert "at most 20,000" in reason(sequential("nn.LazyLinear(10**9)", "nn.LazyLinear(10**9)", "nn.LazyLinear(10)"))


def test_a_model_of_one_batch_size_is_rejected():
    assert "shape" in reason(class_style.replace("self.out(x)", "self.out(x).reshape(3, 10)"))


def test_code_that_needs_real_numbers_is_accepted():
    text = class_style.replace("return self.out(x)", "return self.out(x) if float(x.sum()) < 1e9 else -self.out(x)")
    assert screen(text, RULES)["params"] == 410


def test_screening_leaves_the_callers_random_numbers_alone():
    text = class_style.replace("return self.out(x)", "return self.out(x) + 0 * float(torch.rand(1))")
    torch_state = torch.random.get_rng_state()
    screen(text, RULES)
    assert torch.equal(torch_state, torch.random.get_rng_state())


def test_memory_errors_pass_unchanged():
    with pytest.raises(MemoryError):
        screen("def Model():\n    raise MemoryError\n", RULES)


def test_frozen_weights_and_buffers_count_and_running_statistics_do_not():
    text = sequential("nn.BatchNorm1d(40)", "nn.Linear(40, 10).requires_grad_(False)")
    assert screen(text, RULES)["params"] == 80 + 410
    layer = {"1.weight": (9,), "1.running_mean": (9,), "1.running_var": (9,), "1.num_batches_tracked": ()}
    assert [is_running_statistic(name, layer) for name in layer] == [False, True, True, True]
    assert count_parameters({"a": (3, 4), "b": (), **layer}) == 12 + 1 + 9


def test_what_only_looks_like_a_running_statistic_counts():
    text = sequential("Memory()", "nn.Linear(40, 10)").replace(
        "def Model", "class Memory(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.register_buffer('running_mean', torch.ones(500))\n"
        "        self.register_buffer('bits', torch.ones(100, dtype=torch.int64))\n"
        "    def forward(self, x):\n        return x\n\n\ndef Model",
    )  # fmt: skip
    assert screen(text, RULES)["params"] == 410 + 600


def test_a_shared_layer_counts_once():
    text = "def Model():\n    a = nn.LazyLinear(40)\n    return nn.Sequential(a, nn.ReLU(), a, nn.LazyLinear(10))\n"
    assert screen(text, RULES)["params"] == 1640 + 410


def test_materialized_model_can_be_trained():
    model = build(sequential("nn.LazyBatchNorm1d()", "nn.LazyLinear(10)"), PREAMBLE)
    materialize(model, torch.randn(2, 40))
    assert model.training
    model(torch.randn(4, 40)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_annotations_are_left_alone_where_the_preamble_postpones_them():
    preamble = "from __future__ import annotations\nimport torch\nfrom torch import nn\n"
    text = "class Model(nn.Module):\n    def forward(self, x: NeverDefined) -> NeverDefined:\n        return x\n"
    assert build(text, preamble)(torch.zeros(2, 3)).shape == (2, 3)
    with pytest.raises(ValueError, match="NeverDefined"):
        build(text, preamble.partition("\n")[2])
