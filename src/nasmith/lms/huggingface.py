"""Any causal language model of `transformers`, inside this process: sampled, and tuned by a soft prompt or by LoRA."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nasmith.errors import ConfigError, UsageError
from nasmith.lms.hub import model_folder
from nasmith.types import Completion, Example, Request, Traits, Tune, Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from nasmith.lms import tuning
    from nasmith.lms.lora import LowRank
    from nasmith.lms.sampling import Decoder
    from nasmith.lms.tokens import Tokens

__all__ = ["HuggingFace"]

MEGABYTE = 10**6
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(eq=False)
class HuggingFace:
    """A causal language model from a local folder or the Hugging Face hub.

    The same request gives the same replies, whatever was asked before, with the same number of threads on the same machine.
    Nothing but the processor was there to test on: "cuda" and "mps" are written with care, and have not been run.

    Args:
        folder: Holds `config.json`, the tokenizer and the weights; or a name on the hub, such as Qwen/Qwen2.5-Coder-0.5B, which
            is taken from the hub's cache, or downloaded.
        name: What the records call it; the folder's name where none is given.
        temperatures: What a strategy draws from where the user names none (EvoPrompting's own).
        operators: Operators that suit the model, with relative weights.
        context: Most tokens of prompt and reply together; the model's own limit where none is given.
        top_p: Draw from the likeliest tokens that together hold this share, in (0, 1].
        chat: Whether it is asked by messages; it needs a chat template then. Otherwise it continues text.
        dtype: Type of the weights that sampling multiplies by: "float32", "float16" (activations stay float32), "bfloat16", or
            "auto" for what this processor does quickest.
        device: Where it computes: "cpu", "cuda", "cuda:1", "mps", or "auto" for CUDA, MPS or the processor, the first there is.
        threads: Threads of the processor; `torch`'s own number where none is given.
        memory_mb: Limit in megabytes of what the replies of one request keep in memory (keys and values; the weights come on
            top), and of what a step of the tuning keeps, both estimated. What exceeds it is done in parts, as is what a device
            has no memory for.
        adapter: What is tuned: "soft-prompt", vectors before the prompt (EvoPrompting's), or "lora", the weights, at low rank.
        virtual_tokens: Vectors of the soft prompt.
        lora_rank: Rank of the change of each weight.
        lora_alpha: The change is scaled by lora_alpha / lora_rank.
        lora_targets: Ends of the names of the linear layers to change, such as q_proj; all of attention and MLP where none are
            given.
        tuning_epochs: Passes over the examples in one tuning.
        tuning_batch: Examples of one step.
        learning_rate: Of Adafactor for a soft prompt (0.1 where none is given), of AdamW for LoRA (0.001).
        tuning_examples: At most so many examples are learned from in one tuning, drawn by its seed.
        tuning_tokens: Limit of one example. Its prompt is cut at the beginning; a program that is longer alone is left out.
    """

    folder: str | Path
    _: KW_ONLY
    name: str = ""
    temperatures: Sequence[float] = (0.2, 0.6, 0.8, 1.0)
    if TYPE_CHECKING:  # None is what suits, and never stays
        operators: Mapping[str, float] = field(default_factory=dict)
    else:
        operators: Mapping[str, float] | None = None
    context: int | None = None
    top_p: float = 1.0
    chat: bool = False
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    memory_mb: int | None = None
    adapter: str = "soft-prompt"
    virtual_tokens: int = 16
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_targets: Sequence[str] | None = None
    tuning_epochs: int = 5
    tuning_batch: int = 16
    learning_rate: float | None = None
    tuning_examples: int = 32
    tuning_tokens: int = 384

    shorthand: ClassVar[str | None] = "folder"
    """The option that `huggingface:FOLDER` gives."""
    suitable: ClassVar[Mapping[str, float]] = {"crossover": 1.0}
    """Operators for a model that continues text."""
    learning_rates: ClassVar[Mapping[str, float]] = {"soft-prompt": 0.1, "lora": 1e-3}
    """By adapter."""

    def __post_init__(self) -> None:
        self.folder = str(self.folder)
        self.name = self.name or Path(self.folder).name
        self.temperatures = tuple(self.temperatures)
        if self.operators is None:
            self.operators = {"crossover": 1.0, "edit": 1.0, "draft": 0.1} if self.chat else self.suitable
        self.operators = dict(self.operators)
        if self.learning_rate is None:
            self.learning_rate = self.learning_rates.get(self.adapter, 0.0)
        _check(self)
        self._decoder: Decoder | None = None
        self._tokens: Tokens | None = None
        self._tokenizer: Any = None
        self._computes = ""
        self._path: Path | None = None
        self._soft: Tensor | None = None
        self._changes: LowRank | None = None
        self._settled = 0

    @property
    def traits(self) -> Traits:
        """How it wants to be used."""
        return Traits(chat=self.chat, exact=True, constrained=True)

    def warm(self) -> None:
        """Load the weights."""
        self._open()

    def complete(self, request: Request) -> list[Completion]:
        """Return exactly `request.n` replies.

        Raises:
            UsageError: The prompt does not fit into the context, or into memory; or its tokenizer cannot spell the options.
            ConfigError: There are messages, and the model has no chat template.
        """
        from nasmith.lms.constrained import Grammar
        from nasmith.lms.sampling import Stop, Text, sample

        began = time.perf_counter()
        decoder, files = self._open()
        tokens = files.prompt(request.prompt, request.messages)
        limit = min(self.context or files.limit, files.limit) - (0 if self._soft is None else len(self._soft))
        if not 0 < len(tokens) < limit:
            raise UsageError(
                f"the prompt has {len(tokens)} tokens; {self.name} holds 1 to {limit - 1} beside a reply. "
                "Show fewer or smaller examples, or use a model with a larger context."
            )
        text = Text(self._tokenizer, tokens, files.ends(request.messages))
        most = min(request.max_tokens, limit - len(tokens))
        guide = None if request.options is None else Grammar(files.vocabulary, request.options)
        with _Threads(self._threads()), self._memory(f"a prompt of {len(tokens)} tokens with a reply of up to {most}"):
            replies = sample(
                decoder,
                tokens,
                text,
                n=request.n,
                temperature=request.temperature,
                top_p=self.top_p,
                seed=request.seed,
                max_tokens=most,
                stop=Stop(text, request.stop, request.stop_texts),
                soft=self._soft,
                memory_bytes=None if self.memory_mb is None else self.memory_mb * MEGABYTE,
                guide=guide,
            )
        seconds = (time.perf_counter() - began) / request.n
        model = f"{self.name}+{self._path.stem}" if self._path else self.name
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
        """Learn from `examples`, from the present adapter on; write the adapter to `path` and use it from now on.

        Where the loss does not fall or is not finite, the former adapter stays and no file is written.
        """
        from nasmith.lms import tuning

        began = time.perf_counter()
        _, files = self._open()
        settings = tuning.Settings(
            self.tuning_epochs,
            self.tuning_batch,
            self.learning_rate or 0.0,  # never None: see __post_init__
            self.tuning_examples,
            self.tuning_tokens,
        )
        coded = [tuning.Pair(*map(tuple, files.example(example))) for example in examples]
        pairs = tuning.select(coded, settings, tune.seed)
        if not pairs:
            return Tuning(tune.round, 0, message="nothing to learn from; the former adapter stays")
        with _Threads(self._threads()), self._memory("a step of the tuning"):
            adapter = self._new_adapter(tune.seed)
            if self.memory_mb is not None:
                fitting = tuning.tokens_within(self.memory_mb * MEGABYTE, adapter.model.config)
                settings = replace(settings, pack=min(settings.pack, fitting))
            losses = tuning.learn(adapter, pairs, settings, tune.seed, progress)
        accepted = tuning.fell(losses)
        if accepted:
            adapter.write(path, self.name)
        del adapter
        gc.collect()  # peft's wrapper holds itself, and the weights with it
        if accepted:
            self.load(path)
        change = f"loss {losses[0]:.3f} → {losses[-1]:.3f} nats per token on {len(pairs)} programs"
        return Tuning(
            tune.round,
            len(pairs),
            losses,
            accepted,
            path.name if accepted else "",
            time.perf_counter() - began,
            change if accepted else f"{change}: it did not fall, the former adapter stays",
        )

    def load(self, path: Path | None) -> None:
        """Use the adapter at `path` from now on; None for the model as it came.

        Raises:
            UsageError: The file cannot be read, or was written for another model or kind of adapter. A model whose weights are
                not loaded yet says so at its first use.
        """
        from nasmith.lms import lora

        opened = self._decoder is not None
        if opened and self.adapter == "lora":
            if path is not None:
                lora.read(path, self.name)  # refuses a file before anything is given up
            self._decoder = None  # changed weights are packed anew
        elif self._decoder is not None:
            self._soft = self._vectors(path, self._decoder)
        self._path = path
        if opened:
            self._open()

    def close(self) -> None:
        """Free the weights; may be called twice. The next request loads them again."""
        self._decoder = self._tokens = self._tokenizer = self._soft = self._changes = None

    def weights_folder(self) -> Path:
        """Return the folder with the weights; a model of the hub is downloaded where it is not in the cache.

        Raises:
            ConfigError: There is no model.
        """
        return model_folder(str(self.folder))

    def _open(self) -> tuple[Decoder, Tokens]:
        """Load tokenizer and weights, where that has not been done."""
        from nasmith.lms import devices, lora
        from nasmith.lms.tokens import Tokens

        if self._tokens is None:
            self._computes = devices.find(self.device)
            self._tokens = Tokens(self.weights_folder(), self.name)
            self._tokenizer = self._tokens.tokenizer
            if self.chat:
                self._tokens.chat()  # that there is a template is found out before anything is trained
        if self._decoder is None:
            lowered = self._path if self.adapter == "lora" else None
            self._changes = None if lowered is None else lora.read(lowered, self.name)
            with self._memory(f"the model {self.name}"):
                decoder = self._new_decoder(self._tokens)
            self._soft = self._vectors(self._path, decoder)
            self._decoder = decoder
        return self._decoder, self._tokens

    def _new_decoder(self, files: Tokens) -> Decoder:
        from nasmith.lms.llama_decoder import LlamaDecoder, can_decode
        from nasmith.lms.packed import best_dtype

        dtype = best_dtype(self._computes) if self.dtype == "auto" else self.dtype
        if can_decode(files.config) and any(files.folder.glob("model*.safetensors")):
            return LlamaDecoder(files.folder, dtype, self._computes, self._changes)
        from nasmith.lms.causal_decoder import CausalDecoder, load_model
        from nasmith.lms.lora import merge

        # Only packed weights are quick in half precision on a processor without it.
        model = load_model(files.folder, "float32" if dtype == "float16" and self._computes == "cpu" else dtype, self._computes)
        if self._changes is not None:
            merge(model, self._changes)
        return CausalDecoder(model)

    def _vectors(self, path: Path | None, decoder: Decoder) -> Tensor | None:
        from nasmith.lms import soft_prompt

        if path is None or self.adapter != "soft-prompt":
            return None
        return soft_prompt.read(path, self.name, decoder.hidden_size).to(self._computes)

    def _new_adapter(self, seed: int) -> tuning.Adapter:
        """Return the present adapter, or a fresh one, beside a model for gradients.

        That model is let go after the tuning, since it is large and sampling does without.
        """
        from nasmith.lms.causal_decoder import load_model
        from nasmith.lms.lora import LowRankTuning
        from nasmith.lms.packed import best_dtype
        from nasmith.lms.soft_prompt import SoftPrompt, first_vectors

        if self.adapter == "lora":
            self._decoder = None  # it is of no use afterwards: new changes are packed anew
        # Packed float16 weights were measured to win nothing at the batches of a tuning.
        dtype = "bfloat16" if best_dtype(self._computes) == "bfloat16" else "float32"
        model = load_model(self.weights_folder(), dtype, self._computes)
        if self.adapter == "lora":
            rank, alpha, targets = self.lora_rank, self.lora_alpha, self.lora_targets
            return LowRankTuning(model, self._changes, rank=rank, alpha=alpha, targets=targets, seed=seed)
        if self._soft is not None:
            return SoftPrompt(model, self._soft)
        return SoftPrompt(model, first_vectors(model.get_input_embeddings().weight, self.virtual_tokens, seed))

    @contextmanager
    def _memory(self, what: str) -> Iterator[None]:
        """Say it in words for the user where the device's memory ends."""
        from nasmith.lms.devices import is_out_of_memory

        try:
            yield
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if self._decoder is not None:
                self._decoder.forget()
            raise UsageError(
                f"{what} does not fit into the memory of {self._computes}. Use a smaller model, dtype=bfloat16, or shorter "
                "prompts and examples (tuning_tokens)."
            ) from error

    def _threads(self) -> int:
        """The number of threads; settled at the first use, and the same from then on."""
        import torch

        self._settled = self._settled or self.threads or torch.get_num_threads()
        return self._settled


def _check(lm: HuggingFace) -> None:
    rules: list[tuple[str, bool, str]] = [
        ("temperatures", min(lm.temperatures, default=-1) >= 0, "one or more numbers from 0 up"),
        (
            "operators",
            sum(lm.operators.values()) > 0 and min(lm.operators.values()) >= 0,
            "weights from 0 up, one above 0",
        ),
        ("context", lm.context is None or lm.context > 1, "above 1"),
        ("top_p", 0 < lm.top_p <= 1, "above 0 and at most 1"),
        ("dtype", lm.dtype in DTYPES, f"one of {', '.join(DTYPES)}"),
        ("adapter", lm.adapter in lm.learning_rates, f"one of {', '.join(lm.learning_rates)}"),
        ("lora_targets", lm.lora_targets is None or len(lm.lora_targets) > 0, "one or more names, or left out"),
    ]
    counts = ["threads", "memory_mb", "virtual_tokens", "lora_rank", "lora_alpha"]
    counts += ["tuning_epochs", "tuning_batch", "learning_rate", "tuning_examples", "tuning_tokens"]
    rules += [(count, getattr(lm, count) is None or getattr(lm, count) > 0, "above 0") for count in counts]
    for option, holds, rule in rules:
        if not holds:
            raise ConfigError(f"{option} of {lm.name} must be {rule}; got {getattr(lm, option)!r}.")


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
