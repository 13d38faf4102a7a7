"""Any causal language model in a folder of `transformers`, inside this process: sampled, and tuned by a soft prompt."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.errors import ConfigError, UsageError
from nasmith.types import Completion, Example, Request, Tune, Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from nasmith.lms.sampling import Decoder

__all__ = ["HuggingFace"]

DTYPES = ("auto", "float32", "float16", "bfloat16")


class HuggingFace:
    """A causal language model from a local folder.

    The same request gives the same replies, whatever was asked before, with the same number of threads on the same machine.

    Args:
        folder: Holds `config.json`, `tokenizer.json` and the weights as safetensors.
        name: What the records call it; the folder's name where none is given.
        temperatures: What a strategy draws from where the user names none (EvoPrompting's own).
        operators: Operators that suit the model, with relative weights.
        context: Most tokens of prompt and reply together; the model's own limit where none is given.
        top_p: Draw from the likeliest tokens that together hold this share, in (0, 1].
        dtype: Type of the weights that sampling multiplies by: "float32", "float16" (activations stay float32), "bfloat16", or
            "auto" for what this processor does quickest.
        device: Where it computes, such as "cpu" or "cuda".
        threads: Threads of the processor; `torch`'s own number where none is given.
        virtual_tokens: Vectors of the soft prompt.
        tuning_epochs: Passes over the examples in one tuning.
        tuning_batch: Examples of one step.
        learning_rate: Of Adafactor.
        tuning_examples: At most so many examples are learned from in one tuning, drawn by its seed.
        tuning_tokens: Limit of one example. Its prompt is cut at the beginning; a program that is longer alone is left out.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str = "",
        temperatures: Sequence[float] = (0.2, 0.6, 0.8, 1.0),
        operators: Mapping[str, float] | None = None,
        context: int | None = None,
        top_p: float = 1.0,
        dtype: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        virtual_tokens: int = 16,
        tuning_epochs: int = 5,
        tuning_batch: int = 16,
        learning_rate: float = 0.1,
        tuning_examples: int = 32,
        tuning_tokens: int = 384,
    ) -> None:
        self.folder = str(folder)
        self.name = name or Path(folder).name
        self.temperatures = tuple(temperatures)
        self.operators = dict(operators if operators is not None else {"crossover": 1.0})
        self.context, self.top_p, self.dtype, self.device, self.threads = context, top_p, dtype, device, threads
        self.virtual_tokens, self.tuning_epochs, self.tuning_batch = virtual_tokens, tuning_epochs, tuning_batch
        self.learning_rate, self.tuning_examples, self.tuning_tokens = learning_rate, tuning_examples, tuning_tokens
        self._check()
        self._decoder: Decoder | None = None
        self._tokenizer: Any = None
        self._config: dict[str, Any] = {}
        self._soft: Tensor | None = None
        self._adapter = ""
        self._settled = 0
        self._pending: Path | None = None

    def warm(self) -> None:
        """Load the weights."""
        self._open()

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` replies.

        Raises:
            UsageError: The prompt does not fit into the context.
        """
        from nasmith.lms.sampling import Text, sample

        began = time.perf_counter()
        decoder = self._open()
        tokens = self._tokens(request.prompt)
        room = self._room() - len(tokens)
        if room < 1 or not tokens:
            raise UsageError(
                f"the prompt has {len(tokens)} tokens; {self.name} holds 1 to {self._room() - 1} beside a reply. "
                "Show fewer or smaller examples, or use a model with a larger context."
            )
        with _Threads(self._threads()):
            logits = decoder.begin(tokens, self._soft)
            replies = sample(
                decoder,
                logits,
                Text(self._tokenizer, tokens, _ends(self._config)),
                n=request.n,
                temperature=request.temperature,
                top_p=self.top_p,
                seed=request.seed,
                max_tokens=min(request.max_tokens, room),
                stop=request.stop,
            )
        seconds = (time.perf_counter() - began) / request.n
        model = f"{self.name}+{self._adapter}" if self._adapter else self.name
        return [
            Completion(
                request.prompt,
                reply.text,
                model,
                0 if place else len(tokens),
                reply.tokens,
                seconds=seconds,
                finish=reply.finish,
            )
            for place, reply in enumerate(replies)
        ]

    def tune(
        self, tune: Tune, examples: Sequence[Example], path: Path, progress: Callable[[int, int], None] | None = None
    ) -> Tuning:
        """Learn a soft prompt from `examples`, from the present one on; write it to `path` and use it from now on.

        Where the loss does not fall or is not finite, the former soft prompt stays and no file is written.
        """
        from nasmith.lms import soft_prompt

        began = time.perf_counter()
        self._open()
        settings = soft_prompt.Settings(
            self.virtual_tokens,
            self.tuning_epochs,
            self.tuning_batch,
            self.learning_rate,
            self.tuning_examples,
            self.tuning_tokens,
        )
        coded = [soft_prompt.Pair(tuple(self._tokens(e.prompt)), tuple(self._tokens(e.text, first=False))) for e in examples]
        pairs = soft_prompt.select(coded, settings, tune.seed)
        if not pairs:
            return Tuning(tune.round, 0, message="nothing to learn from; the former soft prompt stays")
        with _Threads(self._threads()):
            model = self._training_model()
            start = self._soft
            if start is None:
                start = soft_prompt.first_vectors(model.get_input_embeddings().weight, self.virtual_tokens, tune.seed)
            vectors, losses = soft_prompt.learn(model, start, pairs, settings, tune.seed, progress)
            del model
            gc.collect()  # peft's wrapper holds itself, and the weights with it
        accepted = math.isfinite(losses[-1]) and losses[-1] < losses[0]
        change = f"loss {losses[0]:.3f} → {losses[-1]:.3f} nats per token on {len(pairs)} programs"
        if accepted:
            soft_prompt.write(path, vectors, self.name)
            self.load(path)
        return Tuning(
            tune.round,
            len(pairs),
            losses,
            accepted,
            path.name if accepted else "",
            time.perf_counter() - began,
            change if accepted else f"{change}: it did not fall, the former soft prompt stays",
        )

    def load(self, path: Path | None) -> None:
        """Use the soft prompt at `path` from now on; None for the model as it came."""
        self._pending, self._adapter, self._soft = path, path.stem if path else "", None
        if self._decoder is not None:
            self._open_adapter()

    def close(self) -> None:
        """Free the weights; may be called twice. The next request loads them again."""
        self._decoder = self._tokenizer = self._soft = None

    def weights_folder(self) -> Path:
        """Return the folder with the weights.

        Raises:
            ConfigError: It holds no model.
        """
        folder = Path(self.folder).expanduser()
        for file in ("config.json", "tokenizer.json"):
            if not (folder / file).is_file():
                raise ConfigError(
                    f"folder: {folder} holds no {file}; give a folder that `transformers` wrote with a fast tokenizer."
                )
        return folder

    def _check(self) -> None:
        rules: list[tuple[str, bool, str]] = [
            (
                "temperatures",
                bool(self.temperatures) and min(self.temperatures, default=-1) >= 0,
                "one or more numbers from 0 up",
            ),
            (
                "operators",
                sum(self.operators.values()) > 0 and min(self.operators.values()) >= 0,
                "weights from 0 up, one above 0",
            ),
            ("context", self.context is None or self.context > 1, "above 1"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("dtype", self.dtype in DTYPES, f"one of {', '.join(DTYPES)}"),
            ("threads", self.threads is None or self.threads > 0, "above 0"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
        ]
        counts = ("virtual_tokens", "tuning_epochs", "tuning_batch", "tuning_examples", "tuning_tokens")
        rules += [(count, getattr(self, count) > 0, "above 0") for count in counts]
        for option, holds, rule in rules:
            if not holds:
                raise ConfigError(f"{option} of {self.name} must be {rule}; got {getattr(self, option)!r}.")

    def _open(self) -> Decoder:
        """Load tokenizer and weights, where that has not been done."""
        if self._decoder is not None:
            return self._decoder
        from tokenizers import Tokenizer

        from nasmith.lms.llama_decoder import LlamaDecoder, can_decode
        from nasmith.lms.packed import best_dtype

        folder = self.weights_folder()
        self._config = json.loads((folder / "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        dtype = best_dtype(self.device) if self.dtype == "auto" else self.dtype
        decoder: Decoder
        if can_decode(self._config):
            decoder = LlamaDecoder(folder, dtype, self.device)
        else:
            from nasmith.lms.causal_decoder import CausalDecoder

            # Only packed weights are quick in half precision on a processor without it.
            decoder = CausalDecoder(self._transformer("float32" if dtype == "float16" and self.device == "cpu" else dtype))
        self._decoder = decoder
        self._open_adapter()
        return decoder

    def _open_adapter(self) -> None:
        from nasmith.lms import soft_prompt

        if self._pending is not None:
            self._soft = soft_prompt.read(self._pending, self._config["hidden_size"]).to(self.device)

    def _transformer(self, dtype: str) -> Any:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                str(self.weights_folder()), dtype=getattr(torch, dtype), local_files_only=True
            )
        finally:
            if shown:
                logging.enable_progress_bar()
        return model.eval().requires_grad_(False).to(self.device)

    def _training_model(self) -> Any:
        """Return the model for gradients; it is let go after the tuning, since it is large and sampling does without."""
        from nasmith.lms.packed import best_dtype

        # Packed float16 weights were measured to win nothing at the batches of a tuning.
        return self._transformer("bfloat16" if best_dtype(self.device) == "bfloat16" else "float32")

    def _tokens(self, text: str, *, first: bool = True) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=first).ids

    def _room(self) -> int:
        """Tokens of a prompt and its reply together, the soft prompt taken off."""
        own = int(self._config.get("max_position_embeddings") or self._config.get("n_positions") or 2048)
        return min(self.context or own, own) - (0 if self._soft is None else len(self._soft))

    def _threads(self) -> int:
        """The number of threads; settled at the first use, and the same from then on."""
        import torch

        self._settled = self._settled or self.threads or torch.get_num_threads()
        return self._settled


def _ends(config: Mapping[str, Any]) -> list[int]:
    """Return the tokens that end a reply."""
    ends = config.get("eos_token_id")
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


class _Threads:
    """Computes with a fixed number of threads inside a `with`, since the number may change the last bits."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._former = 0

    def __enter__(self) -> None:
        import torch

        self._former = torch.get_num_threads()
        if self._count != self._former:
            torch.set_num_threads(self._count)

    def __exit__(self, *_: object) -> None:
        import torch

        if torch.get_num_threads() != self._former:
            torch.set_num_threads(self._former)
